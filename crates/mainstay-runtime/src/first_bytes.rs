//! A limit on the time that a client may take to show which protocol it speaks.
//!
//! HTTP/1 and HTTP/2 have timeouts of their own, but they start when it is known which of them it is. Before that a
//! client that connects and says nothing, or the first letter of HTTP/2's preface and nothing more, would cost a
//! connection for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Fails reads with [`io::ErrorKind::TimedOut`] while the protocol stays unknown for too long.
pub(crate) struct FirstBytes<I> {
    inner: I,
    /// How much of the preface was seen, and until when the rest is waited for; `None` once the protocol is known.
    unknown: Option<(usize, Pin<Box<Sleep>>)>,
}

// === impl FirstBytes ===

impl<I> FirstBytes<I> {
    pub(crate) fn new(inner: I, limit: Duration) -> Self {
        Self { inner, unknown: Some((0, Box::pin(sleep(limit)))) }
    }

    fn saw(&mut self, bytes: &[u8]) {
        let Some((seen, _)) = &mut self.unknown else { return };
        let rest = &HTTP2_PREFACE[*seen..];
        let may_be_http2 = !bytes.is_empty() && bytes.len() < rest.len() && rest.starts_with(bytes);
        if may_be_http2 {
            *seen += bytes.len();
        } else {
            self.unknown = None;
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for FirstBytes<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.inner).poll_read(cx, buf) {
            self.saw(&buf.filled()[before..]);
            return Poll::Ready(read);
        }
        let Some((_, limit)) = &mut self.unknown else { return Poll::Pending };
        ready!(limit.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for FirstBytes<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Whether a read after these bytes times out; otherwise it waits for ever, which is for others to end.
    async fn times_out(sent: &[u8]) -> bool {
        let (mut client, server) = duplex(64);
        let mut server = FirstBytes::new(server, LIMIT);
        client.write_all(sent).await.unwrap();
        server.read_exact(&mut vec![0; sent.len()]).await.unwrap();
        let started = Instant::now();
        match tokio::time::timeout(LIMIT * 2, server.read_u8()).await {
            Ok(error) => error.unwrap_err().kind() == io::ErrorKind::TimedOut && started.elapsed() == LIMIT,
            Err(_) => false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_show_its_protocol_is_cut_off() {
        assert!(times_out(b"").await);
        assert!(times_out(b"P").await);
        assert!(times_out(&HTTP2_PREFACE[..23]).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_known_protocol_is_left_to_its_own_timeouts() {
        assert!(!times_out(b"PO").await);
        assert!(!times_out(b"GET / HTTP/1.1\r\n\r\n").await);
        assert!(!times_out(HTTP2_PREFACE).await);
    }
}
