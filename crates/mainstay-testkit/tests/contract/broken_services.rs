//! One layer for each mistake that a service can make, and the law that it breaks.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use mainstay_testkit::{
    contract::{Law, Laws, client_layer_contract, layer_contract},
    probe::ProbeError,
};
use tokio::sync::Semaphore;
use tower::{
    Service,
    layer::{layer_fn, util::Identity},
};

use crate::{Inner, breach};

#[tokio::test]
async fn a_fresh_clone_is_called() {
    check(Mistake::CallsFreshClone, "the instance polled ready is the one called", "not a clone of it").await;
}

#[tokio::test]
async fn a_fresh_clone_is_called_and_the_panic_is_caught() {
    let law = "the instance polled ready is the one called";
    check(Mistake::CallsFreshCloneAndCatchesThePanic, law, "not a clone of it").await;
}

#[tokio::test]
async fn the_inner_service_is_never_polled_ready() {
    check(Mistake::NeverPolls, "the instance polled ready is the one called", "without a preceding").await;
}

#[tokio::test]
async fn another_instance_than_the_ready_one_is_made_ready_and_called() {
    let law = "the instance polled ready is the one called";
    check(Mistake::ReadiesClone, law, "an instance of the inner service is still reserved").await;
}

#[tokio::test]
async fn back_pressure_is_hidden() {
    let law = "back-pressure of the inner service is passed on";
    check(Mistake::WaitsInCall, law, "says ready while the inner service does not").await;
}

#[tokio::test]
async fn back_pressure_may_be_hidden_when_that_is_waived() {
    let laws = Laws { back_pressure: Law::Waived, ..Laws::default() };
    layer_contract(|| layer(Mistake::WaitsInCall), || "request", |_| "answer", laws).await;
}

#[tokio::test]
async fn the_waker_is_lost() {
    let laws = Laws { patience: Duration::from_millis(300), ..Laws::default() };
    let message =
        breach(layer_contract(|| layer(Mistake::LosesTheWaker), || "request", |_| "answer", laws)).await;
    assert!(message.contains("no end came within 300ms: a wake was lost"), "{message}");
}

#[tokio::test]
async fn readiness_errors_are_swallowed() {
    let law = "a readiness error of the inner service comes out";
    check(Mistake::SwallowsReadinessErrors, law, "says ready where `poll_ready` of the inner service failed")
        .await;
}

#[tokio::test]
async fn an_error_is_replaced_by_another() {
    check(Mistake::ReplacesErrors, "an error of the inner service comes out", "out came ProbeError").await;
}

#[tokio::test]
async fn the_call_runs_on_in_a_task() {
    check(Mistake::Spawns, "a dropped response leaves nothing running", "ran on to its end").await;
}

#[tokio::test]
async fn the_call_may_run_on_when_that_is_waived() {
    let laws = Laws { cancellation: Law::Waived, ..Laws::default() };
    layer_contract(|| layer(Mistake::Spawns), || "request", |_| "answer", laws).await;
}

#[tokio::test]
async fn the_call_is_kept_when_its_response_is_dropped() {
    check(Mistake::KeepsCalls, "a dropped response leaves nothing running", "1 calls are in flight").await;
}

#[tokio::test]
async fn permits_are_never_given_back() {
    let law = "a service polled ready and dropped leaves nothing reserved";
    check(Mistake::LeaksPermits, law, "and 3 when they were ready").await;
}

#[tokio::test]
async fn permits_of_those_that_waited_are_never_given_back() {
    let law = "a service polled ready and dropped leaves nothing reserved";
    check(Mistake::LeaksPermitsOfWaiters, law, "and 0 when they were ready").await;
}

#[tokio::test]
async fn ready_instances_are_kept() {
    let law = "a service polled ready and dropped leaves nothing reserved";
    check(Mistake::KeepsReadyInstances, law, "are still reserved").await;
}

#[tokio::test]
async fn clones_share_one_inner_instance() {
    let law = "a service polled ready and dropped leaves nothing reserved";
    check(Mistake::SharesOneInstance, law, "1 instances of the inner service are still reserved").await;
}

#[tokio::test]
async fn a_second_call_at_the_same_time_fails() {
    let law = "services of one layer and their clones work interleaved";
    check(Mistake::FailsWhenBusy, law, "a call fails: ProbeError").await;
}

#[tokio::test]
async fn a_request_that_does_not_reach_the_inner_service_is_reported() {
    let law = "the instance polled ready is the one called";
    check(Mistake::AnswersItself, law, "did not reach the inner service").await;
}

#[tokio::test]
async fn an_error_of_the_layers_own_has_to_hold_the_inner_one() {
    let laws = Laws::default();
    let contract =
        client_layer_contract(Identity::new, || "request", |_| "answer", |_: &ProbeError| None, laws);
    let message = breach(contract).await;
    assert!(message.contains("without the inner ProbeError"), "{message}");
}

async fn check(mistake: Mistake, law: &str, seen: &str) {
    let message =
        breach(layer_contract(move || layer(mistake), || "request", |_| "answer", Laws::default())).await;
    assert!(message.contains(&format!("breaks the law \"{law}\": ")), "{message}");
    assert!(message.contains(seen), "{message}");
}

#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    CallsFreshClone,
    CallsFreshCloneAndCatchesThePanic,
    NeverPolls,
    ReadiesClone,
    WaitsInCall,
    LosesTheWaker,
    SwallowsReadinessErrors,
    ReplacesErrors,
    Spawns,
    KeepsCalls,
    LeaksPermits,
    LeaksPermitsOfWaiters,
    KeepsReadyInstances,
    SharesOneInstance,
    FailsWhenBusy,
    AnswersItself,
}

type Answer = Pin<Box<dyn Future<Output = Result<&'static str, ProbeError>> + Send>>;

struct Broken {
    mistake: Mistake,
    inner: Inner,
    permit: Permit,
    shared: Arc<Shared>,
}

#[derive(PartialEq)]
enum Permit {
    None,
    OfWaiter,
    OfReady,
}

/// What all services of one layer share.
struct Shared {
    instance: Mutex<Option<Inner>>,
    kept_calls: Mutex<Vec<Answer>>,
    kept_instances: Mutex<Vec<Inner>>,
    permits: Semaphore,
    slot: Arc<Semaphore>,
}

/// A response that does not let its call go.
struct KeptCall {
    call: Option<Answer>,
    shared: Arc<Shared>,
}

fn layer(mistake: Mistake) -> impl tower::Layer<Inner, Service = Broken> + Send {
    let shared = Arc::new(Shared {
        instance: Mutex::default(),
        kept_calls: Mutex::default(),
        kept_instances: Mutex::default(),
        permits: Semaphore::new(3),
        slot: Arc::new(Semaphore::new(1)),
    });
    layer_fn(move |inner: Inner| {
        shared.instance.lock().unwrap().get_or_insert_with(|| inner.clone());
        Broken { mistake, inner, permit: Permit::None, shared: Arc::clone(&shared) }
    })
}

// === impl Broken ===

impl Service<&'static str> for Broken {
    type Response = &'static str;
    type Error = ProbeError;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ProbeError>> {
        match self.mistake {
            Mistake::NeverPolls | Mistake::WaitsInCall => Poll::Ready(Ok(())),
            Mistake::LosesTheWaker => self.inner.poll_ready(&mut Context::from_waker(Waker::noop())),
            Mistake::SwallowsReadinessErrors => self.inner.poll_ready(context).map(|_| Ok(())),
            Mistake::SharesOneInstance => {
                self.shared.instance.lock().unwrap().as_mut().unwrap().poll_ready(context)
            }
            Mistake::LeaksPermits | Mistake::LeaksPermitsOfWaiters => {
                if self.permit == Permit::None {
                    let Ok(permit) = self.shared.permits.try_acquire() else { return Poll::Pending };
                    permit.forget();
                    self.permit = Permit::OfWaiter;
                }
                self.inner.poll_ready(context).map_ok(|()| self.permit = Permit::OfReady)
            }
            _ => self.inner.poll_ready(context),
        }
    }

    fn call(&mut self, request: &'static str) -> Answer {
        let mut clone = self.inner.clone();
        match self.mistake {
            Mistake::CallsFreshClone => Box::pin(clone.call(request)),
            Mistake::CallsFreshCloneAndCatchesThePanic => {
                match catch_unwind(AssertUnwindSafe(|| clone.call(request))) {
                    Ok(response) => Box::pin(response),
                    Err(_) => Box::pin(async { Ok("sorry") }),
                }
            }
            Mistake::ReadiesClone | Mistake::WaitsInCall => Box::pin(async move {
                std::future::poll_fn(|context| clone.poll_ready(context)).await?;
                clone.call(request).await
            }),
            Mistake::ReplacesErrors => {
                let response = self.inner.call(request);
                Box::pin(async { response.await.map_err(|_| ProbeError::new("something went wrong")) })
            }
            Mistake::Spawns => {
                let task = tokio::spawn(self.inner.call(request));
                Box::pin(async { task.await.unwrap() })
            }
            Mistake::KeepsCalls => {
                let call: Answer = Box::pin(self.inner.call(request));
                Box::pin(KeptCall { call: Some(call), shared: Arc::clone(&self.shared) })
            }
            Mistake::LeaksPermits | Mistake::LeaksPermitsOfWaiters => {
                self.permit = Permit::None;
                self.shared.permits.add_permits(1);
                Box::pin(self.inner.call(request))
            }
            Mistake::SharesOneInstance => {
                Box::pin(self.shared.instance.lock().unwrap().as_mut().unwrap().call(request))
            }
            Mistake::FailsWhenBusy => {
                let response = self.inner.call(request);
                let permit = Arc::clone(&self.shared.slot).try_acquire_owned();
                Box::pin(async {
                    let _slot = permit.map_err(|_| ProbeError::new("busy"))?;
                    response.await
                })
            }
            Mistake::AnswersItself => Box::pin(async { Ok("from the cache") }),
            _ => Box::pin(self.inner.call(request)),
        }
    }
}

impl Clone for Broken {
    fn clone(&self) -> Self {
        Self {
            mistake: self.mistake,
            inner: self.inner.clone(),
            permit: Permit::None,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        let given_back = match self.mistake {
            Mistake::LeaksPermits => Permit::OfWaiter,
            Mistake::LeaksPermitsOfWaiters => Permit::OfReady,
            _ => Permit::None,
        };
        if given_back != Permit::None && given_back == self.permit {
            self.shared.permits.add_permits(1);
        }
        if self.mistake == Mistake::KeepsReadyInstances {
            let clone = self.inner.clone();
            self.shared.kept_instances.lock().unwrap().push(std::mem::replace(&mut self.inner, clone));
        }
    }
}

// === impl KeptCall ===

impl Future for KeptCall {
    type Output = Result<&'static str, ProbeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.call.as_mut().unwrap().as_mut().poll(context);
        if polled.is_ready() {
            self.call = None;
        }
        polled
    }
}

impl Drop for KeptCall {
    fn drop(&mut self) {
        self.shared.kept_calls.lock().unwrap().extend(self.call.take());
    }
}
