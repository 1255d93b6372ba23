//! The call of a probe while it runs.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{ProbeError, handle::InFlight};

/// The response future of a [`Probe`](super::Probe).
pub struct ProbeFuture<Req, Res, Err = ProbeError> {
    state: State<Req, Res, Err>,
}

pub(super) type Answer<Req, Res, Err> = Arc<dyn Fn(Req) -> Result<Res, Err> + Send + Sync>;

enum State<Req, Res, Err> {
    Running { pending: usize, request: Req, answer: Answer<Req, Res, Err>, in_flight: InFlight },
    Done,
}

// === impl ProbeFuture ===

impl<Req, Res, Err> ProbeFuture<Req, Res, Err> {
    pub(super) fn new(
        pending: usize,
        request: Req,
        answer: Answer<Req, Res, Err>,
        in_flight: InFlight,
    ) -> Self {
        Self { state: State::Running { pending, request, answer, in_flight } }
    }
}

// The request is moved out when the answer is made and never pinned.
impl<Req, Res, Err> Unpin for ProbeFuture<Req, Res, Err> {}

impl<Req, Res, Err> Future for ProbeFuture<Req, Res, Err> {
    type Output = Result<Res, Err>;

    #[allow(clippy::panic, reason = "a broken rule has to fail the test that runs the probe")]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Running { pending, in_flight, .. } = &mut self.state {
            if *pending > 0 {
                *pending -= 1;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if in_flight.poll_open(context).is_pending() {
                return Poll::Pending;
            }
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Running { request, answer, in_flight, .. } => {
                let result = answer(request);
                in_flight.complete();
                Poll::Ready(result)
            }
            State::Done => panic!("the probe's response future was polled after it had completed"),
        }
    }
}

impl<Req, Res, Err> fmt::Debug for ProbeFuture<Req, Res, Err> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Running { .. } => "running",
            State::Done => "done",
        };
        f.debug_tuple("ProbeFuture").field(&state).finish()
    }
}
