//! How far a deadline was moved, shared by everybody who holds the context: one atomic number, no lock.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::Deadline;

/// The furthest instant that was granted, as nanoseconds since the call came in; zero where nothing was.
///
/// It only grows, and nothing else is published by it, so relaxed ordering is enough.
#[derive(Debug, Default)]
pub(super) struct Extension(AtomicU64);

// === impl Extension ===

impl Extension {
    pub(super) fn raise(&self, received_at: Instant, to: Deadline) {
        let nanos = to.remaining(received_at).as_nanos();
        self.0.fetch_max(u64::try_from(nanos).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn granted(&self, received_at: Instant) -> Option<Deadline> {
        match self.0.load(Relaxed) {
            0 => None,
            nanos => Some(Deadline::after(received_at, Duration::from_nanos(nanos))),
        }
    }
}
