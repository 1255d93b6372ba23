//! What must hold of calls that are sent twice.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use mainstay_core::call::{Attempts, CallError, CallFailure, Hint, Next, Repeat};
use mainstay_core::{Deadline, Parts, Reason, Rejection, RequestContext, RequestId, TraceContext, ambient};
use mainstay_testkit::alloc::count_allocations_of;
use mainstay_testkit::cancel::{drop_at_await, drop_at_every_await};
use mainstay_testkit::contract::{Laws, layer_contract};
use tokio::time::{Instant, advance, sleep};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{HedgeConfig, HedgeEvent, HedgeLayer};
use crate::budget::{Budget, BudgetConfig};
use crate::retry::{RetryConfig, RetryLayer};

type Failure = CallError<std::io::Error>;

const SECOND: Duration = Duration::from_secs(1);

/// After a second, and as often as anybody likes.
fn config(max_attempts: u32) -> HedgeConfig {
    HedgeConfig { delay: Some(SECOND), max_attempts, ..HedgeConfig::default() }
}

/// What one attempt ends with.
#[derive(Clone, Copy, Debug)]
enum End {
    Answer(u32),
    Broken,
    Refused(Reason),
}

/// Answers of 500 and above ask for another attempt; the request is its attempt's number.
#[derive(Clone, Debug, Default)]
struct Rules {
    answered: Arc<Mutex<Vec<Attempts>>>,
    is_repetition: bool,
    copies: Arc<AtomicU32>,
}

impl Repeat<u32, u32, Failure> for Rules {
    fn again(&self, request: &u32) -> Option<u32> {
        let is_spent = *request == ONCE_MORE && self.copies.fetch_add(1, Ordering::SeqCst) > 0;
        (*request != NEVER_TWICE && !is_spent).then_some(*request)
    }

    fn next(&self, _: &u32, result: Result<&u32, &Failure>) -> Next {
        match result {
            Ok(0..500) => Next::Return,
            _ => Next::Repeat(Hint::None),
        }
    }

    fn is_repetition(&self, _: &u32) -> bool {
        self.is_repetition
    }

    fn may_overlap(&self, again: &u32) -> bool {
        *again != NEVER_AT_ONCE
    }

    fn number_of(&self, request: &u32) -> u32 {
        (*request).max(1)
    }

    fn number(&self, request: &mut u32, attempt: u32) {
        *request = attempt;
    }

    fn answered(&self, _: &mut u32, attempts: Attempts) {
        self.answered.lock().unwrap().push(attempts);
    }
}

const NEVER_TWICE: u32 = 77;
const NEVER_AT_ONCE: u32 = 78;
/// Can be copied once, for a second attempt, and not for a third.
const ONCE_MORE: u32 = 79;

/// One call whose attempts take and end as scripted.
struct Call {
    result: Result<u32, Failure>,
    /// Since the start of the call, and with which number.
    sent: Vec<(Duration, u32)>,
    took: Duration,
    events: Vec<HedgeEvent>,
    answered: Vec<Attempts>,
    /// Attempts that are still under way when the caller has its result.
    left: u32,
}

async fn call(config: &HedgeConfig, rules: Rules, request: u32, script: &[(u32, End)]) -> Call {
    let started = Instant::now();
    let (alive, sent) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (script, noted, living) = (script.to_vec(), Arc::clone(&sent), Arc::clone(&alive));
    let service = service_fn(move |request: u32| {
        let mut noted = noted.lock().unwrap();
        noted.push((started.elapsed(), request));
        let (secs, end) = script[noted.len() - 1];
        let alive = Alive::new(&living);
        async move {
            let _alive = alive;
            sleep(secs * SECOND).await;
            match end {
                End::Answer(number) => Ok(number),
                End::Broken => Err(CallError::service(std::io::Error::other("broken"))),
                End::Refused(reason) => Err(Rejection::new(reason, "refused").into()),
            }
        }
    });
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let layer = HedgeLayer::new(config)
        .unwrap()
        .rules(rules.clone())
        .on_event(move |event| heard.lock().unwrap().push(*event));
    let mut service = layer.layer(service);
    let mut future = Box::pin(service.ready().await.unwrap().call(request));
    let result = (&mut future).await;
    // The future itself is still there.
    let left = alive.load(Ordering::SeqCst);
    let (sent, events) = (sent.lock().unwrap().clone(), events.lock().unwrap().clone());
    let answered = rules.answered.lock().unwrap().clone();
    Call { result, sent, took: started.elapsed(), events, answered, left }
}

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

fn hedged(attempt: u32, after: Duration) -> HedgeEvent {
    HedgeEvent::Hedged { attempt, after }
}

fn with_deadline<F: Future>(length: Duration, work: F) -> impl Future<Output = F::Output> {
    let now = Instant::now().into_std();
    let parts = Parts::new(RequestId::parse(b"r").unwrap(), TraceContext::root([1; 16], [2; 8]), now);
    ambient::scope(RequestContext::new(Parts { deadline: Some(Deadline::after(now, length)), ..parts }), work)
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_sent_again_the_first_answer_counts_and_the_loser_is_dropped_at_once() {
    let call = call(&config(2), Rules::default(), 0, &[(9, End::Answer(1)), (2, End::Answer(2))]).await;
    assert_eq!((call.result.unwrap(), call.took, call.left), (2, 3 * SECOND, 0));
    assert_eq!(call.sent, [(Duration::ZERO, 0), (SECOND, 2)]);
    assert_eq!(call.answered, [Attempts { count: 2, earlier_may_have_run: true }]);
    assert_eq!(call.events, [hedged(2, SECOND), HedgeEvent::Won { attempt: 2 }]);
}

#[tokio::test(start_paused = true)]
async fn the_first_attempt_may_still_win() {
    let call = call(&config(2), Rules::default(), 0, &[(2, End::Answer(1)), (9, End::Answer(2))]).await;
    assert_eq!((call.result.unwrap(), call.took, call.left), (1, 2 * SECOND, 0));
    assert_eq!(call.events, [hedged(2, SECOND)]);
}

#[tokio::test(start_paused = true)]
async fn each_further_delay_sends_another_until_the_most() {
    let slow = (9, End::Answer(1));
    let call = call(&config(3), Rules::default(), 0, &[slow, slow, slow]).await;
    assert_eq!(call.sent, [(Duration::ZERO, 0), (SECOND, 2), (2 * SECOND, 3)]);
    assert_eq!((call.took, call.left), (9 * SECOND, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_in_time_is_sent_once_whatever_it_ends_with() {
    for end in [End::Answer(200), End::Answer(503), End::Broken, End::Refused(Reason::Unavailable)] {
        let call = call(&config(2), Rules::default(), 0, &[(0, end)]).await;
        assert_eq!((call.sent.len(), call.took, call.events.len()), (1, Duration::ZERO, 0));
        assert_eq!(call.answered, [], "nothing is noted of a single attempt");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_waits_for_the_attempt_that_is_under_way_and_nothing_more_is_sent() {
    for fails in [End::Answer(503), End::Broken, End::Refused(Reason::DeadlineExceeded)] {
        let script = [(9, End::Answer(1)), (0, fails), (0, End::Answer(3))];
        let call = call(&config(3), Rules::default(), 0, &script).await;
        assert_eq!((call.result.unwrap(), call.took, call.sent.len()), (1, 9 * SECOND, 2));
    }
    let both = call(&config(3), Rules::default(), 0, &[(2, End::Broken), (4, End::Answer(503))]).await;
    assert_eq!((both.result.unwrap(), both.took, both.sent.len()), (503, 5 * SECOND, 2));
    assert_eq!(both.answered, [Attempts { count: 2, earlier_may_have_run: true }]);
    assert_eq!(both.events, [hedged(2, SECOND)], "nobody has won");
}

#[tokio::test(start_paused = true)]
async fn an_extra_attempt_that_our_own_layers_refuse_is_done_without() {
    let script = [(9, End::Answer(1)), (0, End::Refused(Reason::Unavailable))];
    let call = call(&config(3), Rules::default(), 0, &script).await;
    assert_eq!((call.result.unwrap(), call.took, call.sent.len()), (1, 9 * SECOND, 2));
}

#[tokio::test(start_paused = true)]
async fn an_error_waits_for_the_others_also_where_nothing_more_can_be_sent() {
    let script = [(9, End::Answer(1)), (0, End::Broken)];
    let call = call(&config(3), Rules::default(), ONCE_MORE, &script).await;
    assert_eq!((call.result.unwrap(), call.took, call.sent.len()), (1, 9 * SECOND, 2));
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_sent_twice_or_not_at_once_or_is_a_repetition_is_sent_once() {
    let slow = [(9, End::Answer(1))];
    for request in [NEVER_TWICE, NEVER_AT_ONCE] {
        assert_eq!(call(&config(2), Rules::default(), request, &slow).await.sent.len(), 1);
    }
    let repetition = Rules { is_repetition: true, ..Rules::default() };
    assert_eq!(call(&config(2), repetition, 0, &slow).await.sent.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_the_deadline() {
    let script = [(9, End::Answer(1)), (0, End::Answer(2))];
    let late = with_deadline(SECOND, call(&config(2), Rules::default(), 0, &script)).await;
    assert_eq!(late.sent.len(), 1);
    let in_time = with_deadline(2 * SECOND, call(&config(2), Rules::default(), 0, &script)).await;
    assert_eq!(in_time.sent.len(), 2);
}

/// A service whose calls take nine seconds.
fn slow() -> impl Service<u32, Response = u32, Error = Failure, Future: Send> + Clone {
    service_fn(async |number: u32| {
        sleep(9 * SECOND).await;
        Ok::<_, Failure>(number)
    })
}

#[tokio::test(start_paused = true)]
async fn extra_attempts_are_paid_for_by_the_calls_and_by_nothing_when_a_retry_pays_in() {
    let budget = || {
        let config = BudgetConfig { percent: 20.0, min_per_second: 0, ttl: 60 * SECOND };
        Budget::new(&config).unwrap()
    };
    let layer = HedgeLayer::new(&config(2)).unwrap().budget(budget());
    for _ in 0..5 {
        layer.layer(slow()).oneshot(0).await.unwrap();
    }
    let counts = layer.handle().counts();
    assert_eq!((counts.hedges, counts.out_of_budget), (1, 4), "five calls pay for one");

    let shared = budget();
    let layer = HedgeLayer::new(&config(2)).unwrap().shared_budget(shared.clone());
    for _ in 0..5 {
        layer.layer(slow()).oneshot(0).await.unwrap();
    }
    assert_eq!((layer.handle().counts().hedges, shared.balance(Instant::now())), (0, 0));
    (0..5).for_each(|_| shared.deposit(Instant::now()));
    layer.layer(slow()).oneshot(0).await.unwrap();
    assert_eq!(layer.handle().counts().hedges, 1);
}

#[tokio::test(start_paused = true)]
async fn an_extra_attempt_that_finds_no_place_holds_nothing_up_and_its_price_comes_back() {
    let layer = HedgeLayer::new(&config(2)).unwrap();
    let (handle, service) = (layer.handle(), layer.layer(ConcurrencyLimit::new(slow(), 1)));
    let before = handle.budget().balance(Instant::now());
    let started = Instant::now();
    assert_eq!(service.oneshot(5).await.unwrap(), 5);
    assert_eq!((started.elapsed(), handle.counts().hedges), (9 * SECOND, 0));
    assert!(handle.budget().balance(Instant::now()) >= before);
}

/// Ready for one call, and failing from then on.
#[derive(Clone)]
struct FailsReady(Arc<AtomicBool>);

impl Service<u32> for FailsReady {
    type Response = u32;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.0.swap(true, Ordering::SeqCst) {
            Poll::Ready(Err(CallError::service(std::io::Error::other("gone"))))
        } else {
            Poll::Ready(Ok(()))
        }
    }

    fn call(&mut self, number: u32) -> Self::Future {
        Box::pin(async move {
            sleep(9 * SECOND).await;
            Ok(number)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_any_more_does_not_end_the_attempt_that_is_under_way() {
    let layer = HedgeLayer::new(&config(2)).unwrap();
    let service = layer.layer(FailsReady(Arc::default()));
    assert_eq!(service.oneshot(5).await.unwrap(), 5);
    assert_eq!(layer.handle().counts().hedges, 0);
}

/// A measured delay: a twentieth of the calls is slow.
fn measured() -> HedgeConfig {
    HedgeConfig { minimum_number_of_calls: 20, ..HedgeConfig::default() }
}

/// A service whose calls take as many milliseconds as they say.
fn takes(millis: u32) -> (u32, impl Service<u32, Response = u32, Error = Failure, Future: Send> + Clone) {
    let service = service_fn(async |millis: u32| {
        sleep(Duration::from_millis(millis.into())).await;
        Ok::<_, Failure>(millis)
    });
    (millis, service)
}

#[tokio::test(start_paused = true)]
async fn a_measured_delay_is_the_time_most_calls_take_and_there_is_none_before_enough_are_known() {
    let layer = HedgeLayer::new(&measured()).unwrap();
    let handle = layer.handle();
    for millis in 1..=20 {
        assert_eq!(handle.delay(), None);
        let (request, service) = takes(100 + millis);
        layer.layer(service).oneshot(request).await.unwrap();
    }
    advance(SECOND).await;
    let delay = handle.delay().unwrap().as_millis();
    assert!((119..=135).contains(&delay), "{delay} ms");
    assert_eq!(handle.counts().hedges, 0, "a twentieth was slow, but nobody knew");
}

#[tokio::test(start_paused = true)]
async fn losers_count_with_the_time_they_took_and_do_not_make_the_delay_fall() {
    let layer = HedgeLayer::new(&measured()).unwrap();
    let handle = layer.handle();
    for _ in 0..40 {
        let (request, service) = takes(100);
        layer.layer(service).oneshot(request).await.unwrap();
    }
    advance(SECOND).await;
    let before = handle.delay().unwrap();

    // From now on every first attempt hangs, and its hedge answers quickly.
    for _ in 0..40 {
        let attempts = Arc::new(AtomicU32::new(0));
        let service = service_fn(move |_: u32| {
            let number = attempts.fetch_add(1, Ordering::SeqCst);
            async move {
                sleep(if number == 0 { 900 * SECOND } else { Duration::from_millis(50) }).await;
                Ok::<_, Failure>(number)
            }
        });
        assert_eq!(layer.layer(service).oneshot(0).await.unwrap(), 1);
    }
    assert_eq!(handle.counts().wins, 40);
    advance(SECOND).await;
    let after = handle.delay().unwrap();
    assert!(after > before, "{after:?} after {before:?}: a hung attempt took the delay and 50 ms at least");

    // Callers that leave at once say nothing about the service.
    for _ in 0..400 {
        let (request, service) = takes(100);
        let mut call = Box::pin(layer.layer(service).oneshot(request));
        assert!(drop_at_await(&mut call, 1).await.is_none());
    }
    advance(SECOND).await;
    assert_eq!(handle.delay(), Some(after));
}

#[tokio::test(start_paused = true)]
async fn quick_failures_do_not_make_the_service_look_fast_and_timeouts_make_it_slow() {
    let layer = HedgeLayer::new(&measured()).unwrap().rules(Rules::default());
    let handle = layer.handle();
    let fails = |end| {
        service_fn(move |_: u32| -> Ready<Result<u32, Failure>> {
            ready(match end {
                End::Answer(number) => Ok(number),
                End::Broken => Err(CallError::service(std::io::Error::other("broken"))),
                End::Refused(reason) => Err(Rejection::new(reason, "refused").into()),
            })
        })
    };
    for _ in 0..40 {
        drop(layer.layer(fails(End::Broken)).oneshot(0).await);
        drop(layer.layer(fails(End::Answer(503))).oneshot(0).await);
        drop(layer.layer(fails(End::Refused(Reason::Overloaded))).oneshot(0).await);
    }
    advance(SECOND).await;
    assert_eq!(handle.delay(), None);
    for _ in 0..40 {
        drop(layer.layer(fails(End::Refused(Reason::DeadlineExceeded))).oneshot(0).await);
    }
    advance(SECOND).await;
    assert!(handle.delay().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_retry_around_it_counts_and_numbers_every_attempt_once() {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&sent);
    let service = service_fn(move |number: u32| {
        let mut noted = noted.lock().unwrap();
        noted.push(number);
        let is_third = noted.len() == 3;
        async move {
            if is_third {
                return Ok(200);
            }
            sleep(2 * SECOND).await;
            Err::<u32, Failure>(CallError::service(std::io::Error::other("broken")))
        }
    });
    let rules = Rules::default();
    let hedge = HedgeLayer::new(&config(2)).unwrap().rules(rules.clone());
    let retry = RetryLayer::new(&RetryConfig::default()).unwrap().rules(rules.clone());
    assert_eq!(retry.layer(hedge.layer(service)).oneshot(0).await.unwrap(), 200);
    assert_eq!(*sent.lock().unwrap(), [1, 2, 3]);
    assert_eq!(*rules.answered.lock().unwrap(), [Attempts { count: 3, earlier_may_have_run: true }]);
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_await_nothing_runs_on_and_the_price_comes_back() {
    let alive = Arc::new(AtomicU32::new(0));
    let living = Arc::clone(&alive);
    let service = service_fn(move |_: u32| {
        let alive = Alive::new(&living);
        async move {
            let _alive = alive;
            sleep(9 * SECOND).await;
            Err::<u32, Failure>(CallError::service(std::io::Error::other("broken")))
        }
    });
    let budget = Budget::new(&BudgetConfig { percent: 0.0, min_per_second: 100, ttl: 60 * SECOND }).unwrap();
    let layer = HedgeLayer::new(&config(3)).unwrap().budget(budget.clone());
    let (full, handle) = (budget.balance(Instant::now()), layer.handle());
    // The third attempt finds no place.
    let service = layer.layer(ConcurrencyLimit::new(service, 2));
    let awaits = drop_at_every_await(
        || service.clone().oneshot(0),
        |_| {
            assert_eq!(alive.load(Ordering::SeqCst), 0);
            // What is missing was sent, or is forgotten by now.
            assert!(full - budget.balance(Instant::now()) <= handle.counts().hedges);
        },
    );
    // The first attempt, the second, the third that finds no place until one of them fails.
    assert!(awaits.await >= 3);
    assert!(handle.counts().hedges > 0);
}

#[tokio::test]
async fn a_call_that_is_not_slow_allocates_nothing() {
    let service = service_fn(async |number: u32| Ok::<u32, Failure>(number));
    for config in [config(2), measured()] {
        let mut hedge = HedgeLayer::new(&config).unwrap().layer(service);
        hedge.ready().await.unwrap().call(1).await.unwrap();
        let (_, allocated) =
            count_allocations_of(async { hedge.ready().await.unwrap().call(1).await.unwrap() }).await;
        assert_eq!(allocated.count, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_laws_of_layers() {
    for config in [config(2), measured()] {
        let layer = || HedgeLayer::new(&config).unwrap();
        layer_contract(layer, || 7_u32, |number| number + 1, Laws::default()).await;
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let with = |change: fn(&mut HedgeConfig)| {
        let mut config = HedgeConfig::default();
        change(&mut config);
        HedgeLayer::new(&config).unwrap_err().to_string()
    };
    assert!(with(|config| config.max_attempts = 1).contains("max_attempts"));
    assert!(with(|config| config.quantile = f64::NAN).contains("a quantile of NaN: expected 0.5 to 0.999"));
    assert!(with(|config| config.delay = Some(Duration::ZERO)).contains("expected 1ms to 1h"));
    assert!(with(|config| config.window = Duration::ZERO).contains("expected 1s to 1h"));
    let read: HedgeConfig = serde_json::from_str(r#"{"delay":"20ms"}"#).unwrap();
    assert_eq!(read.delay, Some(Duration::from_millis(20)));
    let error = Failure::from(Rejection::new(Reason::Overloaded, "x"));
    assert!(error.was_refused());
}
