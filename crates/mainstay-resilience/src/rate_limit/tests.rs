//! What must hold of the rate limit.

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_core::call::{CallError, CallFailure, Cause};
use mainstay_core::{Deadline, Parts, Reason, RequestContext, RequestId, TraceContext, ambient};
use mainstay_testkit::alloc::count_allocations_of;
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Laws, client_layer_contract};
use mainstay_testkit::probe::{Probe, ProbeError};
use proptest::prelude::*;
use tokio::task::yield_now;
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_layer::Stack;

use super::{Buckets, RateLimitConfig, RateLimitEvent, RateLimitLayer};
use crate::typed::TypedLayer;

type Failure = CallError<ProbeError>;

const MILLI: Duration = Duration::from_millis(1);

/// So many calls a second, of which so many at once.
fn config(quota: u32, burst: u32, max_wait: Duration) -> RateLimitConfig {
    RateLimitConfig {
        quota: NonZeroU32::new(quota).unwrap(),
        burst: NonZeroU32::new(burst),
        max_wait,
        ..RateLimitConfig::default()
    }
}

fn limited(quota: u32, burst: u32, max_wait: Duration) -> RateLimitLayer {
    RateLimitLayer::new(&config(quota, burst, max_wait)).unwrap()
}

fn echo() -> Probe<u32, u32, Failure> {
    Probe::with_error_type(Ok)
}

#[track_caller]
fn refused_for(result: &Result<u32, Failure>) -> Duration {
    let error = result.as_ref().unwrap_err();
    let rejection = error.rejection().unwrap();
    assert_eq!(rejection.reason, Reason::RateLimited);
    assert_eq!(rejection.message, "the quota of calls to the service is used up");
    assert!(!error.may_have_run(|_| true), "it was never sent");
    rejection.retry_after.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_burst_may_be_used_at_once_and_comes_back_call_by_call_at_the_time_that_was_said() {
    // A third of a second is no whole number of nanoseconds.
    let layer = limited(3, 2, Duration::ZERO);
    let (one, other) = (layer.layer(echo()), layer.clone().layer(echo()));
    assert_eq!(one.clone().oneshot(1).await, Ok(1));
    assert_eq!(other.clone().oneshot(2).await, Ok(2), "all services of the layer share the bucket");
    for _ in 0..5 {
        let wait = refused_for(&one.clone().oneshot(3).await);
        assert_eq!(wait, Duration::from_nanos(333_333_334), "rounded up");
        advance(wait - Duration::from_nanos(1)).await;
        assert_eq!(refused_for(&one.clone().oneshot(3).await), Duration::from_nanos(1), "and never zero");
        advance(Duration::from_nanos(1)).await;
        assert_eq!(one.clone().oneshot(3).await, Ok(3));
    }
    advance(Duration::from_secs(3600)).await;
    assert_eq!((one.clone().oneshot(1).await, one.clone().oneshot(2).await), (Ok(1), Ok(2)));
    refused_for(&one.oneshot(3).await);
    assert_eq!(layer.handle().refused(), 11);
}

#[tokio::test(start_paused = true)]
async fn of_a_thousand_calls_at_one_instant_exactly_the_burst_passes() {
    let layer = limited(100, 70, Duration::ZERO);
    let tasks: Vec<_> = (0..1000).map(|call| tokio::spawn(layer.layer(echo()).oneshot(call))).collect();
    let mut passed = 0;
    for task in tasks {
        passed += u32::from(task.await.unwrap().is_ok());
    }
    assert_eq!((passed, layer.handle().refused()), (70, 930));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_calls_on_several_threads_exactly_the_burst_passes() {
    let config = RateLimitConfig { window: Duration::from_secs(86_400), ..config(1, 70, Duration::ZERO) };
    let one = RateLimitLayer::new(&config).unwrap();
    let keyed = one.clone().keyed(NonZeroUsize::MIN, |_: &u32| ());
    let tasks: Vec<_> = (0..1000)
        .map(|call| {
            let (one, keyed) = (one.layer(echo()), keyed.layer(echo()));
            tokio::spawn(async move { (one.oneshot(call).await.is_ok(), keyed.oneshot(call).await.is_ok()) })
        })
        .collect();
    let mut passed = (0, 0);
    for task in tasks {
        let (one, keyed) = task.await.unwrap();
        passed = (passed.0 + u32::from(one), passed.1 + u32::from(keyed));
    }
    assert_eq!(passed, (70, 70));
}

#[tokio::test(start_paused = true)]
async fn those_that_wait_go_one_by_one_each_at_its_own_time_and_in_their_order() {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let began = Instant::now();
    let service = service_fn({
        let sent = Arc::clone(&sent);
        move |call: u32| {
            sent.lock().unwrap().push((call, began.elapsed().as_millis()));
            std::future::ready(Ok::<_, Failure>(call))
        }
    });
    let layer = limited(10, 2, Duration::from_millis(700));
    let tasks: Vec<_> = (0..12)
        .map(|call| {
            let service = layer.layer(service.clone());
            tokio::spawn(service.oneshot(call))
        })
        .collect();
    yield_now().await;
    assert_eq!((layer.handle().waiting(), layer.handle().refused()), (7, 3));
    let mut refused = Vec::new();
    for task in tasks {
        if let result @ Err(_) = task.await.unwrap() {
            refused.push(refused_for(&result));
        }
    }
    let expected: Vec<_> = (0..9_u32).map(|call| (call, 100 * u128::from(call.saturating_sub(1)))).collect();
    assert_eq!(*sent.lock().unwrap(), expected);
    assert_eq!(refused, [Duration::from_millis(800); 3], "what would have to wait longer takes nothing");
    assert_eq!(layer.handle().waiting(), 0);
    // Nothing was lost and nothing won: the bucket gives the next call a tenth of a second after the last.
    assert_eq!(began.elapsed(), Duration::from_millis(700));
    assert_eq!(layer.layer(service).oneshot(12).await, Ok(12));
    assert_eq!(began.elapsed(), Duration::from_millis(800));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_time_comes_at_its_deadline_or_later_is_refused_at_once() {
    let began = Instant::now();
    let within = async |deadline: Duration| {
        let layer = limited(10, 1, Duration::MAX);
        let service = layer.layer(echo());
        assert_eq!(service.clone().oneshot(1).await, Ok(1));
        let now = Instant::now().into_std();
        let parts = Parts::new(RequestId::parse(b"r").unwrap(), TraceContext::root([1; 16], [2; 8]), now);
        let context = RequestContext::new(Parts { deadline: Some(Deadline::after(now, deadline)), ..parts });
        ambient::scope(context, async move { service.oneshot(2).await }).await
    };
    for deadline in [0, 99, 100] {
        let wait = refused_for(&within(deadline * MILLI).await);
        assert_eq!((wait, began.elapsed()), (100 * MILLI, Duration::ZERO), "{deadline} ms");
    }
    assert_eq!(within(101 * MILLI).await, Ok(2));
    assert_eq!(began.elapsed(), 100 * MILLI);
}

#[tokio::test(start_paused = true)]
async fn while_a_call_waits_its_service_is_free_for_others() {
    let inner = tower::limit::ConcurrencyLimit::new(echo(), 1);
    let layer = limited(10, 1, Duration::from_secs(1));
    let mut service = layer.layer(inner.clone());
    service.ready().await.unwrap().call(1).await.unwrap();
    let waiting = service.ready().await.unwrap().call(2);
    assert_eq!(layer.handle().waiting(), 1);
    assert_eq!(inner.oneshot(3).await, Ok(3), "another user of the inner service");
    assert_eq!(waiting.await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_waits_no_more_and_its_time_is_not_given_to_another() {
    let layer = limited(10, 1, Duration::from_secs(10));
    let view = layer.handle();
    let probe = echo().pending_before_ready(1).pending_before_answer(2);
    let service = layer.layer(probe.clone());
    service.clone().oneshot(0).await.unwrap();
    let awaits = drop_at_every_await(|| service.clone().oneshot(1), |_| assert_eq!(view.waiting(), 0)).await;
    // Its readiness, its time, its readiness once more, its answer.
    assert_eq!(awaits, 5);
    probe.handle().assert_idle();

    let layer = limited(10, 1, Duration::from_secs(10));
    let service = layer.layer(echo());
    let began = Instant::now();
    service.clone().oneshot(0).await.unwrap();
    let mut leaves = service.clone();
    drop(leaves.ready().await.unwrap().call(1));
    assert_eq!(service.oneshot(2).await, Ok(2));
    assert_eq!(began.elapsed(), 200 * MILLI);
}

#[tokio::test(start_paused = true)]
async fn events_tell_of_every_call_that_found_the_bucket_empty() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let layer = limited(10, 1, 100 * MILLI).on_event({
        let heard = Arc::clone(&heard);
        move |event| heard.lock().unwrap().push(*event)
    });
    let layer = layer.keyed(NonZeroUsize::MIN, |_: &u32| "all");
    let calls = [1, 2, 3].map(|call| tokio::spawn(layer.layer(echo()).oneshot(call)));
    for call in calls {
        drop(call.await.unwrap());
    }
    let [wait, retry_after] = [100 * MILLI, 200 * MILLI];
    assert_eq!(
        *heard.lock().unwrap(),
        [RateLimitEvent::Delayed { wait }, RateLimitEvent::Refused { retry_after }]
    );
}

#[tokio::test(start_paused = true)]
async fn every_key_has_a_bucket_of_its_own_and_the_full_ones_are_forgotten_first() {
    let two = NonZeroUsize::new(2).unwrap();
    let layer = limited(1, 2, Duration::ZERO).keyed(two, |call: &u32| call / 10);
    let view = layer.handle();
    let call = async |call: u32| layer.layer(echo()).oneshot(call).await.is_ok();
    assert!(call(10).await && call(11).await && !call(12).await);
    assert!(call(20).await, "another key");
    assert_eq!(view.keys(), 2);
    // The bucket of 2 is full again, that of 1 is half full.
    advance(Duration::from_secs(1)).await;
    assert!(call(30).await && call(31).await && !call(32).await, "a new key has lost nothing");
    assert_eq!(view.keys(), 2);
    assert!(call(13).await && !call(14).await, "and nobody forgot what 1 had used");
    // One more, and buckets in use are forgotten: whoever comes new may be one of those, which had nothing left.
    assert!(call(40).await);
    assert!(!call(50).await && !call(14).await);
    advance(Duration::from_secs(2)).await;
    assert!(call(50).await && call(51).await, "until theirs would be full again");
    assert!(view.keys() <= 2);
}

/// One key's bucket, told as water: what is in it, and when that was so.
#[derive(Clone, Copy)]
struct Water {
    left: u64,
    at: u64,
}

const INTERVAL: u64 = 100;
const BURST: u64 = 3;

impl Water {
    fn at(self, now: u64) -> Self {
        Self { left: (self.left + now - self.at).min(BURST * INTERVAL), at: now }
    }
}

/// Runs calls of keys at times in milliseconds, ten a second for each with a burst of three, and says how each ended.
fn run(most_keys: usize, at_most: u64, calls: &[(u64, u8)]) -> Vec<Result<Duration, Duration>> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let most_keys = NonZeroUsize::new(most_keys).unwrap();
        let layer = limited(10, 3, Duration::ZERO).keyed(most_keys, |key: &u8| *key);
        let mut results = Vec::new();
        for (gap, key) in calls {
            advance(Duration::from_millis(*gap)).await;
            results.push(layer.shared.buckets.take(key, Duration::from_millis(at_most)));
            assert!(layer.handle().keys() <= most_keys.get());
        }
        results
    })
}

proptest! {
    #[test]
    fn each_key_is_a_bucket_of_water_and_who_waits_drinks_ahead(
        at_most in 0_u64..500, calls in proptest::collection::vec((0_u64..150, 0_u8..4), 1..100),
    ) {
        let mut now = 0;
        let mut buckets: HashMap<u8, Water> = HashMap::new();
        for ((gap, key), result) in calls.iter().zip(run(4, at_most, &calls)) {
            now += gap;
            let full = Water { left: BURST * INTERVAL, at: now };
            let bucket = buckets.entry(*key).or_insert(full);
            // The water of a bucket that was drunk from ahead is of a time to come.
            let time = now.max(bucket.at);
            let there = bucket.at(time);
            let wait = time - now + INTERVAL.saturating_sub(there.left);
            if wait <= at_most {
                prop_assert_eq!(result, Ok(Duration::from_millis(wait)));
                let then = there.at(now + wait);
                *bucket = Water { left: then.left - INTERVAL, ..then };
            } else {
                prop_assert_eq!(result, Err(Duration::from_millis(wait)));
            }
        }
    }

    #[test]
    fn however_small_the_table_no_key_is_called_more_often_than_its_quota_allows(
        most_keys in 1_usize..12, calls in proptest::collection::vec((0_u64..60, 0_u8..20), 1..200),
    ) {
        let mut now = 0;
        let mut sent: HashMap<u8, Vec<u64>> = HashMap::new();
        for ((gap, key), result) in calls.iter().zip(run(most_keys, 0, &calls)) {
            now += gap;
            if result.is_ok() {
                sent.entry(*key).or_default().push(now);
            }
        }
        for (key, times) in sent {
            for (index, first) in times.iter().enumerate() {
                for (last, passed) in times[index..].iter().zip(1_u64..) {
                    let most = BURST + (last - first) / INTERVAL;
                    prop_assert!(passed <= most, "key {key}: {passed} from {first} to {last}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_call_that_waits_allocates_and_then_one_box() {
    let answers = service_fn(|request: u32| std::future::ready(Ok::<_, Failure>(request)));
    let layer = limited(10, 1, 100 * MILLI);
    let mut service = layer.layer(answers);
    for (call, made) in [("passes", 0), ("waits", 1)] {
        let run = async { service.ready().await.unwrap().call(1).await };
        let (answer, allocations) = count_allocations_of(run).await;
        assert_eq!((answer, allocations.count), (Ok(1), made), "{call}");
    }
    let mut refused = limited(10, 1, Duration::ZERO).keyed(NonZeroUsize::MIN, |_: &u32| 7).layer(answers);
    refused.ready().await.unwrap().call(1).await.unwrap();
    let run = async { refused.ready().await.unwrap().call(1).await.is_err() };
    let (is_refused, allocations) = count_allocations_of(run).await;
    assert_eq!((is_refused, allocations.count), (true, 0));
}

#[test]
fn settings_are_read_and_held_to_their_ranges() {
    let read: RateLimitConfig =
        serde_json::from_str(r#"{"quota": 5, "window": "1m", "burst": 2, "max_wait": "3s"}"#).unwrap();
    let wanted = RateLimitConfig { window: Duration::from_secs(60), ..config(5, 2, Duration::from_secs(3)) };
    assert_eq!(read, wanted);
    assert_eq!(serde_json::from_str::<RateLimitConfig>("{}").unwrap(), RateLimitConfig::default());
    let report = |config: RateLimitConfig| RateLimitLayer::new(&config).unwrap_err().to_string();
    let no_window = RateLimitConfig { window: Duration::ZERO, ..RateLimitConfig::default() };
    assert_eq!(report(no_window).trim(), "window: expected a window longer than zero, up to 366days");
    let year = Duration::from_secs(366 * 24 * 60 * 60);
    let never_back = RateLimitConfig { window: year, ..config(1, 101, Duration::ZERO) };
    assert_eq!(
        report(never_back).trim(),
        "burst: 101 calls take more than 100 years to come back at this quota"
    );
    for most in [config(1, 99, Duration::MAX), config(u32::MAX, u32::MAX, Duration::MAX)] {
        assert!(RateLimitLayer::new(&RateLimitConfig { window: year, ..most }).is_ok());
    }
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers() {
    fn inner(error: &Failure) -> Option<&ProbeError> {
        match &error.cause {
            Cause::Service(error) => Some(error),
            Cause::Rejected(_) => None,
        }
    }
    let layer = || Stack::new(TypedLayer::new(), limited(1_000_000, 1, Duration::from_secs(1)));
    client_layer_contract(layer, || "request", |_| "answer", inner, Laws::default()).await;
    let layer = || {
        let keyed =
            limited(1000, 1000, Duration::ZERO).keyed(NonZeroUsize::MIN, |request: &&str| request.len());
        Stack::new(TypedLayer::new(), keyed)
    };
    client_layer_contract(layer, || "request", |_| "answer", inner, Laws::default()).await;
}
