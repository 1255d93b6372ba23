//! Counts allocations, so that "this costs nothing" is a test and not a hope (feature `count-allocations`).
//!
//! ```
//! use mainstay_testkit::alloc::count_allocations;
//!
//! let counted = count_allocations(|| drop(std::hint::black_box(vec![0_u8; 100])));
//! assert_eq!((counted.count, counted.bytes, counted.kept_bytes), (1, 100, 0));
//! ```
//!
//! The feature installs the global allocator of the crate `allocation-counter` in every binary that it is linked
//! to. Counted is the current thread only: what a spawned task allocates on another worker is not seen.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use allocation_counter::{AllocationInfo, measure};
use pin_project_lite::pin_project;

/// What was allocated while it was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocations {
    /// How many allocations were made; a reallocation counts as one.
    pub count: u64,
    /// How many bytes they were in sum.
    pub bytes: u64,
    /// How many more allocations were there at the end than at the beginning.
    pub kept: i64,
    /// How many more bytes were held at the end than at the beginning.
    pub kept_bytes: i64,
}

/// Counts what `run` allocates on this thread.
pub fn count_allocations(run: impl FnOnce()) -> Allocations {
    measured(run).1
}

/// Counts what the future allocates on this thread while it is polled, and not what other tasks do meanwhile.
///
/// What is allocated to make the future comes before, what is freed with its output comes after: make it in an
/// `async` block, and drop the output there, to have both in.
pub async fn count_allocations_of<F: Future>(future: F) -> (F::Output, Allocations) {
    Counted { future, allocations: Allocations::default() }.await
}

pin_project! {
    struct Counted<F> {
        #[pin]
        future: F,
        allocations: Allocations,
    }
}

// === impl Counted ===

impl<F: Future> Future for Counted<F> {
    type Output = (F::Output, Allocations);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (polled, allocations) = measured(|| this.future.poll(context));
        this.allocations.add(allocations);
        polled.map(|output| (output, *this.allocations))
    }
}

// === impl Allocations ===

impl Allocations {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.bytes += other.bytes;
        self.kept += other.kept;
        self.kept_bytes += other.kept_bytes;
    }
}

impl From<AllocationInfo> for Allocations {
    fn from(info: AllocationInfo) -> Self {
        Self {
            count: info.count_total,
            bytes: info.bytes_total,
            kept: info.count_current,
            kept_bytes: info.bytes_current,
        }
    }
}

/// A panic is carried around `measure`, which would otherwise go on counting on this thread.
fn measured<T>(run: impl FnOnce() -> T) -> (T, Allocations) {
    let mut result = None;
    let info = measure(|| result = Some(catch_unwind(AssertUnwindSafe(run))));
    match result.expect("`measure` runs what it is given") {
        Ok(output) => (output, info.into()),
        Err(panic) => resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use tokio::task::yield_now;

    use super::*;

    #[test]
    fn nothing_is_counted_where_nothing_is_allocated() {
        assert_eq!(count_allocations(|| ()), Allocations::default());
    }

    #[test]
    fn what_is_kept_is_told() {
        let mut kept = None;
        let counted = count_allocations(|| {
            kept = Some(black_box(Box::new(1_u64)));
            drop(black_box(Box::new(2_u64)));
        });
        assert_eq!(counted, Allocations { count: 2, bytes: 16, kept: 1, kept_bytes: 8 });
    }

    #[tokio::test]
    async fn a_future_is_counted_over_all_its_polls_without_other_tasks() {
        let other = tokio::spawn(async {
            for _ in 0..10 {
                drop(black_box(vec![0_u8; 1000]));
                yield_now().await;
            }
        });
        let (output, counted) = count_allocations_of(async {
            drop(black_box(vec![0_u8; 10]));
            // Not tokio's `yield_now`, which keeps a list of those that yielded and so allocates itself.
            for _ in 0..3 {
                wake_once().await;
            }
            drop(black_box(vec![0_u8; 20]));
            "done"
        })
        .await;
        other.await.unwrap();
        assert_eq!((output, counted.count, counted.bytes), ("done", 2, 30));
    }

    #[test]
    fn a_panic_ends_the_counting() {
        for _ in 0..100 {
            // `measure` may be nested 64 times and no deeper.
            assert!(catch_unwind(|| count_allocations(|| panic!("inside"))).is_err());
        }
        assert_eq!(count_allocations(|| ()), Allocations::default());
    }

    async fn wake_once() {
        let mut woken = false;
        std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut woken, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
