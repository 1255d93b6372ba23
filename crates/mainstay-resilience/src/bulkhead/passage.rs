//! The way of a call through a layer that may let it wait.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mainstay_core::call::CallFailure;
use mainstay_core::{Reason, Rejection};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::places::{HasPlaces, Permit, Waiter, wait_ends};
use crate::events::Listener;

pin_project! {
    /// A call that waits for its turn, runs, or is refused. `H` is what is held while it runs.
    #[project = PassageProjection]
    pub(crate) enum Passage<F, H, E> {
        Waiting { turn: Turn<F, H, E> },
        Running { #[pin] inner: F, held: Option<H> },
        Refused { rejection: Option<Rejection> },
    }
}

/// Ends when the call has begun. Boxed: of what it is made nobody can name, and who waits can afford it.
pub(crate) type Turn<F, H, E> = Pin<Box<dyn Future<Output = Result<(F, H), E>> + Send>>;

/// The result of a call that reached its service, and what was held for it.
pub(crate) type Ran<Res, E, H> = (Result<Res, E>, H);

/// What becomes of a call that finds no place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    Queued,
    Dequeued { waited: Duration },
    Refused { waited: Duration },
}

/// Waits for a place, until the wait ends, and tells of it.
pub(crate) fn turn<T: HasPlaces, E: From<Wait>>(
    waiter: Waiter<T>,
    max_wait: Option<Duration>,
    listener: Listener<E>,
) -> impl Future<Output = Result<Permit<T>, Rejection>> {
    let began = Instant::now();
    let ends = wait_ends(max_wait, began);
    listener.tell(|| Wait::Queued.into());
    async move {
        let turn = waiter.turn(ends).await;
        let waited = began.elapsed();
        listener.tell(|| match turn {
            Some(_) => Wait::Dequeued { waited }.into(),
            None => Wait::Refused { waited }.into(),
        });
        turn.ok_or_else(waited_in_vain)
    }
}

pub(crate) fn no_place() -> Rejection {
    Rejection::new(Reason::Overloaded, "the service works on as many calls as it takes at once")
}

fn waited_in_vain() -> Rejection {
    Rejection::new(
        Reason::Overloaded,
        "the service took no further call in the time that this one could wait",
    )
}

/// Calls the service when its turn has come and it is ready then. It was not kept ready meanwhile: others could use what
/// it would hold.
///
/// Dropped at any of its awaits it drops what `turn` gave.
pub(crate) async fn call_in_turn<S, Req, P, H>(
    mut service: S,
    request: Req,
    turn: impl Future<Output = Result<P, Rejection>>,
    begin: impl FnOnce(P) -> H,
) -> Result<(S::Future, H), S::Error>
where
    S: Service<Req, Error: CallFailure>,
{
    let place = turn.await?;
    poll_fn(|cx| service.poll_ready(cx)).await?;
    let held = begin(place);
    Ok((service.call(request), held))
}

// === impl Passage ===

impl<F, H, E> Passage<F, H, E> {
    pub(crate) const fn refused(rejection: Rejection) -> Self {
        Self::Refused { rejection: Some(rejection) }
    }

    /// An error where the call never reached the service.
    pub(crate) fn poll_result<Res>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Ran<Res, E, H>, E>>
    where
        F: Future<Output = Result<Res, E>>,
        E: CallFailure,
    {
        loop {
            let (inner, held) = match self.as_mut().project() {
                PassageProjection::Running { inner, held } => {
                    let result = ready!(inner.poll(cx));
                    let held = held.take().expect("a future is not polled after its end");
                    return Poll::Ready(Ok((result, held)));
                }
                PassageProjection::Waiting { turn } => ready!(turn.as_mut().poll(cx))?,
                PassageProjection::Refused { rejection } => {
                    let rejection = rejection.take().expect("a future is not polled after its end");
                    return Poll::Ready(Err(E::from(rejection)));
                }
            };
            self.set(Self::Running { inner, held: Some(held) });
        }
    }
}

impl<F, H, E> fmt::Debug for Passage<F, H, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting { .. } => "Waiting(..)",
            Self::Running { .. } => "Running(..)",
            Self::Refused { .. } => "Refused(..)",
        })
    }
}
