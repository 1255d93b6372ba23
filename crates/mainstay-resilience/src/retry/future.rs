//! The future that sends a call until its result is the caller's.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mainstay_core::ambient;
use mainstay_core::call::{Attempts, CallFailure, Next, Repeat};
use pin_project_lite::pin_project;
use rand::RngExt as _;
use tokio::time::{Instant, Sleep, sleep};
use tower_service::Service;

use super::Shared;
use super::backoff::Backoff;
use super::decide::decide;
use super::event::{Because, RetryEvent};
use crate::budget::Reserved;

pin_project! {
    /// The future of [`Retry`](super::Retry). Dropping it drops the attempt that is under way.
    pub struct RetryFuture<S: Service<Req>, P, Req> {
        #[pin]
        step: Step<S::Future>,
        // None: the call is not sent again, whatever comes of it.
        repeating: Option<Repeating<S, P, Req>>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F> {
        Attempt { #[pin] attempt: F },
        Wait { #[pin] wait: Sleep },
        // The next attempt waits for the service to be ready.
        Ready,
    }
}

struct Repeating<S, P, Req> {
    spare: S,
    // None: the rules do not let it be sent once more.
    again: Option<Req>,
    rules: P,
    shared: Arc<Shared>,
    backoff: Option<Backoff>,
    // How often it was sent here.
    tries: u32,
    // All that were made, those by a layer further in included.
    attempts: Attempts,
    // For the attempt that is waited for.
    reserved: Option<Reserved>,
}

// === impl RetryFuture ===

impl<S: Service<Req>, P, Req> RetryFuture<S, P, Req> {
    pub(super) const fn once(attempt: S::Future) -> Self {
        Self { step: Step::Attempt { attempt }, repeating: None }
    }

    pub(super) const fn repeating(
        attempt: S::Future,
        spare: S,
        again: Req,
        rules: P,
        shared: Arc<Shared>,
    ) -> Self {
        let repeating = Repeating {
            spare,
            again: Some(again),
            rules,
            shared,
            backoff: None,
            tries: 1,
            attempts: Attempts::ONE,
            reserved: None,
        };
        Self { step: Step::Attempt { attempt }, repeating: Some(repeating) }
    }
}

impl<S, P, Req> Future for RetryFuture<S, P, Req>
where
    S: Service<Req, Error: CallFailure>,
    P: Repeat<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(call) = this.repeating else {
            return match this.step.project() {
                StepProjection::Attempt { attempt } => attempt.poll(cx),
                StepProjection::Wait { .. } | StepProjection::Ready => unreachable!("it is sent once"),
            };
        };
        loop {
            match this.step.as_mut().project() {
                StepProjection::Attempt { attempt } => {
                    let result = ready!(attempt.poll(cx));
                    let Some(wait) = call.wait_before_next(result.as_ref()) else {
                        return Poll::Ready(call.finish(result));
                    };
                    // Its connection is free while we wait. So is whatever the attempt still holds.
                    drop(result);
                    let next = if wait.is_zero() { Step::Ready } else { Step::Wait { wait: sleep(wait) } };
                    this.step.set(next);
                }
                StepProjection::Wait { wait } => {
                    ready!(wait.poll(cx));
                    this.step.set(Step::Ready);
                }
                StepProjection::Ready => {
                    if let Err(error) = ready!(call.spare.poll_ready(cx)) {
                        // Nothing was sent, so the price comes back; the attempt counts nevertheless, for the one before it may have run.
                        call.reserved = None;
                        return Poll::Ready(call.finish(Err(error)));
                    }
                    let attempt = call.send();
                    this.step.set(Step::Attempt { attempt });
                }
            }
        }
    }
}

// === impl Repeating ===

impl<S, P, Req> Repeating<S, P, Req>
where
    S: Service<Req, Error: CallFailure>,
    P: Repeat<Req, S::Response, S::Error>,
{
    /// How long to wait before the next attempt; `None` when this result is the caller's.
    fn wait_before_next(&mut self, result: Result<&S::Response, &S::Error>) -> Option<Duration> {
        // The service was not asked, and would not be the next time either.
        let was_refused = result.is_err_and(CallFailure::was_refused);
        let made = result.map_or_else(CallFailure::attempts, |response| self.rules.attempts(response));
        self.attempts.count += made.count.saturating_sub(1);
        self.attempts.earlier_may_have_run |= made.earlier_may_have_run;
        let shared = &self.shared;
        if self.tries == 1 && !was_refused {
            shared.budget.deposit(Instant::now());
        }
        let again = self.again.as_ref().filter(|_| !was_refused)?;
        let Next::Repeat(hint) = self.rules.next(again, result) else {
            self.settled();
            return None;
        };
        let now = Instant::now();
        let backoff = self.backoff.get_or_insert_with(|| Backoff::new(&shared.config.backoff));
        let random = || rand::rng().random();
        let decided = decide(&shared.config, self.tries, hint, backoff, ambient::deadline(), now, random);
        let affordable = decided.and_then(|wait| {
            let reserved = shared.budget.reserve(now).ok_or(Because::Budget)?;
            Ok((wait, reserved))
        });
        match affordable {
            Ok((wait, reserved)) => {
                self.reserved = Some(reserved);
                self.attempts.earlier_may_have_run |= self.rules.may_have_run(result);
                self.tries += 1;
                self.attempts.count += 1;
                let attempt = self.attempts.count;
                shared.listener.tell(|| RetryEvent::Retrying { attempt, wait, hint });
                Some(wait)
            }
            Err(because) => {
                self.gave_up(because);
                // What it has claimed, such as the rest of a body, is the attempt's again.
                self.again = None;
                None
            }
        }
    }

    /// Sends the call again; the spare has just been polled ready.
    fn send(&mut self) -> S::Future {
        let mut request = self.again.take().expect("an attempt is only waited for with a request to send");
        self.again = self.rules.again(&request);
        self.rules.number(&mut request, self.attempts.count);
        if let Some(reserved) = self.reserved.take() {
            reserved.spend();
        }
        self.shared.counters.retried();
        self.spare.call(request)
    }

    fn finish(&mut self, result: Result<S::Response, S::Error>) -> Result<S::Response, S::Error> {
        let attempts = self.attempts;
        if attempts.count == 1 {
            return result;
        }
        match result {
            Ok(mut response) => {
                self.rules.answered(&mut response, attempts);
                Ok(response)
            }
            Err(mut error) => {
                error.attempted(attempts);
                Err(error)
            }
        }
    }

    fn settled(&self) {
        let attempts = self.attempts.count;
        if attempts > 1 {
            self.shared.listener.tell(|| RetryEvent::Settled { attempts });
        }
    }

    fn gave_up(&self, because: Because) {
        let attempts = self.attempts.count;
        self.shared.counters.gave_up(because);
        self.shared.listener.tell(|| RetryEvent::GaveUp { because, attempts });
    }
}

impl<S: Service<Req>, P, Req> std::fmt::Debug for RetryFuture<S, P, Req> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let attempt = self.repeating.as_ref().map_or(1, |call| call.attempts.count);
        f.debug_struct("RetryFuture").field("attempt", &attempt).finish_non_exhaustive()
    }
}
