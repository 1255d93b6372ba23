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
//! its future from thread to thread. A spawned task does not have it: spawn `ambient::inherit(task)`.
//!
//! Lending it costs two moves of a pointer, reading it one atomic increment; nothing is allocated.

use std::cell::Cell;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::{Deadline, RequestContext};

thread_local! {
    static CURRENT: Cell<Option<RequestContext>> = const { Cell::new(None) };
}

/// A lent context is the current one until this is dropped; then the one before it is again. See [`lend`].
///
/// Guards are dropped in the reverse order of their making, which scopes of the language do by themselves.
#[derive(Debug)]
#[must_use = "the context is the current one only while this lives"]
pub struct Lent<'a> {
    slot: &'a mut Option<RequestContext>,
    // The thread-local of another thread is not ours to restore.
    _stays_on_its_thread: PhantomData<*const ()>,
}

pin_project! {
    /// A future that runs with a context as the current one; see [`scope`].
    #[derive(Debug)]
    pub struct Scope<F> {
        // None while the future is polled: then it is lent to the thread.
        context: Option<RequestContext>,
        #[pin]
        inner: F,
    }
}

/// Runs a future with this context as the current one, whenever and on whichever thread it is polled.
///
/// While the future is dropped the context is not the current one.
pub const fn scope<F>(context: RequestContext, inner: F) -> Scope<F> {
    Scope { context: Some(context), inner }
}

/// Runs a future with the context that is the current one now: for a task that is spawned on behalf of the call.
pub fn inherit<F>(inner: F) -> Scope<F> {
    Scope { context: current(), inner }
}

/// Makes the context in this slot the current one of the thread, until the guard is dropped; the slot is empty, or has the
/// one before, for as long. Never hold the guard over an `await`: use [`scope`] there.
///
/// ```
/// use mainstay_core::ambient;
/// # use mainstay_core::{Parts, RequestContext, RequestId, TraceContext};
/// # let (trace, now) = (TraceContext::root([1; 16], [2; 8]), std::time::Instant::now());
/// # let context = RequestContext::new(Parts::new(RequestId::parse(b"r-1")?, trace, now));
/// let mut slot = Some(context);
/// let lent = ambient::lend(&mut slot);
/// assert!(ambient::current().is_some());
/// drop(lent);
/// assert!(slot.is_some() && ambient::current().is_none());
/// # Ok::<(), mainstay_core::InvalidId>(())
/// ```
pub fn lend(slot: &mut Option<RequestContext>) -> Lent<'_> {
    swap(slot);
    Lent { slot, _stays_on_its_thread: PhantomData }
}

/// A thread that is ending has no current context any more, and nothing that would read it.
fn swap(slot: &mut Option<RequestContext>) {
    let _ending: Result<(), _> = CURRENT.try_with(|current| *slot = current.replace(slot.take()));
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

// === impl Lent ===

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        swap(self.slot);
    }
}

// === impl Scope ===

impl<F: Future> Future for Scope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _lent = lend(this.context);
        this.inner.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::yield_now;
    use tokio::time::Instant;

    use super::{current, deadline, inherit, lend, scope};
    use crate::{Deadline, Parts, RequestContext, RequestId, TraceContext};

    fn context(id: &str) -> RequestContext {
        let trace = TraceContext::root([1; 16], [2; 8]);
        RequestContext::new(Parts::new(
            RequestId::parse(id.as_bytes()).unwrap(),
            trace,
            Instant::now().into_std(),
        ))
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
        let (mut outer, mut inner) = (Some(context("outer")), Some(context("inner")));
        let _outer = lend(&mut outer);
        {
            let _inner = lend(&mut inner);
            assert_eq!(id().as_deref(), Some("inner"));
        }
        assert_eq!(id().as_deref(), Some("outer"));
        let broken = std::panic::catch_unwind(|| {
            let mut inner = Some(context("inner"));
            let _inner = lend(&mut inner);
            std::panic::resume_unwind(Box::new("broken"));
        });
        assert!(broken.is_err());
        assert_eq!(id().as_deref(), Some("outer"));
    }

    #[tokio::test]
    async fn a_spawned_task_has_no_context_unless_it_is_given_one() {
        let found = scope(context("a"), async {
            let spawned = tokio::spawn(async { id() }).await.unwrap();
            let given = tokio::spawn(inherit(async { id() })).await.unwrap();
            (spawned, given)
        });
        assert_eq!(found.await, (None, Some("a".to_owned())));
    }

    #[test]
    fn the_deadline_is_that_of_the_current_context_as_it_is_now() {
        assert_eq!(deadline(), None);
        let now = Instant::now().into_std();
        let at = Deadline::after(now, Duration::from_secs(1));
        let trace = TraceContext::root([1; 16], [2; 8]);
        let parts = Parts::new(RequestId::parse(b"r").unwrap(), trace, now);
        let mut slot = Some(RequestContext::new(Parts { deadline: Some(at), ..parts }));
        let _lent = lend(&mut slot);
        assert_eq!(deadline(), Some(at));
    }
}
