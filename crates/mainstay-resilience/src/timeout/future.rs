//! The future that does not wait for ever.

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mainstay_core::call::CallFailure;
use mainstay_core::{Deadline, Reason, Rejection};
use pin_project_lite::pin_project;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::{Limit, TimedOut};
use crate::events::Listener;

pin_project! {
    /// The future of [`Timeout`](super::Timeout). Dropping it drops the inner one.
    pub struct TimeoutFuture<S: Service<Req>, Req> {
        #[pin]
        step: Step<S, S::Future, Req>,
        end: Option<End>,
        // None: the inner future was never pending.
        #[pin]
        timer: Option<Sleep>,
        listener: Listener<TimedOut>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<S, F, Req> {
        Refused,
        Waiting { service: S, request: Option<Req> },
        Calling { #[pin] inner: F },
    }
}

/// When a call ends that has not ended by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    started: Instant,
    at: Deadline,
    by: Limit,
}

// === impl End ===

impl End {
    /// One of the two is given.
    pub(super) fn new(limit: Option<Duration>, deadline: Option<Deadline>, now: Instant) -> Self {
        let own = limit.map(|limit| Deadline::after(now.into_std(), limit));
        let (at, by) = match (own, deadline) {
            (Some(own), Some(deadline)) if deadline < own => (deadline, Limit::Deadline),
            (Some(own), _) => (own, Limit::Own),
            (None, Some(deadline)) => (deadline, Limit::Deadline),
            (None, None) => (Deadline::after(now.into_std(), Duration::MAX), Limit::Own),
        };
        Self { started: now, at, by }
    }

    pub(super) fn is_past(&self) -> bool {
        self.at.is_past(self.started.into_std())
    }

    fn rejection(&self) -> Rejection {
        let message = match self.by {
            Limit::Own => format!("no answer within {:?}", self.at.remaining(self.started.into_std())).into(),
            Limit::Deadline => "the caller's deadline passed before there was an answer".into(),
        };
        Rejection { reason: Reason::DeadlineExceeded, message, retry_after: None }
    }
}

// === impl TimeoutFuture ===

impl<S: Service<Req>, Req> TimeoutFuture<S, Req> {
    pub(super) const fn refused(end: Option<End>, listener: Listener<TimedOut>) -> Self {
        Self { step: Step::Refused, end, timer: None, listener }
    }

    pub(super) const fn waiting(
        service: S,
        request: Req,
        end: Option<End>,
        listener: Listener<TimedOut>,
    ) -> Self {
        Self { step: Step::Waiting { service, request: Some(request) }, end, timer: None, listener }
    }

    pub(super) const fn calling(inner: S::Future, end: Option<End>, listener: Listener<TimedOut>) -> Self {
        Self { step: Step::Calling { inner }, end, timer: None, listener }
    }
}

impl<S, Req> Future for TimeoutFuture<S, Req>
where
    S: Service<Req, Error: CallFailure>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // What is ready wins, also at the very end.
        if let Poll::Ready(result) = this.step.as_mut().poll_call(cx) {
            return Poll::Ready(result);
        }
        let Some(end) = *this.end else { return Poll::Pending };
        if !matches!(this.step.as_mut().project(), StepProjection::Refused) {
            if this.timer.is_none() {
                this.timer.set(Some(sleep_until(end.at.instant().into())));
            }
            let timer = this.timer.as_mut().as_pin_mut().expect("it was set above");
            // A task that has used up its budget of polls must still learn that its time is over.
            ready!(pin!(unconstrained(timer)).poll(cx));
        }
        // What was waited for ends here and not when the caller drops the future.
        this.step.set(Step::Refused);
        this.listener.tell(|| TimedOut { after: end.started.elapsed(), by: end.by });
        Poll::Ready(Err(end.rejection().into()))
    }
}

// === impl Step ===

impl<S, Req> Step<S, S::Future, Req>
where
    S: Service<Req>,
{
    fn poll_call(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<S::Response, S::Error>> {
        loop {
            match self.as_mut().project() {
                StepProjection::Refused => return Poll::Pending,
                StepProjection::Calling { inner } => return inner.poll(cx),
                StepProjection::Waiting { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    let inner = service.call(request.take().expect("it is called once"));
                    self.set(Self::Calling { inner });
                }
            }
        }
    }
}

impl<S: Service<Req>, Req> fmt::Debug for TimeoutFuture<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutFuture").field("end", &self.end).finish_non_exhaustive()
    }
}
