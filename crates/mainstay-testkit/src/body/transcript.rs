//! What a body was seen to do, in a form that can be compared.

use std::{
    error::Error,
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;

/// What a body said and gave, in order; two bodies behave alike when their transcripts are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// One entry for each frame, and one for the end or the error.
    pub entries: Vec<Observed>,
}

/// What a body said about itself, and what the next poll then gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The lower and the upper bound of `size_hint` before the poll.
    pub size_hint: (u64, Option<u64>),
    /// `is_end_stream` before the poll.
    pub is_end_stream: bool,
    /// What the poll gave.
    pub event: Event,
}

/// What a poll of a body gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A data frame.
    Data(Bytes),
    /// A trailers frame.
    Trailers(HeaderMap),
    /// An error, with the text that it displays; the last entry.
    Error(String),
    /// The end; the last entry.
    End,
    /// A frame that is neither data nor trailers.
    Unknown,
}

/// Reads the body to its end or its first error, and drops it.
///
/// Nothing is polled after the end. On a body without end, such as
/// [`Adversary::Hangs`](super::Adversary::Hangs), this never returns: use [`drain_at_most`].
pub async fn drain<B>(body: B) -> Transcript
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    drain_at_most(pin!(body), usize::MAX).await
}

/// Reads up to this many entries, and leaves the body to the caller.
pub async fn drain_at_most<B>(mut body: Pin<&mut B>, entries: usize) -> Transcript
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut transcript = Transcript { entries: Vec::new() };
    while transcript.entries.len() < entries && !transcript.is_finished() {
        let hint = body.size_hint();
        let (size_hint, is_end_stream) = ((hint.lower(), hint.upper()), body.is_end_stream());
        let event = match poll_fn(|context| body.as_mut().poll_frame(context)).await {
            Some(Ok(frame)) => Event::from_frame(frame),
            Some(Err(error)) => Event::Error(error.into().to_string()),
            None => Event::End,
        };
        transcript.entries.push(Observed { size_hint, is_end_stream, event });
    }
    transcript
}

// === impl Transcript ===

impl Transcript {
    /// All data in one piece.
    pub fn data(&self) -> Vec<u8> {
        let frames = self.entries.iter().filter_map(|entry| match &entry.event {
            Event::Data(data) => Some(data),
            Event::Trailers(_) | Event::Error(_) | Event::End | Event::Unknown => None,
        });
        frames.flatten().copied().collect()
    }

    /// The first place where the other transcript is different, in words; the texts of errors do not matter.
    ///
    /// A layer may wrap an error of the body, so that only its position can be compared.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let mut pairs = self.entries.iter().zip(&other.entries).enumerate();
        let differing = pairs
            .find_map(|(at, (ours, theirs))| Some(format!("at entry {at}, {}", ours.difference(theirs)?)));
        differing.or_else(|| {
            let (ours, theirs) = (self.entries.len(), other.entries.len());
            (ours != theirs).then(|| format!("there are {ours} entries, and {theirs} in the other"))
        })
    }

    fn is_finished(&self) -> bool {
        matches!(self.entries.last(), Some(Observed { event: Event::End | Event::Error(_), .. }))
    }
}

// === impl Observed ===

impl Observed {
    fn difference(&self, other: &Self) -> Option<String> {
        if self.size_hint != other.size_hint {
            let (ours, theirs) = (self.size_hint, other.size_hint);
            return Some(format!("size_hint is {ours:?}, and {theirs:?} in the other"));
        }
        if self.is_end_stream != other.is_end_stream {
            let (ours, theirs) = (self.is_end_stream, other.is_end_stream);
            return Some(format!("is_end_stream is {ours}, and {theirs} in the other"));
        }
        if matches!((&self.event, &other.event), (Event::Error(_), Event::Error(_))) {
            return None;
        }
        (self.event != other.event)
            .then(|| format!("there is {}, and {} in the other", self.event, other.event))
    }
}

// === impl Event ===

impl Event {
    fn from_frame(frame: http_body::Frame<Bytes>) -> Self {
        match frame.into_data().map_err(http_body::Frame::into_trailers) {
            Ok(data) => Self::Data(data),
            Err(Ok(trailers)) => Self::Trailers(trailers),
            Err(Err(_)) => Self::Unknown,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(data) => write!(f, "data {data:?}"),
            Self::Trailers(trailers) => write!(f, "trailers {trailers:?}"),
            Self::Error(error) => write!(f, "the error {error:?}"),
            Self::End => f.write_str("the end"),
            Self::Unknown => f.write_str("a frame of unknown kind"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{Adversary, ScriptedBody, Size, Step};

    #[tokio::test]
    async fn every_adversary_plays_the_same_each_time() {
        for adversary in
            Adversary::ALL.into_iter().filter(|adversary| adversary.ends() && !adversary.panics())
        {
            let (first, second) = (drain(adversary.body()).await, drain(adversary.body()).await);
            assert_eq!(first, second, "{adversary:?}");
            assert_eq!(first.difference(&second), None, "{adversary:?}");
            assert!(first.is_finished(), "{adversary:?}");
        }
    }

    #[tokio::test]
    async fn what_a_body_says_is_seen_before_each_frame() {
        let transcript = drain(Adversary::EndsWithLastFrame.body()).await;
        let said: Vec<_> =
            transcript.entries.iter().map(|seen| (seen.size_hint.1, seen.is_end_stream)).collect();
        assert_eq!(said, [(Some(11), false), (Some(5), false), (Some(0), true)]);
        assert_eq!(transcript.data(), b"hello world");
    }

    #[tokio::test]
    async fn a_body_is_dropped_after_its_last_entry_and_never_polled_again() {
        for adversary in [Adversary::Stutters, Adversary::ErrorAfterFrame, Adversary::DataThenTrailers] {
            let body = adversary.body();
            let handle = body.handle();
            drain(body).await;
            assert!(handle.is_dropped(), "{adversary:?}");
            assert_eq!(handle.polled_after_end(), 0, "{adversary:?}");
        }
    }

    #[tokio::test]
    async fn a_body_without_end_is_read_in_part() {
        let mut body = Box::pin(Adversary::Endless.body());
        let handle = body.handle();
        assert_eq!(drain_at_most(body.as_mut(), 3).await.data(), b"againagainagain");
        assert_eq!((handle.frames(), handle.is_dropped()), (3, false));
    }

    #[tokio::test]
    async fn a_difference_is_told_with_its_place() {
        let hello = || ScriptedBody::new([Step::Data(Bytes::from_static(b"hello"))]);
        let full = drain(hello().size(Size::Exact)).await;

        check_difference(
            &drain(hello()).await,
            &full,
            "at entry 0, size_hint is (0, None), and (5, Some(5))",
        );
        check_difference(
            &drain(hello().size(Size::Exact).ends_with_last_step()).await,
            &full,
            "at entry 1, is_end_stream is true, and false",
        );
        let (with, without) = (Adversary::DataThenTrailers, Adversary::ErrorAfterFrame);
        check_difference(
            &drain(with.body()).await,
            &drain(without.body()).await,
            "at entry 1, there is trailers",
        );
        let mut short = full.clone();
        short.entries.pop();
        check_difference(&short, &full, "there are 1 entries, and 2");
    }

    #[tokio::test]
    async fn the_text_of_an_error_is_no_difference() {
        let fails = |text: &str| ScriptedBody::new([Step::Error(text.to_owned())]);
        let (one, other) = (drain(fails("one")).await, drain(fails("other")).await);
        assert_eq!(one.difference(&other), None);
        assert_ne!(one, other);
    }

    #[track_caller]
    fn check_difference(ours: &Transcript, theirs: &Transcript, expected: &str) {
        let difference = ours.difference(theirs).unwrap();
        assert!(difference.starts_with(expected), "{difference}");
    }
}
