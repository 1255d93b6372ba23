//! What an algorithm is told of each call, and the one that was chosen.

use std::time::Duration;

use super::aimd::Aimd;
use super::config::Algorithm;
use super::gradient2::Gradient2;
use super::vegas::Vegas;

/// What one call says about how much the service can take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// How long the service took to answer. Of a drop: how long nobody answered.
    pub(super) rtt: Duration,
    /// How many calls were in flight when this one began, itself included.
    pub(super) in_flight: u32,
    pub(super) end: End,
}

/// How a call that says something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With an answer, so that its time counts.
    Answered,
    /// It was dropped on the way: refused for too much work, or not answered in time.
    Dropped,
}

/// The algorithm with what it has learned.
#[derive(Debug)]
pub(super) enum Running {
    Aimd(Aimd),
    Vegas(Vegas),
    Gradient2(Gradient2),
}

impl Running {
    /// `random` is from 0 up to but not 1.
    pub(super) fn new(algorithm: &Algorithm, random: f64) -> Self {
        match algorithm {
            Algorithm::Aimd(config) => Self::Aimd(Aimd::new(config)),
            Algorithm::Vegas(config) => Self::Vegas(Vegas::new(config, random)),
            Algorithm::Gradient2(config) => Self::Gradient2(Gradient2::new(config)),
        }
    }

    pub(super) fn limit(&self) -> u32 {
        match self {
            Self::Aimd(aimd) => aimd.limit(),
            Self::Vegas(vegas) => vegas.limit(),
            Self::Gradient2(gradient2) => gradient2.limit(),
        }
    }

    /// Learns from a call, and returns the limit from now on.
    pub(super) fn update(&mut self, sample: Sample, random: impl FnOnce() -> f64) -> u32 {
        match self {
            Self::Aimd(aimd) => aimd.update(sample),
            Self::Vegas(vegas) => vegas.update(sample, random),
            Self::Gradient2(gradient2) => gradient2.update(sample),
        }
    }
}

/// The whole calls of a limit, which is 1 to some millions.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a limit is small and positive")]
pub(super) fn whole(limit: f64) -> u32 {
    limit as u32
}
