//! A request's body that can be sent again.
//!
//! ```
//! use http_body_util::{BodyExt, Full};
//! use mainstay_http::outbound::replay::ReplayBody;
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//!
//! let first = ReplayBody::new(Full::<bytes::Bytes>::from("an order"), 65_536);
//! let second = first.again().expect("nothing of it is lost");
//! assert_eq!(first.collect().await.unwrap().to_bytes(), "an order");
//! assert_eq!(second.collect().await.unwrap().to_bytes(), "an order");
//! # });
//! ```
//!
//! [`ReplayLayer`] stands outside of the retry or the hedge. What the first attempt reads is kept while it streams, up to a
//! bound, and given to a later attempt before the rest of the source: each attempt is given the whole body, every frame of it
//! once, its trailers too. Frames are kept as they are, by reference; nothing is copied. Once more comes than is kept, the
//! attempt that reads it goes on unharmed and alone, what was kept is freed, and any other fails with
//! [`ReplayError::NotKept`]: never with half a body, never with an empty one. The same holds from an error of the source on.
//!
//! Attempts may overlap: a connection may still hold the body of an attempt that was answered early, a hedge sends two at
//! once. The newest attempt that has begun reads the source, and the older ones are given what it has kept; if it is dropped,
//! the next older one reads on. So two attempts go at the pace of the newer one while the source has not ended; once it has,
//! each goes at its own. Where both would read beyond the bound, the older one fails; a newer one that has not begun yet
//! [claims](ReplayBody::claim) the same right.
//!
//! What it costs: a body that is empty, or in memory as a whole (one frame of exactly the size that it said), is known
//! as such at once, and sending it again clones a [`Bytes`]: no lock, no allocation. A body that is known to be larger
//! than the bound is not kept at all. Any other costs one allocation for what the attempts share and one that grows with the
//! number of frames, and a lock, mostly free, for each frame and each question about size and end. Where no other attempt could
//! follow any more, nothing is kept. What is kept counts by its length: a short slice of a large buffer holds all of that buffer.

mod shared;

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use garde::Validate;
use http::Request;
use http::header::EXPECT;
use http_body::{Body, Frame, SizeHint};
use serde::{Deserialize, Serialize};
use tower_layer::Layer;
use tower_service::Service;

use super::said::Said;
use shared::{Early, Handle, Watched};

/// Settings of [`ReplayLayer`].
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ReplayConfig {
    /// How much of a request's body is kept to be sent again, in bytes. 64 KiB by default, at most 16 MiB; 0: only bodies
    /// without content can be sent again. A frame counts as at least 64 bytes, which is what it takes to remember one.
    #[garde(range(max = 16 * 1024 * 1024))]
    pub max_bytes: usize,
}

/// Makes the bodies of requests [`ReplayBody`]s.
///
/// Stands outside of what repeats calls. Refuses nothing, leaves errors and answers alone.
#[derive(Clone, Debug)]
pub struct ReplayLayer {
    max_bytes: usize,
}

/// The service of [`ReplayLayer`].
#[derive(Clone, Debug)]
pub struct Replay<S> {
    inner: S,
    max_bytes: usize,
}

/// A body that can be sent again: this one, and those that [`again`](Self::again) makes of it, each give all of it.
///
/// Dropping one that has not come to its end leaves the rest of the source to the others; dropping the last one drops the
/// source.
pub struct ReplayBody<B: Body<Data = Bytes>> {
    kind: Kind<B>,
}

enum Kind<B: Body<Data = Bytes>> {
    /// In memory as a whole, or empty.
    Whole {
        data: Option<Bytes>,
        is_given: bool,
    },
    /// Larger than the bound.
    Once(B),
    Kept(Handle<B>),
}

/// The error of a [`ReplayBody`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError<E> {
    /// The source's own.
    Body(E),
    /// More was read by another attempt than is kept.
    NotKept {
        /// How many bytes are kept at most.
        max_bytes: usize,
    },
    /// The source failed in another attempt.
    Broken,
}

/// Knows whether a [`ReplayBody`] that was given away has been read to its end.
pub(super) struct Watch<B: Body<Data = Bytes>>(WatchKind<B>);

enum WatchKind<B: Body<Data = Bytes>> {
    Whole,
    Once,
    Kept(Watched<B>),
}

// === impl ReplayConfig ===

impl Default for ReplayConfig {
    fn default() -> Self {
        Self { max_bytes: 64 * 1024 }
    }
}

// === impl ReplayLayer ===

impl ReplayLayer {
    /// The layer with these settings.
    ///
    /// # Errors
    ///
    /// More is to be kept than is allowed.
    pub fn new(config: &ReplayConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        Ok(Self { max_bytes: config.max_bytes })
    }
}

impl Default for ReplayLayer {
    fn default() -> Self {
        Self { max_bytes: ReplayConfig::default().max_bytes }
    }
}

impl<S> Layer<S> for ReplayLayer {
    type Service = Replay<S>;

    fn layer(&self, inner: S) -> Replay<S> {
        Replay { inner, max_bytes: self.max_bytes }
    }
}

// === impl Replay ===

impl<S, B> Service<Request<B>> for Replay<S>
where
    S: Service<Request<ReplayBody<B>>>,
    B: Body<Data = Bytes> + Unpin,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        // Asking an inbound body for its content makes a server tell its client to send it, which is what that waits for.
        let is_asked = !request.headers().contains_key(EXPECT);
        self.inner.call(request.map(|body| ReplayBody::of(body, self.max_bytes, is_asked)))
    }
}

// === impl ReplayBody ===

impl<B: Body<Data = Bytes> + Unpin> ReplayBody<B> {
    /// The body, of which up to `max_bytes` are kept once they were read. A body that is not `Unpin` goes in as `Box::pin(body)`.
    ///
    /// A body that knows its size, and whose size is kept, is asked for its first frame at once: mostly that is all of it.
    /// [`ReplayLayer`] does not ask where a request has `expect`.
    pub fn new(body: B, max_bytes: usize) -> Self {
        Self::of(body, max_bytes, true)
    }

    fn of(mut body: B, max_bytes: usize, is_asked: bool) -> Self {
        if body.is_end_stream() {
            return Self { kind: Kind::Whole { data: None, is_given: false } };
        }
        let said = Said::by(&body);
        if said.size_hint.lower() > u64::try_from(max_bytes).unwrap_or(u64::MAX) {
            return Self { kind: Kind::Once(body) };
        }
        let Some(size) = said.size_hint.exact().filter(|_| is_asked) else {
            return Self { kind: Kind::Kept(Handle::new(body, None, max_bytes)) };
        };
        let mut early = None;
        // Whoever polls next does so with a waker that counts.
        if let Poll::Ready(event) = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            if let Some(Ok(frame)) = &event
                && let Some(data) = frame.data_ref()
                && body.is_end_stream()
                && u64::try_from(data.len()) == Ok(size)
            {
                return Self { kind: Kind::Whole { data: Some(data.clone()), is_given: false } };
            }
            early = Some(Early { said, event });
        }
        Self { kind: Kind::Kept(Handle::new(body, early, max_bytes)) }
    }

    /// The same body from its beginning, for another attempt, however much of this one was read; `None` when it cannot be
    /// sent again.
    #[must_use]
    pub fn again(&self) -> Option<Self> {
        let kind = match &self.kind {
            Kind::Whole { data, .. } => Kind::Whole { data: data.clone(), is_given: false },
            Kind::Once(_) => return None,
            Kind::Kept(handle) => Kind::Kept(handle.again()?),
        };
        Some(Self { kind })
    }

    /// Whether this body, if it has not been read yet, would be whole. While another attempt reads, that may end.
    pub fn can_repeat(&self) -> bool {
        match &self.kind {
            Kind::Whole { .. } => true,
            Kind::Once(_) => false,
            Kind::Kept(handle) => handle.can_repeat(),
        }
    }

    /// Whether all of this body is in memory, so that another attempt gives it without waiting for anybody.
    pub fn is_kept(&self) -> bool {
        match &self.kind {
            Kind::Whole { .. } => true,
            Kind::Once(_) => false,
            Kind::Kept(handle) => handle.is_kept(),
        }
    }

    /// Sees to it that this body, which is about to be sent, stays whole, and says whether it
    /// [can be repeated](Self::can_repeat). An attempt before it, of which a connection may hold the body for a while, goes on
    /// reading what can be kept; where it would read more, it fails instead. Ends when this is dropped.
    pub fn claim(&self) -> bool {
        match &self.kind {
            Kind::Kept(handle) => handle.claim(),
            Kind::Whole { .. } | Kind::Once(_) => self.can_repeat(),
        }
    }

    pub(super) fn watch(&self) -> Watch<B> {
        Watch(match &self.kind {
            Kind::Whole { .. } => WatchKind::Whole,
            Kind::Once(_) => WatchKind::Once,
            Kind::Kept(handle) => WatchKind::Kept(handle.watch()),
        })
    }

    fn said(&self) -> Said {
        match &self.kind {
            Kind::Whole { data: Some(data), is_given: false } => {
                let size = u64::try_from(data.len()).unwrap_or(u64::MAX);
                Said { size_hint: SizeHint::with_exact(size), is_end_stream: false }
            }
            Kind::Whole { .. } => Said::ended(),
            Kind::Once(body) => Said::by(body),
            Kind::Kept(handle) => handle.said(),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for ReplayBody<B> {
    type Data = Bytes;
    type Error = ReplayError<B::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.kind {
            Kind::Whole { is_given: true, .. } => Poll::Ready(None),
            Kind::Whole { data, is_given } => {
                *is_given = true;
                Poll::Ready(data.clone().map(|data| Ok(Frame::data(data))))
            }
            Kind::Once(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(ReplayError::Body)))
            }
            Kind::Kept(handle) => handle.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.said().is_end_stream
    }

    fn size_hint(&self) -> SizeHint {
        self.said().size_hint
    }
}

impl<B: Body<Data = Bytes>> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Whole { .. } => "ReplayBody(whole)",
            Kind::Once(_) => "ReplayBody(once)",
            Kind::Kept(_) => "ReplayBody(kept)",
        })
    }
}

// === impl Watch ===

impl<B: Body<Data = Bytes>> Watch<B> {
    /// Whether all of the body was handed over, in one of its attempts.
    pub(super) fn is_read(&self) -> bool {
        match &self.0 {
            WatchKind::Whole => true,
            WatchKind::Once => false,
            WatchKind::Kept(watched) => watched.is_read(),
        }
    }
}

impl<B: Body<Data = Bytes>> fmt::Debug for Watch<B> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

// === impl ReplayError ===

impl<E: Display> Display for ReplayError<E> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(error) => Display::fmt(error, f),
            Self::NotKept { max_bytes } => {
                write!(
                    f,
                    "the request's body cannot be sent again: another attempt read more than the {max_bytes} bytes that are kept"
                )
            }
            Self::Broken => {
                f.write_str("the request's body cannot be sent again: another attempt failed to read it")
            }
        }
    }
}

impl<E: Error + 'static> Error for ReplayError<E> {
    // `Display` already says what the source's error says, so the chain goes on behind it.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Body(error) => error.source(),
            Self::NotKept { .. } | Self::Broken => None,
        }
    }
}

#[cfg(test)]
mod tests;
