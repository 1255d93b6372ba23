//! Layers that are in order pass.

use std::{
    convert::Infallible,
    error::Error,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Empty, Limited};
use mainstay_testkit::{
    body::{Adversary, ScriptedBody},
    contract::{
        Law, Laws, client_layer_contract, http_client_layer_contract, http_layer_contract, layer_contract,
    },
    probe::ProbeError,
};
use tower::{
    BoxError, Service, buffer::BufferLayer, layer::layer_fn, layer::util::Identity,
    limit::ConcurrencyLimitLayer, load_shed::LoadShedLayer, timeout::TimeoutLayer,
};

#[tokio::test]
async fn the_layer_that_does_nothing() {
    layer_contract(Identity::new, || "request", |_| "answer", Laws::default()).await;
    let strict = Laws { panicking_bodies: Law::Held, ..Laws::default() };
    http_layer_contract(Identity::new, request, strict).await;
}

#[tokio::test]
async fn a_limit_with_permits() {
    let shared = ConcurrencyLimitLayer::new(3);
    layer_contract(|| shared.clone(), || "request", |_| "answer", Laws::default()).await;
    http_layer_contract(|| shared.clone(), request, Laws::default()).await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_with_an_error_of_its_own() {
    let layer = || TimeoutLayer::new(Duration::from_secs(1));
    client_layer_contract(layer, || "request", |_| "answer", in_box, Laws::default()).await;
    http_client_layer_contract(layer, request, in_box, Laws::default()).await;
}

#[tokio::test]
async fn a_layer_that_sheds_load() {
    let laws = Laws { back_pressure: Law::Waived, ..Laws::default() };
    client_layer_contract(LoadShedLayer::new, || "request", |_| "answer", in_box, laws).await;
}

#[tokio::test]
async fn a_layer_that_queues_for_a_worker() {
    let laws = Laws { back_pressure: Law::Waived, ..Laws::default() };
    client_layer_contract(|| BufferLayer::new(8), || "request", |_| "answer", in_box, laws).await;
}

#[tokio::test]
async fn a_layer_that_wraps_the_request_body() {
    http_layer_contract(|| layer_fn(LimitsBody), request, Laws::default()).await;
}

#[tokio::test]
async fn a_layer_that_turns_errors_into_answers() {
    let laws = Laws { inner_errors: Law::Waived, ..Laws::default() };
    http_client_layer_contract(|| layer_fn(AnswersErrors::new), request, |_: &Infallible| None, laws).await;
}

fn request() -> Request<Empty<Bytes>> {
    Request::new(Empty::new())
}

fn in_box(error: &BoxError) -> Option<&ProbeError> {
    let mut error: &(dyn Error + 'static) = &**error;
    loop {
        match error.downcast_ref() {
            Some(found) => return Some(found),
            None => error = error.source()?,
        }
    }
}

#[derive(Clone)]
struct LimitsBody<S>(S);

impl<S, B> Service<Request<B>> for LimitsBody<S>
where
    S: Service<Request<Limited<B>>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        self.0.call(request.map(|body| Limited::new(body, 1024)))
    }
}

/// Never fails: an error of the inner service, of its readiness too, becomes an empty answer.
#[derive(Clone)]
struct AnswersErrors<S> {
    inner: S,
    failed: bool,
}

// === impl AnswersErrors ===

impl<S> AnswersErrors<S> {
    fn new(inner: S) -> Self {
        Self { inner, failed: false }
    }
}

impl<S, B> Service<Request<B>> for AnswersErrors<S>
where
    S: Service<Request<B>, Response = Response<ScriptedBody>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context).map(|result| {
            self.failed = result.is_err();
            Ok(())
        })
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.failed {
            return Box::pin(async { Ok(bad_gateway()) });
        }
        let response = self.inner.call(request);
        Box::pin(async { Ok(response.await.unwrap_or_else(|_| bad_gateway())) })
    }
}

fn bad_gateway() -> Response<ScriptedBody> {
    let mut response = Response::new(Adversary::AlreadyEnded.body());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
