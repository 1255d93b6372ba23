//! Waits for the first frame of a gRPC answer, so that a status that comes in trailers is known before the answer is.
//!
//! ```
//! use http_body_util::{BodyExt, Full};
//! use mainstay_http::outbound::peek::{PeekLayer, PeekedTrailers};
//! use mainstay_http::outbound::replay::ReplayLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # use std::future::ready;
//! # use bytes::Bytes;
//! # use http::{HeaderMap, HeaderName, HeaderValue, Response};
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let client = ServiceBuilder::new()
//!     .layer(ReplayLayer::default())
//!     // the retry
//!     .layer(PeekLayer::new())
//!     .service(service_fn(async |_request| {
//!         let trailers = [(HeaderName::from_static("grpc-status"), HeaderValue::from_static("14"))];
//!         let body = Full::<Bytes>::default().with_trailers(ready(Some(Ok(HeaderMap::from_iter(trailers)))));
//!         Response::builder().header("content-type", "application/grpc").body(body)
//!     }));
//!
//! let answer = client.oneshot(http::Request::new(Full::<Bytes>::default())).await.unwrap();
//! let peeked: &PeekedTrailers = answer.extensions().get().unwrap();
//! assert_eq!((&peeked.trailers["grpc-status"], peeked.after_data), (&HeaderValue::from_static("14"), false));
//! # });
//! ```
//!
//! Stands inside of the retry. A gRPC server that fails at once says so in the headers ("Trailers-Only"); a proxy on the way
//! may have made headers and trailers of it, and then no retry ever fires (linkerd2#7701). Of an answer with
//! `application/grpc`, 200 and no status, the first frame is waited for, and if it is data, the second one is taken
//! if it is there already. A failure found in trailers goes into the answer's extensions as [`PeekedTrailers`], for
//! [`HttpJudge`](super::judge::HttpJudge) and [`HttpRepeat`](super::repeat::HttpRepeat). The body gives everything on as it came.
//!
//! Any other answer passes untouched and at once. So does the answer to a request whose body has not been read to its end: a
//! caller who still has something to send may be waiting for the answer's headers first. Where a server sends
//! headers long before its first message, the caller gets both with the message.
//!
//! Refuses nothing, adds no error. Dropping the future drops the inner one, or the answer that is being looked at. Allocates
//! nothing but a copy of trailers that say a failure.

mod body;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::grpc;
use super::replay::{ReplayBody, Watch};
use crate::form::is_grpc;
pub use body::PeekBody;

/// Looks at the first frame of gRPC answers. See [`Peek`].
#[derive(Clone, Copy, Debug, Default)]
pub struct PeekLayer(());

/// The service of [`PeekLayer`].
///
/// Takes requests of [`ReplayLayer`](super::replay::ReplayLayer), which know whether they were read to their end.
#[derive(Clone, Debug)]
pub struct Peek<S> {
    inner: S,
}

/// The trailers of a gRPC call that failed, in the extensions of its answer: they came before the answer was given to the caller.
#[derive(Clone, Debug)]
pub struct PeekedTrailers {
    /// The trailers, with a `grpc-status` other than 0.
    pub trailers: HeaderMap,
    /// Whether data came before them: then the caller must have the answer, and the call must not be repeated.
    pub after_data: bool,
}

pin_project! {
    /// The future of [`Peek`]. Dropping it drops the inner one, or the answer that is being looked at.
    #[derive(Debug)]
    pub struct PeekFuture<F, ReqB, B>
    where
        ReqB: Body<Data = Bytes>,
        B: Body,
    {
        #[pin]
        inner: F,
        request: Watch<ReqB>,
        // Some: it came, and is looked at.
        answer: Option<Response<PeekBody<B>>>,
    }
}

// === impl PeekLayer ===

impl PeekLayer {
    /// The layer.
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for PeekLayer {
    type Service = Peek<S>;

    fn layer(&self, inner: S) -> Peek<S> {
        Peek { inner }
    }
}

// === impl Peek ===

impl<S, ReqB, B> Service<Request<ReplayBody<ReqB>>> for Peek<S>
where
    S: Service<Request<ReplayBody<ReqB>>, Response = Response<B>>,
    ReqB: Body<Data = Bytes> + Unpin,
    B: Body + Unpin,
{
    type Response = Response<PeekBody<B>>;
    type Error = S::Error;
    type Future = PeekFuture<S::Future, ReqB, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReplayBody<ReqB>>) -> Self::Future {
        let watch = request.body().watch();
        PeekFuture { inner: self.inner.call(request), request: watch, answer: None }
    }
}

// === impl PeekFuture ===

impl<F, ReqB, B, E> Future for PeekFuture<F, ReqB, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    ReqB: Body<Data = Bytes>,
    B: Body + Unpin,
{
    type Output = Result<Response<PeekBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = match this.answer.take() {
            Some(answer) => answer,
            None => {
                let answer = ready!(this.inner.poll(cx))?.map(PeekBody::new);
                if !awaits_status(&answer) || !this.request.is_read() {
                    return Poll::Ready(Ok(answer));
                }
                answer
            }
        };
        if answer.body_mut().poll_peek(cx).is_pending() {
            *this.answer = Some(answer);
            return Poll::Pending;
        }
        if let Some(trailers) = answer.body().failure() {
            let peeked = PeekedTrailers { trailers: trailers.clone(), after_data: answer.body().has_data() };
            answer.extensions_mut().insert(peeked);
        }
        Poll::Ready(Ok(answer))
    }
}

/// Whether the status of this answer, which is gRPC's, comes after its headers.
pub(super) fn awaits_status<B>(answer: &Response<B>) -> bool {
    let headers = answer.headers();
    answer.status() == StatusCode::OK && is_grpc(headers) && grpc::status(headers).is_none()
}

#[cfg(test)]
mod tests;
