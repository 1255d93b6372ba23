//! What must hold of calls that are sent again.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_core::call::{Attempts, CallError, CallFailure, Hint, Next, Repeat};
use mainstay_core::{Deadline, Parts, Reason, Rejection, RequestContext, RequestId, TraceContext, ambient};
use mainstay_testkit::alloc::count_allocations_of;
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Laws, layer_contract};
use mainstay_testkit::probe::{Probe, ProbeError};
use proptest::prelude::*;
use tokio::time::Instant;
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{Because, Jitter, RepeatErrors, RetryConfig, RetryEvent, RetryLayer};
use crate::budget::BudgetConfig;

type Failure = CallError<std::io::Error>;

const SECOND: Duration = Duration::from_secs(1);

/// Waits of exactly 1 s, 2 s, 4 s ..., and as many extra attempts as anybody likes.
fn config(max_attempts: u32) -> RetryConfig {
    let mut config = RetryConfig { max_attempts, min_attempt_time: Duration::ZERO, ..RetryConfig::default() };
    config.backoff.jitter = Jitter::None;
    (config.backoff.base, config.backoff.max) = (SECOND, 60 * SECOND);
    config.budget = BudgetConfig { percent: 1000.0, min_per_second: 1_000, ..BudgetConfig::default() };
    config
}

/// What one attempt ends with.
#[derive(Clone, Debug)]
enum End {
    Answer(u32),
    /// An answer that asks to be called again.
    Busy(Hint),
    Broken,
    Refused(Reason),
}

/// Rules for answers: 503 and above ask for another attempt, with the hint that they carry; the request is its attempt's number.
#[derive(Clone, Debug, Default)]
struct Rules {
    answered: Arc<Mutex<Vec<Attempts>>>,
    is_repetition: bool,
}

#[derive(Debug)]
struct Answer {
    number: u32,
    hint: Option<Hint>,
    _alive: Alive,
}

#[derive(Debug)]
struct Alive(Arc<AtomicU32>);

impl Alive {
    fn new(count: &Arc<AtomicU32>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Repeat<u32, Answer, Failure> for Rules {
    fn again(&self, request: &u32) -> Option<u32> {
        (*request != NEVER_TWICE).then_some(*request)
    }

    fn next(&self, _: &u32, result: Result<&Answer, &Failure>) -> Next {
        match result {
            Ok(Answer { hint: None, .. }) => Next::Return,
            Ok(Answer { hint: Some(hint), .. }) => Next::Repeat(*hint),
            Err(_) => Next::Repeat(Hint::None),
        }
    }

    fn may_have_run(&self, result: Result<&Answer, &Failure>) -> bool {
        result.is_err()
    }

    fn is_repetition(&self, _: &u32) -> bool {
        self.is_repetition
    }

    fn number(&self, request: &mut u32, attempt: u32) {
        *request = attempt;
    }

    fn answered(&self, _: &mut Answer, attempts: Attempts) {
        self.answered.lock().unwrap().push(attempts);
    }
}

const NEVER_TWICE: u32 = 77;

/// One call whose attempts end as scripted.
struct Call {
    result: Result<Answer, Failure>,
    /// Since the start of the call, and with which number.
    sent: Vec<(Duration, u32)>,
    took: Duration,
    events: Vec<RetryEvent>,
    answered: Vec<Attempts>,
}

async fn call(config: &RetryConfig, rules: Rules, request: u32, script: &[End]) -> Call {
    let started = Instant::now();
    let (alive, sent) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (script, noted, living) = (script.to_vec(), Arc::clone(&sent), Arc::clone(&alive));
    let service = service_fn(move |request: u32| {
        assert_eq!(living.load(Ordering::SeqCst), 0, "the answer before is dropped before the next attempt");
        let mut noted = noted.lock().unwrap();
        noted.push((started.elapsed(), request));
        let end = script[noted.len() - 1].clone();
        let alive = Alive::new(&living);
        std::future::ready(match end {
            End::Answer(number) => Ok(Answer { number, hint: None, _alive: alive }),
            End::Busy(hint) => Ok(Answer { number: 503, hint: Some(hint), _alive: alive }),
            End::Broken => Err(CallError::service(std::io::Error::other("broken"))),
            End::Refused(reason) => Err(Rejection::new(reason, "refused").into()),
        })
    });
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let layer = RetryLayer::new(config)
        .unwrap()
        .rules(rules.clone())
        .on_event(move |event| heard.lock().unwrap().push(*event));
    let result = layer.layer(service).oneshot(request).await;
    let (sent, events) = (sent.lock().unwrap().clone(), events.lock().unwrap().clone());
    let answered = rules.answered.lock().unwrap().clone();
    Call { result, sent, took: started.elapsed(), events, answered }
}

fn retrying(attempt: u32, wait: Duration) -> RetryEvent {
    RetryEvent::Retrying { attempt, wait, hint: Hint::None }
}

fn with_deadline<F: Future>(length: Duration, work: F) -> impl Future<Output = F::Output> {
    let now = Instant::now().into_std();
    let parts = Parts::new(RequestId::parse(b"r").unwrap(), TraceContext::root([1; 16], [2; 8]), now);
    ambient::scope(RequestContext::new(Parts { deadline: Some(Deadline::after(now, length)), ..parts }), work)
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_is_sent_again_after_its_back_off_with_its_number_and_says_how_often_it_was_sent() {
    let call = call(&config(3), Rules::default(), 0, &[End::Broken, End::Broken, End::Answer(200)]).await;
    assert_eq!(call.result.unwrap().number, 200);
    assert_eq!(call.sent, [(Duration::ZERO, 1), (SECOND, 2), (3 * SECOND, 3)]);
    assert_eq!(call.answered, [Attempts { count: 3, earlier_may_have_run: true }]);
    assert_eq!(
        call.events,
        [retrying(2, SECOND), retrying(3, 2 * SECOND), RetryEvent::Settled { attempts: 3 }]
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_the_callers_and_says_how_often_and_whether_an_earlier_attempt_may_have_run() {
    let gave_up = call(&config(2), Rules::default(), 0, &[End::Broken, End::Broken]).await;
    let error = gave_up.result.unwrap_err();
    assert_eq!(error.attempts, Attempts { count: 2, earlier_may_have_run: true });
    assert_eq!(error.to_string(), "broken (attempt 2)");
    assert_eq!(gave_up.events[1], RetryEvent::GaveUp { because: Because::Attempts, attempts: 2 });

    // These rules say that a busy answer is proof of not having run.
    let busy = End::Busy(Hint::None);
    let after_busy = call(&config(2), Rules::default(), 0, &[busy, End::Broken]).await;
    assert_eq!(after_busy.result.unwrap_err().attempts, Attempts { count: 2, earlier_may_have_run: false });
}

#[tokio::test(start_paused = true)]
async fn what_the_rules_call_final_or_never_send_twice_is_sent_once() {
    assert_eq!(call(&config(3), Rules::default(), 0, &[End::Answer(404)]).await.sent.len(), 1);
    let once = call(&config(3), Rules::default(), NEVER_TWICE, &[End::Broken]).await;
    assert_eq!((once.sent, once.events.len()), (vec![(Duration::ZERO, NEVER_TWICE)], 0));
    assert_eq!(call(&config(1), Rules::default(), 0, &[End::Broken]).await.sent.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_waited_for_and_one_that_is_too_long_ends_the_call() {
    let told = |hint| [End::Busy(hint), End::Answer(200)];
    let exact = call(&config(3), Rules::default(), 0, &told(Hint::Exactly(SECOND / 4))).await;
    assert_eq!(exact.sent[1].0, SECOND / 4);
    let at_least = call(&config(3), Rules::default(), 0, &told(Hint::AtLeast(5 * SECOND))).await;
    assert!((5 * SECOND..=5 * SECOND + SECOND / 2).contains(&at_least.sent[1].0), "{:?}", at_least.sent);
    let too_long = call(&config(3), Rules::default(), 0, &told(Hint::AtLeast(11 * SECOND))).await;
    assert_eq!((too_long.result.unwrap().number, too_long.took), (503, Duration::ZERO));
    assert_eq!(too_long.events, [RetryEvent::GaveUp { because: Because::Hint, attempts: 1 }]);
}

#[tokio::test(start_paused = true)]
async fn no_wait_reaches_beyond_the_deadline_the_answer_at_hand_is_returned_at_once() {
    let script = [End::Busy(Hint::None), End::Busy(Hint::None), End::Answer(200)];
    let late = with_deadline(2 * SECOND, call(&config(3), Rules::default(), 0, &script)).await;
    assert_eq!((late.result.unwrap().number, late.sent.len(), late.took), (503, 2, SECOND));
    assert_eq!(late.events[1], RetryEvent::GaveUp { because: Because::Deadline, attempts: 2 });
    let in_time = with_deadline(3 * SECOND, call(&config(3), Rules::default(), 0, &script)).await;
    assert_eq!(in_time.result.unwrap().number, 200);
}

#[tokio::test(start_paused = true)]
async fn what_our_own_layers_refuse_is_not_sent_again_unless_an_attempt_ran_out_of_time() {
    for reason in [Reason::Unavailable, Reason::Overloaded, Reason::RateLimited] {
        let refused = call(&config(3), Rules::default(), 0, &[End::Refused(reason)]).await;
        assert_eq!(refused.result.unwrap_err().rejection().unwrap().reason, reason);
        assert_eq!(refused.sent.len(), 1);
    }
    let slow = [End::Refused(Reason::DeadlineExceeded), End::Answer(200)];
    assert_eq!(call(&config(3), Rules::default(), 0, &slow).await.sent.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_for_a_repetition_is_not_multiplied_unless_told_to() {
    let script = [End::Broken, End::Answer(200)];
    let rules = Rules { is_repetition: true, ..Rules::default() };
    assert_eq!(call(&config(3), rules.clone(), 0, &script).await.sent.len(), 1);
    let multiplying = RetryConfig { repeat_repetitions: true, ..config(3) };
    assert_eq!(call(&multiplying, rules, 0, &script).await.sent.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn when_the_budget_is_spent_the_result_at_hand_is_the_callers() {
    let mut config = config(3);
    config.budget = BudgetConfig { percent: 20.0, min_per_second: 0, ..BudgetConfig::default() };
    let layer = RetryLayer::new(&config).unwrap();
    let (handle, calls) = (layer.handle(), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&calls);
    let service = layer.layer(service_fn(move |_: u32| {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Err::<u32, Failure>(CallError::service(std::io::Error::other("broken"))))
    }));
    for _ in 0..100 {
        service.clone().oneshot(0).await.unwrap_err();
    }
    // 100 calls pay for 20; a call that waits may see its own price forgotten, so a few less.
    let extra = calls.load(Ordering::SeqCst) - 100;
    assert!((10..=20).contains(&extra), "{extra} extra attempts");
    let counts = handle.counts();
    assert_eq!((counts.retries, counts.out_of_attempts + counts.out_of_budget), (extra.into(), 100));
}

#[tokio::test(start_paused = true)]
async fn refusals_of_our_own_layers_pay_nothing_into_the_budget() {
    let mut config = config(3);
    config.budget = BudgetConfig { percent: 100.0, min_per_second: 0, ..BudgetConfig::default() };
    let layer = RetryLayer::new(&config).unwrap();
    let refuses =
        service_fn(async |_: u32| Err::<u32, Failure>(Rejection::new(Reason::Unavailable, "open").into()));
    for _ in 0..10 {
        layer.layer(refuses).oneshot(0).await.unwrap_err();
    }
    assert_eq!(layer.handle().budget().balance(Instant::now()), 0);
    let answers = service_fn(async |_: u32| Ok::<u32, Failure>(1));
    layer.layer(answers).oneshot(0).await.unwrap();
    assert_eq!(layer.handle().budget().balance(Instant::now()), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_ready_while_a_call_waits() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let flaky = service_fn(move |_: u32| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        std::future::ready(if first {
            Err::<u32, Failure>(CallError::service(std::io::Error::other("broken")))
        } else {
            Ok(1)
        })
    });
    let service = RetryLayer::new(&config(3)).unwrap().layer(ConcurrencyLimit::new(flaky, 1));
    let started = Instant::now();
    let waiting = tokio::spawn(service.clone().oneshot(0));
    tokio::task::yield_now().await;
    assert_eq!((calls.load(Ordering::SeqCst), started.elapsed()), (1, Duration::ZERO));
    assert_eq!(service.oneshot(0).await.unwrap(), 1);
    assert_eq!(started.elapsed(), Duration::ZERO, "it passed the one that waits");
    assert_eq!(waiting.await.unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_await_nothing_runs_on_and_the_price_comes_back() {
    let failing = |_: u32| Err::<u32, _>(ProbeError::new("broken"));
    let probe = Probe::new(failing).pending_before_ready(1).pending_before_answer(1);
    let handle = probe.handle();
    let mut config = config(3);
    config.budget = BudgetConfig { percent: 0.0, min_per_second: 1_000, ttl: 60 * SECOND };
    let layer = RetryLayer::new(&config).unwrap();
    let budget = layer.handle().budget().clone();
    let (full, service) = (budget.balance(Instant::now()), layer.layer(probe));
    let mut sent = 0;
    let awaits = drop_at_every_await(
        || service.clone().oneshot(0),
        |_| {
            handle.assert_idle();
            // What is missing was sent.
            sent = layer.handle().counts().retries;
            assert_eq!(full - budget.balance(Instant::now()), sent);
        },
    );
    // Ready, answer; wait, ready, answer; wait, ready, answer.
    assert_eq!(awaits.await, 8);
}

#[tokio::test]
async fn a_first_attempt_that_succeeds_allocates_nothing() {
    let service = service_fn(async |number: u32| Ok::<u32, Failure>(number));
    let mut retry = RetryLayer::new(&config(3)).unwrap().layer(service);
    retry.ready().await.unwrap().call(1).await.unwrap();
    let (_, allocated) =
        count_allocations_of(async { retry.ready().await.unwrap().call(1).await.unwrap() }).await;
    assert_eq!(allocated.count, 0);
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_laws_of_layers() {
    let layer = || RetryLayer::new(&config(1)).unwrap();
    layer_contract(layer, || 7_u32, |number| number + 1, Laws::default()).await;
    let layer = || RetryLayer::new(&config(3)).unwrap().rules(RepeatErrors);
    layer_contract(layer, || 7_u32, |number| number + 1, Laws::default()).await;
}

fn end() -> impl Strategy<Value = End> {
    let hint =
        prop_oneof![Just(Hint::None), (0_u64..12).prop_map(|secs| Hint::Exactly(Duration::from_secs(secs))),];
    prop_oneof![
        1 => (200_u32..500).prop_map(End::Answer),
        3 => hint.prop_map(End::Busy),
        3 => Just(End::Broken),
        1 => Just(End::Refused(Reason::Overloaded)),
        1 => Just(End::Refused(Reason::DeadlineExceeded)),
    ]
}

proptest! {
    #[test]
    fn attempts_and_waits_are_those_of_a_naive_walk_through_the_script(
        script in prop::collection::vec(end(), 10), max_attempts in 1_u32..=5, left in 0_u64..40,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let left = Duration::from_secs(left);
        let call = runtime.block_on(async {
            with_deadline(left, call(&config(max_attempts), Rules::default(), 0, &script)).await
        });

        let (mut attempts, mut clock, mut limit) = (1, Duration::ZERO, SECOND);
        for end in &script {
            let hint = match end {
                End::Answer(_) | End::Refused(Reason::Overloaded) => break,
                End::Busy(hint) => *hint,
                _ => Hint::None,
            };
            if attempts == max_attempts {
                break;
            }
            let wait = match hint {
                Hint::Exactly(wait) => {
                    limit = SECOND;
                    wait
                }
                _ => {
                    let wait = limit;
                    limit *= 2;
                    wait
                }
            };
            if wait > 10 * SECOND || clock + wait > left {
                break;
            }
            clock += wait;
            attempts += 1;
        }
        prop_assert_eq!((call.sent.len(), call.took), (usize::try_from(attempts).unwrap(), clock));
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let with = |change: fn(&mut RetryConfig)| {
        let mut config = RetryConfig::default();
        change(&mut config);
        RetryLayer::new(&config).unwrap_err().to_string()
    };
    assert!(with(|config| config.max_attempts = 0).contains("max_attempts"));
    assert!(
        with(|config| config.backoff.max = Duration::from_millis(1)).contains("is below the base of 50ms")
    );
    assert!(with(|config| config.backoff.multiplier = f64::NAN).contains("expected 1 to 10"));
    assert!(with(|config| config.budget.ttl = Duration::ZERO).contains("expected 1s to 60s"));
    let unknown = serde_json::from_str::<RetryConfig>(r#"{"attempts":3}"#).unwrap_err().to_string();
    assert!(unknown.contains("unknown field `attempts`"), "{unknown}");
    let read: RetryConfig = serde_json::from_str(r#"{"backoff":{"base":"10ms","jitter":"equal"}}"#).unwrap();
    assert_eq!((read.backoff.base, read.backoff.jitter), (Duration::from_millis(10), Jitter::Equal));
}
