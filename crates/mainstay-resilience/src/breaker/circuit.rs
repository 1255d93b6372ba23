//! One circuit: which calls it lets through, and what their results make of it.
//!
//! Everything that belongs to one state is one value, an [`Epoch`], and a transition replaces it as a whole, by compare-and-swap: of all
//! who see a reason at once, one makes the transition and tells of it. A call remembers the number of the epoch that let it through;
//! when its result comes in another epoch it is counted as stale and changes nothing. Nothing here takes a lock.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::config::{BreakerConfig, OnRetryAfter, RecoveryConfig, WhenStuck};
use super::event::{BreakerEvent, BreakerMetrics, IllegalTransition, State};
use super::probation::Probation;
use super::recovery::Recovery;
use super::window::{Seen, Tally, Window};
use crate::events::Listener;
use crate::sync::{AtomicBool, AtomicU64, Ordering};

#[derive(Debug)]
pub(super) struct Circuit {
    config: Arc<BreakerConfig>,
    listener: Listener<BreakerEvent>,
    epoch: ArcSwap<Epoch>,
    not_permitted: AtomicU64,
    stale_results: AtomicU64,
    opened: AtomicU64,
}

#[derive(Debug)]
struct Epoch {
    number: u64,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Closed(Window),
    Open {
        until: Instant,
        opens: u32,
    },
    HalfOpen(Probation),
    /// Half-open too: the test is passed, and more and more calls pass with it.
    Recovering(Recovery, RecoveryConfig),
    Disabled,
    ForcedOpen,
    MetricsOnly {
        window: Window,
        told_of_failures: AtomicBool,
        told_of_slowness: AtomicBool,
    },
}

/// The epoch that let a call through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admission(u64);

/// The circuit lets no call through: for how long, if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotPermitted {
    pub(super) retry_after: Option<Duration>,
}

/// What the end of a call says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) failed: bool,
    pub(super) slow: bool,
    /// How long the service wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// What a circuit that changes its state asks for: the time, and a number of 0 to 1.
pub(super) trait World {
    fn now(&self) -> Instant;
    fn random(&self) -> f64;
}

// === impl Circuit ===

impl Circuit {
    pub(super) fn new(config: Arc<BreakerConfig>, listener: Listener<BreakerEvent>) -> Self {
        let phase = Phase::Closed(Window::new(config.sliding_window));
        Self {
            config,
            listener,
            epoch: ArcSwap::from_pointee(Epoch { number: 0, phase }),
            not_permitted: AtomicU64::new(0),
            stale_results: AtomicU64::new(0),
            opened: AtomicU64::new(0),
        }
    }

    /// Whether a call would certainly be refused right now; asked before the inner service is.
    pub(super) fn is_shut(&self, world: &impl World) -> bool {
        match &self.epoch.load().phase {
            Phase::ForcedOpen => true,
            Phase::Open { until, .. } => world.now() <= *until,
            Phase::Closed(_)
            | Phase::HalfOpen(_)
            | Phase::Recovering(..)
            | Phase::Disabled
            | Phase::MetricsOnly { .. } => false,
        }
    }

    /// Lets a call through, or not. Reads the clock only where the circuit is not closed.
    pub(super) fn admit(&self, world: &impl World) -> Result<Admission, NotPermitted> {
        loop {
            let epoch = self.epoch.load();
            let refused = match &epoch.phase {
                Phase::Closed(_) | Phase::Disabled | Phase::MetricsOnly { .. } => {
                    return Ok(Admission(epoch.number));
                }
                Phase::ForcedOpen => NotPermitted { retry_after: None },
                Phase::Open { until, opens } => {
                    let now = world.now();
                    if now > *until {
                        // Whoever does it: this very call then competes for a place.
                        self.replace(&epoch, self.half_open(*opens, now));
                        continue;
                    }
                    NotPermitted { retry_after: Some(*until - now) }
                }
                Phase::HalfOpen(probation) => {
                    if probation.take_place() {
                        return Ok(Admission(epoch.number));
                    }
                    let now = world.now();
                    let left = probation.left(self.config.half_open_for(), now);
                    if left.is_zero() {
                        self.give_up_on(&epoch, probation, world);
                        continue;
                    }
                    NotPermitted { retry_after: Some(left) }
                }
                Phase::Recovering(recovery, config) => {
                    if recovery.admits(config, || world.random()) {
                        return Ok(Admission(epoch.number));
                    }
                    NotPermitted { retry_after: Some(recovery.left(config, world.now())) }
                }
            };
            self.not_permitted.fetch_add(1, Ordering::Relaxed);
            if !matches!(epoch.phase, Phase::ForcedOpen) {
                self.listener.tell(|| BreakerEvent::NotPermitted);
            }
            return Err(refused);
        }
    }

    /// A call that was let through has ended, and this is what its end says about the service.
    pub(super) fn record(&self, admission: Admission, said: Said, world: &impl World) {
        let epoch = self.epoch.load();
        if epoch.number != admission.0 {
            self.stale_results.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let seen = Seen { failed: said.failed, slow: said.slow };
        if !matches!(epoch.phase, Phase::Disabled) {
            self.listener.tell(|| if said.failed { BreakerEvent::Error } else { BreakerEvent::Success });
        }
        match &epoch.phase {
            Phase::Closed(window) => {
                let tally = window.record(seen, || world.now());
                let asked_to_open =
                    self.config.on_retry_after == OnRetryAfter::Open && said.retry_after.is_some();
                let exceeded = tally.and_then(|tally| self.exceeded(tally, self.config.minimum_calls()));
                if exceeded.is_some() || asked_to_open {
                    self.open(&epoch, 1, said.retry_after, exceeded, world);
                }
            }
            Phase::HalfOpen(probation) => {
                let tally = probation.record(seen);
                let minimum = self.config.minimum_probes();
                if tally.rates(minimum).is_none() {
                    return;
                }
                match self.exceeded(tally, minimum) {
                    Some(_) => {
                        self.open(&epoch, probation.opens.saturating_add(1), said.retry_after, None, world);
                    }
                    None => {
                        self.replace(&epoch, self.recovering(probation.opens, world));
                    }
                }
            }
            Phase::Recovering(recovery, config) => {
                let tally = recovery.record(seen);
                if self.exceeded(tally, self.config.minimum_probes()).is_some() {
                    self.open(&epoch, recovery.opens.saturating_add(1), said.retry_after, None, world);
                    return;
                }
                let now = world.now();
                if recovery.left(config, now).is_zero() {
                    let next = recovery.next(config, now);
                    let phase =
                        next.map_or_else(|| self.closed(), |step| Phase::Recovering(step, config.clone()));
                    self.replace(&epoch, phase);
                }
            }
            Phase::MetricsOnly { window, told_of_failures, told_of_slowness } => {
                let tally = window.record(seen, || world.now());
                let exceeded = tally.and_then(|tally| self.exceeded(tally, self.config.minimum_calls()));
                for event in exceeded.into_iter().flatten().flatten() {
                    let told = match event {
                        BreakerEvent::FailureRateExceeded(_) => told_of_failures,
                        _ => told_of_slowness,
                    };
                    if !told.swap(true, Ordering::Relaxed) {
                        self.listener.tell(|| event);
                    }
                }
            }
            // Nothing of theirs is counted.
            Phase::Disabled | Phase::ForcedOpen | Phase::Open { .. } => {}
        }
    }

    /// A call that was let through has ended, and says nothing about the service.
    pub(super) fn ignore(&self, admission: Admission) {
        let epoch = self.epoch.load();
        if epoch.number != admission.0 {
            self.stale_results.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match &epoch.phase {
            Phase::HalfOpen(probation) => probation.give_place_back(),
            Phase::Recovering(recovery, _) => recovery.give_turn_back(),
            _ => {}
        }
        if !matches!(epoch.phase, Phase::Disabled) {
            self.listener.tell(|| BreakerEvent::IgnoredError);
        }
    }

    pub(super) fn state(&self) -> State {
        self.epoch.load().phase.state()
    }

    pub(super) fn metrics(&self, world: &impl World) -> BreakerMetrics {
        let epoch = self.epoch.load();
        let (tally, minimum) = match &epoch.phase {
            Phase::Closed(window) | Phase::MetricsOnly { window, .. } => {
                (window.tally(|| world.now()), self.config.minimum_calls())
            }
            Phase::HalfOpen(probation) => (probation.tally(), self.config.minimum_probes()),
            Phase::Recovering(recovery, _) => (recovery.tally(), self.config.minimum_probes()),
            Phase::Open { .. } | Phase::Disabled | Phase::ForcedOpen => (Tally::default(), u32::MAX),
        };
        let rates = tally.rates(minimum);
        BreakerMetrics {
            state: epoch.phase.state(),
            calls: tally.calls,
            failed: tally.failed,
            slow: tally.slow,
            failure_rate: rates.map(|(failed, _)| failed),
            slow_call_rate: rates.map(|(_, slow)| slow),
            not_permitted: self.not_permitted.load(Ordering::Relaxed),
            stale_results: self.stale_results.load(Ordering::Relaxed),
            opened: self.opened.load(Ordering::Relaxed),
        }
    }

    /// Sends the circuit to a state by hand, with nothing counted there yet.
    pub(super) fn send_to(&self, to: State, world: &impl World) -> Result<(), IllegalTransition> {
        loop {
            let epoch = self.epoch.load();
            let from = epoch.phase.state();
            if !from.may_become(to) {
                return Err(IllegalTransition { from, to });
            }
            let phase = match to {
                State::Closed => self.closed(),
                State::Open => self.opened_until(1, None, world),
                State::HalfOpen => self.half_open(1, world.now()),
                State::Disabled => Phase::Disabled,
                State::ForcedOpen => Phase::ForcedOpen,
                State::MetricsOnly => Phase::MetricsOnly {
                    window: Window::new(self.config.sliding_window),
                    told_of_failures: AtomicBool::new(false),
                    told_of_slowness: AtomicBool::new(false),
                },
            };
            if self.replace(&epoch, phase) {
                return Ok(());
            }
        }
    }

    /// Closes the circuit and forgets what it has seen.
    pub(super) fn reset(&self) {
        loop {
            let epoch = self.epoch.load();
            if self.replace(&epoch, self.closed()) {
                self.listener.tell(|| BreakerEvent::Reset);
                return;
            }
        }
    }

    /// Why a circuit with this tally opens: one event for each rate that is too high, `None` when neither is.
    fn exceeded(&self, tally: Tally, minimum: u32) -> Option<[Option<BreakerEvent>; 2]> {
        let (failed, slow) = tally.rates(minimum)?;
        let of = |is_exceeded: bool, event: BreakerEvent| is_exceeded.then_some(event);
        let events = [
            of(failed >= self.config.failure_rate_threshold, BreakerEvent::FailureRateExceeded(failed)),
            of(slow >= self.config.slow_call_rate_threshold, BreakerEvent::SlowCallRateExceeded(slow)),
        ];
        events.iter().any(Option::is_some).then_some(events)
    }

    /// Of all who see the reason at once, one opens the circuit.
    fn open(
        &self,
        epoch: &Arc<Epoch>,
        opens: u32,
        asked: Option<Duration>,
        because: Option<[Option<BreakerEvent>; 2]>,
        world: &impl World,
    ) {
        let (won, to) = self.swap(epoch, self.opened_until(opens, asked, world));
        if won {
            because.into_iter().flatten().flatten().for_each(|event| self.listener.tell(|| event));
            self.transitioned(epoch.phase.state(), to);
        }
    }

    /// The calls that the half-open circuit let through do not end.
    fn give_up_on(&self, epoch: &Arc<Epoch>, probation: &Probation, world: &impl World) {
        let opens = probation.opens;
        let phase = match self.config.when_half_open_is_stuck {
            WhenStuck::Probe => self.half_open(opens, world.now()),
            WhenStuck::Open => self.opened_until(opens.saturating_add(1), None, world),
            WhenStuck::Close => self.closed(),
        };
        self.replace(epoch, phase);
    }

    fn closed(&self) -> Phase {
        Phase::Closed(Window::new(self.config.sliding_window))
    }

    /// What follows when the half-open circuit's test is passed.
    fn recovering(&self, opens: u32, world: &impl World) -> Phase {
        match &self.config.recovery {
            Some(config) => Phase::Recovering(Recovery::first(opens, world.now()), config.clone()),
            None => self.closed(),
        }
    }

    fn half_open(&self, opens: u32, now: Instant) -> Phase {
        let places = self.config.permitted_number_of_calls_in_half_open_state;
        Phase::HalfOpen(Probation::new(opens, places, now))
    }

    fn opened_until(&self, opens: u32, asked: Option<Duration>, world: &impl World) -> Phase {
        let until = world.now() + self.config.open_for(opens, asked, world.random());
        Phase::Open { until, opens }
    }

    /// Replaces the epoch, unless somebody else has, and tells of the transition.
    fn replace(&self, epoch: &Arc<Epoch>, phase: Phase) -> bool {
        let (won, to) = self.swap(epoch, phase);
        if won {
            self.transitioned(epoch.phase.state(), to);
        }
        won
    }

    fn swap(&self, epoch: &Arc<Epoch>, phase: Phase) -> (bool, State) {
        let to = phase.state();
        let next = Arc::new(Epoch { number: epoch.number + 1, phase });
        let before = self.epoch.compare_and_swap(epoch, next);
        let won = Arc::ptr_eq(&before, epoch);
        if won && to == State::Open {
            self.opened.fetch_add(1, Ordering::Relaxed);
        }
        (won, to)
    }

    /// A state that follows itself is no transition that anybody is told of.
    fn transitioned(&self, from: State, to: State) {
        if from != to {
            self.listener.tell(|| BreakerEvent::StateTransition { from, to });
        }
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> Option<u32> {
        match &self.epoch.load().phase {
            Phase::HalfOpen(probation) => Some(probation.places()),
            _ => None,
        }
    }

    /// What the slots of a closed circuit's count window hold, for tests.
    #[cfg(test)]
    pub(super) fn tally_of_slots(&self) -> Option<Tally> {
        match &self.epoch.load().phase {
            Phase::Closed(Window::Calls(window)) => Some(window.tally_of_slots()),
            _ => None,
        }
    }
}

// === impl Phase ===

impl Phase {
    const fn state(&self) -> State {
        match self {
            Self::Closed(_) => State::Closed,
            Self::Open { .. } => State::Open,
            Self::HalfOpen(_) | Self::Recovering(..) => State::HalfOpen,
            Self::Disabled => State::Disabled,
            Self::ForcedOpen => State::ForcedOpen,
            Self::MetricsOnly { .. } => State::MetricsOnly,
        }
    }
}
