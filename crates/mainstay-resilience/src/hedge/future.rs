//! The future that sends a slow call again.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use mainstay_core::call::{Attempts, CallFailure, Next, Repeat};
use mainstay_core::{Reason, ambient};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::Shared;
use super::event::HedgeEvent;
use crate::budget::Reserved;

pin_project! {
    /// The future of [`Hedge`](super::Hedge). Dropping it drops all attempts.
    pub struct HedgeFuture<S: Service<Req>, P, Req> {
        // None: it has ended.
        #[pin]
        first: Option<S::Future>,
        // None until the first attempt is found to be under way.
        #[pin]
        delay: Option<Sleep>,
        // None: the call is sent once.
        hedging: Option<Hedging<S, P, Req>>,
    }
}

struct Hedging<S: Service<Req>, P, Req> {
    spare: S,
    // None: the rules do not let it be sent once more.
    again: Option<Req>,
    rules: P,
    step: Step,
    // The first attempt's number, of all that are made for the call.
    number: u32,
    sent: u32,
    first: Running,
    extras: Vec<Extra<S::Future>>,
}

/// What is to be done besides waiting for the attempts that are under way.
enum Step {
    /// To wait until the call is slow.
    Delay,
    /// To poll the spare ready, and send; paid for.
    Send(Reserved),
    /// Nothing more is sent.
    Nothing,
}

struct Extra<F> {
    attempt: u32,
    future: Pin<Box<F>>,
    running: Running,
}

/// An attempt's time. One that is dropped while it runs was at least as slow as that.
struct Running {
    shared: Arc<Shared>,
    since: Instant,
    // None: nothing is known to be slow.
    delay: Option<Duration>,
    has_ended: bool,
}

// === impl HedgeFuture ===

impl<S: Service<Req>, P, Req> HedgeFuture<S, P, Req> {
    pub(super) const fn once(first: S::Future) -> Self {
        Self { first: Some(first), delay: None, hedging: None }
    }
}

impl<S, P, Req> HedgeFuture<S, P, Req>
where
    S: Service<Req, Error: CallFailure>,
    P: Repeat<Req, S::Response, S::Error>,
{
    pub(super) fn hedged(
        first: S::Future,
        spare: S,
        again: Req,
        rules: P,
        shared: Arc<Shared>,
        now: Instant,
    ) -> Self {
        let delay = shared.delay.at(now);
        let hedging = Hedging {
            spare,
            number: rules.number_of(&again),
            again: Some(again),
            rules,
            step: if delay.is_some() { Step::Delay } else { Step::Nothing },
            sent: 1,
            first: Running { shared, since: now, delay, has_ended: false },
            extras: Vec::new(),
        };
        Self { first: Some(first), delay: None, hedging: Some(hedging) }
    }
}

impl<S, P, Req> Future for HedgeFuture<S, P, Req>
where
    S: Service<Req, Error: CallFailure>,
    P: Repeat<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(call) = this.hedging.as_mut() else {
            return this.first.as_pin_mut().expect("polled after it was ready").poll(cx);
        };
        loop {
            let mut ended = None;
            if let Some(first) = this.first.as_mut().as_pin_mut()
                && let Poll::Ready(result) = first.poll(cx)
            {
                this.first.set(None);
                ended = call.first_ended(result);
            }
            if ended.is_none() {
                ended = call.poll_extras(this.first.is_some(), cx);
            }
            if let Some(result) = ended {
                // The others are dropped now, not when the caller gets round to it.
                this.first.set(None);
                *this.hedging = None;
                return Poll::Ready(result);
            }
            match call.step {
                Step::Nothing => return Poll::Pending,
                Step::Delay => {
                    if this.delay.is_none() {
                        this.delay.set(call.next_due().map(sleep_until));
                    }
                    let Some(delay) = this.delay.as_mut().as_pin_mut() else { return Poll::Pending };
                    if delay.poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    this.delay.set(None);
                    call.is_slow();
                }
                Step::Send(_) => match call.spare.poll_ready(cx) {
                    Poll::Pending => return Poll::Pending,
                    // The attempts that are under way do not need it.
                    Poll::Ready(Err(_)) => call.step = Step::Nothing,
                    Poll::Ready(Ok(())) => call.send(),
                },
            }
        }
    }
}

// === impl Hedging ===

impl<S, P, Req> Hedging<S, P, Req>
where
    S: Service<Req, Error: CallFailure>,
    P: Repeat<Req, S::Response, S::Error>,
{
    fn first_ended(
        &mut self,
        result: Result<S::Response, S::Error>,
    ) -> Option<Result<S::Response, S::Error>> {
        let is_last = self.extras.is_empty();
        let good = self.is_good(result.as_ref());
        self.first.ended(good, result.as_ref().err());
        self.ended(result, good, is_last)
    }

    fn poll_extras(
        &mut self,
        first_runs: bool,
        cx: &mut Context<'_>,
    ) -> Option<Result<S::Response, S::Error>> {
        let mut at = 0;
        while let Some(extra) = self.extras.get_mut(at) {
            let Poll::Ready(result) = extra.future.as_mut().poll(cx) else {
                at += 1;
                continue;
            };
            let mut extra = self.extras.remove(at);
            let is_last = !first_runs && self.extras.is_empty();
            let good = self.is_good(result.as_ref());
            extra.running.ended(good, result.as_ref().err());
            if good && result.is_ok() {
                self.tell(HedgeEvent::Won { attempt: extra.attempt });
            }
            if let Some(result) = self.ended(result, good, is_last) {
                return Some(result);
            }
        }
        None
    }

    /// Whether the result is the caller's, whatever the others come to.
    fn is_good(&self, result: Result<&S::Response, &S::Error>) -> bool {
        // A layer of ours has refused to send an attempt: that says nothing of the others.
        if result.is_err_and(CallFailure::was_refused) {
            return false;
        }
        match &self.again {
            Some(again) => self.rules.next(again, result) == Next::Return,
            // Nobody can be asked, but an error can wait for the others.
            None => result.is_ok(),
        }
    }

    fn ended(
        &mut self,
        result: Result<S::Response, S::Error>,
        is_good: bool,
        is_last: bool,
    ) -> Option<Result<S::Response, S::Error>> {
        if is_good || is_last {
            return Some(self.finish(result));
        }
        // Dropped here, with what it holds. The service has a trouble that is not slowness.
        self.step = Step::Nothing;
        None
    }

    fn next_due(&self) -> Option<Instant> {
        self.first.since.checked_add(self.first.delay?.checked_mul(self.sent)?)
    }

    /// The delay is over: another attempt is paid for, if it is allowed and comes in time.
    fn is_slow(&mut self) {
        self.step = Step::Nothing;
        let shared = &self.first.shared;
        if !self.again.as_ref().is_some_and(|again| self.rules.may_overlap(again)) {
            return;
        }
        let now = Instant::now();
        if ambient::deadline().is_some_and(|deadline| deadline.remaining(now.into_std()).is_zero()) {
            return;
        }
        match shared.budget.reserve(now) {
            Some(reserved) => self.step = Step::Send(reserved),
            None => self.tell(HedgeEvent::OutOfBudget),
        }
    }

    /// Sends the call again; the spare has just been polled ready.
    fn send(&mut self) {
        let mut request = self.again.take().expect("an attempt is only paid for with a request to send");
        self.again = self.rules.again(&request);
        self.rules.number(&mut request, self.number + self.sent);
        self.sent += 1;
        let step = if self.sent < self.first.shared.max_attempts { Step::Delay } else { Step::Nothing };
        if let Step::Send(reserved) = std::mem::replace(&mut self.step, step) {
            reserved.spend();
        }
        let since = Instant::now();
        self.tell(HedgeEvent::Hedged { attempt: self.sent, after: since - self.first.since });
        let running = Running {
            shared: Arc::clone(&self.first.shared),
            since,
            delay: self.first.delay,
            has_ended: false,
        };
        let future = Box::pin(self.spare.call(request));
        self.extras.push(Extra { attempt: self.sent, future, running });
    }

    fn finish(&self, result: Result<S::Response, S::Error>) -> Result<S::Response, S::Error> {
        if self.sent == 1 {
            return result;
        }
        // Whatever else was sent may have been carried out as well.
        let attempts = Attempts { count: self.sent, earlier_may_have_run: true };
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

    fn tell(&self, event: HedgeEvent) {
        self.first.shared.counters.note(event);
        self.first.shared.listener.tell(|| event);
    }
}

// === impl Running ===

impl Running {
    fn ended<E: CallFailure>(&mut self, is_good: bool, error: Option<&E>) {
        self.has_ended = true;
        let is_timeout = |error: &E| {
            error.rejection().is_some_and(|rejection| rejection.reason == Reason::DeadlineExceeded)
        };
        if error.map_or(is_good, is_timeout) {
            let now = Instant::now();
            self.shared.delay.measured(now - self.since, now);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(delay) = self.delay.filter(|_| !self.has_ended) else { return };
        let now = Instant::now();
        let so_far = now - self.since;
        if so_far >= delay {
            self.shared.delay.measured(so_far, now);
        }
    }
}

impl<S: Service<Req>, P, Req> std::fmt::Debug for HedgeFuture<S, P, Req> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sent = self.hedging.as_ref().map_or(1, |call| call.sent);
        f.debug_struct("HedgeFuture").field("sent", &sent).finish_non_exhaustive()
    }
}
