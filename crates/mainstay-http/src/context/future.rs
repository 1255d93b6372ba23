//! The future that puts the ids onto the answer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use mainstay_core::{RequestContext, ambient};
use pin_project_lite::pin_project;

use super::decide::id_value;
use crate::headers::{X_CORRELATION_ID, X_REQUEST_ID};

pin_project! {
    /// The future of [`Context`](super::Context). Dropping it drops the inner one.
    #[derive(Debug)]
    pub struct ContextFuture<F> {
        #[pin]
        inner: F,
        // Some, but while the inner future is polled: then it is the current one of the thread.
        context: Option<RequestContext>,
    }
}

impl<F> ContextFuture<F> {
    pub(super) const fn new(inner: F, context: Option<RequestContext>) -> Self {
        Self { inner, context }
    }
}

impl<F, B, E> Future for ContextFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let lent = ambient::lend(this.context);
        let polled = this.inner.poll(cx);
        drop(lent);
        let mut response = ready!(polled)?;
        if let Some(context) = this.context {
            let headers = response.headers_mut();
            headers.insert(X_REQUEST_ID, id_value(context.request_id().as_str()));
            headers.insert(X_CORRELATION_ID, id_value(context.correlation_id().as_str()));
        }
        Poll::Ready(Ok(response))
    }
}
