//! What must hold of the layer around the algorithms.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_core::call::{AtAnswer, CallError, CallFailure, Cause, Done, ErrorsFail, Settle, Verdict};
use mainstay_core::{Deadline, Parts, Reason, Rejection, RequestContext, RequestId, TraceContext, ambient};
use mainstay_testkit::alloc::count_allocations_of;
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Laws, client_layer_contract};
use mainstay_testkit::probe::{Probe, ProbeError};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_layer::Stack;

use super::{
    AdaptiveLimitConfig, AdaptiveLimitEvent, AdaptiveLimitLayer, AdaptivePermit, AimdConfig, Algorithm,
    Failures, VegasConfig,
};
use crate::typed::TypedLayer;

type Failure = CallError<ProbeError>;

/// From 2, up to 4, down to 1 with the first drop.
fn config() -> AdaptiveLimitConfig {
    let [min, initial, max] = [1, 2, 4].map(|limit| NonZeroU32::new(limit).unwrap());
    let algorithm = Algorithm::Aimd(AimdConfig { initial, min, max, ..AimdConfig::default() });
    AdaptiveLimitConfig { algorithm, ..AdaptiveLimitConfig::default() }
}

fn layer(config: &AdaptiveLimitConfig) -> AdaptiveLimitLayer {
    AdaptiveLimitLayer::new(config).unwrap()
}

fn echo() -> Probe<u32, u32, Failure> {
    Probe::with_error_type(Ok)
}

fn with_deadline(after: Duration) -> RequestContext {
    let now = Instant::now().into_std();
    let parts = Parts::new(RequestId::parse(b"r").unwrap(), TraceContext::root([1; 16], [2; 8]), now);
    RequestContext::new(Parts { deadline: Some(Deadline::after(now, after)), ..parts })
}

const GROWN: u32 = 3;
const AS_IT_WAS: u32 = 2;
const FALLEN: u32 = 1;

/// The limit after one call that ended with this verdict, where failures say so much.
async fn limit_after(verdict: Verdict, failures: Failures) -> u32 {
    let judge = move |_: Result<&u32, &Failure>| verdict;
    let layer = layer(&AdaptiveLimitConfig { failures, ..config() }).settle(AtAnswer(judge));
    layer.layer(echo()).oneshot(1).await.unwrap();
    assert_eq!(layer.handle().in_flight(), 0);
    layer.handle().limit()
}

#[tokio::test]
async fn a_success_is_measured_an_overload_is_a_drop_and_a_failure_is_what_the_settings_say() {
    let overloaded = Verdict::Overloaded { retry_after: None };
    for (verdict, failures, limit) in [
        (Verdict::Success, Failures::Ignored, GROWN),
        (overloaded, Failures::Ignored, FALLEN),
        (Verdict::Ignored, Failures::Dropped, AS_IT_WAS),
        (Verdict::Failure, Failures::Ignored, AS_IT_WAS),
        (Verdict::Failure, Failures::Measured, GROWN),
        (Verdict::Failure, Failures::Dropped, FALLEN),
    ] {
        assert_eq!(limit_after(verdict, failures).await, limit, "{verdict:?}, {failures:?}");
    }
}

#[tokio::test]
async fn a_time_out_further_in_is_a_drop_and_another_refusal_says_nothing() {
    for (reason, limit) in [
        (Reason::DeadlineExceeded, FALLEN),
        (Reason::Overloaded, AS_IT_WAS),
        (Reason::Unavailable, AS_IT_WAS),
    ] {
        let layer = layer(&config());
        let refuses =
            service_fn(
                move |_: u32| async move { Err::<u32, _>(Failure::from(Rejection::new(reason, "no"))) },
            );
        assert!(layer.layer(refuses).oneshot(1).await.is_err());
        assert_eq!(layer.handle().limit(), limit, "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_says_nothing_unless_its_time_was_over() {
    let limit_after = async |config: AdaptiveLimitConfig, deadline, leaves| {
        let layer = layer(&config);
        let never = service_fn(async |_: u32| std::future::pending::<Result<u32, Failure>>().await);
        let service = layer.layer(never);
        // The call is dropped outside of its context, as a time-out further out drops it.
        let call = ambient::scope(with_deadline(deadline), async move { service.oneshot(1).await });
        assert!(timeout(leaves, call).await.is_err());
        assert_eq!(layer.handle().in_flight(), 0);
        layer.handle().limit()
    };
    let [early, late] = [99, 100].map(Duration::from_millis);
    let far = Duration::from_secs(60);
    assert_eq!(limit_after(config(), far, late).await, AS_IT_WAS);
    assert_eq!(limit_after(config(), late, early).await, AS_IT_WAS);
    assert_eq!(limit_after(config(), late, late).await, FALLEN);
    let with_timeout = AdaptiveLimitConfig { timeout: Some(late), ..config() };
    assert_eq!(limit_after(with_timeout.clone(), far, early).await, AS_IT_WAS);
    assert_eq!(limit_after(with_timeout, far, late).await, FALLEN);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_timed_to_its_answer_and_holds_its_place_to_its_end() {
    /// Hands the permit to the caller, as a protocol puts it into a body.
    #[derive(Clone)]
    struct AtDrop;

    impl<E> Settle<u32, E> for AtDrop {
        type Answer<D: Done> = D;

        fn settle<D: Done>(&self, result: Result<u32, E>, done: D) -> Result<D, E> {
            result.map(|_| done)
        }
    }

    let layer = layer(&config()).settle(AtDrop);
    let slow = service_fn(async |seconds: u32| {
        sleep(Duration::from_secs(seconds.into())).await;
        Ok::<_, Failure>(seconds)
    });
    let permit: AdaptivePermit = layer.layer(slow).oneshot(1).await.unwrap();
    // Longer than the five seconds after which an answer counts as a drop.
    sleep(Duration::from_secs(10)).await;
    assert_eq!((layer.handle().in_flight(), layer.handle().limit()), (1, AS_IT_WAS));
    permit.done(Verdict::Success);
    assert_eq!((layer.handle().in_flight(), layer.handle().limit()), (0, GROWN));

    let permit = layer.layer(slow).oneshot(6).await.unwrap();
    permit.done(Verdict::Success);
    assert_eq!(layer.handle().limit(), 2, "six seconds to the answer");
    drop(layer.layer(slow).oneshot(1).await.unwrap());
    assert_eq!((layer.handle().in_flight(), layer.handle().limit()), (0, 2), "the caller left in the body");
}

#[tokio::test]
async fn a_limit_that_grows_serves_those_that_wait_and_events_tell_of_it() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let config = AdaptiveLimitConfig { max_waiting: 2, ..config() };
    let layer = layer(&config).on_event({
        let heard = Arc::clone(&heard);
        move |event| heard.lock().unwrap().push(*event)
    });
    let view = layer.handle();
    let probe = echo();
    let handle = probe.handle();
    let service = layer.layer(probe.clone());
    // Two services of one layer share the limit.
    let other = layer.layer(probe);
    handle.hold_answers();
    let mut tasks = Vec::new();
    for request in 0..4 {
        tasks.push(tokio::spawn(if request % 2 == 0 { &service } else { &other }.clone().oneshot(request)));
        yield_now().await;
    }
    assert_eq!((handle.in_flight(), view.in_flight(), view.waiting()), (2, 2, 2));
    let error = service.oneshot(9).await.unwrap_err();
    let rejection = error.rejection().unwrap();
    assert_eq!((rejection.reason, rejection.retry_after), (Reason::Overloaded, None));
    assert_eq!(rejection.message, "the service works on as many calls as it takes at once");
    handle.release_answers();
    for (request, task) in (0..).zip(tasks) {
        assert_eq!(task.await.unwrap(), Ok(request));
    }
    assert_eq!((view.limit(), view.in_flight(), view.waiting()), (4, 0, 0));
    let zero = Duration::ZERO;
    let heard = heard.lock().unwrap();
    assert_eq!(
        heard[..4],
        [
            AdaptiveLimitEvent::Queued,
            AdaptiveLimitEvent::Queued,
            AdaptiveLimitEvent::Refused { waited: zero },
            AdaptiveLimitEvent::LimitChanged { from: 2, to: 3 },
        ]
    );
    assert!(heard.contains(&AdaptiveLimitEvent::LimitChanged { from: 3, to: 4 }));
    assert_eq!(heard.iter().filter(|event| matches!(event, AdaptiveLimitEvent::Dequeued { .. })).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_at_any_await_leaves_its_place_to_others() {
    // Always two, so that the third waits also in the later runs.
    let two = NonZeroU32::new(2).unwrap();
    let algorithm = Algorithm::Aimd(AimdConfig { initial: two, min: two, max: two, ..AimdConfig::default() });
    let layer = layer(&AdaptiveLimitConfig { algorithm, max_waiting: 1, ..AdaptiveLimitConfig::default() });
    let view = layer.handle();
    let probe = echo().pending_before_ready(1).pending_before_answer(2);
    let service = layer.layer(probe.clone());
    let free = || assert_eq!((view.in_flight(), view.waiting()), (0, 0));
    let three = || {
        let calls = [1, 2, 3].map(|request| service.clone().oneshot(request));
        async move {
            let [first, second, third] = calls;
            tokio::join!(first, second, third)
        }
    };
    assert_eq!(drop_at_every_await(three, |_| free()).await, 7);
    free();
    probe.handle().assert_idle();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_several_threads_there_are_never_more_than_the_highest_limit() {
    let layer = layer(&AdaptiveLimitConfig { max_waiting: 1000, ..config() });
    let running = Arc::new(AtomicU32::new(0));
    let service = service_fn({
        let running = Arc::clone(&running);
        move |number: u32| {
            let running = Arc::clone(&running);
            async move {
                assert!(running.fetch_add(1, Ordering::SeqCst) < 4);
                yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                // A third drops, so that the limit moves.
                match number % 3 {
                    0 => Err(Failure::from(Rejection::new(Reason::DeadlineExceeded, "late"))),
                    _ => Ok(number),
                }
            }
        }
    });
    let tasks: Vec<_> =
        (0..1_000).map(|number| tokio::spawn(layer.layer(service.clone()).oneshot(number))).collect();
    for (number, task) in (0..).zip(tasks) {
        assert_eq!(task.await.unwrap().is_ok(), number % 3 != 0);
    }
    let view = layer.handle();
    assert_eq!((view.in_flight(), view.waiting()), (0, 0));
}

#[tokio::test]
async fn a_call_allocates_nothing() {
    let answers = service_fn(|request: u32| std::future::ready(Ok::<_, Failure>(request)));
    let algorithms = [Algorithm::default(), Algorithm::Vegas(VegasConfig::default()), config().algorithm];
    for algorithm in algorithms {
        let layer = layer(&AdaptiveLimitConfig { algorithm, max_waiting: 1, ..config() }).on_event(|_| {});
        let mut service = layer.layer(answers);
        for call in ["the first, which makes this thread's random numbers", "another"] {
            let run = async { service.ready().await.unwrap().call(1).await };
            let (answer, allocations) = count_allocations_of(run).await;
            assert_eq!(answer, Ok(1));
            assert!(call.starts_with("the first") || allocations.count == 0, "{allocations:?}");
        }
    }
}

#[test]
fn settings_are_read_and_held_to_their_ranges() {
    let read: AdaptiveLimitConfig = serde_json::from_str(
        r#"{"algorithm": {"vegas": {"max": 50}}, "timeout": "2s", "failures": "measured", "max_waiting": 3}"#,
    )
    .unwrap();
    let vegas = VegasConfig { max: NonZeroU32::new(50).unwrap(), ..VegasConfig::default() };
    let wanted = AdaptiveLimitConfig {
        algorithm: Algorithm::Vegas(vegas),
        timeout: Some(Duration::from_secs(2)),
        failures: Failures::Measured,
        max_waiting: 3,
        max_wait: None,
    };
    assert_eq!(read, wanted);
    assert_eq!(serde_json::from_str::<AdaptiveLimitConfig>("{}").unwrap(), AdaptiveLimitConfig::default());
    let report = |json: &str| {
        let config = serde_json::from_str(&format!(r#"{{"algorithm": {json}}}"#)).unwrap();
        AdaptiveLimitLayer::new(&config).unwrap_err().to_string()
    };
    for (json, message) in [
        (r#"{"gradient2": {"initial": 10}}"#, "10: expected 20 to 200"),
        (r#"{"gradient2": {"max": 3000000}}"#, "3000000: expected 20 to 2097151"),
        (r#"{"gradient2": {"tolerance": 0.9}}"#, "0.9: expected 1 to 100"),
        (r#"{"vegas": {"smoothing": 0.0}}"#, "0: expected more than 0, up to 1"),
        (r#"{"aimd": {"backoff": 1.0}}"#, "1: expected 0.5 up to but not 1"),
    ] {
        let report = report(json);
        assert!(report.contains(message), "{report}");
    }
    let mut not_a_number = AimdConfig { backoff: f64::NAN, ..AimdConfig::default() };
    let config = |aimd: &AimdConfig| AdaptiveLimitConfig {
        algorithm: Algorithm::Aimd(aimd.clone()),
        ..AdaptiveLimitConfig::default()
    };
    assert!(AdaptiveLimitLayer::new(&config(&not_a_number)).is_err());
    not_a_number.backoff = 0.5;
    assert!(AdaptiveLimitLayer::new(&config(&not_a_number)).is_ok());
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers() {
    fn inner(error: &Failure) -> Option<&ProbeError> {
        match &error.cause {
            Cause::Service(error) => Some(error),
            Cause::Rejected(_) => None,
        }
    }
    let waits = AdaptiveLimitConfig { max_waiting: 5, ..config() };
    for config in [AdaptiveLimitConfig::default(), waits] {
        let layer = || Stack::new(TypedLayer::new(), layer(&config).settle(AtAnswer(ErrorsFail)));
        client_layer_contract(layer, || "request", |_| "answer", inner, Laws::default()).await;
    }
}
