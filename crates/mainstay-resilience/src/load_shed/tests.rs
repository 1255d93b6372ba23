//! What must hold of the load shedder.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mainstay_core::Reason;
use mainstay_core::call::{CallError, CallFailure, Cause};
use mainstay_testkit::alloc::count_allocations_of;
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Law, Laws, client_layer_contract};
use mainstay_testkit::probe::{Probe, ProbeError};
use tokio::task::consume_budget;
use tokio::task::coop::{has_budget_remaining, poll_proceed};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt};
use tower_layer::Stack;

use super::{LoadShedConfig, LoadShedEvent, LoadShedLayer};
use crate::typed::TypedLayer;

type Failure = CallError<ProbeError>;

fn echo() -> Probe<u32, u32, Failure> {
    Probe::with_error_type(Ok)
}

#[tokio::test]
async fn a_call_is_refused_while_the_service_is_not_ready_and_served_after() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let retry_after = Some(Duration::from_millis(1500));
    let layer = LoadShedLayer::new(&LoadShedConfig { retry_after }).unwrap();
    let layer = layer.on_event({
        let heard = Arc::clone(&heard);
        move |event| heard.lock().unwrap().push(*event)
    });
    let probe = echo();
    let handle = probe.handle();
    let service = layer.layer(probe);
    handle.hold_readiness();
    let error = service.clone().oneshot(1).await.unwrap_err();
    let rejection = error.rejection().unwrap();
    assert_eq!((rejection.reason, rejection.retry_after), (Reason::Overloaded, retry_after));
    assert_eq!(rejection.message, "the service is not ready to take a call at the moment");
    assert!(!error.may_have_run(|_| true), "it was never sent");
    assert_eq!((handle.calls(), layer.handle().refused()), (0, 1));
    assert_eq!(*heard.lock().unwrap(), [LoadShedEvent::Refused]);
    handle.release_readiness();
    assert_eq!(service.oneshot(2).await, Ok(2));
    assert_eq!(layer.handle().refused(), 1);
}

#[tokio::test]
async fn a_refused_call_leaves_the_inner_queue() {
    let limit = ConcurrencyLimit::new(echo(), 1);
    let mut holder = limit.clone();
    holder.ready().await.unwrap();
    let mut idle = LoadShedLayer::default().layer(limit.clone());
    assert!(idle.ready().await.unwrap().call(1).await.is_err());
    // The idle service must not be given the place that is free now.
    drop(holder);
    assert_eq!(LoadShedLayer::default().layer(limit).oneshot(2).await, Ok(2));
    drop(idle);
}

#[tokio::test]
async fn a_task_without_budget_is_not_taken_for_an_overloaded_service() {
    /// Always ready, as long as the task has budget: a semaphore or a channel of tokio's.
    #[derive(Clone)]
    struct Cooperative;

    impl Service<u32> for Cooperative {
        type Response = u32;
        type Error = Failure;
        type Future = std::future::Ready<Result<u32, Failure>>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
            ready!(poll_proceed(cx)).made_progress();
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: u32) -> Self::Future {
            std::future::ready(Ok(request))
        }
    }

    let sheds_wrongly = tower::load_shed::LoadShed::new(Cooperative);
    let service = LoadShedLayer::default().layer(Cooperative);
    let served = tokio::spawn(async move {
        while has_budget_remaining() {
            consume_budget().await;
        }
        let shed = sheds_wrongly.oneshot(1).await.is_err();
        while has_budget_remaining() {
            consume_budget().await;
        }
        (shed, service.oneshot(2).await)
    });
    // tower's sheds here, so the test does test it.
    assert_eq!(served.await.unwrap(), (true, Ok(2)));
}

#[tokio::test]
async fn an_error_of_the_inner_readiness_passes() {
    let probe = echo().fail_readiness(|| CallError::service(ProbeError::new("closed")));
    let mut service = LoadShedLayer::default().layer(probe);
    let error = service.ready().await.unwrap_err();
    assert_eq!(error.cause, Cause::Service(ProbeError::new("closed")));
}

#[tokio::test]
async fn a_caller_that_leaves_leaves_nothing() {
    let probe = echo().pending_before_answer(2);
    let handle = probe.handle();
    let service = LoadShedLayer::default().layer(probe);
    let awaits = drop_at_every_await(|| service.clone().oneshot(1), |_| handle.assert_idle()).await;
    assert_eq!(awaits, 2);
}

#[tokio::test]
async fn it_allocates_nothing_to_pass_or_to_refuse() {
    /// Answers at once, if it is ready at all.
    #[derive(Clone)]
    struct Ready(bool);

    impl Service<u32> for Ready {
        type Response = u32;
        type Error = Failure;
        type Future = std::future::Ready<Result<u32, Failure>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
            if self.0 { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn call(&mut self, request: u32) -> Self::Future {
            std::future::ready(Ok(request))
        }
    }

    for is_ready in [true, false] {
        let mut service = LoadShedLayer::default().layer(Ready(is_ready));
        let call = async { service.ready().await.unwrap().call(1).await };
        let (answer, allocations) = count_allocations_of(call).await;
        assert_eq!((answer.is_ok(), allocations.count), (is_ready, 0));
    }
}

#[test]
fn settings_are_read_and_held_to_their_ranges() {
    let read: LoadShedConfig = serde_json::from_str(r#"{"retry_after": "2s"}"#).unwrap();
    assert_eq!(read, LoadShedConfig { retry_after: Some(Duration::from_secs(2)) });
    assert!(serde_json::from_str::<LoadShedConfig>(r#"{"enabled": true}"#).is_err());
    let never = LoadShedConfig { retry_after: Some(Duration::ZERO) };
    let report = LoadShedLayer::new(&never).unwrap_err().to_string();
    assert_eq!(report.trim(), "retry_after: 0s: expected a time longer than zero, or none");
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers() {
    fn inner(error: &Failure) -> Option<&ProbeError> {
        match &error.cause {
            Cause::Service(error) => Some(error),
            Cause::Rejected(_) => None,
        }
    }
    // It refuses where others push back: that is what it is for.
    let laws = Laws { back_pressure: Law::Waived, ..Laws::default() };
    let layer = || Stack::new(TypedLayer::new(), LoadShedLayer::default());
    client_layer_contract(layer, || "request", |_| "answer", inner, laws).await;
}
