//! What became of an outbound call, and of each of its attempts: a span and one event each, exactly once.
//!
//! ```
//! use mainstay_core::call::{AtAnswer, ErrorsFail};
//! use mainstay_http::call_log::CallLogLayer;
//!
//! // Outermost around a client; `AttemptLogLayer` stands inside its retry.
//! let layer = CallLogLayer::new("payments", AtAnswer(ErrorsFail));
//! # let _: CallLogLayer<AtAnswer<ErrorsFail>> = layer;
//! ```
//!
//! [`CallLogLayer`] decides for which context the call is made: the one in the request's extensions, else the
//! [current](mainstay_core::ambient) one of the call that this thread works on. That one is in the extensions from here on, and is
//! the current one for everything further in, so that each layer there sees its deadline. [`AttemptLogLayer`] gives each attempt a
//! span of its own in the context's trace, so that the service called sees the attempt as its parent.
//!
//! Events have the target `mainstay::client` and OpenTelemetry's names (HTTP client spans). A call that failed is a warning, one
//! that succeeded after several attempts is info, any other is debug, and so is every attempt. A call ends when its [`Settle`] says
//! so, such as with the last byte of the answer's body, or when its caller goes away. Query, headers and bodies are not logged.
//!
//! Refuses nothing; dropping the future drops the inner one, and logs the call as abandoned. Where nobody listens it allocates
//! nothing but the context's place in the extensions; an attempt allocates its context.

mod future;
mod record;

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use mainstay_core::call::{CallFailure, Settle};
use mainstay_core::{RequestContext, ambient};
use rand::RngExt as _;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;

pub use future::LoggedFuture;
pub use record::LoggedCall;
use record::{Kind, Subject};

/// Logs each call. See the [module](self).
#[derive(Clone, Debug)]
pub struct CallLogLayer<A> {
    client: Arc<str>,
    settle: A,
}

/// The service of [`CallLogLayer`].
#[derive(Clone, Debug)]
pub struct CallLog<S, A> {
    inner: S,
    client: Arc<str>,
    settle: A,
}

/// Logs each attempt of a call. See the [module](self).
#[derive(Clone, Debug)]
pub struct AttemptLogLayer<A> {
    client: Arc<str>,
    settle: A,
}

/// The service of [`AttemptLogLayer`].
#[derive(Clone, Debug)]
pub struct AttemptLog<S, A> {
    inner: S,
    client: Arc<str>,
    settle: A,
}

/// Which attempt of its call a request is, 1 for the first: in a request's extensions, put there by whoever repeats calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptNumber(pub u32);

// === impl CallLogLayer ===

impl<A> CallLogLayer<A> {
    /// The layer of the client with this name, whose calls end when `settle` says so.
    pub fn new(client: impl Into<Arc<str>>, settle: A) -> Self {
        Self { client: client.into(), settle }
    }
}

impl<S, A: Clone> Layer<S> for CallLogLayer<A> {
    type Service = CallLog<S, A>;

    fn layer(&self, inner: S) -> CallLog<S, A> {
        CallLog { inner, client: Arc::clone(&self.client), settle: self.settle.clone() }
    }
}

// === impl CallLog ===

impl<S, A, B, ResB, E> Service<Request<B>> for CallLog<S, A>
where
    S: Service<Request<B>, Response = Response<ResB>, Error = E>,
    A: Settle<Response<ResB>, E> + Clone,
    E: CallFailure,
{
    type Response = A::Answer<LoggedCall>;
    type Error = E;
    type Future = LoggedFuture<S::Future, A>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let explicit = request.extensions().get::<RequestContext>().cloned();
        let context = match explicit {
            Some(context) => Some(context),
            None => ambient::current().inspect(|context| {
                request.extensions_mut().insert(context.clone());
            }),
        };
        let subject = Subject::of(&request, Arc::clone(&self.client), context);
        let span = tracing::info_span!(
            target: record::TARGET,
            "call",
            client = &*self.client,
            http.request.method = request.method().as_str(),
            server.address = request.uri().host(),
        );
        let settle = self.settle.clone();
        start(Kind::Call, subject, span, settle, || self.inner.call(request))
    }
}

// === impl AttemptLogLayer ===

impl<A> AttemptLogLayer<A> {
    /// The layer of the client with this name, whose attempts end when `settle` says so.
    pub fn new(client: impl Into<Arc<str>>, settle: A) -> Self {
        Self { client: client.into(), settle }
    }
}

impl<S, A: Clone> Layer<S> for AttemptLogLayer<A> {
    type Service = AttemptLog<S, A>;

    fn layer(&self, inner: S) -> AttemptLog<S, A> {
        AttemptLog { inner, client: Arc::clone(&self.client), settle: self.settle.clone() }
    }
}

// === impl AttemptLog ===

impl<S, A, B, ResB, E> Service<Request<B>> for AttemptLog<S, A>
where
    S: Service<Request<B>, Response = Response<ResB>, Error = E>,
    A: Settle<Response<ResB>, E> + Clone,
    E: CallFailure,
{
    type Response = A::Answer<LoggedCall>;
    type Error = E;
    type Future = LoggedFuture<S::Future, A>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let context = request.extensions().get::<RequestContext>().map(|call| {
            let span_id = rand::rng().random();
            call.derive(|parts| parts.trace = parts.trace.child(span_id))
        });
        if let Some(context) = &context {
            request.extensions_mut().insert(context.clone());
        }
        let number = request.extensions().get::<AttemptNumber>().map_or(1, |number| number.0);
        let subject = Subject::of(&request, Arc::clone(&self.client), context);
        let span =
            tracing::debug_span!(target: record::TARGET, "attempt", http.request.resend_count = number - 1);
        let settle = self.settle.clone();
        start(Kind::Attempt(number), subject, span, settle, || self.inner.call(request))
    }
}

/// Calls the inner service inside of the span, with the call's context as the current one.
fn start<F, A>(
    kind: Kind,
    subject: Subject,
    span: Span,
    settle: A,
    call: impl FnOnce() -> F,
) -> LoggedFuture<F, A> {
    let mut context = subject.context.clone();
    // Made before the inner service is called: if that panics, the call is logged too.
    let record = LoggedCall::begin(kind, subject, span);
    let inner = {
        let _lent = ambient::lend(&mut context);
        let _entered = record.span.enter();
        call()
    };
    LoggedFuture::new(inner, settle, record, context)
}

#[cfg(test)]
mod tests;
