//! The future of a call behind a circuit.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use mainstay_core::Rejection;
use mainstay_core::call::{CallFailure, Settle};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::admitted::Admitted;

pin_project! {
    /// The future of [`Breaker`](super::Breaker). Dropping it drops the inner one first, then says that the call was abandoned.
    pub struct BreakerFuture<S: Service<Req>, A, Req> {
        #[pin]
        step: Step<S, S::Future, Req>,
        // None: the call was refused, or its answer carries it on.
        call: Option<(A, Admitted)>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<S, F, Req> {
        Refused { rejection: Option<Rejection> },
        Waiting { service: S, request: Option<Req> },
        Calling { #[pin] inner: F },
    }
}

impl<S: Service<Req>, A, Req> BreakerFuture<S, A, Req> {
    pub(super) const fn refused(rejection: Rejection) -> Self {
        Self { step: Step::Refused { rejection: Some(rejection) }, call: None }
    }

    pub(super) const fn waiting(service: S, request: Req, settle: A, admitted: Admitted) -> Self {
        Self { step: Step::Waiting { service, request: Some(request) }, call: Some((settle, admitted)) }
    }

    pub(super) const fn calling(inner: S::Future, settle: A, admitted: Admitted) -> Self {
        Self { step: Step::Calling { inner }, call: Some((settle, admitted)) }
    }
}

impl<S, A, Req> Future for BreakerFuture<S, A, Req>
where
    S: Service<Req, Error: CallFailure>,
    A: Settle<S::Response, S::Error>,
{
    type Output = Result<A::Answer<Admitted>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const POLLED_AGAIN: &str = "a future is not polled after it is ready";
        let mut this = self.project();
        loop {
            let result = match this.step.as_mut().project() {
                StepProjection::Refused { rejection } => {
                    return Poll::Ready(Err(rejection.take().expect(POLLED_AGAIN).into()));
                }
                StepProjection::Waiting { service, request } => match ready!(service.poll_ready(cx)) {
                    Ok(()) => {
                        let inner = service.call(request.take().expect("it is called once"));
                        this.step.set(Step::Calling { inner });
                        continue;
                    }
                    Err(error) => Err(error),
                },
                StepProjection::Calling { inner } => ready!(inner.poll(cx)),
            };
            let (settle, mut admitted) = this.call.take().expect(POLLED_AGAIN);
            admitted.answered();
            return Poll::Ready(settle.settle(result, admitted));
        }
    }
}

impl<S: Service<Req>, A, Req> fmt::Debug for BreakerFuture<S, A, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let admitted = self.call.as_ref().map(|(_, admitted)| admitted);
        f.debug_struct("BreakerFuture").field("admitted", &admitted).finish_non_exhaustive()
    }
}
