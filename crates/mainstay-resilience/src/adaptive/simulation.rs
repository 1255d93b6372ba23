//! A service in virtual time, and callers that always want more of it: where does each algorithm come to rest?

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use super::algorithm::{End, Running, Sample};
use super::config::{AimdConfig, Algorithm, Gradient2Config, VegasConfig};

/// What a call may say, for the tests that hold the algorithms to their formulas.
pub(super) fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let end = prop_oneof![9 => Just(End::Answered), 1 => Just(End::Dropped)];
    let rtt = prop_oneof![4 => 50_u64..300, 1 => 1_u64..10_000];
    let sample = (rtt, 1_u32..300, end);
    let sample = sample.prop_map(|(millis, in_flight, end)| Sample {
        rtt: Duration::from_millis(millis),
        in_flight,
        end,
    });
    proptest::collection::vec(sample, 1..800)
}

/// A first-come, first-served queue before so many workers.
struct Server {
    workers: usize,
    /// How long a worker takes.
    work: Duration,
    /// By which part of that it takes longer or shorter, at most.
    spread: f64,
    /// After how long a caller gives up. The work is done nevertheless.
    patience: Duration,
}

/// So many calls, of which as many run at once as the limit allows but not more than `callers`; returns the limit after each.
fn run(limit: &mut Running, server: &Server, callers: u32, calls: usize) -> Vec<u32> {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap();
    let mut random = 1_u64;
    let mut uniform = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(random >> 32).unwrap()) / f64::from(u32::MAX)
    };
    let mut free_at: BinaryHeap<_> = std::iter::repeat_n(Reverse(0_u64), server.workers).collect();
    // When it ends, when it began, how many were in flight then.
    let mut running: BinaryHeap<Reverse<(u64, u64, u32)>> = BinaryHeap::new();
    let (mut now, mut in_flight) = (0, 0);
    let mut limits = Vec::new();
    while limits.len() < calls {
        while in_flight < limit.limit().min(callers) {
            in_flight += 1;
            let Reverse(free) = free_at.pop().unwrap();
            let work = nanos(server.work.mul_f64(1.0 + server.spread * (2.0 * uniform() - 1.0)));
            let done = now.max(free) + work;
            free_at.push(Reverse(done));
            running.push(Reverse((done.min(now + nanos(server.patience)), now, in_flight)));
        }
        let Reverse((ended, began, in_flight_then)) = running.pop().unwrap();
        now = ended;
        in_flight -= 1;
        let rtt = Duration::from_nanos(ended - began);
        let end = if rtt >= server.patience { End::Dropped } else { End::Answered };
        let random = uniform();
        limits.push(limit.update(Sample { rtt, in_flight: in_flight_then, end }, || random));
    }
    limits
}

/// The mean of the later half.
fn rest(limits: &[u32]) -> f64 {
    let later = &limits[limits.len() / 2..];
    later.iter().map(|limit| f64::from(*limit)).sum::<f64>() / f64::from(u32::try_from(later.len()).unwrap())
}

fn algorithms() -> [Algorithm; 3] {
    let (min, max) = (NonZeroU32::MIN, NonZeroU32::new(1000).unwrap());
    let timeout = Duration::from_millis(150);
    [
        Algorithm::Aimd(AimdConfig { min, max, timeout, ..AimdConfig::default() }),
        Algorithm::Vegas(VegasConfig::default()),
        Algorithm::Gradient2(Gradient2Config { min, max, ..Gradient2Config::default() }),
    ]
}

const WORK: Duration = Duration::from_millis(100);

fn server(workers: usize, spread: f64) -> Server {
    Server { workers, work: WORK, spread, patience: 2 * WORK }
}

#[test]
fn the_limit_comes_near_to_what_the_service_can_take_from_below_and_from_above() {
    for spread in [0.01, 0.1] {
        for workers in [8_u8, 50, 120] {
            for algorithm in algorithms() {
                let mut limit = Running::new(&algorithm, 0.5);
                let limits = run(&mut limit, &server(workers.into(), spread), 10_000, 40_000);
                let part = rest(&limits) / f64::from(workers);
                assert!((0.5..=2.1).contains(&part), "{part} of {workers}, spread {spread}: {algorithm:?}");
            }
        }
    }
}

#[test]
fn the_limit_follows_a_service_that_can_take_less_and_then_more_again() {
    for algorithm in algorithms() {
        let mut limit = Running::new(&algorithm, 0.5);
        let mut rest_at = |workers| rest(&run(&mut limit, &server(workers, 0.01), 10_000, 10_000));
        let (before, ill, after) = (rest_at(50), rest_at(12), rest_at(50));
        assert!((10.0..=25.0).contains(&ill) && ill < 0.4 * before, "{before} to {ill}: {algorithm:?}");
        assert!((0.9..=1.1).contains(&(after / before)), "{before} and {after}: {algorithm:?}");
    }
}

#[test]
fn the_limit_falls_when_answers_take_longer() {
    for algorithm in algorithms() {
        let mut limit = Running::new(&algorithm, 0.5);
        let well = Server { patience: 20 * WORK, ..server(50, 0.01) };
        let before = rest(&run(&mut limit, &well, 10_000, 1_000));
        let ill = Server { work: 4 * WORK, ..well };
        let lowest = *run(&mut limit, &ill, 10_000, 300).iter().min().unwrap();
        assert!(f64::from(lowest) < 0.5 * before, "{before} to {lowest}: {algorithm:?}");
    }
}

/// What the documentation warns of: every limit needs callers that give up.
#[test]
fn without_any_drop_slowness_that_lasts_is_taken_for_the_services_nature() {
    let [_, vegas, gradient2] = algorithms();
    for algorithm in [vegas, gradient2] {
        let patient = Server { patience: 1000 * WORK, ..server(50, 0.01) };
        let limits = run(&mut Running::new(&algorithm, 0.5), &patient, 10_000, 40_000);
        assert!(rest(&limits) > 200.0, "{}: {algorithm:?}", rest(&limits));
    }
}

#[test]
fn the_limit_does_not_grow_while_less_than_half_of_it_is_used() {
    for algorithm in algorithms() {
        let server = server(50, 0.1);
        let mut limit = Running::new(&algorithm, 0.5);
        let limits = run(&mut limit, &server, 9, 5_000);
        assert!(limits.iter().all(|limit| *limit <= 20), "{algorithm:?}");
        run(&mut limit, &server, 20, 5_000);
        assert!(limit.limit() > 20, "while all of it is used it does: {algorithm:?}");
    }
}
