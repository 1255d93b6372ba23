//! The body that knows when an answer has ended.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::Record;

pin_project! {
    /// The service's body as it is, watched for its end.
    ///
    /// The request is logged at the end (`None`, trailers, a last frame after which `is_end_stream` is true, or an
    /// error), else when this is dropped.
    #[derive(Debug)]
    pub struct LoggedBody<B> {
        #[pin]
        inner: B,
        record: Option<Record>,
    }
}

impl<B> LoggedBody<B> {
    pub(super) const fn new(inner: B, record: Option<Record>) -> Self {
        Self { inner, record }
    }
}

impl<B: Body> Body for LoggedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        if let Some(record) = this.record.as_mut() {
            let ended = match &frame {
                None => true,
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        record.sent(data.remaining());
                    }
                    if let Some(trailers) = frame.trailers_ref() {
                        record.trailers(trailers);
                    }
                    // A server that knows the length does not poll again for the end.
                    frame.is_trailers() || this.inner.is_end_stream()
                }
                Some(Err(_)) => {
                    record.body_failed();
                    // Logged as failed, not as ended.
                    *this.record = None;
                    return Poll::Ready(frame);
                }
            };
            if ended {
                record.ended();
                *this.record = None;
            }
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
