//! Feeds one target with random and changed bytes for some seconds: no coverage, but a stable compiler is enough.

use std::env;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// xorshift: enough for bytes that nobody has to guess.
struct Random(u64);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let seconds = arguments.get(1).and_then(|seconds| seconds.parse().ok());
    let (Some(target), Some(seconds)) =
        (arguments.first().and_then(|name| mainstay_fuzz::target(name)), seconds)
    else {
        eprintln!("usage: blind <config_loader|config_variables|content_type|accept> <seconds> [seed]");
        return ExitCode::FAILURE;
    };
    let seed = arguments.get(2).and_then(|seed| seed.parse().ok()).unwrap_or(0x9e37_79b9_7f4a_7c15);
    // A failure is found again with the same seed.
    println!("seed {seed}");
    let mut random = Random(u64::max(seed, 1));
    let (started, mut inputs) = (Instant::now(), 0_u64);
    let mut bytes = Vec::new();
    while started.elapsed() < Duration::from_secs(seconds) {
        for _ in 0..100 {
            random.change(&mut bytes);
            target(&bytes);
            inputs += 1;
        }
    }
    println!("{inputs} inputs in {} s, nothing found", started.elapsed().as_secs());
    ExitCode::SUCCESS
}

// === impl Random ===

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % bound.max(1)
    }

    /// Mostly a few other bytes, now and then a new beginning.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() || self.below(8) == 0 {
            let length = 1 + self.below(600);
            *bytes = (0..length).map(|_| self.next().to_be_bytes()[0]).collect();
            return;
        }
        for _ in 0..=self.below(8) {
            let place = self.below(bytes.len());
            bytes[place] = self.next().to_be_bytes()[0];
        }
    }
}
