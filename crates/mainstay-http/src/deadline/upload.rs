//! The request's body, ended when the caller keeps us waiting too long for it.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use mainstay_core::{Deadline, Reason, Rejection, RequestContext};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::config::{BodyLimits, DeadlineConfig};
use super::plan::Plan;
use crate::answer::refuse;
use crate::body::AnswerBody;
use crate::form::Form;
use crate::headers::GRPC_STATUS;
use crate::patience::Patience;

type BoxError = Box<dyn Error + Send + Sync>;

/// Ends uploads that do not come in: the idle and total limits of [`DeadlineConfig::request_body`].
///
/// Reading the body fails with [`UploadTimedOut`]. A handler may answer that as it likes; where its answer is only the
/// echo of the failed read (400 or 500, gRPC's UNKNOWN or INTERNAL), the caller gets 408 (RFC 9110, section 15.5.9) or
/// DEADLINE_EXCEEDED instead. Time counts only while the service waits for the body, not while it works on a piece.
///
/// Stands inside [`DeadlineLayer`](super::DeadlineLayer), next to what else wraps requests' bodies. It changes the type of
/// the body that the service sees. It allocates a flag for a request whose body is limited, and that body's timer when it
/// is waited for; nothing else. Dropping the future drops the inner one.
#[derive(Clone, Debug)]
pub struct UploadDeadlineLayer {
    plan: Plan,
}

/// The service of [`UploadDeadlineLayer`].
#[derive(Clone, Debug)]
pub struct UploadDeadline<S> {
    inner: S,
    plan: Plan,
}

pin_project! {
    /// The future of [`UploadDeadline`].
    #[derive(Debug)]
    pub struct UploadFuture<F> {
        #[pin]
        inner: F,
        // None: the body is not limited.
        watched: Option<Watched>,
    }
}

#[derive(Debug)]
struct Watched {
    timed_out: Arc<AtomicBool>,
    form: Form,
    context: Option<RequestContext>,
}

pin_project! {
    /// The request's body as it is, watched for its slowness. Forwards everything.
    #[derive(Debug)]
    pub struct UploadBody<B> {
        // None: it was too slow and is gone.
        #[pin]
        inner: Option<B>,
        // None: nothing limits it, or it has ended.
        watch: Option<Watch>,
    }
}

#[derive(Debug)]
struct Watch {
    patience: Patience,
    total: Option<Instant>,
    timed_out: Arc<AtomicBool>,
}

/// The request's body did not come in: the caller sent nothing for too long, or not all of it in time.
#[derive(Clone, Copy, Debug)]
pub struct UploadTimedOut(());

// === impl UploadDeadlineLayer ===

impl UploadDeadlineLayer {
    /// The layer with these settings.
    pub fn new(config: &DeadlineConfig) -> Self {
        Self { plan: Plan::new(config) }
    }
}

impl Default for UploadDeadlineLayer {
    fn default() -> Self {
        Self::new(&DeadlineConfig::default())
    }
}

impl<S> Layer<S> for UploadDeadlineLayer {
    type Service = UploadDeadline<S>;

    fn layer(&self, inner: S) -> UploadDeadline<S> {
        UploadDeadline { inner, plan: self.plan.clone() }
    }
}

// === impl UploadDeadline ===

impl<S, B, ResB> Service<Request<B>> for UploadDeadline<S>
where
    S: Service<Request<UploadBody<B>>, Response = Response<ResB>>,
    B: Body,
{
    type Response = Response<AnswerBody<ResB>>;
    type Error = S::Error;
    type Future = UploadFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let limits = self.plan.limits(&request).request;
        if limits == BodyLimits::default() || request.body().is_end_stream() {
            let request = request.map(|body| UploadBody { inner: Some(body), watch: None });
            return UploadFuture { inner: self.inner.call(request), watched: None };
        }
        let timed_out = Arc::new(AtomicBool::new(false));
        let watched = Watched {
            timed_out: Arc::clone(&timed_out),
            form: Form::of(&request),
            context: request.extensions().get::<RequestContext>().cloned(),
        };
        let total =
            limits.total.map(|total| Deadline::after(Instant::now().into_std(), total).instant().into());
        let watch = Watch { patience: Patience::new(limits.idle), total, timed_out };
        let request = request.map(|body| UploadBody { inner: Some(body), watch: Some(watch) });
        UploadFuture { inner: self.inner.call(request), watched: Some(watched) }
    }
}

// === impl UploadFuture ===

impl<F, ResB, E> Future for UploadFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
{
    type Output = Result<Response<AnswerBody<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        Poll::Ready(Ok(match this.watched {
            Some(watched) if watched.timed_out.load(Relaxed) && is_an_echo(&response, watched.form) => {
                let rejection =
                    Rejection::new(Reason::RequestTimeout, "the request's body did not come in in time");
                refuse(&rejection, watched.form, watched.context.as_ref()).map(AnswerBody::written)
            }
            _ => response.map(AnswerBody::inner),
        }))
    }
}

/// Whether the answer says no more than that the body could not be read.
fn is_an_echo<B>(response: &Response<B>, form: Form) -> bool {
    match form {
        Form::Grpc => {
            matches!(response.headers().get(GRPC_STATUS).map(HeaderValue::as_bytes), Some(b"2" | b"13"))
        }
        Form::Http | Form::HttpHead => {
            matches!(response.status(), StatusCode::BAD_REQUEST | StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

// === impl UploadBody ===

impl<B> Body for UploadBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let polled = inner.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)));
        let Some(watch) = this.watch else { return polled };
        match &polled {
            Poll::Ready(Some(Ok(_))) => {
                if watch.total.is_none_or(|total| Instant::now() <= total) {
                    watch.patience.moved();
                    return polled;
                }
            }
            Poll::Ready(_) => {
                *this.watch = None;
                return polled;
            }
            Poll::Pending if watch.poll_end(cx).is_pending() => return Poll::Pending,
            Poll::Pending => {}
        }
        watch.timed_out.store(true, Relaxed);
        *this.watch = None;
        this.inner.set(None);
        Poll::Ready(Some(Err(Box::new(UploadTimedOut(())))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

// === impl Watch ===

impl Watch {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let total = self.total;
        self.patience.poll_end(|| total, cx)
    }
}

impl Display for UploadTimedOut {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("the request's body did not come in in time")
    }
}

impl Error for UploadTimedOut {}
