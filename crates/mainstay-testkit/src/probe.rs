//! [`Probe`] is a service that insists on the rules of `Service`, to be put inside the layer under test.
//!
//! ```
//! use mainstay_testkit::probe::Probe;
//! use tower_service::Service;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let mut service = Probe::new(|number: u32| Ok(number + 1)).pending_before_answer(2);
//! let handle = service.handle();
//!
//! std::future::poll_fn(|context| service.poll_ready(context)).await.unwrap();
//! assert_eq!(handle.reserved(), 1);
//!
//! let response = service.call(1);
//! assert_eq!((handle.reserved(), handle.in_flight()), (0, 1));
//! assert_eq!(response.await, Ok(2));
//! handle.assert_idle();
//! # }
//! ```
//!
//! An instance may be called once for each time it was polled ready. A clone starts un-ready, as with tower's
//! `ConcurrencyLimit`, where readiness is a permit: a layer that polls one instance and calls another panics here.
//! Every wait of the script wakes itself, so a future has the same await points each time it is made; the
//! gates of the [`ProbeHandle`] wait until the test opens them.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

mod error;
mod future;
mod gate;
mod handle;

use self::{future::Answer, handle::Reservation};

pub use self::{error::ProbeError, future::ProbeFuture, handle::ProbeHandle};

/// A service that panics when it is called without having been polled ready; see the [module](self).
pub struct Probe<Req, Res, Err = ProbeError> {
    answer: Answer<Req, Res, Err>,
    readiness_error: Option<Arc<dyn Fn() -> Err + Send + Sync>>,
    pending_before_ready: usize,
    pending_before_answer: usize,
    readiness: Readiness,
    instance: usize,
    handle: ProbeHandle,
}

enum Readiness {
    Waiting { polled: usize },
    Reserved(Reservation),
}

// === impl Probe ===

impl<Req, Res> Probe<Req, Res> {
    /// A probe that is ready at once and answers at once, with what `answer` makes of the request.
    pub fn new(answer: impl Fn(Req) -> Result<Res, ProbeError> + Send + Sync + 'static) -> Self {
        Self::with_error_type(answer)
    }
}

impl<Req, Res, Err> Probe<Req, Res, Err> {
    /// Like [`new`](Probe::new), for another error type: `Infallible` under axum, a client's own error.
    pub fn with_error_type(answer: impl Fn(Req) -> Result<Res, Err> + Send + Sync + 'static) -> Self {
        let handle = ProbeHandle::default();
        Self {
            answer: Arc::new(answer),
            readiness_error: None,
            pending_before_ready: 0,
            pending_before_answer: 0,
            readiness: Readiness::Waiting { polled: 0 },
            instance: handle.next_instance(),
            handle,
        }
    }

    /// `poll_ready` returns `Pending` this many times, waking itself, before each readiness.
    #[must_use]
    pub fn pending_before_ready(mut self, times: usize) -> Self {
        self.pending_before_ready = times;
        self
    }

    /// The response future returns `Pending` this many times, waking itself, before it answers.
    #[must_use]
    pub fn pending_before_answer(mut self, times: usize) -> Self {
        self.pending_before_answer = times;
        self
    }

    /// `poll_ready` fails with this error, once its waits are over.
    #[must_use]
    pub fn fail_readiness(mut self, error: impl Fn() -> Err + Send + Sync + 'static) -> Self {
        self.readiness_error = Some(Arc::new(error));
        self
    }

    /// The view that this probe shares with all its clones.
    pub fn handle(&self) -> ProbeHandle {
        self.handle.clone()
    }
}

impl<Req, Res, Err> Service<Req> for Probe<Req, Res, Err> {
    type Response = Res;
    type Error = Err;
    type Future = ProbeFuture<Req, Res, Err>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Err>> {
        self.handle.count_ready_poll();
        let Readiness::Waiting { polled } = &mut self.readiness else {
            return Poll::Ready(Ok(()));
        };
        if *polled < self.pending_before_ready {
            *polled += 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.handle.readiness().poll_open(context).is_pending() {
            return Poll::Pending;
        }
        if let Some(error) = &self.readiness_error {
            return Poll::Ready(Err(error()));
        }
        self.readiness = Readiness::Reserved(self.handle.reserve());
        Poll::Ready(Ok(()))
    }

    #[allow(clippy::panic, reason = "a broken rule has to fail the test that runs the probe")]
    fn call(&mut self, request: Req) -> Self::Future {
        match std::mem::replace(&mut self.readiness, Readiness::Waiting { polled: 0 }) {
            Readiness::Reserved(reservation) => {
                let answer = Arc::clone(&self.answer);
                ProbeFuture::new(self.pending_before_answer, request, answer, reservation.spend())
            }
            Readiness::Waiting { .. } => {
                let violation = format!(
                    "instance {} of the probe was called without a preceding successful `poll_ready` on this very \
                     instance: call the service that was polled ready, not a clone of it",
                    self.instance
                );
                self.handle.record_violation(&violation);
                panic!("{violation}");
            }
        }
    }
}

impl<Req, Res, Err> Clone for Probe<Req, Res, Err> {
    /// A further instance of the same script, which is not ready.
    fn clone(&self) -> Self {
        Self {
            answer: Arc::clone(&self.answer),
            readiness_error: self.readiness_error.clone(),
            pending_before_ready: self.pending_before_ready,
            pending_before_answer: self.pending_before_answer,
            readiness: Readiness::Waiting { polled: 0 },
            instance: self.handle.next_instance(),
            handle: self.handle.clone(),
        }
    }
}

impl<Req, Res, Err> fmt::Debug for Probe<Req, Res, Err> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("instance", &self.instance)
            .field("ready", &matches!(self.readiness, Readiness::Reserved(_)))
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        panic::{AssertUnwindSafe, catch_unwind},
        pin::Pin,
        task::Waker,
    };

    use super::*;

    #[tokio::test]
    async fn a_call_spends_the_readiness() {
        let mut probe = echo();
        let handle = probe.handle();
        assert_eq!(ready(&mut probe).await, Ok(()));
        assert_eq!(ready(&mut probe).await, Ok(()));
        assert_eq!((handle.ready_polls(), handle.reserved()), (2, 1));

        assert_eq!(probe.call(7).await, Ok(7));
        assert_eq!((handle.calls(), handle.completed()), (1, 1));
        handle.assert_idle();
        check_call_panics(&mut probe);
    }

    #[tokio::test]
    async fn a_clone_is_not_ready() {
        let mut probe = echo();
        ready(&mut probe).await.unwrap();
        check_call_panics(&mut probe.clone());
        assert_eq!(probe.call(1).await, Ok(1));
    }

    #[tokio::test]
    async fn a_dropped_instance_gives_its_readiness_back() {
        let mut probe = echo();
        let handle = probe.handle();
        ready(&mut probe).await.unwrap();
        drop(probe);
        handle.assert_idle();
    }

    #[tokio::test]
    async fn a_future_dropped_unfinished_leaves_nothing_in_flight() {
        let mut probe = echo().pending_before_answer(1);
        let handle = probe.handle();
        ready(&mut probe).await.unwrap();
        let mut response = probe.call(1);
        assert!(poll(&mut response).is_pending());
        assert_eq!(handle.in_flight(), 1);
        drop(response);
        assert_eq!((handle.in_flight(), handle.dropped_unfinished(), handle.completed()), (0, 1, 0));
    }

    #[tokio::test]
    async fn waits_are_counted_out_again_for_every_call() {
        let mut probe = echo().pending_before_ready(2).pending_before_answer(3);
        let handle = probe.handle();
        for round in 1..=2 {
            ready(&mut probe).await.unwrap();
            assert_eq!(handle.ready_polls(), 3 * round);
            let mut response = probe.call(1);
            for _ in 0..3 {
                assert!(poll(&mut response).is_pending());
            }
            assert_eq!(poll(&mut response), Poll::Ready(Ok(1)));
        }
    }

    #[tokio::test]
    async fn readiness_can_fail() {
        let mut probe = echo().fail_readiness(|| ProbeError::new("closed"));
        assert_eq!(ready(&mut probe).await, Err(ProbeError::new("closed")));
        assert_eq!(probe.handle().reserved(), 0);
    }

    #[tokio::test]
    async fn a_gate_wakes_those_that_wait_before_it() {
        let mut probe = echo();
        let handle = probe.handle();
        handle.hold_readiness();
        handle.hold_answers();
        let task = tokio::spawn(async move {
            ready(&mut probe).await.unwrap();
            probe.call(1).await
        });
        tokio::task::yield_now().await;
        assert_eq!((handle.ready_polls(), handle.reserved()), (1, 0));

        handle.release_readiness();
        tokio::task::yield_now().await;
        assert_eq!(handle.in_flight(), 1);

        handle.release_answers();
        assert_eq!(task.await.unwrap(), Ok(1));
        handle.assert_idle();
    }

    fn echo() -> Probe<u32, u32> {
        Probe::new(Ok)
    }

    async fn ready(probe: &mut Probe<u32, u32>) -> Result<(), ProbeError> {
        poll_fn(|context| probe.poll_ready(context)).await
    }

    fn poll(response: &mut ProbeFuture<u32, u32>) -> Poll<Result<u32, ProbeError>> {
        Pin::new(response).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn check_call_panics(probe: &mut Probe<u32, u32>) {
        let panic = catch_unwind(AssertUnwindSafe(|| drop(probe.call(1)))).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains("without a preceding successful `poll_ready`"), "{message}");
        assert_eq!(probe.handle().violations(), std::slice::from_ref(message));
    }
}
