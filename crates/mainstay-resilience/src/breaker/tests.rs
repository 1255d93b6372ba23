//! What must hold of a circuit and of the layer around it.

#[cfg(not(shuttle))]
mod model;
#[cfg(not(shuttle))]
mod service;
#[cfg(shuttle)]
mod shuttle;
#[cfg(not(shuttle))]
mod threads;

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use super::circuit::{Said, World};

/// A clock that the test sets, in whole milliseconds, and a random number that it chooses.
#[derive(Debug)]
struct Staged {
    started: Instant,
    millis: Cell<u64>,
    random: Cell<f64>,
}

impl Staged {
    fn new() -> Self {
        Self { started: Instant::now(), millis: Cell::new(0), random: Cell::new(0.0) }
    }

    fn wait(&self, millis: u64) {
        self.millis.set(self.millis.get() + millis);
    }
}

impl World for Staged {
    fn now(&self) -> Instant {
        self.started + Duration::from_millis(self.millis.get())
    }

    fn random(&self) -> f64 {
        self.random.get()
    }
}

const FAILED: Said = Said { failed: true, slow: false, retry_after: None };
const SUCCEEDED: Said = Said { failed: false, slow: false, retry_after: None };
