//! The thread that waits for a folder to change.
//!
//! It is woken by the system, lets a burst of changes pass, and takes one step. It also takes one unasked every few
//! seconds.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// So long nothing may change before files are read.
const QUIET: Duration = Duration::from_millis(100);
/// So many times that is waited for, when changes never pause.
const PATIENCE: usize = 20;
/// So often the folder is looked at where nothing tells of changes. It costs a few system calls.
const UNASKED: Duration = Duration::from_secs(5);

/// The running thread; dropping it ends it.
pub(super) struct Watch {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    Changed,
    Unasked,
    Ended,
}

/// What the thread waits for. Changes that come while it works are one change.
#[derive(Default)]
struct Signal {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Clone, Copy, Default)]
struct State {
    changed: bool,
    ended: bool,
}

// === impl Watch ===

impl Watch {
    /// Calls `step(false)` after a change and `step(true)` unasked; it says whether there was something to do. One that
    /// panics ends itself and not the thread.
    pub(super) fn start(
        folders: Vec<PathBuf>,
        step: impl Fn(bool) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let signal = Arc::new(Signal::default());
        // Armed before this returns, so that no change after it is missed.
        let mut watcher = watcher(&signal, &folders);
        let waited = Arc::clone(&signal);
        let follow = move || {
            loop {
                let unasked = match waited.wait(UNASKED) {
                    Wake::Changed if waited.let_a_burst_pass() => false,
                    Wake::Unasked => true,
                    Wake::Changed | Wake::Ended => return,
                };
                // What a subscriber or a type panics with was printed by the panic itself.
                let had_changed = panic::catch_unwind(AssertUnwindSafe(|| step(unasked)));
                if unasked && had_changed.unwrap_or(true) {
                    // Nothing told of it: the folder itself may have been replaced, and the watcher is still at the old one.
                    drop(watcher.take());
                    watcher = self::watcher(&waited, &folders);
                }
            }
        };
        let thread = thread::Builder::new().name("config-reload".to_owned()).spawn(follow)?;
        Ok(Self { signal, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.signal.set(|state| state.ended = true);
        // A subscriber that drops the last handle is on the thread itself, which cannot wait for its own end.
        if let Some(thread) =
            self.thread.take().filter(|thread| thread.thread().id() != thread::current().id())
        {
            let _panicked = thread.join();
        }
    }
}

/// `None` where the system cannot tell, or not of all folders: then the unasked steps have to do.
fn watcher(signal: &Arc<Signal>, folders: &[PathBuf]) -> Option<RecommendedWatcher> {
    let signal = Arc::clone(signal);
    let tell = move |event: notify::Result<Event>| {
        if event.as_ref().map_or(true, is_change) {
            signal.set(|state| state.changed = true);
        }
    };
    let mut watcher = notify::recommended_watcher(tell).ok()?;
    for folder in folders {
        watcher.watch(folder, RecursiveMode::NonRecursive).ok()?;
    }
    Some(watcher)
}

/// Reading is none: the steps read, and would wake themselves for ever.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

// === impl Signal ===

impl Signal {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.bell.notify_all();
    }

    /// Waits for a change or the end, but no longer than this.
    fn wait(&self, at_most: Duration) -> Wake {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = |state: &mut State| !state.changed && !state.ended;
        let waited = self.bell.wait_timeout_while(state, at_most, nothing);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match *state {
            State { ended: true, .. } => Wake::Ended,
            State { changed: true, .. } => {
                state.changed = false;
                Wake::Changed
            }
            State { .. } => Wake::Unasked,
        }
    }

    /// Whether the burst was over before the end came.
    fn let_a_burst_pass(&self) -> bool {
        for _ in 0..PATIENCE {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.bell.wait_timeout_while(state, QUIET, |state| !state.ended);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if state.ended {
                return false;
            }
            if !std::mem::take(&mut state.changed) {
                return true;
            }
        }
        true
    }
}
