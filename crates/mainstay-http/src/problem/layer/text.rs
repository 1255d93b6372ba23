//! Plain texts that become the detail of a problem: which ones, how they are read, and what may stay in them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::problem::steering::without_steering;

pin_project! {
    /// Reads a body whose exact size is known and small.
    #[derive(Debug)]
    pub(super) struct Collect<B> {
        #[pin]
        body: B,
        size: u64,
        read: BytesMut,
    }
}

/// The body failed, or is not as long as it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unread;

impl<B: Body<Data = Bytes>> Collect<B> {
    pub(super) fn new(body: B, size: u64) -> Self {
        Self { body, size, read: BytesMut::new() }
    }

    /// The whole text. What trailers a text may have goes with it.
    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Bytes, Unread>> {
        let mut this = self.project();
        while !this.body.is_end_stream() {
            match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if (this.read.len() + data.len()) as u64 > *this.size {
                        return Poll::Ready(Err(Unread));
                    }
                    this.read.extend_from_slice(&data);
                }
                Some(Err(_)) => return Poll::Ready(Err(Unread)),
                None => break,
            }
        }
        let is_whole = this.read.len() as u64 == *this.size;
        Poll::Ready(if is_whole { Ok(this.read.split().freeze()) } else { Err(Unread) })
    }
}

/// Whether this is `text/plain` in a charset that is UTF-8 or part of it.
pub(super) fn is_plain(media_type: &HeaderValue) -> bool {
    let Ok(media_type) = media_type.to_str() else { return false };
    let mut parts = media_type.split(';').map(str::trim);
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/plain"))
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                let charset = value.trim().trim_matches('"');
                charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("us-ascii")
            }
            _ => true,
        })
}

/// The text as a detail, without white space around it. `None` if it is not UTF-8.
pub(super) fn detail(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    Some(without_steering(text).into_owned())
}
