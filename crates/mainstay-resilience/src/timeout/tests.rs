//! What must hold of limits.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_core::call::{CallError, CallFailure};
use mainstay_core::{Deadline, Parts, Reason, RequestContext, RequestId, TraceContext, ambient};
use mainstay_testkit::alloc::count_allocations_of;
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Law, Laws, layer_contract};
use mainstay_testkit::probe::Probe;
use tokio::time::{Instant, advance, sleep};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{Limit, TimedOut, TimeoutConfig, TimeoutLayer};

type Failure = CallError<std::io::Error>;

const SECOND: Duration = Duration::from_secs(1);

fn config(limit: Option<Duration>) -> TimeoutConfig {
    TimeoutConfig { limit, ..TimeoutConfig::default() }
}

fn with_deadline<F: Future>(length: Duration, work: F) -> impl Future<Output = F::Output> {
    let now = Instant::now().into_std();
    let parts = Parts::new(RequestId::parse(b"r").unwrap(), TraceContext::root([1; 16], [2; 8]), now);
    ambient::scope(RequestContext::new(Parts { deadline: Some(Deadline::after(now, length)), ..parts }), work)
}

async fn wait(length: Duration) -> Result<Duration, Failure> {
    sleep(length).await;
    Ok(length)
}

/// How a call of this length ends, after how long, and what was told.
async fn call(
    config: &TimeoutConfig,
    length: Duration,
) -> (Result<Duration, Failure>, Duration, Vec<TimedOut>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let layer = TimeoutLayer::new(config).unwrap().on_event(move |event| heard.lock().unwrap().push(*event));
    let started = Instant::now();
    let result = layer.layer(service_fn(wait)).oneshot(length).await;
    let told = told.lock().unwrap().clone();
    (result, started.elapsed(), told)
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_limit_and_one_that_is_ready_then_wins() {
    let config = config(Some(SECOND));
    assert!(call(&config, SECOND).await.0.is_ok());
    let (late, took, told) = call(&config, SECOND + Duration::from_millis(1)).await;
    assert_eq!((late.unwrap_err().to_string().as_str(), took), ("no answer within 1s", SECOND));
    assert_eq!(told, [TimedOut { after: SECOND, by: Limit::Own }]);
    let quick = TimeoutConfig { covers_readiness: false, ..config };
    assert_eq!(call(&quick, 2 * SECOND).await.1, SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_sooner_of_limit_and_deadline_counts_and_without_a_limit_the_deadline_alone() {
    for (limit, expected) in
        [(Some(SECOND), Limit::Own), (Some(5 * SECOND), Limit::Deadline), (None, Limit::Deadline)]
    {
        let (result, took, told) = with_deadline(3 * SECOND, call(&config(limit), 10 * SECOND)).await;
        let by_deadline = expected == Limit::Deadline;
        assert_eq!((told[0].by, took), (expected, if by_deadline { 3 * SECOND } else { SECOND }));
        assert_eq!(result.unwrap_err().rejection().unwrap().reason, Reason::DeadlineExceeded);
    }
    assert!(call(&config(None), 1_000_000 * SECOND).await.0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_has_passed_is_not_sent() {
    let probe = Probe::new(|number: u32| Ok(number));
    let handle = probe.handle();
    let service = TimeoutLayer::new(&config(None)).unwrap().layer(probe);
    let late = with_deadline(SECOND, async {
        advance(SECOND).await;
        service.oneshot(1).await
    });
    assert_eq!(late.await.unwrap_err().rejection().unwrap().reason, Reason::DeadlineExceeded);
    assert_eq!(handle.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_time_in_a_queue_counts_and_a_call_that_waits_is_sent_when_its_turn_comes() {
    let queue = ConcurrencyLimit::new(service_fn(wait), 1);
    let service = TimeoutLayer::new(&config(Some(3 * SECOND))).unwrap().layer(queue);
    let started = Instant::now();
    let calls = [2, 2, 2].map(|secs| tokio::spawn(service.clone().oneshot(secs * SECOND)));
    let mut ended = Vec::new();
    for call in calls {
        ended.push((call.await.unwrap().is_ok(), started.elapsed()));
    }
    // The first is done at 2 s; the second, and the third which never got its turn, at their limit.
    assert_eq!(ended, [(true, 2 * SECOND), (false, 3 * SECOND), (false, 3 * SECOND)]);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_follows_its_settings_is_asked_for_each_call() {
    let limit = Arc::new(Mutex::new(SECOND));
    let asked = Arc::clone(&limit);
    let layer = TimeoutLayer::new(&config(None)).unwrap().limit_from(move || *asked.lock().unwrap());
    let service = layer.layer(service_fn(wait));
    assert!(service.clone().oneshot(2 * SECOND).await.is_err());
    *limit.lock().unwrap() = Duration::MAX;
    assert!(service.oneshot(2 * SECOND).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_dropped_at_once_and_so_is_what_the_caller_drops() {
    let probe = Probe::new(|number: u32| Ok(number));
    let handle = probe.handle();
    handle.hold_answers();
    let service = TimeoutLayer::new(&config(Some(SECOND))).unwrap().layer(probe);
    let mut call = std::pin::pin!(service.clone().oneshot(1));
    assert!(call.as_mut().await.is_err());
    handle.assert_idle();
    handle.release_answers();

    let probe = Probe::new(|number: u32| Ok(number)).pending_before_ready(2).pending_before_answer(2);
    let handle = probe.handle();
    let service = TimeoutLayer::new(&config(Some(SECOND))).unwrap().layer(probe);
    let awaits = drop_at_every_await(|| service.clone().oneshot(1), |_| handle.assert_idle());
    assert_eq!(awaits.await, 4);
}

#[tokio::test]
async fn a_call_that_is_ready_or_ends_in_time_allocates_nothing() {
    let service = service_fn(async |number: u32| {
        tokio::task::yield_now().await;
        Ok::<_, Failure>(number)
    });
    let mut service = TimeoutLayer::new(&config(Some(SECOND))).unwrap().layer(service);
    service.ready().await.unwrap().call(1).await.unwrap();
    let (_, allocated) =
        count_allocations_of(async { service.ready().await.unwrap().call(1).await.unwrap() }).await;
    // One by tokio's `yield_now`.
    assert!(allocated.count <= 1, "{allocated:?}");
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_laws_of_layers() {
    let passes_readiness =
        || TimeoutLayer::new(&TimeoutConfig { covers_readiness: false, ..TimeoutConfig::default() }).unwrap();
    layer_contract(passes_readiness, || 7_u32, |number| number + 1, Laws::default()).await;
    let covers_it = || TimeoutLayer::new(&TimeoutConfig::default()).unwrap();
    let laws = Laws { back_pressure: Law::Waived, ..Laws::default() };
    layer_contract(covers_it, || 7_u32, |number| number + 1, laws).await;
}

#[test]
fn settings_are_read_by_their_names_and_refused_out_of_their_ranges() {
    let config: TimeoutConfig = serde_json::from_str(r#"{"limit":"2s","covers_readiness":false}"#).unwrap();
    assert_eq!(config, TimeoutConfig { limit: Some(2 * SECOND), covers_readiness: false });
    let zero = TimeoutConfig { limit: Some(Duration::ZERO), ..config };
    assert!(TimeoutLayer::new(&zero).unwrap_err().to_string().contains("expected at least 1ms"));
}
