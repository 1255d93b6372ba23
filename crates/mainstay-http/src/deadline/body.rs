//! The answer's body, ended when it keeps its reader waiting too long.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use mainstay_core::{Deadline, Outcome, Phase};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::config::{BodyLimits, Covers};
use super::until::Until;
use crate::form::{Form, is_grpc};
use crate::headers::{GRPC_MESSAGE, GRPC_STATUS};
use crate::patience::Patience;

type BoxError = Box<dyn Error + Send + Sync>;

pin_project! {
    /// The body of an answer that passed [`DeadlineGuard`](super::DeadlineGuard): the service's, or the guard's own.
    ///
    /// Forwards everything: frames of any kind, trailers, `size_hint`, `is_end_stream`.
    #[derive(Debug)]
    pub struct DeadlineBody<B> {
        // None: it was too slow and is gone, or the answer is the guard's.
        #[pin]
        inner: Option<B>,
        written: Full<Bytes>,
        // None: nothing limits it, or its trailers have been sent.
        watch: Option<Watch>,
    }
}

/// The answer's body kept its reader waiting too long, after the answer had begun.
#[derive(Clone, Copy, Debug)]
pub struct BodyTimedOut(pub(crate) ());

#[derive(Debug)]
struct Watch {
    patience: Patience,
    total: Option<Instant>,
    until: Until,
    follows_deadline: bool,
    form: Form,
}

/// What the guard knows of a call that its answer's body is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyPlan {
    pub(super) limits: BodyLimits,
    pub(super) covers: Covers,
    pub(super) form: Form,
    pub(super) is_connect: bool,
    /// A gRPC caller said itself how long it waits.
    pub(super) caller_named_deadline: bool,
}

// === impl BodyPlan ===

impl BodyPlan {
    pub(super) fn is_connect(method: &Method) -> bool {
        *method == Method::CONNECT
    }

    /// The limits of this answer's body, and whether it continues the call's deadline.
    fn of(&self, status: StatusCode, headers: &HeaderMap) -> (BodyLimits, bool) {
        let is_upgraded =
            status == StatusCode::SWITCHING_PROTOCOLS || (self.is_connect && status.is_success());
        let covered = self.covers == Covers::Body;
        if is_upgraded {
            (BodyLimits::default(), false)
        } else if self.form == Form::Grpc || is_grpc(headers) {
            (BodyLimits { total: None, ..self.limits }, covered && self.caller_named_deadline)
        } else if is_event_stream(headers) {
            (BodyLimits { total: None, ..self.limits }, false)
        } else {
            (self.limits, covered)
        }
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

// === impl DeadlineBody ===

impl<B: Body> DeadlineBody<B> {
    pub(super) fn limit(response: Response<B>, plan: &BodyPlan, until: &Until) -> Response<Self> {
        let (limits, follows_deadline) = plan.of(response.status(), response.headers());
        let limited = limits != BodyLimits::default() || follows_deadline;
        let watch = (limited && !response.body().is_end_stream()).then(|| Watch {
            patience: Patience::new(limits.idle),
            total: limits
                .total
                .map(|total| Deadline::after(Instant::now().into_std(), total).instant().into()),
            until: until.clone(),
            follows_deadline,
            form: plan.form,
        });
        response.map(|body| Self { inner: Some(body), written: Full::default(), watch })
    }
}

impl<B> DeadlineBody<B> {
    pub(super) fn written(text: Bytes) -> Self {
        Self { inner: None, written: Full::new(text), watch: None }
    }
}

impl<B> Body for DeadlineBody<B>
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
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            // After the end of what was too slow this is empty.
            let written = Pin::new(this.written).poll_frame(cx);
            return written.map(|frame| frame.map(|frame| frame.map_err(|never| match never {})));
        };
        let polled = inner.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)));
        let Some(watch) = this.watch else { return polled };
        match &polled {
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                if !watch.is_over() {
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
        let frame = watch.timed_out();
        this.inner.set(None);
        *this.watch = None;
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().map_or_else(|| self.written.is_end_stream(), Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| self.written.size_hint(), Body::size_hint)
    }
}

// === impl Watch ===

impl Watch {
    fn end(total: Option<Instant>, until: &Until, follows_deadline: bool) -> Option<Instant> {
        let deadline =
            until.deadline().filter(|_| follows_deadline).map(|deadline| deadline.instant().into());
        total.into_iter().chain(deadline).min()
    }

    /// Whether a frame that is ready comes too late: a body that never waits must end too. The instant itself is in time.
    fn is_over(&self) -> bool {
        Self::end(self.total, &self.until, self.follows_deadline).is_some_and(|end| Instant::now() > end)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { patience, total, until, follows_deadline, .. } = self;
        patience.poll_end(|| Self::end(*total, until, *follows_deadline), cx)
    }

    fn timed_out(&self) -> Result<Frame<Bytes>, BoxError> {
        if let Some(context) = &self.until.context {
            context.note_outcome(Outcome::TimedOut(Phase::Stream));
        }
        match self.form {
            Form::Grpc => Ok(Frame::trailers(deadline_exceeded())),
            Form::Http | Form::HttpHead => Err(Box::new(BodyTimedOut(()))),
        }
    }
}

fn deadline_exceeded() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("4"));
    trailers.insert(GRPC_MESSAGE, HeaderValue::from_static("the answer was not complete in time"));
    trailers
}

impl Display for BodyTimedOut {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("the response's body was not complete in time")
    }
}

impl Error for BodyTimedOut {}
