//! How a call ended: the word that the log, the metrics and the circuit breaker share.

use std::fmt::{self, Display, Formatter};

use crate::Reason;

/// How one call ended, decided exactly once.
///
/// ```
/// use mainstay_core::{Outcome, Phase, Reason};
///
/// assert_eq!(Outcome::Abandoned(Phase::Stream).as_str(), "abandoned_in_stream");
/// assert_eq!(Outcome::of_rejection(Reason::DeadlineExceeded), Outcome::TimedOut(Phase::Answer));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The whole answer was delivered, whatever it says.
    Complete,
    /// The connection was handed over to another protocol, such as WebSocket; what happens on it is not this call's.
    Upgraded,
    /// The service, or the stream of its answer, failed with an error.
    Failed(Phase),
    /// A layer of ours refused the call.
    Rejected(Reason),
    /// The deadline passed.
    TimedOut(Phase),
    /// The service's code panicked.
    Panicked(Phase),
    /// The caller went away.
    Abandoned(Phase),
}

/// Where in a call something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// While the call itself was still coming in: for HTTP, the request's body.
    Request,
    /// Before there was an answer: for HTTP, before the response's headers.
    Answer,
    /// While the answer was on its way: for HTTP, in the response's body.
    Stream,
}

impl Outcome {
    /// The outcome of a call that was refused for this reason before there was an answer.
    pub const fn of_rejection(reason: Reason) -> Self {
        match reason {
            Reason::RequestTimeout => Self::TimedOut(Phase::Request),
            Reason::DeadlineExceeded => Self::TimedOut(Phase::Answer),
            _ => Self::Rejected(reason),
        }
    }

    /// The outcome's stable name, for log fields and metric labels. The reason of a rejection has its own field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Upgraded => "upgraded",
            Self::Failed(Phase::Request) => "failed_in_request",
            Self::Failed(Phase::Answer) => "failed",
            Self::Failed(Phase::Stream) => "failed_in_stream",
            Self::Rejected(_) => "rejected",
            Self::TimedOut(Phase::Request) => "timed_out_in_request",
            Self::TimedOut(Phase::Answer) => "timed_out",
            Self::TimedOut(Phase::Stream) => "timed_out_in_stream",
            Self::Panicked(Phase::Request) => "panicked_in_request",
            Self::Panicked(Phase::Answer) => "panicked",
            Self::Panicked(Phase::Stream) => "panicked_in_stream",
            Self::Abandoned(Phase::Request) => "abandoned_in_request",
            Self::Abandoned(Phase::Answer) => "abandoned",
            Self::Abandoned(Phase::Stream) => "abandoned_in_stream",
        }
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
