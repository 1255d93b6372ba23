//! Cancellation at every await point: what a client does that hangs up at the worst moment.
//!
//! ```
//! use mainstay_testkit::{cancel::drop_at_every_await, probe::Probe};
//! use tower_service::Service;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let probe = Probe::new(|word: &str| Ok(word.len())).pending_before_ready(1).pending_before_answer(2);
//! let handle = probe.handle();
//!
//! let call = || {
//!     let mut service = probe.clone();
//!     async move {
//!         std::future::poll_fn(|context| service.poll_ready(context)).await?;
//!         service.call("hello").await
//!     }
//! };
//! let awaits = drop_at_every_await(call, |_| handle.assert_idle()).await;
//! assert_eq!(awaits, 3);
//! # }
//! ```
//!
//! Between two polls the future is really waited for, by its own waker: other tasks run, timers fire, and
//! tokio's paused clock moves on. Nothing here belongs to a runtime.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

/// Makes the future again and again and drops it at its 0th, 1st, 2nd ... `Pending`, until it completes.
///
/// The 0th is a drop before the first poll. After each drop, `after_drop` is told at which `Pending` it was;
/// assert there that every gauge is back. Returns how many `Pending`s a run to the end has.
///
/// # Panics
///
/// When the future has not completed after 1 000 `Pending`s.
#[allow(clippy::panic, reason = "a future without end has to fail the test")]
pub async fn drop_at_every_await<F: Future>(
    mut make_future: impl FnMut() -> F,
    mut after_drop: impl FnMut(usize),
) -> usize {
    for pending in 0..=MOST_AWAITS {
        match drop_at_await(make_future(), pending).await {
            Some(_) => return pending - 1,
            None => after_drop(pending),
        }
    }
    panic!("the future has not completed after {MOST_AWAITS} await points: does it wait in a loop?");
}

/// Drops the future when it returns `Pending` for the `pending`-th time (0: before the first poll).
///
/// Returns the output if the future completes before.
pub async fn drop_at_await<F: Future>(future: F, pending: usize) -> Option<F::Output> {
    if pending == 0 {
        return None;
    }
    DropAt { future, left: pending }.await
}

const MOST_AWAITS: usize = 1_000;

pin_project! {
    struct DropAt<F> {
        #[pin]
        future: F,
        left: usize,
    }
}

// === impl DropAt ===

impl<F: Future> Future for DropAt<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.future.poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => {
                *this.left -= 1;
                if *this.left == 0 { Poll::Ready(None) } else { Poll::Pending }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use tokio::{
        task::yield_now,
        time::{Instant, sleep},
    };

    use super::*;

    #[tokio::test]
    async fn every_await_is_visited_once() {
        let (entered, reached) = (Cell::new(0), Cell::new(0));
        let future = || async {
            entered.set(entered.get() + 1);
            for step in 1..=3 {
                yield_now().await;
                reached.set(step);
            }
        };
        let mut drops = Vec::new();
        let awaits = drop_at_every_await(future, |at| drops.push((at, entered.get(), reached.take()))).await;

        assert_eq!(awaits, 3);
        assert_eq!(drops, [(0, 0, 0), (1, 1, 0), (2, 2, 1), (3, 3, 2)]);
        assert_eq!(reached.get(), 3);
    }

    #[tokio::test]
    async fn a_future_without_awaits_is_only_dropped_unpolled() {
        let mut drops = Vec::new();
        assert_eq!(drop_at_every_await(|| async {}, |at| drops.push(at)).await, 0);
        assert_eq!(drops, [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_paused_clock_moves_on_between_awaits() {
        let start = Instant::now();
        let future = || async {
            sleep(Duration::from_secs(60)).await;
            sleep(Duration::from_secs(60)).await;
        };
        assert_eq!(drop_at_every_await(future, |_| ()).await, 2);
        // The first run is dropped in its first sleep, the second in its second; the third runs to its end.
        assert_eq!(start.elapsed().as_secs(), 60 + 120);
    }

    #[tokio::test]
    async fn a_future_without_end_is_reported() {
        let endless = || {
            std::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                Poll::<()>::Pending
            })
        };
        let panic = tokio::spawn(drop_at_every_await(endless, |_| ())).await.unwrap_err().into_panic();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains("not completed after 1000 await points"), "{message}");
    }
}
