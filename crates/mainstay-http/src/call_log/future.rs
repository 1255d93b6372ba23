//! The future that notes how a call ended.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use mainstay_core::call::{CallFailure, Settle};
use mainstay_core::{RequestContext, ambient};
use pin_project_lite::pin_project;

use super::record::LoggedCall;

pin_project! {
    /// The future of [`CallLog`](super::CallLog) and [`AttemptLog`](super::AttemptLog). Dropping it drops the inner one first,
    /// then logs the call as abandoned.
    #[derive(Debug)]
    pub struct LoggedFuture<F, A> {
        #[pin]
        inner: F,
        settle: A,
        // None: the answer has it.
        record: Option<LoggedCall>,
        // Lent to the thread while the inner future is polled.
        context: Option<RequestContext>,
    }
}

impl<F, A> LoggedFuture<F, A> {
    pub(super) const fn new(
        inner: F,
        settle: A,
        record: LoggedCall,
        context: Option<RequestContext>,
    ) -> Self {
        Self { inner, settle, record: Some(record), context }
    }
}

impl<F, A, B, E> Future for LoggedFuture<F, A>
where
    F: Future<Output = Result<Response<B>, E>>,
    A: Settle<Response<B>, E>,
    E: CallFailure,
{
    type Output = Result<A::Answer<LoggedCall>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let record = this.record.as_ref().expect("a future is not polled after it is ready");
        let result = {
            // Declared first, dropped last: the context is back in its place when the span is left.
            let _lent = ambient::lend(this.context);
            let _entered = record.span.enter();
            ready!(this.inner.poll(cx))
        };
        let mut record = this.record.take().expect("it was there a moment ago");
        record.answered(result.as_ref());
        Poll::Ready(this.settle.settle(result, record))
    }
}
