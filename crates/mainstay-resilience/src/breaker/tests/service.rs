//! The layer, in virtual time.

use std::future::{Future, pending};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use mainstay_core::call::{CallError, CallFailure, Done, Settle, Verdict};
use mainstay_core::{Deadline, Parts, Reason, RequestContext, RequestId, TraceContext, ambient};
use mainstay_testkit::alloc::count_allocations_of;
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Laws, layer_contract};
use mainstay_testkit::probe::{Probe, ProbeError};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::breaker::{
    AbandonedCalls, Admitted, BreakerConfig, BreakerHandle, BreakerLayer, OnRetryAfter, SlidingWindow, State,
};

type Failure = CallError<std::io::Error>;

const SECOND: Duration = Duration::from_secs(1);

fn config() -> BreakerConfig {
    BreakerConfig {
        sliding_window: SlidingWindow::Calls(10),
        minimum_number_of_calls: 4,
        permitted_number_of_calls_in_half_open_state: 3,
        wait_duration_in_open_state: SECOND,
        wait_jitter: 0.0,
        ..BreakerConfig::default()
    }
}

fn failure() -> Failure {
    CallError::service(std::io::Error::other("broken"))
}

/// Fails when the request says so.
async fn obey(fails: bool) -> Result<u32, Failure> {
    if fails { Err(failure()) } else { Ok(1) }
}

async fn open<S>(service: &S)
where
    S: Service<bool, Response = u32, Error = Failure> + Clone,
{
    for _ in 0..4 {
        service.clone().oneshot(true).await.unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_refuses_and_says_for_how_long_and_then_a_few_calls_decide() {
    let layer = BreakerLayer::new(&config()).unwrap();
    let (handle, service) = (layer.handle(), layer.layer(service_fn(obey)));
    open(&service).await;
    advance(SECOND / 4).await;
    let refused = service.clone().oneshot(false).await.unwrap_err();
    let rejection = refused.rejection().unwrap();
    assert_eq!((rejection.reason, rejection.retry_after), (Reason::Unavailable, Some(SECOND * 3 / 4)));
    assert!(!refused.may_have_run(|_| true));

    advance(SECOND).await;
    assert_eq!(handle.state(), State::Open, "nobody has called yet");
    for _ in 0..3 {
        service.clone().oneshot(false).await.unwrap();
    }
    assert_eq!(handle.state(), State::Closed);

    open(&service).await;
    advance(SECOND * 2).await;
    for _ in 0..3 {
        service.clone().oneshot(true).await.unwrap_err();
    }
    assert_eq!(
        (handle.state(), handle.metrics().opened, handle.metrics().not_permitted),
        (State::Open, 3, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn of_a_thousand_calls_at_one_instant_a_half_open_circuit_lets_through_what_it_permits() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let layer = BreakerLayer::new(&config()).unwrap();
    let service = layer.layer(service_fn(move |fails: bool| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            sleep(SECOND / 2).await;
            obey(fails).await
        }
    }));
    open(&service).await;
    advance(SECOND * 2).await;
    calls.store(0, Ordering::SeqCst);
    let tasks: Vec<_> = (0..1_000).map(|_| tokio::spawn(service.clone().oneshot(false))).collect();
    let mut passed = 0;
    for task in tasks {
        passed += u32::from(task.await.unwrap().is_ok());
    }
    assert_eq!((passed, calls.load(Ordering::SeqCst), layer.handle().state()), (3, 3, State::Closed));
}

/// A service whose readiness never comes once it is told so.
#[derive(Clone)]
struct Saturated(Arc<AtomicU32>);

impl Service<bool> for Saturated {
    type Response = u32;
    type Error = Failure;
    type Future = std::future::Ready<Result<u32, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.0.load(Ordering::SeqCst) == 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, _: bool) -> Self::Future {
        std::future::ready(Err(failure()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_refuses_before_a_saturated_service_is_asked() {
    let saturated = Arc::new(AtomicU32::new(0));
    let layer = BreakerLayer::new(&config()).unwrap();
    let service = layer.layer(Saturated(Arc::clone(&saturated)));
    open(&service).await;
    saturated.store(1, Ordering::SeqCst);
    assert_eq!(
        service.clone().oneshot(false).await.unwrap_err().rejection().unwrap().reason,
        Reason::Unavailable
    );
    // The time is over between the readiness and the call: the call waits for the service, and has its place.
    let mut ready = service.clone();
    ready.ready().await.unwrap();
    advance(SECOND * 2).await;
    let waiting = ready.call(false);
    assert_eq!(layer.handle().state(), State::HalfOpen);
    saturated.store(0, Ordering::SeqCst);
    assert!(waiting.await.unwrap_err().rejection().is_none());
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_it_although_they_succeed() {
    let slow = BreakerConfig {
        slow_call_duration_threshold: Some(SECOND),
        slow_call_rate_threshold: 50.0,
        ..config()
    };
    let layer = BreakerLayer::new(&slow).unwrap();
    let service = layer.layer(service_fn(async |millis: u64| {
        sleep(Duration::from_millis(millis)).await;
        Ok::<_, Failure>(1_u32)
    }));
    for millis in [1_000, 1_000, 1_001] {
        service.clone().oneshot(millis).await.unwrap();
    }
    assert_eq!(layer.handle().metrics().slow, 1, "slow is longer than the threshold, not as long");
    service.clone().oneshot(1_001).await.unwrap();
    assert_eq!(layer.handle().state(), State::Open);
}

fn overloaded(result: Result<&u32, &Failure>) -> Verdict {
    if result.is_ok() { Verdict::Success } else { Verdict::Overloaded { retry_after: Some(30 * SECOND) } }
}

#[tokio::test(start_paused = true)]
async fn what_the_service_asks_for_opens_it_or_keeps_it_open_as_the_settings_say() {
    for (on_retry_after, calls, wait) in [
        (OnRetryAfter::Ignore, 4, SECOND),
        (OnRetryAfter::Prolong, 4, 30 * SECOND),
        (OnRetryAfter::Open, 1, 30 * SECOND),
    ] {
        let layer =
            BreakerLayer::new(&BreakerConfig { on_retry_after, ..config() }).unwrap().judge(overloaded);
        let service = layer.layer(service_fn(obey));
        for _ in 0..calls {
            assert_eq!(layer.handle().state(), State::Closed, "{on_retry_after:?}");
            service.clone().oneshot(true).await.unwrap_err();
        }
        let refused = service.clone().oneshot(true).await.unwrap_err();
        assert_eq!(refused.rejection().unwrap().retry_after, Some(wait), "{on_retry_after:?}");
    }
}

fn with_deadline<F: Future>(length: Duration, work: F) -> impl Future<Output = F::Output> {
    let now = Instant::now().into_std();
    let parts = Parts::new(RequestId::parse(b"r").unwrap(), TraceContext::root([1; 16], [2; 8]), now);
    ambient::scope(RequestContext::new(Parts { deadline: Some(Deadline::after(now, length)), ..parts }), work)
}

/// How many failures four calls are that hang until their callers leave, after so long.
async fn abandoned(policy: AbandonedCalls, leave_after: Duration) -> (u64, State) {
    let layer = BreakerLayer::new(&BreakerConfig { abandoned_calls: policy, ..config() }).unwrap();
    let service = layer.layer(service_fn(|_: bool| pending::<Result<u32, Failure>>()));
    for _ in 0..4 {
        let call = with_deadline(SECOND, service.clone().oneshot(true));
        tokio::time::timeout(leave_after, call).await.unwrap_err();
    }
    (layer.handle().metrics().failed, layer.handle().state())
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_says_nothing_unless_its_deadline_had_passed() {
    use AbandonedCalls::{AfterDeadline, Fail, Ignore};
    for (policy, leave_after, state) in [
        (Ignore, 2 * SECOND, State::Closed),
        (AfterDeadline, SECOND / 2, State::Closed),
        (AfterDeadline, SECOND, State::Open),
        (Fail, SECOND / 2, State::Open),
    ] {
        assert_eq!(abandoned(policy, leave_after).await.1, state, "{policy:?} after {leave_after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_at_any_await_or_panics_gives_its_place_back_and_never_closes() {
    let failing = Arc::new(AtomicU32::new(1));
    let fails = Arc::clone(&failing);
    let probe = Probe::new(move |_: bool| match fails.load(Ordering::SeqCst) {
        1 => Err(ProbeError::new("broken")),
        2 => std::panic::panic_any("on purpose"),
        _ => Ok(1_u32),
    });
    let layer = BreakerLayer::new(&config()).unwrap();
    let service = layer.layer(probe.pending_before_ready(1).pending_before_answer(2));
    for _ in 0..4 {
        service.clone().oneshot(true).await.unwrap_err();
    }
    advance(SECOND * 2).await;
    failing.store(0, Ordering::SeqCst);
    let (handle, circuit) = (layer.handle(), Arc::clone(&layer.circuit));
    let awaits = drop_at_every_await(
        || service.clone().oneshot(false),
        |at| {
            if at > 1 {
                assert_eq!((handle.state(), circuit.places()), (State::HalfOpen, Some(3)), "at {at}");
            }
        },
    );
    assert_eq!(awaits.await, 3);
    assert_eq!(circuit.places(), Some(2), "one has ended");
    failing.store(2, Ordering::SeqCst);
    tokio::spawn(service.clone().oneshot(false)).await.unwrap_err();
    assert_eq!((handle.state(), circuit.places()), (State::HalfOpen, Some(2)));
}

/// An answer that goes on until it is ended.
struct GoesOn;

struct Stream<D>(D);

impl Settle<u32, Failure> for GoesOn {
    type Answer<D: Done> = Stream<D>;

    fn settle<D: Done>(&self, result: Result<u32, Failure>, done: D) -> Result<Stream<D>, Failure> {
        result.map(|_| Stream(done))
    }
}

impl Clone for GoesOn {
    fn clone(&self) -> Self {
        Self
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_goes_on_after_its_answer_is_judged_at_its_end() {
    let layer = BreakerLayer::new(&config()).unwrap().settle(GoesOn);
    let (handle, service): (BreakerHandle, _) = (layer.handle(), layer.layer(service_fn(obey)));
    for _ in 0..4 {
        let Stream(call): Stream<Admitted> =
            service.clone().oneshot(false).await.unwrap_or_else(|_| unreachable!("it answers"));
        assert_eq!(handle.state(), State::Closed);
        call.done(Verdict::Failure);
    }
    assert_eq!(handle.state(), State::Open);
}

#[tokio::test]
async fn a_closed_circuit_allocates_nothing() {
    let mut service = BreakerLayer::new(&config()).unwrap().layer(service_fn(obey));
    service.ready().await.unwrap().call(false).await.unwrap();
    let (_, allocated) =
        count_allocations_of(async { service.ready().await.unwrap().call(false).await.unwrap() }).await;
    assert_eq!(allocated.count, 0);
}

#[tokio::test]
async fn by_hand_it_goes_where_resilience4j_goes() {
    let handle = BreakerLayer::new(&config()).unwrap().handle();
    let impossible = handle.send_to(State::HalfOpen).unwrap_err();
    assert_eq!(impossible.to_string(), "a circuit that is closed cannot become half_open");
    handle.metrics_only();
    handle.send_to(State::Open).unwrap_err();
    handle.force_open();
    assert_eq!(handle.state(), State::ForcedOpen);
    handle.disable();
    handle.close();
    assert_eq!(handle.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn each_key_has_a_circuit_of_its_own_and_an_open_one_outlives_a_flood_of_others() {
    let capacity = NonZeroU32::new(64).unwrap();
    let key_of = |request: &(u32, bool)| request.0;
    let layer = BreakerLayer::new(&config()).unwrap().keyed(capacity, key_of);
    let handle = layer.handle();
    let service = layer.layer(service_fn(|(_, fails): (u32, bool)| obey(fails)));
    for _ in 0..4 {
        service.clone().oneshot((7, true)).await.unwrap_err();
    }
    service.clone().oneshot((8, false)).await.unwrap();
    assert_eq!((handle.of(&7).state(), handle.of(&8).state()), (State::Open, State::Closed));
    for key in 100..10_000 {
        service.clone().oneshot((key, false)).await.unwrap();
    }
    assert!(handle.all().len() <= 64);
    assert_eq!(
        service.oneshot((7, false)).await.unwrap_err().rejection().unwrap().reason,
        Reason::Unavailable
    );
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers() {
    let closed = || {
        let layer = BreakerLayer::new(&BreakerConfig {
            minimum_number_of_calls: 100,
            sliding_window: SlidingWindow::Calls(100),
            ..config()
        });
        layer.unwrap()
    };
    layer_contract(closed, || 7_u32, |number| number + 1, Laws::default()).await;
    let capacity = NonZeroU32::new(64).unwrap();
    let keyed = || closed().keyed(capacity, |request: &u32| *request);
    layer_contract(keyed, || 7_u32, |number| number + 1, Laws::default()).await;
}

#[test]
fn settings_are_read_by_their_names_and_refused_out_of_their_ranges() {
    let text = r#"{"sliding_window":{"time":"30s"},"failure_rate_threshold":20,"abandoned_calls":"fail"}"#;
    let config: BreakerConfig = serde_json::from_str(text).unwrap();
    assert_eq!(config.sliding_window, SlidingWindow::Time(30 * SECOND));
    for (change, said) in [
        (r#"{"failure_rate_threshold":0}"#, "expected more than 0, up to 100"),
        (r#"{"slow_call_rate_threshold":100.5}"#, "expected more than 0, up to 100"),
        (r#"{"slow_call_duration_threshold":"0s"}"#, "expected at least 1ns"),
        (r#"{"sliding_window":{"calls":0}}"#, "sliding_window"),
        (r#"{"sliding_window":{"time":"1ms"}}"#, "expected 1s to 1h"),
        (r#"{"minimum_number_of_calls":0}"#, "minimum_number_of_calls"),
        (r#"{"permitted_number_of_calls_in_half_open_state":0}"#, "permitted_number_of_calls"),
        (r#"{"wait_duration_in_open_state":"0s"}"#, "expected 1ms to 1h"),
        (r#"{"wait_multiplier":0.5}"#, "expected 1 to 10"),
        (r#"{"wait_jitter":2}"#, "expected 0 to 1"),
    ] {
        let config: BreakerConfig = serde_json::from_str(change).unwrap();
        let refused = BreakerLayer::new(&config).unwrap_err().to_string();
        assert!(refused.contains(said), "{change}: {refused}");
    }
    assert!(serde_json::from_str::<BreakerConfig>(r#"{"window":3}"#).is_err());
}
