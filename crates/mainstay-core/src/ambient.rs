//! The context of the call that this thread works on right now: what reaches an outbound call made deep inside a handler
//! without being passed by hand.
//!
//! ```
//! use mainstay_core::{Parts, RequestContext, RequestId, TraceContext, ambient};
//! # let (trace, now) = (TraceContext::root([1; 16], [2; 8]), std::time::Instant::now());
//! let context = RequestContext::new(Parts::new(RequestId::parse(b"r-1")?, trace, now));
//!
//! let work = ambient::scope(context, async { ambient::current().map(|context| context.request_id().to_string()) });
//! # let found = futures_executor(work);
//! assert_eq!(found.as_deref(), Some("r-1"));
//! assert!(ambient::current().is_none(), "outside of the scope there is none");
//! # fn futures_executor<F: Future>(work: F) -> F::Output {
//! #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
//! #     match std::pin::pin!(work).poll(&mut context) {
//! #         std::task::Poll::Ready(output) => output,
//! #         std::task::Poll::Pending => unreachable!("nothing to wait for"),
//! #     }
//! # }
//! # Ok::<(), mainstay_core::InvalidId>(())
//! ```
//!
//! It is a thread-local value that stands only while a future of the scope is polled, so it belongs to no runtime and follows
//! its future from thread to thread. A spawned task does not inherit it: spawn `ambient::scope(context, task)`.
//!
//! Entering costs two moves of one pointer, reading one atomic increment; nothing is allocated.

use std::cell::Cell;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::{Deadline, RequestContext};

thread_local! {
    static CURRENT: Cell<Option<RequestContext>> = const { Cell::new(None) };
}

/// The context is the current one until this is dropped; then the one before it is again.
///
/// Guards are dropped in the reverse order of their making, which scopes of the language do by themselves.
#[derive(Debug)]
#[must_use = "the context is the current one only while this lives"]
pub struct Entered {
    previous: Option<RequestContext>,
    // The thread-local of another thread is not ours to restore.
    _stays_on_its_thread: PhantomData<*const ()>,
}

pin_project! {
    /// A future that runs with a context as the current one; see [`scope`].
    #[derive(Debug)]
    pub struct Scope<F> {
        context: RequestContext,
        #[pin]
        inner: F,
    }
}

/// Runs a future with this context as the current one, whenever and on whichever thread it is polled.
///
/// While the future is dropped the context is not the current one.
pub const fn scope<F>(context: RequestContext, inner: F) -> Scope<F> {
    Scope { context, inner }
}

/// Makes this context the current one of the thread, until the guard is dropped. Never hold the guard over an `await`:
/// use [`scope`] there.
pub fn enter(context: RequestContext) -> Entered {
    // A thread that is ending has no current context any more, and nothing that would read it.
    let previous = CURRENT.try_with(|current| current.replace(Some(context))).ok().flatten();
    Entered { previous, _stays_on_its_thread: PhantomData }
}

/// The context of the call that this thread works on, if it works on one.
pub fn current() -> Option<RequestContext> {
    read(|context| Some(context?.clone()))
}

/// When the caller of the current call stops waiting, if there is a current call and it has a deadline.
pub fn deadline() -> Option<Deadline> {
    read(|context| context.and_then(RequestContext::deadline))
}

/// Nothing that `look` does can see the cell while its value is out: both callers only copy.
fn read<T>(look: impl FnOnce(Option<&RequestContext>) -> Option<T>) -> Option<T> {
    let looked = CURRENT.try_with(|current| {
        let context = current.take();
        let found = look(context.as_ref());
        current.set(context);
        found
    });
    looked.ok().flatten()
}

// === impl Entered ===

impl Drop for Entered {
    fn drop(&mut self) {
        let previous = self.previous.take();
        // See `enter` about a thread that is ending. What was current is dropped outside of the borrow.
        let left = CURRENT.try_with(|current| current.replace(previous));
        drop(left);
    }
}

// === impl Scope ===

impl<F> Scope<F> {
    /// The context that the future runs with.
    pub const fn context(&self) -> &RequestContext {
        &self.context
    }
}

impl<F: Future> Future for Scope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = enter(this.context.clone());
        this.inner.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::task::yield_now;

    use super::{current, deadline, enter, scope};
    use crate::{Deadline, Parts, RequestContext, RequestId, TraceContext};

    fn context(id: &str) -> RequestContext {
        let trace = TraceContext::root([1; 16], [2; 8]);
        RequestContext::new(Parts::new(RequestId::parse(id.as_bytes()).unwrap(), trace, Instant::now()))
    }

    fn id() -> Option<String> {
        current().map(|context| context.request_id().to_string())
    }

    #[tokio::test]
    async fn every_await_of_a_scope_sees_its_own_context_and_nobody_else_does() {
        let work = |name: &'static str| async move {
            for _ in 0..3 {
                assert_eq!(id().as_deref(), Some(name));
                yield_now().await;
            }
        };
        let outside = async {
            for _ in 0..6 {
                assert_eq!(id(), None);
                yield_now().await;
            }
        };
        tokio::join!(scope(context("a"), work("a")), outside, scope(context("b"), work("b")));
    }

    #[test]
    fn the_outer_context_is_back_when_the_inner_guard_is_gone_also_by_a_panic() {
        let _outer = enter(context("outer"));
        {
            let _inner = enter(context("inner"));
            assert_eq!(id().as_deref(), Some("inner"));
        }
        assert_eq!(id().as_deref(), Some("outer"));
        let broken = std::panic::catch_unwind(|| {
            let _inner = enter(context("inner"));
            std::panic::resume_unwind(Box::new("broken"));
        });
        assert!(broken.is_err());
        assert_eq!(id().as_deref(), Some("outer"));
    }

    #[tokio::test]
    async fn a_spawned_task_has_no_context_unless_it_is_given_one() {
        let found = scope(context("a"), async {
            let spawned = tokio::spawn(async { id() }).await.unwrap();
            let given = tokio::spawn(scope(current().unwrap(), async { id() })).await.unwrap();
            (spawned, given)
        });
        assert_eq!(found.await, (None, Some("a".to_owned())));
    }

    #[test]
    fn the_deadline_is_that_of_the_current_context_as_it_is_now() {
        assert_eq!(deadline(), None);
        let now = Instant::now();
        let at = Deadline::after(now, Duration::from_secs(1));
        let trace = TraceContext::root([1; 16], [2; 8]);
        let parts = Parts::new(RequestId::parse(b"r").unwrap(), trace, now);
        let _entered = enter(RequestContext::new(Parts { deadline: Some(at), ..parts }));
        assert_eq!(deadline(), Some(at));
    }
}
