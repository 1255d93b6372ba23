//! A call that a circuit let through.

use std::sync::Arc;
use std::time::Duration;

use mainstay_core::call::{Done, Verdict};
use mainstay_core::{Deadline, ambient};
use tokio::time::Instant;

use super::circuit::{Admission, Circuit, Said};
use super::config::{AbandonedCalls, BreakerConfig};
use super::{Outside, World as _};

/// A call that a circuit let through and that has not ended. It ends with a verdict, or is abandoned by dropping this.
#[derive(Debug)]
pub struct Admitted {
    // None: it has ended.
    circuit: Option<Arc<Circuit>>,
    admission: Admission,
    slow_after: Option<(Instant, Duration)>,
    slow: bool,
    abandoned_calls: AbandonedCalls,
    deadline: Option<Deadline>,
}

impl Admitted {
    pub(super) fn new(circuit: Arc<Circuit>, admission: Admission, config: &BreakerConfig) -> Self {
        let deadline = match config.abandoned_calls {
            AbandonedCalls::AfterDeadline => ambient::deadline(),
            AbandonedCalls::Ignore | AbandonedCalls::Fail => None,
        };
        Self {
            circuit: Some(circuit),
            admission,
            slow_after: config.slow_call_duration_threshold.map(|threshold| (Instant::now(), threshold)),
            slow: false,
            abandoned_calls: config.abandoned_calls,
            deadline,
        }
    }

    /// The service has answered, or failed: the time that counts as the call's is over.
    pub(super) fn answered(&mut self) {
        if let Some((started, threshold)) = self.slow_after.take() {
            self.slow = started.elapsed() > threshold;
        }
    }

    fn record(&mut self, failed: bool, retry_after: Option<Duration>) {
        if let Some(circuit) = self.circuit.take() {
            circuit.record(self.admission, Said { failed, slow: self.slow, retry_after }, &Outside);
        }
    }

    fn ignore(&mut self) {
        if let Some(circuit) = self.circuit.take() {
            circuit.ignore(self.admission);
        }
    }
}

impl Done for Admitted {
    fn done(mut self, verdict: Verdict) {
        match verdict {
            Verdict::Success => self.record(false, None),
            Verdict::Failure => self.record(true, None),
            Verdict::Overloaded { retry_after } => self.record(true, retry_after),
            Verdict::Ignored => self.ignore(),
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if self.circuit.is_none() {
            return;
        }
        let failed = match self.abandoned_calls {
            AbandonedCalls::Ignore => false,
            AbandonedCalls::Fail => true,
            AbandonedCalls::AfterDeadline => {
                self.deadline.is_some_and(|deadline| deadline.is_past(Outside.now().into_std()))
            }
        };
        if failed {
            self.answered();
            self.record(true, None);
        } else {
            self.ignore();
        }
    }
}
