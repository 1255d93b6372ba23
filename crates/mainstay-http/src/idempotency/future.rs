//! The future of a call: the inner one, a refusal, or a call with a key.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Response;
use pin_project_lite::pin_project;

use super::KeyedBody;

type Answer<B, E> = Result<Response<KeyedBody<B>>, E>;

pin_project! {
    /// The future of [`Idempotency`](super::Idempotency). What dropping it does, its [module](super) says.
    pub struct IdempotencyFuture<F, B, E> {
        #[pin]
        state: State<F, B, E>,
    }
}

pin_project! {
    #[project = StateProjected]
    enum State<F, B, E> {
        Passed { #[pin] inner: F },
        Refused { answer: Option<Response<KeyedBody<B>>> },
        Keyed { run: BoxFuture<'static, Answer<B, E>> },
    }
}

impl<F, B, E> IdempotencyFuture<F, B, E> {
    pub(super) fn passed(inner: F) -> Self {
        Self { state: State::Passed { inner } }
    }

    pub(super) fn refused(answer: Response<KeyedBody<B>>) -> Self {
        Self { state: State::Refused { answer: Some(answer) } }
    }

    pub(super) fn keyed(run: impl Future<Output = Answer<B, E>> + Send + 'static) -> Self {
        Self { state: State::Keyed { run: run.boxed() } }
    }
}

impl<F, B, E> Future for IdempotencyFuture<F, B, E>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Answer<B, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjected::Passed { inner } => {
                Poll::Ready(ready!(inner.poll(cx)).map(|answer| answer.map(KeyedBody::untouched)))
            }
            StateProjected::Refused { answer } => {
                Poll::Ready(Ok(answer.take().expect("a future is not polled after it was ready")))
            }
            StateProjected::Keyed { run } => run.as_mut().poll(cx),
        }
    }
}

impl<F, B, E> std::fmt::Debug for IdempotencyFuture<F, B, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdempotencyFuture").finish_non_exhaustive()
    }
}
