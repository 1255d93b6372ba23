//! What can be seen of a circuit and done to it from outside.

use std::sync::Arc;

use super::Outside;
use super::circuit::Circuit;
use super::event::{BreakerMetrics, IllegalTransition, State};

/// A live view of one circuit, and control over it. Clones are of the same circuit.
#[derive(Clone, Debug)]
pub struct BreakerHandle {
    circuit: Arc<Circuit>,
}

impl BreakerHandle {
    pub(super) const fn new(circuit: Arc<Circuit>) -> Self {
        Self { circuit }
    }

    /// The state. An open circuit whose time is over is open until the next call.
    pub fn state(&self) -> State {
        self.circuit.state()
    }

    /// What the circuit is and has seen.
    pub fn metrics(&self) -> BreakerMetrics {
        self.circuit.metrics(&Outside)
    }

    /// Refuses every call until told otherwise.
    pub fn force_open(&self) {
        self.send_to(State::ForcedOpen).expect("every circuit can be forced open");
    }

    /// Lets every call through and counts nothing, until told otherwise.
    pub fn disable(&self) {
        self.send_to(State::Disabled).expect("every circuit can be disabled");
    }

    /// Lets every call through and counts, until told otherwise.
    pub fn metrics_only(&self) {
        self.send_to(State::MetricsOnly).expect("every circuit can be told to measure only");
    }

    /// Closes the circuit, with nothing counted yet: also the way back from the three above.
    pub fn close(&self) {
        self.send_to(State::Closed).expect("every circuit can be closed");
    }

    /// Closes the circuit, forgets what it has seen, and tells of it as a reset.
    pub fn reset(&self) {
        self.circuit.reset();
    }

    /// Sends the circuit to any state that Resilience4j lets it go to.
    ///
    /// # Errors
    ///
    /// From closed to half-open, and from measuring to open or half-open, there is no way.
    pub fn send_to(&self, state: State) -> Result<(), IllegalTransition> {
        self.circuit.send_to(state, &Outside)
    }
}
