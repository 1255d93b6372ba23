//! The body of which the first frames may have been looked at.

use std::fmt::{self, Formatter};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::outbound::grpc;
use crate::outbound::said::Said;

pin_project! {
    /// The service's body as it is, of which up to two frames may have been taken out before the caller asked.
    ///
    /// Gives on all frames, the end or the error where they came, and says before each what the body said then.
    pub struct PeekBody<B>
    where
        B: Body,
    {
        #[pin]
        inner: B,
        first: Option<Peeked<B::Data, B::Error>>,
        second: Option<Peeked<B::Data, B::Error>>,
        // It gave its end or its error: nobody may poll it again.
        has_ended: bool,
    }
}

/// What the body said, and what it then gave.
struct Peeked<D, E> {
    said: Said,
    event: Option<Result<Frame<D>, E>>,
}

// === impl PeekBody ===

impl<B: Body> PeekBody<B> {
    pub(super) fn new(inner: B) -> Self {
        Self { inner, first: None, second: None, has_ended: false }
    }

    /// Waits for the first frame, and takes the second one, if it is there, when the first is data.
    pub(super) fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<()>
    where
        B: Unpin,
    {
        if self.inner.is_end_stream() {
            return Poll::Ready(());
        }
        let first = ready!(self.take(cx));
        if first.is_data() && !self.inner.is_end_stream() {
            // Whoever polls next does so with the waker of the one who reads.
            if let Poll::Ready(second) = self.take(cx) {
                self.second = Some(second);
            }
        }
        self.first = Some(first);
        Poll::Ready(())
    }

    /// The trailers that were seen, if they say that the call failed.
    pub(super) fn failure(&self) -> Option<&HeaderMap> {
        let peeked = self.second.as_ref().or(self.first.as_ref());
        let frame = peeked?.event.as_ref()?.as_ref().ok()?;
        frame.trailers_ref().filter(|trailers| matches!(grpc::status(trailers), Some(Err(_))))
    }

    /// Whether data were seen.
    pub(super) fn has_data(&self) -> bool {
        self.first.as_ref().is_some_and(Peeked::is_data)
    }

    fn take(&mut self, cx: &mut Context<'_>) -> Poll<Peeked<B::Data, B::Error>>
    where
        B: Unpin,
    {
        let said = Said::by(&self.inner);
        let event = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        self.has_ended = !matches!(event, Some(Ok(_)));
        Poll::Ready(Peeked { said, event })
    }

    fn next(&self) -> Option<&Peeked<B::Data, B::Error>> {
        self.first.as_ref().or(self.second.as_ref())
    }
}

impl<B: Body> Body for PeekBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        match this.first.take().or_else(|| this.second.take()) {
            Some(peeked) => Poll::Ready(peeked.event),
            None if *this.has_ended => Poll::Ready(None),
            None => this.inner.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.next().map_or_else(|| self.inner.is_end_stream(), |peeked| peeked.said.is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.next().map_or_else(|| self.inner.size_hint(), |peeked| peeked.said.size_hint)
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for PeekBody<B> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let peeked = usize::from(self.first.is_some()) + usize::from(self.second.is_some());
        f.debug_struct("PeekBody")
            .field("inner", &self.inner)
            .field("peeked", &peeked)
            .finish_non_exhaustive()
    }
}

// === impl Peeked ===

impl<D, E> Peeked<D, E> {
    fn is_data(&self) -> bool {
        matches!(&self.event, Some(Ok(frame)) if frame.is_data())
    }
}
