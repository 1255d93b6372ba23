//! A circuit beside a naive one, which keeps every call in a list and counts anew each time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;

use super::{FAILED, SUCCEEDED, Staged};
use crate::breaker::circuit::{Admission, Circuit, Said};
use crate::breaker::{BreakerConfig, BreakerEvent, RecoveryConfig, SlidingWindow, State, WhenStuck};
use crate::events::Listener;

fn config() -> BreakerConfig {
    BreakerConfig {
        sliding_window: SlidingWindow::Calls(10),
        minimum_number_of_calls: 4,
        permitted_number_of_calls_in_half_open_state: 3,
        wait_duration_in_open_state: Duration::from_millis(1_000),
        wait_jitter: 0.0,
        ..BreakerConfig::default()
    }
}

fn circuit(config: &BreakerConfig) -> Circuit {
    Circuit::new(Arc::new(config.clone()), Listener::none())
}

/// The naive circuit: times are milliseconds.
struct Naive {
    config: BreakerConfig,
    state: State,
    epoch: u64,
    calls: Vec<(u64, Said)>,
    places: u32,
    since: u64,
    until: u64,
    opens: u32,
}

impl Naive {
    fn new(config: &BreakerConfig) -> Self {
        let config = config.clone();
        Self {
            config,
            state: State::Closed,
            epoch: 0,
            calls: Vec::new(),
            places: 0,
            since: 0,
            until: 0,
            opens: 0,
        }
    }

    fn become_(&mut self, state: State, now: u64) {
        self.state = state;
        self.epoch += 1;
        self.calls.clear();
        self.places = self.config.permitted_number_of_calls_in_half_open_state;
        self.since = now;
        if state == State::Open {
            self.until = now + u64::try_from(self.config.wait_duration_in_open_state.as_millis()).unwrap();
        }
    }

    fn admit(&mut self, now: u64) -> Option<u64> {
        if self.state == State::Open && now > self.until {
            self.become_(State::HalfOpen, now);
        }
        if self.state == State::HalfOpen && self.places == 0 && now >= self.since + 1_000 {
            self.become_(State::HalfOpen, now);
        }
        match self.state {
            State::Open | State::ForcedOpen => None,
            State::HalfOpen => {
                self.places = self.places.checked_sub(1)?;
                Some(self.epoch)
            }
            _ => Some(self.epoch),
        }
    }

    fn record(&mut self, admission: u64, said: Said, now: u64) {
        if admission != self.epoch || matches!(self.state, State::Disabled) {
            return;
        }
        self.calls.push((now, said));
        let (window, minimum) = match (self.state, self.config.sliding_window) {
            (State::HalfOpen, _) => (self.calls.clone(), 3.min(self.config.minimum_number_of_calls)),
            (_, SlidingWindow::Calls(size)) => {
                let size = size as usize;
                (
                    self.calls[self.calls.len().saturating_sub(size)..].to_vec(),
                    4.min(u32::try_from(size).unwrap()),
                )
            }
            (_, SlidingWindow::Time(length)) => {
                let step = u64::try_from(length.as_millis()).unwrap()
                    / u64::from(u32::try_from(length.as_secs()).unwrap().max(10));
                let slots = u64::from(u32::try_from(length.as_secs()).unwrap().max(10));
                let within = self.calls.iter().filter(|(at, _)| at / step + slots > now / step);
                (within.copied().collect(), self.config.minimum_number_of_calls)
            }
        };
        let count = |what: fn(&Said) -> bool| window.iter().filter(|(_, said)| what(said)).count() as f64;
        let total = window.len() as f64;
        if window.len() < minimum as usize || self.state == State::MetricsOnly {
            return;
        }
        let is_bad = count(|said| said.failed) * 100.0 / total >= self.config.failure_rate_threshold
            || count(|said| said.slow) * 100.0 / total >= self.config.slow_call_rate_threshold;
        match self.state {
            State::Closed if is_bad => {
                self.opens = 1;
                self.become_(State::Open, now);
            }
            State::HalfOpen if is_bad => {
                self.opens += 1;
                self.become_(State::Open, now);
            }
            State::HalfOpen => self.become_(State::Closed, now),
            _ => {}
        }
    }

    fn ignore(&mut self, admission: u64) {
        if admission == self.epoch && self.state == State::HalfOpen {
            self.places += 1;
        }
    }

    fn tally(&self) -> usize {
        self.calls.len()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Admit,
    /// Ends the call that was let through this many before the last.
    End(usize, bool, bool),
    Ignore(usize),
    Wait(u64),
    SendTo(State),
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => Just(Step::Admit),
        30 => (0_usize..4, any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(at, failed, slow)| Step::End(at, failed, slow)),
        5 => (0_usize..4).prop_map(Step::Ignore),
        15 => (0_u64..700).prop_map(Step::Wait),
        1 => prop::sample::select(&State::ALL[..]).prop_map(Step::SendTo),
        1 => Just(Step::Reset),
    ]
}

fn windows() -> impl Strategy<Value = SlidingWindow> {
    prop_oneof![
        (1_u32..20).prop_map(SlidingWindow::Calls),
        prop::sample::select(vec![1_u64, 3, 20])
            .prop_map(|secs| SlidingWindow::Time(Duration::from_secs(secs))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// P1, P2, P4, P5, P6 of a circuit's properties: windows, transitions, places and stale results are the naive one's.
    #[test]
    fn it_is_a_naive_circuit_whatever_happens_in_whatever_order(
        window in windows(), failures in 1.0..=100.0_f64, slowness in 1.0..=100.0_f64,
        steps in prop::collection::vec(step(), 0..150),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        let config = BreakerConfig {
            sliding_window: window,
            failure_rate_threshold: failures,
            slow_call_rate_threshold: slowness,
            ..config()
        };
        let events = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&events);
        let listener = Listener::none().and(move |event: &BreakerEvent| heard.lock().unwrap().push(*event));
        let circuit = Circuit::new(Arc::new(config.clone()), listener);
        let (mut naive, world) = (Naive::new(&config), Staged::new());
        let mut open: Vec<(Admission, u64)> = Vec::new();
        for step in steps {
            let now = world.millis.get();
            match step {
                Step::Wait(millis) => world.wait(millis),
                Step::Admit => {
                    let (real, expected) = (circuit.admit(&world), naive.admit(now));
                    prop_assert_eq!(real.is_ok(), expected.is_some());
                    open.extend(real.ok().zip(expected));
                }
                Step::End(at, failed, slow) if at < open.len() => {
                    let (admission, expected) = open.remove(open.len() - 1 - at);
                    let said = Said { failed, slow, retry_after: None };
                    circuit.record(admission, said, &world);
                    naive.record(expected, said, now);
                }
                Step::Ignore(at) if at < open.len() => {
                    let (admission, expected) = open.remove(open.len() - 1 - at);
                    circuit.ignore(admission);
                    naive.ignore(expected);
                }
                Step::SendTo(state) => {
                    let allowed = circuit.send_to(state, &world).is_ok();
                    prop_assert_eq!(allowed, naive.state.may_become(state));
                    if allowed {
                        naive.opens = 1;
                        naive.become_(state, now);
                    }
                }
                Step::Reset => {
                    circuit.reset();
                    naive.become_(State::Closed, now);
                }
                Step::End(..) | Step::Ignore(_) => {}
            }
            prop_assert_eq!(circuit.state(), naive.state);
            if naive.state == State::HalfOpen {
                prop_assert_eq!(circuit.places(), Some(naive.places));
                prop_assert_eq!(circuit.metrics(&world).calls, naive.tally() as u64);
            }
        }
        // P9: the transitions that were told of are one path.
        let mut at = State::Closed;
        for event in events.lock().unwrap().iter() {
            if let BreakerEvent::StateTransition { from, to } = event {
                prop_assert_eq!(*from, at);
                prop_assert_ne!(from, to);
                at = *to;
            }
        }
        prop_assert_eq!(at, circuit.state());
    }
}

#[tokio::test]
async fn the_failures_needed_to_open_do_not_depend_on_past_successes() {
    let config =
        BreakerConfig { sliding_window: SlidingWindow::Calls(100), minimum_number_of_calls: 100, ..config() };
    for (successes, expected) in [(0, 100), (50, 50), (100, 50), (10_000, 50), (1_000_000, 50)] {
        let (circuit, world) = (circuit(&config), Staged::new());
        let call = |said| circuit.record(circuit.admit(&world).unwrap(), said, &world);
        (0..successes).for_each(|_| call(SUCCEEDED));
        let mut failures = 0;
        while circuit.state() == State::Closed {
            call(FAILED);
            failures += 1;
        }
        assert_eq!(failures, expected, "after {successes} successes");
    }
}

#[tokio::test]
async fn a_time_window_forgets_what_is_older_than_it_and_a_minimum_is_honoured_as_soon_as_reached() {
    let config = BreakerConfig {
        sliding_window: SlidingWindow::Time(Duration::from_secs(10)),
        minimum_number_of_calls: 4,
        ..config()
    };
    let (circuit, world) = (circuit(&config), Staged::new());
    let call = |said| circuit.record(circuit.admit(&world).unwrap(), said, &world);
    (0..3).for_each(|_| call(FAILED));
    assert_eq!(circuit.state(), State::Closed, "three calls are too few");
    world.wait(10_000);
    (0..3).for_each(|_| call(FAILED));
    assert_eq!(circuit.metrics(&world).calls, 3, "the first three are forgotten");
    call(FAILED);
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test]
async fn a_result_of_another_state_changes_nothing_and_is_counted_as_stale() {
    let (circuit, world) = (circuit(&config()), Staged::new());
    let late = [(); 3].map(|()| circuit.admit(&world).unwrap());
    (0..4).for_each(|_| circuit.record(circuit.admit(&world).unwrap(), FAILED, &world));
    world.wait(1_001);
    let probe = circuit.admit(&world).unwrap();
    assert_eq!((circuit.state(), circuit.places()), (State::HalfOpen, Some(2)));
    circuit.record(late[0], SUCCEEDED, &world);
    circuit.record(late[1], FAILED, &world);
    circuit.ignore(late[2]);
    assert_eq!((circuit.state(), circuit.places()), (State::HalfOpen, Some(2)));
    let metrics = circuit.metrics(&world);
    assert_eq!((metrics.stale_results, metrics.calls, metrics.opened), (3, 0, 1));
    circuit.record(probe, SUCCEEDED, &world);
    assert_eq!(circuit.metrics(&world).calls, 1);
}

/// Open, then tested with three calls that go well.
fn recovering(world: &Staged) -> Circuit {
    let recovery = RecoveryConfig { steps: vec![10.0, 50.0], step_duration: Duration::from_secs(1) };
    let config = BreakerConfig { recovery: Some(recovery), ..config() };
    let circuit = circuit(&config);
    (0..4).for_each(|_| circuit.record(circuit.admit(world).unwrap(), FAILED, world));
    world.wait(1_001);
    (0..3).for_each(|_| circuit.record(circuit.admit(world).unwrap(), SUCCEEDED, world));
    assert_eq!((circuit.state(), circuit.places()), (State::HalfOpen, None));
    circuit
}

#[tokio::test]
async fn a_service_that_passed_its_test_is_given_its_calls_back_in_steps() {
    let world = Staged::new();
    let circuit = recovering(&world);
    world.random.set(0.9);
    let abandoned = circuit.admit(&world).expect("the first call of a step passes");
    assert!(circuit.admit(&world).is_err());
    circuit.ignore(abandoned);
    let first = circuit.admit(&world).expect("and if it says nothing, another one");
    let refused = circuit.admit(&world).unwrap_err();
    assert_eq!(refused.retry_after, Some(Duration::from_secs(1)));
    world.random.set(0.09);
    let tenth = circuit.admit(&world).expect("one in ten passes");

    circuit.record(first, SUCCEEDED, &world);
    assert_eq!(circuit.state(), State::HalfOpen, "its time is not over");
    world.wait(1_000);
    circuit.record(tenth, SUCCEEDED, &world);
    world.random.set(0.49);
    let second_step = [(); 2].map(|()| circuit.admit(&world).expect("half of the calls pass"));
    world.random.set(0.51);
    assert!(circuit.admit(&world).is_err());
    world.wait(1_000);
    second_step.into_iter().for_each(|admission| circuit.record(admission, SUCCEEDED, &world));
    assert_eq!(circuit.state(), State::Closed);
    assert_eq!(circuit.metrics(&world).stale_results, 1, "the last of them ended in the closed circuit");
}

#[tokio::test]
async fn a_service_that_fails_in_a_step_is_left_alone_again_at_once() {
    let world = Staged::new();
    let circuit = recovering(&world);
    let calls = [(); 3].map(|()| circuit.admit(&world).unwrap());
    circuit.record(calls[0], SUCCEEDED, &world);
    circuit.record(calls[1], FAILED, &world);
    assert_eq!(circuit.state(), State::HalfOpen, "two calls are too few to tell");
    circuit.record(calls[2], FAILED, &world);
    assert_eq!((circuit.state(), circuit.metrics(&world).opened), (State::Open, 2));
}

#[test]
fn steps_that_let_nothing_or_everything_pass_are_refused() {
    for steps in [vec![], vec![0.0], vec![100.0], vec![f64::NAN]] {
        let recovery = Some(RecoveryConfig { steps, ..RecoveryConfig::default() });
        let config = BreakerConfig { recovery, ..config() };
        assert!(garde::Validate::validate(&config).is_err(), "{config:?}");
    }
}

#[tokio::test]
async fn it_opens_for_longer_each_time_up_to_the_longest_and_with_jitter() {
    let config = BreakerConfig {
        wait_multiplier: 2.0,
        wait_jitter: 0.5,
        max_wait_duration_in_open_state: Duration::from_secs(3),
        ..config()
    };
    let (circuit, world) = (circuit(&config), Staged::new());
    let fail =
        |times| (0..times).for_each(|_| circuit.record(circuit.admit(&world).unwrap(), FAILED, &world));
    fail(4);
    for (random, expected) in [(0.0, 1_000), (0.0, 2_000), (0.0, 3_000), (1.0, 3_000)] {
        assert!(circuit.admit(&world).is_err());
        world.wait(expected);
        assert_eq!(
            circuit.admit(&world).unwrap_err().retry_after,
            Some(Duration::ZERO),
            "not at the very instant"
        );
        world.wait(1);
        world.random.set(random);
        fail(3);
        assert_eq!(circuit.state(), State::Open);
    }
    world.wait(4_500);
    assert!(circuit.admit(&world).is_err(), "half as long again");
    world.wait(1);
    assert!(circuit.admit(&world).is_ok());
}

#[tokio::test]
async fn calls_that_hang_do_not_keep_it_half_open() {
    for (when, expected) in [
        (WhenStuck::Probe, State::HalfOpen),
        (WhenStuck::Open, State::Open),
        (WhenStuck::Close, State::Closed),
    ] {
        let config = BreakerConfig { when_half_open_is_stuck: when, ..config() };
        let (circuit, world) = (circuit(&config), Staged::new());
        (0..4).for_each(|_| circuit.record(circuit.admit(&world).unwrap(), FAILED, &world));
        world.wait(1_001);
        let hanging = [(); 3].map(|()| circuit.admit(&world).unwrap());
        world.wait(999);
        assert_eq!(circuit.admit(&world).unwrap_err().retry_after, Some(Duration::from_millis(1)));
        world.wait(1);
        assert_eq!(circuit.admit(&world).is_ok(), expected != State::Open, "{when:?}");
        assert_eq!(circuit.state(), expected);
        circuit.record(hanging[0], FAILED, &world);
        assert_eq!(circuit.metrics(&world).stale_results, 1);
    }
}

#[tokio::test]
async fn who_only_measures_is_told_once_of_each_rate_and_never_opens() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let listener = Listener::none().and(move |event: &BreakerEvent| heard.lock().unwrap().push(*event));
    let (circuit, world) = (Circuit::new(Arc::new(config()), listener), Staged::new());
    circuit.send_to(State::MetricsOnly, &world).unwrap();
    let said = Said { failed: true, slow: true, retry_after: None };
    (0..50).for_each(|_| circuit.record(circuit.admit(&world).unwrap(), said, &world));
    assert_eq!(circuit.state(), State::MetricsOnly);
    let exceeded = |event: &&BreakerEvent| {
        matches!(event, BreakerEvent::FailureRateExceeded(_) | BreakerEvent::SlowCallRateExceeded(_))
    };
    assert_eq!(events.lock().unwrap().iter().filter(exceeded).count(), 2);
}

#[tokio::test]
async fn a_listener_may_ask_and_change_the_circuit_it_listens_to() {
    let asked: Arc<Mutex<Option<std::sync::Weak<Circuit>>>> = Arc::default();
    let inside = Arc::clone(&asked);
    let states = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&states);
    let listener = Listener::none().and(move |event: &BreakerEvent| {
        let circuit = inside.lock().unwrap().as_ref().and_then(std::sync::Weak::upgrade);
        if let (Some(circuit), BreakerEvent::StateTransition { to: State::Open, .. }) = (circuit, event) {
            seen.lock().unwrap().push(circuit.state());
            circuit.send_to(State::ForcedOpen, &Staged::new()).unwrap();
        }
    });
    let circuit = Arc::new(Circuit::new(Arc::new(config()), listener));
    *asked.lock().unwrap() = Some(Arc::downgrade(&circuit));
    let world = Staged::new();
    (0..4).for_each(|_| circuit.record(circuit.admit(&world).unwrap(), FAILED, &world));
    assert_eq!((circuit.state(), states.lock().unwrap().as_slice()), (State::ForcedOpen, &[State::Open][..]));
}

#[tokio::test]
async fn a_clock_that_steps_back_neither_panics_nor_keeps_it_open_longer() {
    let config = BreakerConfig { sliding_window: SlidingWindow::Time(Duration::from_secs(1)), ..config() };
    let (circuit, world) = (circuit(&config), Staged::new());
    world.wait(5_000);
    (0..4).for_each(|_| circuit.record(circuit.admit(&world).unwrap(), FAILED, &world));
    world.millis.set(0);
    assert!(circuit.admit(&world).is_err());
    world.millis.set(6_001);
    let probe = circuit.admit(&world).unwrap();
    world.millis.set(0);
    circuit.record(probe, SUCCEEDED, &world);
    (0..2).for_each(|_| circuit.record(circuit.admit(&world).unwrap(), SUCCEEDED, &world));
    assert_eq!(circuit.state(), State::Closed);
}
