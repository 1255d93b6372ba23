//! What asks a run to end.

use std::future::Future;
use std::io;

use futures_util::future::{BoxFuture, FutureExt, pending};
use futures_util::stream::{BoxStream, FuturesUnordered, Stream, StreamExt};

/// Signals of the process, by name, and conditions of the application.
pub(crate) struct Signals {
    process: BoxStream<'static, &'static str>,
    conditions: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Signals {
    pub(crate) fn new(process: impl Stream<Item = &'static str> + Send + 'static) -> Self {
        Self { process: process.boxed(), conditions: FuturesUnordered::new() }
    }

    /// SIGTERM and Ctrl-C; from here on neither ends the process by itself.
    pub(crate) fn of_the_process() -> io::Result<Self> {
        of_the_process().map(Self::new)
    }

    pub(crate) fn or_when(&self, condition: impl Future<Output = ()> + Send + 'static) {
        self.conditions.push(condition.boxed());
    }

    /// The first that comes, by name.
    pub(crate) async fn first(&mut self) -> &'static str {
        let Self { process, conditions } = self;
        tokio::select! {
            Some(name) = process.next() => name,
            Some(()) = conditions.next() => "condition",
            else => pending().await,
        }
    }

    /// The next signal of the process. Conditions do not insist: two of them may come true in one orderly shutdown.
    pub(crate) async fn again(&mut self) -> &'static str {
        match self.process.next().await {
            Some(name) => name,
            None => pending().await,
        }
    }
}

#[cfg(unix)]
fn of_the_process() -> io::Result<impl Stream<Item = &'static str>> {
    use futures_util::stream::poll_fn;
    use std::task::Poll;
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(poll_fn(move |cx| {
        if terminate.poll_recv(cx).is_ready() {
            Poll::Ready(Some("SIGTERM"))
        } else if interrupt.poll_recv(cx).is_ready() {
            Poll::Ready(Some("SIGINT"))
        } else {
            Poll::Pending
        }
    }))
}

#[cfg(not(unix))]
fn of_the_process() -> io::Result<impl Stream<Item = &'static str>> {
    use futures_util::stream::unfold;

    Ok(unfold((), |()| async { tokio::signal::ctrl_c().await.ok().map(|()| ("Ctrl-C", ())) }))
}
