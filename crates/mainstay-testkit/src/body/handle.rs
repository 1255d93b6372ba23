//! What a test sees of a body that it gave away.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

/// The test's view of one [`ScriptedBody`](super::ScriptedBody); it stays when the body is gone.
#[derive(Clone, Debug, Default)]
pub struct BodyHandle {
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    frames: AtomicUsize,
    polled_after_end: AtomicUsize,
    dropped: AtomicBool,
}

// === impl BodyHandle ===

impl BodyHandle {
    /// How many frames, of data and of trailers, were taken out.
    pub fn frames(&self) -> usize {
        self.seen.frames.load(SeqCst)
    }

    /// How often the body was polled after it had ended: by `None`, by an error, or by a panic.
    ///
    /// A poll after a frame at which `is_end_stream` turned true is lawful and not counted.
    pub fn polled_after_end(&self) -> usize {
        self.seen.polled_after_end.load(SeqCst)
    }

    /// Whether the body was dropped.
    pub fn is_dropped(&self) -> bool {
        self.seen.dropped.load(SeqCst)
    }

    pub(super) fn count_frame(&self) {
        self.seen.frames.fetch_add(1, SeqCst);
    }

    pub(super) fn count_poll_after_end(&self) {
        self.seen.polled_after_end.fetch_add(1, SeqCst);
    }

    pub(super) fn record_drop(&self) {
        self.seen.dropped.store(true, SeqCst);
    }
}
