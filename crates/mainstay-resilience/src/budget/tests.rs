//! What must hold of a budget.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{Budget, BudgetConfig, COST, SLOTS};

fn budget(percent: f64, min_per_second: u32, ttl_secs: u64) -> Budget {
    let ttl = Duration::from_secs(ttl_secs);
    Budget::new(&BudgetConfig { percent, min_per_second, ttl }).unwrap()
}

/// How many of so many calls may be sent again when all of them fail.
fn extras(budget: &Budget, calls: u32, now: Instant) -> u32 {
    (0..calls).map(|_| budget.deposit(now)).filter(|()| budget.withdraw(now)).count().try_into().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_share_is_exact_also_where_it_is_no_whole_number_of_calls() {
    for (percent, calls, expected) in
        [(60.0, 10, 6), (20.0, 100, 20), (0.1, 10_000, 10), (150.0, 10, 10), (33.3, 1_000, 333)]
    {
        assert_eq!(extras(&budget(percent, 0, 10), calls, Instant::now()), expected, "{percent} %");
    }
    // What one call pays for and does not use is there for others.
    let budget = budget(150.0, 0, 10);
    (0..10).for_each(|_| budget.deposit(Instant::now()));
    assert_eq!(budget.balance(Instant::now()), 15);
}

#[tokio::test(start_paused = true)]
async fn the_least_a_second_is_there_without_any_call_and_comes_back_after_the_ttl() {
    let budget = budget(0.0, 2, 10);
    let now = Instant::now();
    assert_eq!((0..100).filter(|_| budget.withdraw(now)).count(), 20);
    tokio::time::advance(Duration::from_millis(9_999)).await;
    assert!(!budget.withdraw(Instant::now()));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(budget.balance(Instant::now()), 20);
}

#[tokio::test(start_paused = true)]
async fn without_share_and_minimum_nothing_is_sent_again() {
    assert_eq!(extras(&budget(0.0, 0, 10), 1_000, Instant::now()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_pays_for_the_ttl_and_no_longer() {
    let budget = budget(100.0, 0, 10);
    budget.deposit(Instant::now());
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(budget.balance(Instant::now()), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(!budget.withdraw(Instant::now()));
    // A long idle time forgets everything at once.
    (0..7).for_each(|_| budget.deposit(Instant::now()));
    tokio::time::advance(Duration::from_secs(86_400)).await;
    assert_eq!(budget.balance(Instant::now()), 0);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_never_sent_costs_nothing() {
    let budget = budget(100.0, 0, 10);
    budget.deposit(Instant::now());
    let reserved = budget.reserve(Instant::now()).unwrap();
    assert!(budget.reserve(Instant::now()).is_none());
    drop(reserved);
    budget.reserve(Instant::now()).unwrap().spend();
    assert_eq!(budget.balance(Instant::now()), 0);
}

#[test]
fn many_threads_never_spend_more_than_was_paid_in() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let budget = budget(50.0, 0, 60);
    let (calls, spent) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..20_000_u32 {
                    let now = Instant::now();
                    if round % 3 != 0 {
                        calls.fetch_add(1, Ordering::SeqCst);
                        budget.deposit(now);
                    }
                    spent.fetch_add(budget.withdraw(now).into(), Ordering::SeqCst);
                }
            });
        }
    });
    let (calls, spent) = (calls.into_inner(), spent.into_inner());
    assert!(spent <= calls / 2, "{spent} of {calls}");
    let account = &budget.shared.account;
    assert_eq!(
        account.sums(account.started()),
        account.sums_of_slots(),
        "the balance is the sum of the slots"
    );
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Deposit,
    Withdraw,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![3 => Just(Step::Deposit), 3 => Just(Step::Withdraw), 2 => (0_u64..4_000).prop_map(Step::Wait)]
}

proptest! {
    #[test]
    fn it_is_a_naive_list_of_the_last_ten_slots(
        percent in prop_oneof![Just(0.0), Just(20.0), Just(60.0), Just(100.0), Just(250.0)],
        min in 0_u32..3,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        let budget = budget(percent, min, 10);
        let (mut millis, mut book) = (0_u64, Vec::new());
        for step in steps {
            let now = budget.shared.account.started() + Duration::from_millis(millis);
            let slot = millis / 1_000;
            book.retain(|(at, _): &(u64, i64)| at + u64::from(SLOTS) > slot);
            let left: i64 = book.iter().map(|(_, amount)| amount).sum::<i64>() + i64::from(min) * 10 * COST;
            match step {
                Step::Wait(more) => millis += more,
                Step::Deposit => {
                    budget.deposit(now);
                    book.push((slot, budget.shared.deposit));
                }
                Step::Withdraw => {
                    prop_assert_eq!(budget.withdraw(now), left >= COST);
                    if left >= COST {
                        book.push((slot, -COST));
                    }
                }
            }
        }
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let short = BudgetConfig { ttl: Duration::from_millis(10), ..BudgetConfig::default() };
    assert!(Budget::new(&short).unwrap_err().to_string().contains("expected 1s to 60s"));
    for percent in [f64::NAN, -1.0, 1000.5] {
        assert!(Budget::new(&BudgetConfig { percent, ..BudgetConfig::default() }).is_err(), "{percent}");
    }
}
