//! What must hold of the bulkhead.

use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_core::call::{CallError, Cause, Done, Settle, Verdict};
use mainstay_core::{Deadline, Parts, Reason, RequestContext, RequestId, TraceContext, ambient};
use mainstay_testkit::alloc::count_allocations_of;
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Laws, client_layer_contract};
use mainstay_testkit::probe::{Probe, ProbeError};
use tokio::task::{consume_budget, coop::has_budget_remaining, yield_now};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_layer::Stack;

use super::{Bulkhead, BulkheadConfig, BulkheadEvent, BulkheadLayer, BulkheadPermit};
use crate::typed::TypedLayer;

type Failure = CallError<ProbeError>;
type Echo = Probe<u32, u32, Failure>;

fn bulkhead(max_concurrent: u32, max_waiting: u32, max_wait: Option<Duration>) -> BulkheadLayer {
    let max_concurrent = NonZeroU32::new(max_concurrent).unwrap();
    BulkheadLayer::new(&BulkheadConfig { max_concurrent, max_waiting, max_wait }).unwrap()
}

fn echo() -> Echo {
    Probe::with_error_type(Ok)
}

/// A call in a task of its own that has come as far as it can.
async fn spawned(service: &Bulkhead<Echo>, request: u32) -> tokio::task::JoinHandle<Result<u32, Failure>> {
    let task = tokio::spawn(service.clone().oneshot(request));
    yield_now().await;
    task
}

#[track_caller]
fn assert_overloaded(result: &Result<u32, Failure>, message: &str) {
    let error = result.as_ref().unwrap_err();
    let Cause::Rejected(rejection) = &error.cause else { panic!("{error:?}") };
    assert_eq!((rejection.reason, rejection.retry_after), (Reason::Overloaded, None));
    assert_eq!(rejection.message, message);
    assert!(!error.may_have_run(|_| true), "it was never sent");
}

const FULL: &str = "the service works on as many calls as it takes at once";
const IN_VAIN: &str = "the service took no further call in the time that this one could wait";

#[tokio::test]
async fn a_call_too_many_is_refused_at_once_over_all_services_of_the_layer() {
    let layer = bulkhead(1, 0, None);
    let probe = echo();
    let handle = probe.handle();
    let (one, other) = (layer.layer(probe.clone()), layer.clone().layer(probe));
    handle.hold_answers();
    let first = spawned(&one, 1).await;
    assert_eq!(layer.handle().in_flight(), 1);
    assert_overloaded(&other.clone().oneshot(2).await, FULL);
    assert_eq!(handle.calls(), 1, "the refused one did not reach the service");
    handle.release_answers();
    assert_eq!(first.await.unwrap(), Ok(1));
    assert_eq!(other.oneshot(3).await, Ok(3));
    handle.assert_idle();
}

#[tokio::test]
async fn readiness_reserves_nothing_for_a_call_that_may_never_come() {
    let layer = bulkhead(1, 0, None);
    let mut idle = layer.layer(echo());
    idle.ready().await.unwrap();
    assert_eq!(layer.handle().in_flight(), 0);
    assert_eq!(layer.layer(echo()).oneshot(1).await, Ok(1));
}

#[tokio::test]
async fn those_that_wait_come_in_their_order_and_nobody_overtakes() {
    let layer = bulkhead(1, 2, None);
    let order = Arc::new(Mutex::new(Vec::new()));
    let probe: Echo = Probe::with_error_type({
        let order = Arc::clone(&order);
        move |request| {
            order.lock().unwrap().push(request);
            Ok(request)
        }
    });
    let handle = probe.handle();
    let service = layer.layer(probe);
    handle.hold_answers();
    let mut tasks = Vec::new();
    for request in 0..3 {
        tasks.push(spawned(&service, request).await);
    }
    assert_eq!((layer.handle().in_flight(), layer.handle().waiting()), (1, 2));
    assert_overloaded(&service.clone().oneshot(9).await, FULL);
    assert_eq!(handle.calls(), 1);
    handle.release_answers();
    for (request, task) in (0..).zip(tasks) {
        assert_eq!(task.await.unwrap(), Ok(request));
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
    assert_eq!((layer.handle().in_flight(), layer.handle().waiting()), (0, 0));
    handle.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_after_max_wait_or_at_the_deadline_whichever_is_sooner() {
    for (max_wait, deadline, waits) in [
        (Some(300), None, 300),
        (Some(300), Some(200), 200),
        (Some(300), Some(400), 300),
        (None, Some(200), 200),
        (Some(300), Some(0), 0),
    ] {
        let layer = bulkhead(1, 1, max_wait.map(Duration::from_millis));
        let probe = echo();
        let handle = probe.handle();
        let service = layer.layer(probe);
        handle.hold_answers();
        let holder = spawned(&service, 1).await;
        let began = Instant::now();
        let trace = TraceContext::root([1; 16], [2; 8]);
        let parts = Parts::new(RequestId::parse(b"r").unwrap(), trace, began.into_std());
        let deadline = deadline.map(|after| Deadline::after(began.into_std(), Duration::from_millis(after)));
        let context = RequestContext::new(Parts { deadline, ..parts });
        let waiter = service.clone();
        let refused = ambient::scope(context, async move { waiter.oneshot(2).await }).await;
        assert_overloaded(&refused, IN_VAIN);
        assert_eq!(began.elapsed(), Duration::from_millis(waits), "{max_wait:?} {deadline:?}");
        assert_eq!((handle.calls(), layer.handle().waiting()), (1, 0));
        holder.abort();
    }
}

#[tokio::test]
async fn while_a_call_waits_its_service_is_free_for_others() {
    // The inner service has one place for all, which the waiting call must not hold.
    let inner = tower::limit::ConcurrencyLimit::new(echo(), 1);
    let layer = bulkhead(1, 1, None);
    let place = match super::Entry::of(&layer.shared) {
        super::Entry::Free(place) => place,
        entry => panic!("{entry:?}"),
    };
    let mut service = layer.layer(inner.clone());
    let waiting = service.ready().await.unwrap().call(1);
    assert_eq!(layer.handle().waiting(), 1);
    assert_eq!(inner.oneshot(2).await, Ok(2), "another user of the inner service");
    drop(place);
    assert_eq!(waiting.await, Ok(1));
}

#[tokio::test]
async fn a_place_is_held_until_settle_says_that_the_call_is_over() {
    /// Hands the permit to the caller, as a protocol puts it into a body.
    #[derive(Clone)]
    struct AtDrop;

    impl<E> Settle<u32, E> for AtDrop {
        type Answer<D: Done> = (u32, D);

        fn settle<D: Done>(&self, result: Result<u32, E>, done: D) -> Result<(u32, D), E> {
            result.map(|answer| (answer, done))
        }
    }

    let layer = bulkhead(1, 0, None).settle(AtDrop);
    let service = layer.layer(echo());
    let (answer, permit): (u32, BulkheadPermit) = service.clone().oneshot(1).await.unwrap();
    assert_eq!((answer, layer.handle().in_flight()), (1, 1));
    assert!(service.clone().oneshot(2).await.is_err());
    permit.done(Verdict::Success);
    let (_, permit) = service.oneshot(3).await.unwrap();
    drop(permit);
    assert_eq!(layer.handle().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_at_any_await_leaves_its_place_to_others() {
    let layer = bulkhead(1, 1, Some(Duration::from_secs(1)));
    let bulkhead = layer.handle();
    let probe = echo().pending_before_ready(1).pending_before_answer(2);
    let service = layer.layer(probe.clone());
    let free = || assert_eq!((bulkhead.in_flight(), bulkhead.waiting()), (0, 0));
    let awaits = drop_at_every_await(|| service.clone().oneshot(1), |_| free()).await;
    assert_eq!(awaits, 3);

    // The second waits for the first, then for readiness, then for the answer.
    let both = || {
        let (first, mut second) = (service.clone(), service.clone());
        async move {
            let mut first = pin!(first.oneshot(1));
            let second = async { second.ready().await?.call(2).await };
            let mut second = pin!(second);
            let first = async {
                yield_now().await;
                first.as_mut().await
            };
            tokio::join!(first, second.as_mut())
        }
    };
    let awaits = drop_at_every_await(both, |_| free()).await;
    assert!(awaits > 5, "{awaits}");
    free();
    probe.handle().assert_idle();
}

#[tokio::test]
async fn a_panic_and_an_error_give_the_place_back() {
    let layer = bulkhead(1, 0, None);
    let panics = service_fn(|_: u32| -> std::future::Ready<Result<u32, Failure>> { panic!("in call") });
    let task = tokio::spawn(layer.layer(panics).oneshot(1));
    assert!(task.await.unwrap_err().is_panic());
    let fails = service_fn(async |_: u32| Err::<u32, _>(CallError::service(ProbeError::new("no"))));
    assert!(layer.layer(fails).oneshot(1).await.is_err());
    assert_eq!(layer.handle().in_flight(), 0);
}

#[tokio::test]
async fn a_higher_limit_serves_those_that_wait_and_a_lower_one_takes_effect_as_calls_end() {
    let limit = |limit| NonZeroU32::new(limit).unwrap();
    let layer = bulkhead(1, 5, None);
    let view = layer.handle();
    let probe = echo();
    let handle = probe.handle();
    let service = layer.layer(probe);
    handle.hold_answers();
    let mut tasks = Vec::new();
    for request in 0..4 {
        tasks.push(spawned(&service, request).await);
    }
    assert_eq!((view.in_flight(), view.waiting(), view.limit()), (1, 3, 1));
    view.set_limit(limit(3));
    yield_now().await;
    assert_eq!((handle.in_flight(), view.in_flight(), view.waiting()), (3, 3, 1));

    view.set_limit(limit(1));
    tasks.remove(0).abort();
    yield_now().await;
    assert_eq!((view.in_flight(), view.waiting()), (2, 1), "two are still more than one");
    tasks.remove(0).abort();
    yield_now().await;
    assert_eq!((view.in_flight(), view.waiting()), (1, 1));
    handle.release_answers();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!((view.in_flight(), view.waiting(), view.limit()), (0, 0, 1));
}

#[tokio::test]
async fn a_task_without_budget_is_not_made_to_wait_or_refused() {
    let served = tokio::spawn(async {
        while has_budget_remaining() {
            consume_budget().await;
        }
        let layer = |max_waiting| {
            bulkhead(1, max_waiting, None).on_event(|event| panic!("{event:?} though a place is free"))
        };
        (layer(0).layer(echo()).oneshot(1).await, layer(1).layer(echo()).oneshot(2).await)
    });
    assert_eq!(served.await.unwrap(), (Ok(1), Ok(2)));
}

#[tokio::test(start_paused = true)]
async fn events_tell_of_every_call_that_did_not_find_a_place() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let layer = bulkhead(1, 1, Some(Duration::from_millis(100)));
    let view = layer.handle();
    let layer = layer.on_event({
        let (heard, view) = (Arc::clone(&heard), view.clone());
        move |event| {
            // A listener may ask and change the bulkhead that tells it.
            view.set_limit(NonZeroU32::new(view.limit()).unwrap());
            heard.lock().unwrap().push(*event);
        }
    });
    let probe = echo();
    let handle = probe.handle();
    let service = layer.layer(probe);
    handle.hold_answers();
    let first = spawned(&service, 1).await;
    let second = spawned(&service, 2).await;
    assert!(service.clone().oneshot(3).await.is_err());
    advance(Duration::from_millis(40)).await;
    handle.release_answers();
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
    handle.hold_answers();
    let _holder = spawned(&service, 4).await;
    assert!(service.oneshot(5).await.is_err());
    let [at_once, after_40, after_100] = [0, 40, 100].map(Duration::from_millis);
    assert_eq!(
        *heard.lock().unwrap(),
        [
            BulkheadEvent::Queued,
            BulkheadEvent::Refused { waited: at_once },
            BulkheadEvent::Dequeued { waited: after_40 },
            BulkheadEvent::Queued,
            BulkheadEvent::Refused { waited: after_100 },
        ]
    );
}

#[tokio::test]
async fn a_call_that_finds_a_place_or_is_refused_allocates_nothing_and_one_that_waits_twice() {
    let answers = service_fn(|request: u32| std::future::ready(Ok::<_, Failure>(request)));
    for max_waiting in [0, 1] {
        let mut service = bulkhead(1, max_waiting, None).layer(answers);
        let call = async { service.ready().await.unwrap().call(1).await };
        let (answer, allocations) = count_allocations_of(call).await;
        assert_eq!((answer, allocations.count), (Ok(1), 0), "{max_waiting}");
    }
    let layer = bulkhead(1, 1, None);
    let super::Entry::Free(place) = super::Entry::of(&layer.shared) else { panic!("it is free") };
    let mut service = layer.layer(answers);
    let mut full = layer.layer(answers);
    let waits = full.ready().await.unwrap().call(1);
    let call = async { full.ready().await.unwrap().call(2).await.is_err() };
    let (is_refused, allocations) = count_allocations_of(call).await;
    assert_eq!((is_refused, allocations.count), (true, 0));
    drop(waits);

    let free_up = tokio::spawn(async move { drop(place) });
    let call = async { service.ready().await.unwrap().call(1).await };
    let (answer, allocations) = count_allocations_of(call).await;
    assert_eq!((answer, allocations.count, allocations.kept), (Ok(1), 2, 0));
    free_up.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_several_threads_the_service_never_has_more_calls_than_the_limit() {
    let running = Arc::new(AtomicU32::new(0));
    let service = service_fn({
        let running = Arc::clone(&running);
        move |request: u32| {
            let running = Arc::clone(&running);
            async move {
                assert!(running.fetch_add(1, Ordering::SeqCst) < 3);
                yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Failure>(request)
            }
        }
    });
    let layer = bulkhead(3, 1000, None);
    let tasks: Vec<_> =
        (0..1000).map(|call| tokio::spawn(layer.layer(service.clone()).oneshot(call))).collect();
    for (request, task) in (0..).zip(tasks) {
        assert_eq!(task.await.unwrap(), Ok(request));
    }
    assert_eq!((layer.handle().in_flight(), layer.handle().waiting()), (0, 0));
}

#[test]
fn settings_are_read_and_held_to_their_ranges() {
    let read: BulkheadConfig =
        serde_json::from_str(r#"{"max_concurrent": 5, "max_waiting": 7, "max_wait": "250ms"}"#).unwrap();
    let wanted = BulkheadConfig {
        max_concurrent: NonZeroU32::new(5).unwrap(),
        max_waiting: 7,
        max_wait: Some(Duration::from_millis(250)),
    };
    assert_eq!(read, wanted);
    assert_eq!(serde_json::from_str::<BulkheadConfig>("{}").unwrap(), BulkheadConfig::default());
    assert!(serde_json::from_str::<BulkheadConfig>(r#"{"max_waits": 1}"#).is_err());
    let too_many = BulkheadConfig { max_concurrent: NonZeroU32::MAX, ..BulkheadConfig::default() };
    let report = BulkheadLayer::new(&too_many).unwrap_err().to_string();
    assert_eq!(report.trim(), "max_concurrent: 4294967295 calls at once: expected at most 2097151");
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers() {
    fn inner(error: &Failure) -> Option<&ProbeError> {
        match &error.cause {
            Cause::Service(error) => Some(error),
            Cause::Rejected(_) => None,
        }
    }
    for max_waiting in [0, 5] {
        let layer = || Stack::new(TypedLayer::new(), bulkhead(8, max_waiting, None));
        client_layer_contract(layer, || "request", |_| "answer", inner, Laws::default()).await;
    }
    // Two of three calls wait.
    let layer = || Stack::new(TypedLayer::new(), bulkhead(1, 5, None));
    client_layer_contract(layer, || "request", |_| "answer", inner, Laws::default()).await;
}
