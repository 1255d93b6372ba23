//! The body that holds its call's place until it ends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::Permit;
use crate::body::AnswerBody;

pin_project! {
    /// The body of an answer that passed [`ConcurrencyLimit`](super::ConcurrencyLimit).
    #[derive(Debug)]
    pub struct LimitedBody<B> {
        #[pin]
        inner: AnswerBody<B>,
        // None: not counted, or given back.
        permit: Option<Permit>,
    }
}

impl<B: Body<Data = Bytes>> LimitedBody<B> {
    pub(super) fn new(inner: AnswerBody<B>, permit: Option<Permit>) -> Self {
        let permit = permit.filter(|_| !inner.is_end_stream());
        Self { inner, permit }
    }
}

impl<B: Body<Data = Bytes>> Body for LimitedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        if this.permit.is_some() && (!matches!(frame, Some(Ok(_))) || this.inner.is_end_stream()) {
            *this.permit = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
