//! The future to which harm is done.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use mainstay_core::call::CallFailure;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::{Abort, ChaosEvent, Harm, Instead, Shared};

pin_project! {
    /// The future of [`Chaos`](super::Chaos). Dropping it drops the inner one.
    pub struct ChaosFuture<S: Service<Req>, Req> {
        #[pin]
        step: Step<S, S::Future, Req>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<S, F, Req> {
        Harmed { call: Option<(S, Req)>, harm: Harm, #[pin] delay: Option<Sleep>, shared: Arc<Shared> },
        Calling { #[pin] inner: F },
    }
}

impl<S: Service<Req>, Req> ChaosFuture<S, Req> {
    pub(super) const fn unharmed(inner: S::Future) -> Self {
        Self { step: Step::Calling { inner } }
    }

    pub(super) fn harmed(service: S, request: Req, harm: Harm, shared: Arc<Shared>) -> Self {
        let delay = harm.delay.map(|delay| {
            shared.listener.tell(|| ChaosEvent::Delayed(delay));
            sleep(delay)
        });
        Self { step: Step::Harmed { call: Some((service, request)), harm, delay, shared } }
    }
}

impl<S, Req> Future for ChaosFuture<S, Req>
where
    S: Service<Req, Error: CallFailure>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let (call, harm, mut delay, shared) = match this.step.as_mut().project() {
                StepProjection::Calling { inner } => return inner.poll(cx),
                StepProjection::Harmed { call, harm, delay, shared } => (call, harm, delay, shared),
            };
            if let Some(sleep) = delay.as_mut().as_pin_mut() {
                ready!(sleep.poll(cx));
                delay.set(None);
            }
            // What the instance that is not called had reserved goes with it.
            let Some((mut service, request)) = call.take() else { return Poll::Pending };
            match harm.instead {
                None => {
                    let inner = service.call(request);
                    this.step.set(Step::Calling { inner });
                }
                Some(Instead::Fail) => {
                    shared.listener.tell(|| ChaosEvent::Failed);
                    return Poll::Ready(Err(shared.rejection.clone().into()));
                }
                Some(Instead::Abort(abort)) => {
                    shared.listener.tell(|| ChaosEvent::Aborted(abort));
                    if abort == Abort::Panic {
                        panic_on_purpose();
                    }
                    // From now on it hangs, and nobody wakes it.
                    return Poll::Pending;
                }
            }
        }
    }
}

#[expect(clippy::panic, reason = "this is what the settings ask for")]
fn panic_on_purpose() -> ! {
    std::panic::panic_any("chaos: a panic on purpose")
}

impl<S: Service<Req>, Req> fmt::Debug for ChaosFuture<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_harmed = matches!(self.step, Step::Harmed { .. });
        f.debug_struct("ChaosFuture").field("is_harmed", &is_harmed).finish_non_exhaustive()
    }
}
