//! A body that does what a test tells it to.

use std::{
    collections::VecDeque,
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::BodyHandle;

/// A body that plays a list of [`Step`]s, and records in a [`BodyHandle`] how it was used.
///
/// It tells no size and no end before its time, unless told to by [`size`](Self::size) and
/// [`ends_with_last_step`](Self::ends_with_last_step).
#[derive(Debug)]
pub struct ScriptedBody {
    steps: VecDeque<Step>,
    size: Size,
    ends: Ends,
    on_drop: OnDrop,
    ended: bool,
    handle: BodyHandle,
}

/// One thing that a [`ScriptedBody`] does when it is polled.
#[derive(Clone, Debug)]
pub enum Step {
    /// A data frame, which may be empty.
    Data(Bytes),
    /// A trailers frame.
    Trailers(HeaderMap),
    /// An error; nothing comes after it.
    Error(String),
    /// `Pending` once, waking itself.
    Pending,
    /// `Pending` for ever, waking nobody.
    Hang,
    /// This data frame, again and again, for ever.
    Endless(Bytes),
    /// A panic with this message; nothing comes after it.
    Panic(&'static str),
}

/// What a [`ScriptedBody`] says in `size_hint` about the data that is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Nothing.
    Unknown,
    /// Exactly what is left of the script.
    Exact,
    /// At least what is left of the script, and at most this much more.
    UpTo {
        /// How much the upper bound lies above the lower one.
        more: u64,
    },
}

/// The error of a [`ScriptedBody`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyError {
    message: String,
}

#[derive(Debug)]
enum Ends {
    WhenPolled,
    WithLastStep,
}

#[derive(Debug)]
enum OnDrop {
    Nothing,
    Panic,
}

// === impl ScriptedBody ===

impl ScriptedBody {
    /// A body that plays these steps and then ends.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            size: Size::Unknown,
            ends: Ends::WhenPolled,
            on_drop: OnDrop::Nothing,
            ended: false,
            handle: BodyHandle::default(),
        }
    }

    /// What `size_hint` says.
    #[must_use]
    pub fn size(mut self, size: Size) -> Self {
        self.size = size;
        self
    }

    /// `is_end_stream` is true as soon as no step is left, so that a server need not poll again and does not.
    ///
    /// Without this it is true only after the end was polled.
    #[must_use]
    pub fn ends_with_last_step(mut self) -> Self {
        self.ends = Ends::WithLastStep;
        self
    }

    /// Panics when it is dropped, unless the thread is panicking already.
    #[must_use]
    pub fn panics_in_drop(mut self) -> Self {
        self.on_drop = OnDrop::Panic;
        self
    }

    /// The view that stays when the body was given away.
    pub fn handle(&self) -> BodyHandle {
        self.handle.clone()
    }

    fn frame(&self, frame: Frame<Bytes>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.handle.count_frame();
        Poll::Ready(Some(Ok(frame)))
    }

    fn remaining(&self) -> u64 {
        self.steps.iter().map(|step| if let Step::Data(data) = step { data.len() as u64 } else { 0 }).sum()
    }
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = BodyError;

    #[allow(clippy::panic, reason = "panicking is what this script is for")]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            self.handle.count_poll_after_end();
            return Poll::Ready(None);
        }
        match self.steps.pop_front() {
            Some(Step::Data(data)) => self.frame(Frame::data(data)),
            Some(Step::Trailers(trailers)) => self.frame(Frame::trailers(trailers)),
            Some(Step::Endless(data)) => {
                self.steps.push_front(Step::Endless(data.clone()));
                self.frame(Frame::data(data))
            }
            Some(Step::Pending) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Hang) => {
                self.steps.push_front(Step::Hang);
                Poll::Pending
            }
            Some(Step::Error(message)) => {
                self.ended = true;
                Poll::Ready(Some(Err(BodyError { message })))
            }
            Some(Step::Panic(message)) => {
                self.ended = true;
                panic!("{message}");
            }
            None => {
                self.ended = true;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.ends {
            Ends::WhenPolled => self.ended,
            Ends::WithLastStep => self.steps.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let remaining = self.remaining();
        let mut hint = SizeHint::new();
        match self.size {
            Size::Unknown => {}
            Size::Exact => hint.set_exact(remaining),
            Size::UpTo { more } => {
                hint.set_lower(remaining);
                hint.set_upper(remaining.saturating_add(more));
            }
        }
        hint
    }
}

impl Drop for ScriptedBody {
    #[allow(clippy::panic, reason = "panicking is what this script is for")]
    fn drop(&mut self) {
        self.handle.record_drop();
        if matches!(self.on_drop, OnDrop::Panic) && !std::thread::panicking() {
            panic!("the body panics in its drop");
        }
    }
}

// === impl BodyError ===

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for BodyError {}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        task::Waker,
    };

    use super::*;

    #[test]
    fn a_poll_after_the_end_is_recorded() {
        let mut body = ScriptedBody::new([]);
        let handle = body.handle();
        assert!(matches!(poll(&mut body), Poll::Ready(None)));
        assert_eq!(handle.polled_after_end(), 0);
        assert!(matches!(poll(&mut body), Poll::Ready(None)));
        assert_eq!(handle.polled_after_end(), 1);
    }

    #[test]
    fn a_poll_after_an_error_or_a_panic_is_recorded() {
        for step in [Step::Error("broken".into()), Step::Panic("broken")] {
            let mut body = ScriptedBody::new([step, Step::Data(Bytes::from_static(b"never"))]);
            let handle = body.handle();
            let _first = catch_unwind(AssertUnwindSafe(|| drop(poll(&mut body))));
            assert_eq!(handle.polled_after_end(), 0);
            assert!(matches!(poll(&mut body), Poll::Ready(None)));
            assert_eq!((handle.polled_after_end(), handle.frames()), (1, 0));
        }
    }

    #[test]
    fn a_drop_is_recorded_and_may_panic() {
        let body = ScriptedBody::new([]).panics_in_drop();
        let handle = body.handle();
        assert!(!handle.is_dropped());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(body))).is_err());
        assert!(handle.is_dropped());
    }

    #[test]
    fn a_drop_while_panicking_does_not_abort() {
        let body = ScriptedBody::new([Step::Panic("first")]).panics_in_drop();
        let panic = catch_unwind(AssertUnwindSafe(move || {
            let mut body = body;
            drop(poll(&mut body));
        }));
        assert_eq!(panic.unwrap_err().downcast_ref::<String>().unwrap(), "first");
    }

    fn poll(body: &mut ScriptedBody) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
    }
}
