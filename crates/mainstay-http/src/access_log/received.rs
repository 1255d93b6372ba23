//! Counts what really came in of a request's body, for the access log.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use mainstay_core::{Outcome, Phase, RequestContext};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Counts the bytes of request bodies into the [`RequestContext`], where the access log reads them.
///
/// A layer of its own, further in than the access log, because it changes the type of the request's body, which a service for
/// one type of body does not take. It never reads the body, so `100-continue` stays the handler's; without a context it
/// counts nothing. A body that fails is noted as [`Outcome::Failed`] in [`Phase::Request`]. Refuses nothing, allocates nothing;
/// axum and tonic box a body that is not their own, which is one allocation.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ReceivedLayer;

/// The service of [`ReceivedLayer`].
#[derive(Clone, Debug)]
pub struct Received<S> {
    inner: S,
}

pin_project! {
    /// The request's body as it is, its bytes counted.
    #[derive(Debug)]
    pub struct ReceivedBody<B> {
        #[pin]
        inner: B,
        context: Option<RequestContext>,
    }
}

// === impl ReceivedLayer ===

impl ReceivedLayer {
    /// The layer; there is nothing to set.
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for ReceivedLayer {
    type Service = Received<S>;

    fn layer(&self, inner: S) -> Received<S> {
        Received { inner }
    }
}

// === impl Received ===

impl<S, B> Service<Request<B>> for Received<S>
where
    S: Service<Request<ReceivedBody<B>>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        let context = request.extensions().get::<RequestContext>().cloned();
        if let Some(context) = &context {
            context.count_received(0);
        }
        self.inner.call(request.map(|inner| ReceivedBody { inner, context }))
    }
}

// === impl ReceivedBody ===

impl<B: Body> Body for ReceivedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        if let Some(context) = this.context {
            match &frame {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        context.count_received(data.remaining() as u64);
                    }
                }
                Some(Err(_)) => context.note_outcome(Outcome::Failed(Phase::Request)),
                None => {}
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
