//! How services and futures are driven while a law is checked, under any runtime.

use std::{
    any::Any,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::{self, RecvTimeoutError},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tower_service::Service;

/// A waker that remembers that it was used.
#[derive(Default)]
pub(super) struct Flag {
    raised: AtomicBool,
}

/// Whether the time is up, and who wants to know.
#[derive(Default)]
struct Watch {
    expired: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

pub(super) async fn ready<S: Service<Req>, Req>(service: &mut S) -> Result<(), S::Error> {
    poll_fn(|context| service.poll_ready(context)).await
}

/// `None` when the service is not ready although all other tasks had their turn many times.
pub(super) async fn ready_soon<S: Service<Req>, Req>(service: &mut S) -> Option<Result<(), S::Error>> {
    for _ in 0..MANY_TURNS {
        if let Poll::Ready(result) = poll_ready_once(service).await {
            return Some(result);
        }
        give_way().await;
    }
    None
}

pub(super) async fn poll_ready_once<S: Service<Req>, Req>(service: &mut S) -> Poll<Result<(), S::Error>> {
    poll_fn(|context| Poll::Ready(service.poll_ready(context))).await
}

pub(super) async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// Polls all in turn, the last one first, so that none waits for another to be polled.
pub(super) async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(Box::pin).map(Some).collect();
    let mut outputs = Vec::new();
    poll_fn(move |context| {
        for slot in running.iter_mut().rev() {
            if let Some(future) = slot
                && let Poll::Ready(output) = future.as_mut().poll(context)
            {
                outputs.push(output);
                *slot = None;
            }
        }
        if running.iter().all(Option::is_none) {
            Poll::Ready(std::mem::take(&mut outputs))
        } else {
            Poll::Pending
        }
    })
    .await
}

/// Gives other tasks their turn: a few times in any case, so that what should not go on shows that it does, and many
/// times while it is not settled, so that an aborted task can go.
pub(super) async fn settle(settled: impl Fn() -> bool) -> bool {
    for turn in 0..MANY_TURNS {
        if turn >= FEW_TURNS && settled() {
            return true;
        }
        give_way().await;
    }
    settled()
}

/// The output of the future, or what it panicked with.
pub(super) async fn catch_panic<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = Box::pin(future);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        polled.map_or_else(|panic| Poll::Ready(Err(message_of(&*panic))), |polled| polled.map(Ok))
    })
    .await
}

/// The output of the future, or `None` when it does not come in this much real time.
///
/// A thread keeps the time: the clock of the runtime may be paused, and there may be none.
pub(super) async fn within<F: Future>(patience: Duration, future: F) -> Option<F::Output> {
    let watch = Arc::new(Watch::default());
    let (done, is_done) = mpsc::channel::<()>();
    let expiry = Arc::clone(&watch);
    std::thread::spawn(move || {
        if is_done.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            expiry.expire();
        }
    });

    let mut future = pin!(future);
    let output = poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => watch.poll_expired(context).map(|()| None),
    })
    .await;
    drop(done);
    output
}

/// Drops the value and tells whether that panicked.
pub(super) fn panics_when_dropped<T>(value: T) -> bool {
    catch_unwind(AssertUnwindSafe(|| drop(value))).is_err()
}

async fn give_way() {
    std::thread::yield_now();
    let mut waited = false;
    poll_fn(|context: &mut Context<'_>| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("a panic: {}", text.unwrap_or("without a message"))
}

const FEW_TURNS: usize = 16;
const MANY_TURNS: usize = 1_000;

// === impl Flag ===

impl Flag {
    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    pub(super) fn is_raised(&self) -> bool {
        self.raised.load(SeqCst)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.raised.store(true, SeqCst);
    }
}

// === impl Watch ===

impl Watch {
    fn expire(&self) {
        self.expired.store(true, SeqCst);
        if let Some(waker) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    fn poll_expired(&self, context: &Context<'_>) -> Poll<()> {
        // The waker is laid down before the look, so that an expiry between the two is not missed.
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        if self.expired.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }
}
