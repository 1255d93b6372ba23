//! A body as it came, or one that was read as a whole.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a request or an answer: as it came, or, of a call with a key, the same bytes and trailers from memory.
    #[derive(Debug)]
    pub struct KeyedBody<B> {
        #[pin]
        form: BodyForm<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = Projected]
    enum BodyForm<B> {
        Untouched { #[pin] inner: B },
        Whole { data: Option<Bytes>, trailers: Option<HeaderMap> },
    }
}

impl<B> KeyedBody<B> {
    pub(super) fn untouched(inner: B) -> Self {
        Self { form: BodyForm::Untouched { inner } }
    }

    pub(super) fn whole(data: Bytes) -> Self {
        Self::with_trailers(data, None)
    }

    pub(super) fn with_trailers(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        let data = Some(data).filter(|data| !data.is_empty());
        Self { form: BodyForm::Whole { data, trailers } }
    }
}

impl<B: Body<Data = Bytes>> Body for KeyedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().form.project() {
            Projected::Untouched { inner } => inner.poll_frame(cx),
            Projected::Whole { data, trailers } => {
                let frame = data.take().map(Frame::data).or_else(|| trailers.take().map(Frame::trailers));
                Poll::Ready(frame.map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.form {
            BodyForm::Untouched { inner } => inner.is_end_stream(),
            BodyForm::Whole { data, trailers } => data.is_none() && trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.form {
            BodyForm::Untouched { inner } => inner.size_hint(),
            BodyForm::Whole { data, .. } => SizeHint::with_exact(data.as_ref().map_or(0, Bytes::len) as u64),
        }
    }
}
