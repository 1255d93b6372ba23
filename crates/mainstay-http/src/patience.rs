//! How long a body may keep its reader waiting: one timer, set only while the body is pending.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// The limits of one body and the timer that watches them. Boxed, so that a body stays small and `Unpin`.
#[derive(Debug)]
pub(crate) struct Patience {
    idle: Option<Duration>,
    // None: the body is not being waited for.
    idle_until: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

// === impl Patience ===

impl Patience {
    pub(crate) const fn new(idle: Option<Duration>) -> Self {
        Self { idle, idle_until: None, timer: None }
    }

    /// A frame came: the idle time begins anew with the next wait. The timer is left alone, which is cheaper.
    pub(crate) fn moved(&mut self) {
        self.idle_until = None;
    }

    /// Ready when the wait is over. `end` is asked again whenever the timer fires, because deadlines can be moved.
    pub(crate) fn poll_end(&mut self, end: impl Fn() -> Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        if let (Some(idle), None) = (self.idle, self.idle_until) {
            self.idle_until = Instant::now().checked_add(idle);
        }
        loop {
            let Some(until) = sooner(self.idle_until, end()) else { return Poll::Pending };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
            // One that fires too early is cheaper left alone than set anew for each frame.
            if timer.deadline() > until {
                timer.as_mut().reset(until);
            }
            if pin!(unconstrained(timer.as_mut())).poll(cx).is_pending() {
                return Poll::Pending;
            }
            if timer.deadline() >= until {
                return Poll::Ready(());
            }
            timer.as_mut().reset(until);
        }
    }
}

fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
