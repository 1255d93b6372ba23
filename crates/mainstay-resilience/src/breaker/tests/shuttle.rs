//! The concurrent parts, in one chosen order of their threads after another.
//!
//! ```sh
//! RUSTFLAGS="--cfg shuttle" cargo test -p mainstay-resilience --lib --target-dir target/shuttle shuttle
//! ```
//!
//! Every access to an atomic of ours is a point at which shuttle may switch threads. arc-swap's own atomics are not: replacing a
//! circuit's state is one step here.

use std::sync::Arc;

use shuttle::sync::atomic::{AtomicU32, Ordering};
use shuttle::thread;

use super::{FAILED, SUCCEEDED, Staged};
use crate::breaker::circuit::Circuit;
use crate::breaker::{BreakerConfig, SlidingWindow, State};
use crate::budget::{Budget, BudgetConfig};
use crate::events::Listener;
use crate::rolling::Rolling;

const RUNS: usize = 2_000;

fn check(run: impl Fn() + Send + Sync + 'static) {
    shuttle::check_random(
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _entered = runtime.enter();
            run();
        },
        RUNS,
    );
}

fn circuit(window: u32, permitted: u32) -> Arc<Circuit> {
    let config = BreakerConfig {
        sliding_window: SlidingWindow::Calls(window),
        minimum_number_of_calls: window,
        permitted_number_of_calls_in_half_open_state: permitted,
        wait_duration_in_open_state: std::time::Duration::from_millis(1),
        wait_jitter: 0.0,
        ..BreakerConfig::default()
    };
    Arc::new(Circuit::new(Arc::new(config), Listener::none()))
}

/// A circuit that is open and whose time is over.
fn due(permitted: u32) -> Arc<Circuit> {
    let circuit = circuit(1, permitted);
    let world = Staged::new();
    circuit.record(circuit.admit(&world).unwrap(), FAILED, &world);
    assert_eq!(circuit.state(), State::Open);
    circuit
}

fn spawn_all(threads: usize, run: impl Fn(usize) + Send + Sync + 'static) {
    let run = Arc::new(run);
    let spawned: Vec<_> = (0..threads)
        .map(|number| {
            let run = Arc::clone(&run);
            thread::spawn(move || run(number))
        })
        .collect();
    spawned.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn no_order_of_threads_lets_more_through_a_half_open_circuit_than_it_permits() {
    check(|| {
        let (circuit, inside) = (due(2), Arc::new(AtomicU32::new(0)));
        let (of_all, counted) = (Arc::clone(&circuit), Arc::clone(&inside));
        let started = Staged::new();
        let started = started.started;
        spawn_all(3, move |number| {
            let world = Staged { started, millis: 5.into(), random: 0.0.into() };
            if let Ok(admission) = of_all.admit(&world) {
                assert!(counted.fetch_add(1, Ordering::SeqCst) < 2, "three at once");
                counted.fetch_sub(1, Ordering::SeqCst);
                if number == 0 { of_all.ignore(admission) } else { of_all.record(admission, FAILED, &world) }
            }
        });
    });
}

#[test]
fn a_window_that_writers_lap_is_the_sum_of_its_slots_when_they_are_through() {
    check(|| {
        let circuit = circuit(2, 1);
        circuit.send_to(State::Closed, &Staged::new()).unwrap();
        let of_all = Arc::clone(&circuit);
        spawn_all(3, move |number| {
            let world = Staged::new();
            for round in 0..2 {
                if let Ok(admission) = of_all.admit(&world) {
                    let said = if (number + round) % 3 == 0 { FAILED } else { SUCCEEDED };
                    of_all.record(admission, said, &world);
                }
            }
        });
        if let Some(slots) = circuit.tally_of_slots() {
            let metrics = circuit.metrics(&Staged::new());
            assert_eq!((metrics.calls, metrics.failed), (slots.calls, slots.failed));
        }
    });
}

#[test]
fn of_many_who_see_the_reason_one_opens() {
    check(|| {
        let circuit = circuit(1, 1);
        let world = Staged::new();
        let admissions = [(); 3].map(|()| circuit.admit(&world).unwrap());
        let of_all = Arc::clone(&circuit);
        spawn_all(3, move |number| of_all.record(admissions[number], FAILED, &Staged::new()));
        let metrics = circuit.metrics(&world);
        assert_eq!((metrics.state, metrics.opened), (State::Open, 1));
    });
}

#[test]
fn rolling_sums_are_those_of_their_slots_when_all_are_through_whoever_moves_time_on() {
    check(|| {
        let rolling = Arc::new(Rolling::<2>::new(std::time::Duration::from_secs(2), 2));
        let of_all = Arc::clone(&rolling);
        spawn_all(3, move |number| {
            let later = std::time::Duration::from_secs(number as u64);
            of_all.add([1, 2], of_all.started() + later);
            of_all.take(0, 1, 0, of_all.started() + later);
        });
        assert_eq!(rolling.sums(rolling.started()), rolling.sums_of_slots());
    });
}

#[test]
fn a_budget_is_never_overdrawn() {
    check(|| {
        let config = BudgetConfig { percent: 100.0, min_per_second: 0, ..BudgetConfig::default() };
        let budget = Budget::new(&config).unwrap();
        let now = tokio::time::Instant::now();
        let spent = Arc::new(AtomicU32::new(0));
        let (of_all, counted) = (budget.clone(), Arc::clone(&spent));
        budget.deposit(now);
        spawn_all(3, move |number| {
            if number == 0 {
                of_all.deposit(now);
            }
            counted.fetch_add(of_all.withdraw(now).into(), Ordering::SeqCst);
        });
        assert!(spent.load(Ordering::SeqCst) <= 2);
    });
}
