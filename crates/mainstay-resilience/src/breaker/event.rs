//! The states of a circuit, what it tells, and what can be seen of it.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

/// The states of a circuit, with Resilience4j's names and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls pass and are counted.
    Closed,
    /// Nothing passes until its time is over.
    Open,
    /// A few calls pass, and decide.
    HalfOpen,
    /// Calls pass, and nothing is counted.
    Disabled,
    /// Nothing passes until told otherwise.
    ForcedOpen,
    /// Calls pass and are counted, and the circuit never opens.
    MetricsOnly,
}

/// What a circuit did. The first four are told of each call, and only where somebody listens.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum BreakerEvent {
    /// A call succeeded.
    Success,
    /// A call failed.
    Error,
    /// A call said nothing about the service, or nothing that counts.
    IgnoredError,
    /// A call was refused.
    NotPermitted,
    /// The circuit changed its state.
    StateTransition {
        /// The one before.
        from: State,
        /// The one now.
        to: State,
    },
    /// The circuit was reset by hand.
    Reset,
    /// So many percent of the calls failed: the circuit opens, or would if it were not told only to measure.
    FailureRateExceeded(f64),
    /// So many percent of the calls were slow: the same.
    SlowCallRateExceeded(f64),
}

/// What a circuit is and has seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerMetrics {
    /// The state.
    pub state: State,
    /// Calls in the window: of a half-open circuit those that it let through and that have ended.
    pub calls: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Those of them that were slow.
    pub slow: u64,
    /// The part that failed, in percent; `None` while there are too few calls.
    pub failure_rate: Option<f64>,
    /// The part that was slow, in percent; `None` while there are too few calls.
    pub slow_call_rate: Option<f64>,
    /// Calls that were refused, ever.
    pub not_permitted: u64,
    /// Results of calls that a state before the present one had let through; they change nothing.
    pub stale_results: u64,
    /// How often the circuit opened, ever.
    pub opened: u64,
}

/// The circuit does not go from its state to that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IllegalTransition {
    /// The state it is in.
    pub from: State,
    /// The one that was asked for.
    pub to: State,
}

// === impl State ===

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Closed, Self::Open, Self::HalfOpen, Self::Disabled, Self::ForcedOpen, Self::MetricsOnly];

    /// The state's stable name, for log fields and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Disabled => "disabled",
            Self::ForcedOpen => "forced_open",
            Self::MetricsOnly => "metrics_only",
        }
    }

    /// Whether a circuit may be sent by hand from this state to that one: Resilience4j's table.
    pub const fn may_become(self, to: Self) -> bool {
        match (self, to) {
            (Self::Closed, Self::HalfOpen) => false,
            (Self::MetricsOnly, to) => {
                matches!(to, Self::MetricsOnly | Self::Closed | Self::ForcedOpen | Self::Disabled)
            }
            _ => true,
        }
    }
}

impl Display for State {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl IllegalTransition ===

impl Display for IllegalTransition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "a circuit that is {} cannot become {}", self.from, self.to)
    }
}

impl Error for IllegalTransition {}
