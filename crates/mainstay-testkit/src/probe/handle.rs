//! What a test sees of a [`Probe`](super::Probe) and all its clones.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use super::gate::Gate;

/// The test's view of one [`Probe`](super::Probe) and all its clones: counts, live gauges and two gates.
///
/// Clones are cheap and show the same numbers.
#[derive(Clone, Default)]
pub struct ProbeHandle {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    instances: AtomicUsize,
    ready_polls: AtomicUsize,
    calls: AtomicUsize,
    completed: AtomicUsize,
    dropped_unfinished: AtomicUsize,
    in_flight: AtomicUsize,
    reserved: AtomicUsize,
    violations: Mutex<Vec<String>>,
    readiness: Gate,
    answers: Gate,
}

/// Held by an instance that is ready; gives the readiness back when dropped.
pub(super) struct Reservation {
    handle: ProbeHandle,
}

/// Held by a response future; knows at its drop whether the call came to its end.
pub(super) struct InFlight {
    handle: ProbeHandle,
    completed: bool,
}

// === impl ProbeHandle ===

impl ProbeHandle {
    /// How many times `call` was entered lawfully.
    pub fn calls(&self) -> usize {
        self.shared.calls.load(SeqCst)
    }

    /// How many times `poll_ready` was called, over all instances.
    pub fn ready_polls(&self) -> usize {
        self.shared.ready_polls.load(SeqCst)
    }

    /// How many calls run now: entered by `call`, left when the response future completes or is dropped.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(SeqCst)
    }

    /// How many response futures completed.
    pub fn completed(&self) -> usize {
        self.shared.completed.load(SeqCst)
    }

    /// How many response futures were dropped before they completed.
    pub fn dropped_unfinished(&self) -> usize {
        self.shared.dropped_unfinished.load(SeqCst)
    }

    /// How many instances now hold a readiness that they have not spent on a call.
    pub fn reserved(&self) -> usize {
        self.shared.reserved.load(SeqCst)
    }

    /// What the layer did against the rules of `Service`, in words.
    ///
    /// The probe panics at the same moment, but a layer may catch that panic, and so may a spawned task.
    pub fn violations(&self) -> Vec<String> {
        self.shared.violations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on no instance becomes ready, until [`release_readiness`](Self::release_readiness).
    pub fn hold_readiness(&self) {
        self.shared.readiness.shut();
    }

    /// Lets instances become ready again, and wakes those that wait for it.
    pub fn release_readiness(&self) {
        self.shared.readiness.open();
    }

    /// From now on no call is answered, until [`release_answers`](Self::release_answers).
    pub fn hold_answers(&self) {
        self.shared.answers.shut();
    }

    /// Lets calls be answered again, and wakes those that wait for it.
    pub fn release_answers(&self) {
        self.shared.answers.open();
    }

    /// Panics unless nothing is in flight, nothing is reserved, and no rule was broken.
    #[track_caller]
    pub fn assert_idle(&self) {
        assert_eq!(self.in_flight(), 0, "calls are still in flight in the probe");
        assert_eq!(self.reserved(), 0, "readiness of the probe is still reserved");
        assert_eq!(self.violations(), Vec::<String>::new(), "the rules of `Service` were broken");
    }

    pub(super) fn next_instance(&self) -> usize {
        self.shared.instances.fetch_add(1, SeqCst)
    }

    pub(super) fn count_ready_poll(&self) {
        self.shared.ready_polls.fetch_add(1, SeqCst);
    }

    pub(super) fn record_violation(&self, violation: &str) {
        self.shared.violations.lock().unwrap_or_else(PoisonError::into_inner).push(violation.to_owned());
    }

    pub(super) fn readiness(&self) -> &Gate {
        &self.shared.readiness
    }

    pub(super) fn reserve(&self) -> Reservation {
        self.shared.reserved.fetch_add(1, SeqCst);
        Reservation { handle: self.clone() }
    }
}

impl fmt::Debug for ProbeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeHandle")
            .field("calls", &self.calls())
            .field("ready_polls", &self.ready_polls())
            .field("in_flight", &self.in_flight())
            .field("completed", &self.completed())
            .field("dropped_unfinished", &self.dropped_unfinished())
            .field("reserved", &self.reserved())
            .field("violations", &self.violations())
            .finish()
    }
}

// === impl Reservation ===

impl Reservation {
    /// Turns the readiness into a call. The call is counted first, so that no moment shows neither.
    pub(super) fn spend(self) -> InFlight {
        self.handle.shared.calls.fetch_add(1, SeqCst);
        self.handle.shared.in_flight.fetch_add(1, SeqCst);
        InFlight { handle: self.handle.clone(), completed: false }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.handle.shared.reserved.fetch_sub(1, SeqCst);
    }
}

// === impl InFlight ===

impl InFlight {
    /// Waits before the gate of the answers.
    pub(super) fn poll_open(&self, context: &Context<'_>) -> Poll<()> {
        self.handle.shared.answers.poll_open(context)
    }

    pub(super) fn complete(mut self) {
        self.completed = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let shared = &self.handle.shared;
        let outcome = if self.completed { &shared.completed } else { &shared.dropped_unfinished };
        outcome.fetch_add(1, SeqCst);
        shared.in_flight.fetch_sub(1, SeqCst);
    }
}
