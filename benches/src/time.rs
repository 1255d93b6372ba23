//! Nanoseconds a request, for people to look at: they differ from run to run, and hold nothing.
//!
//! Every variant runs in a process of its own, in turn, round after round (A B C A B C), so that a noisy moment meets all
//! of them. A process answers with the median of its batches; what is told is the median over the rounds.

use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::exchange::Send;
use crate::valgrind::this_program;

const ROUNDS: usize = 9;
const BATCH: u64 = 1_000;
const BATCHES: usize = 31;

/// The nanoseconds of each variant, in the order of their arguments; all are given the same variables.
pub(crate) fn rounds(variants: &[Vec<&str>], variables: &[(&str, &str)]) -> Result<Vec<u64>, Box<dyn Error>> {
    let mut nanos = vec![Vec::new(); variants.len()];
    for _ in 0..ROUNDS {
        for (arguments, nanos) in variants.iter().zip(&mut nanos) {
            let output =
                Command::new(this_program()?).args(arguments).envs(variables.iter().copied()).output()?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into());
            }
            nanos.push(str::from_utf8(&output.stdout)?.trim().parse()?);
        }
    }
    Ok(nanos.into_iter().map(median).collect())
}

/// One process's answer: the median of its batches, after one that warms up.
pub(crate) fn nanos_per_request(send: &mut Send) -> u64 {
    nanos_each(BATCH, send)
}

/// As [`nanos_per_request`], of anything that is done so many times in a batch.
pub(crate) fn nanos_each<R>(batch: u64, mut work: impl FnMut(u64) -> R) -> u64 {
    work(batch);
    let batch = |_| u64::try_from(taken_by(|| work(batch)).as_nanos()).unwrap_or(u64::MAX) / batch;
    median((0..BATCHES).map(batch).collect())
}

#[expect(clippy::disallowed_methods, reason = "a paused clock would measure nothing")]
fn taken_by<T>(work: impl FnOnce() -> T) -> Duration {
    let started = Instant::now();
    let result = work();
    let taken = started.elapsed();
    drop(result);
    taken
}

fn median(mut numbers: Vec<u64>) -> u64 {
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn one_slow_round_does_not_move_the_median() {
        assert_eq!(median(vec![500, 9_000_000, 504, 498, 510]), 504);
    }
}
