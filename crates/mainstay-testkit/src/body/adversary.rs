//! The collection of bodies that a layer has to live with.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{ScriptedBody, Size, Step};

/// A body that has broken some layer before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Adversary {
    /// Ended before it began: `is_end_stream` is true and the size exactly 0. A server never polls it.
    AlreadyEnded,
    /// Nothing in it, but that shows only when it is polled.
    Empty,
    /// Two data frames under an exact size, which turns into `content-length`.
    ExactSize,
    /// One data frame under a size that has bounds but is not exact.
    BoundedSize,
    /// `is_end_stream` turns true with the last data frame, so that a server never polls the end.
    EndsWithLastFrame,
    /// Data frames with `Pending` before, between and after them.
    Stutters,
    /// Empty data frames before, between and after the full ones: an empty frame is not the end.
    EmptyFrames,
    /// A data frame, then trailers: every gRPC answer.
    DataThenTrailers,
    /// Trailers and no data.
    TrailersOnly,
    /// Trailers, with which `is_end_stream` turns true.
    EndsWithTrailers,
    /// An error as the first thing.
    ErrorFirst,
    /// A data frame, then an error.
    ErrorAfterFrame,
    /// A data frame, then `Pending` for ever: a client that went away, a stream that waits for news.
    Hangs,
    /// Data frames for ever.
    Endless,
    /// A data frame, then a panic in `poll_frame`.
    PanicsInPoll,
    /// A data frame and the end; then a panic when it is dropped, unless the thread panics already.
    PanicsInDrop,
}

// === impl Adversary ===

impl Adversary {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::AlreadyEnded,
        Self::Empty,
        Self::ExactSize,
        Self::BoundedSize,
        Self::EndsWithLastFrame,
        Self::Stutters,
        Self::EmptyFrames,
        Self::DataThenTrailers,
        Self::TrailersOnly,
        Self::EndsWithTrailers,
        Self::ErrorFirst,
        Self::ErrorAfterFrame,
        Self::Hangs,
        Self::Endless,
        Self::PanicsInPoll,
        Self::PanicsInDrop,
    ];

    /// A fresh body of this kind.
    pub fn body(self) -> ScriptedBody {
        let body = ScriptedBody::new(self.steps());
        match self {
            Self::AlreadyEnded => body.size(Size::Exact).ends_with_last_step(),
            Self::ExactSize => body.size(Size::Exact),
            Self::BoundedSize => body.size(Size::UpTo { more: 100 }),
            Self::EndsWithLastFrame => body.size(Size::Exact).ends_with_last_step(),
            Self::EndsWithTrailers => body.ends_with_last_step(),
            Self::PanicsInDrop => body.panics_in_drop(),
            Self::Empty
            | Self::Stutters
            | Self::EmptyFrames
            | Self::DataThenTrailers
            | Self::TrailersOnly
            | Self::ErrorFirst
            | Self::ErrorAfterFrame
            | Self::Hangs
            | Self::Endless
            | Self::PanicsInPoll => body,
        }
    }

    /// Whether a panic is part of the play, which a layer may rightly catch.
    pub fn panics(self) -> bool {
        matches!(self, Self::PanicsInPoll | Self::PanicsInDrop)
    }

    /// Whether it comes to an end; [`drain`](super::drain) would wait for ever where it does not.
    pub fn ends(self) -> bool {
        !matches!(self, Self::Hangs | Self::Endless)
    }

    fn steps(self) -> Vec<Step> {
        match self {
            Self::AlreadyEnded | Self::Empty => vec![],
            Self::ExactSize => vec![data("hello "), data("world")],
            Self::BoundedSize | Self::PanicsInDrop => vec![data("hello")],
            Self::EndsWithLastFrame => vec![data("hello "), data("world")],
            Self::Stutters => {
                vec![
                    Step::Pending,
                    data("hello "),
                    Step::Pending,
                    Step::Pending,
                    data("world"),
                    Step::Pending,
                ]
            }
            Self::EmptyFrames => vec![data(""), data("hello "), data(""), data(""), data("world"), data("")],
            Self::DataThenTrailers => vec![data("hello"), trailers()],
            Self::TrailersOnly | Self::EndsWithTrailers => vec![trailers()],
            Self::ErrorFirst => vec![error()],
            Self::ErrorAfterFrame => vec![data("hello"), error()],
            Self::Hangs => vec![data("hello"), Step::Hang],
            Self::Endless => vec![Step::Endless(Bytes::from_static(b"again"))],
            Self::PanicsInPoll => vec![data("hello"), Step::Panic("the body panics in poll_frame")],
        }
    }
}

fn data(text: &'static str) -> Step {
    Step::Data(Bytes::from_static(text.as_bytes()))
}

fn trailers() -> Step {
    Step::Trailers(HeaderMap::from_iter([
        (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0")),
        (HeaderName::from_static("x-checksum"), HeaderValue::from_static("5d41402a")),
    ]))
}

fn error() -> Step {
    Step::Error("connection reset while the body was read".to_owned())
}
