//! A call in flight, and what its end says.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mainstay_core::call::{Done, Verdict};
use mainstay_core::{Deadline, ambient};
use tokio::time::Instant;

use super::algorithm::{End, Running, Sample};
use super::config::Failures;
use super::{AdaptiveLimitConfig, AdaptiveLimitEvent};
use crate::bulkhead::places::{HasPlaces, Permit, Places};
use crate::events::Listener;

/// What all calls of a layer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) places: Places,
    // Held for the few operations of one update, at the end of a call.
    algorithm: Mutex<Running>,
    failures: Failures,
    timeout: Option<Duration>,
}

/// The place of a running call; when the call is over, or this is dropped, the algorithm learns from it and the place is
/// given back.
#[derive(Debug)]
pub struct AdaptivePermit {
    place: Permit<Shared>,
    listener: Listener<AdaptiveLimitEvent>,
    in_flight: u32,
    began: Instant,
    deadline: Option<Deadline>,
    answered: Option<Answered>,
    verdict: Option<Verdict>,
}

#[derive(Clone, Copy, Debug)]
struct Answered {
    rtt: Duration,
    timed_out: bool,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(config: &AdaptiveLimitConfig) -> Self {
        let algorithm = Running::new(&config.algorithm, rand::random());
        Self {
            places: Places::new(algorithm.limit(), config.max_waiting),
            algorithm: Mutex::new(algorithm),
            failures: config.failures,
            timeout: config.timeout,
        }
    }

    /// The limit before and after.
    fn learn(&self, sample: Sample) -> (u32, u32) {
        let (from, to) = {
            let mut algorithm = self.algorithm.lock().unwrap_or_else(PoisonError::into_inner);
            let from = algorithm.limit();
            let to = algorithm.update(sample, rand::random);
            if from != to {
                // Under the lock, so that the last to learn is also the last to say.
                self.places.set_limit(to);
            }
            (from, to)
        };
        if from < to {
            self.places.serve();
        }
        (from, to)
    }
}

impl HasPlaces for Shared {
    fn places(&self) -> &Places {
        &self.places
    }
}

// === impl AdaptivePermit ===

impl AdaptivePermit {
    pub(super) fn begin(place: Permit<Shared>, listener: Listener<AdaptiveLimitEvent>) -> Self {
        Self {
            in_flight: place.0.places.count().in_flight,
            place,
            listener,
            began: Instant::now(),
            // Asked now: when the caller is gone, so is its context.
            deadline: ambient::deadline(),
            answered: None,
            verdict: None,
        }
    }

    /// The service has answered, or a time-out further in has for it.
    pub(super) fn answered(&mut self, timed_out: bool) {
        self.answered = Some(Answered { rtt: self.began.elapsed(), timed_out });
    }

    /// `None`: the call says nothing.
    fn end(&self) -> Option<End> {
        match self.verdict {
            _ if self.answered.is_some_and(|answered| answered.timed_out) => Some(End::Dropped),
            Some(Verdict::Success) => Some(End::Answered),
            Some(Verdict::Overloaded { .. }) => Some(End::Dropped),
            Some(Verdict::Ignored) => None,
            Some(Verdict::Failure) => match self.place.0.failures {
                Failures::Ignored => None,
                Failures::Measured => Some(End::Answered),
                Failures::Dropped => Some(End::Dropped),
            },
            None => self.was_given_up().then_some(End::Dropped),
        }
    }

    /// Whether the caller left because its time was over.
    fn was_given_up(&self) -> bool {
        let timeout = self.place.0.timeout;
        if timeout.is_none() && self.deadline.is_none() {
            return false;
        }
        let now = Instant::now();
        let is_late = timeout.is_some_and(|timeout| now.duration_since(self.began) >= timeout);
        is_late || self.deadline.is_some_and(|deadline| deadline.is_past(now.into_std()))
    }
}

impl Done for AdaptivePermit {
    fn done(mut self, verdict: Verdict) {
        self.verdict = Some(verdict);
    }
}

impl Drop for AdaptivePermit {
    // The place goes after this, so that the limit is the new one when it is given back.
    fn drop(&mut self) {
        let Some(end) = self.end() else { return };
        let rtt = self.answered.map_or_else(|| self.began.elapsed(), |answered| answered.rtt);
        let (from, to) = self.place.0.learn(Sample { rtt, in_flight: self.in_flight, end });
        if from != to {
            self.listener.tell(|| AdaptiveLimitEvent::LimitChanged { from, to });
        }
    }
}
