//! Many threads at once, and what must be true when they are through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::{FAILED, SUCCEEDED, Staged};
use crate::breaker::circuit::{Admission, Circuit};
use crate::breaker::{BreakerConfig, BreakerEvent, SlidingWindow, State};
use crate::events::Listener;

/// So many calls by four threads, of which a third fails and a tenth is dropped: the window is then that of its slots, every
/// transition was told of once, and nothing is lost.
fn storm(calls: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let config = BreakerConfig {
        sliding_window: SlidingWindow::Calls(64),
        minimum_number_of_calls: 64,
        permitted_number_of_calls_in_half_open_state: 3,
        // Often enough open, often enough not.
        failure_rate_threshold: 45.0,
        wait_duration_in_open_state: std::time::Duration::from_millis(1),
        wait_jitter: 0.0,
        ..BreakerConfig::default()
    };
    let transitions = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&transitions);
    let listener = Listener::none().and(move |event: &BreakerEvent| {
        if matches!(event, BreakerEvent::StateTransition { to: State::Open, .. }) {
            told.fetch_add(1, Ordering::SeqCst);
        }
    });
    let _entered = runtime.enter();
    let circuit = Circuit::new(Arc::new(config), listener);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let circuit = &circuit;
            let handle = runtime.handle().clone();
            scope.spawn(move || {
                let _entered = handle.enter();
                let (mut random, world) = (SmallRng::seed_from_u64(seed), Staged::new());
                let mut open: Vec<Admission> = Vec::new();
                for _ in 0..calls / 4 {
                    world.wait(u64::from(random.random::<u8>() < 8));
                    open.extend(circuit.admit(&world).ok());
                    if open.len() > 4 || random.random() {
                        let Some(admission) = open.pop() else { continue };
                        match random.random::<u8>() {
                            0..25 => circuit.ignore(admission),
                            25..110 => circuit.record(admission, FAILED, &world),
                            110.. => circuit.record(admission, SUCCEEDED, &world),
                        }
                    }
                }
                open.into_iter().for_each(|admission| circuit.ignore(admission));
            });
        }
    });
    let world = Staged::new();
    let metrics = circuit.metrics(&world);
    if let Some(slots) = circuit.tally_of_slots() {
        assert_eq!((metrics.calls, metrics.failed, metrics.slow), (slots.calls, slots.failed, slots.slow));
    }
    if let Some(places) = circuit.places() {
        assert_eq!(
            u64::from(places) + metrics.calls,
            3,
            "every place is free or was used by a call that counts"
        );
    }
    assert_eq!(metrics.opened, transitions.load(Ordering::SeqCst));
    assert!(metrics.opened > 0, "it never opened: the storm proves nothing");
}

#[test]
fn after_a_storm_of_threads_windows_are_whole_and_no_place_is_lost() {
    storm(200_000);
}

/// Four seconds of a debug build.
#[test]
fn after_ten_million_calls_windows_are_whole_and_no_place_is_lost() {
    storm(10_000_000);
}
