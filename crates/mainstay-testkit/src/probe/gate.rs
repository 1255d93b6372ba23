//! A gate that a test shuts and opens while services and futures wait before it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Open until shut; who polls it while it is shut is woken when it opens.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Open,
    Shut {
        waiting: Vec<Waker>,
    },
}

// === impl Gate ===

impl Gate {
    pub(super) fn shut(&self) {
        let mut state = self.lock();
        if matches!(*state, State::Open) {
            *state = State::Shut { waiting: Vec::new() };
        }
    }

    pub(super) fn open(&self) {
        let before = std::mem::take(&mut *self.lock());
        if let State::Shut { waiting } = before {
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn poll_open(&self, context: &Context<'_>) -> Poll<()> {
        match &mut *self.lock() {
            State::Open => Poll::Ready(()),
            State::Shut { waiting } => {
                if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    waiting.push(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
