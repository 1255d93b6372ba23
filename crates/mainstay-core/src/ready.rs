//! The one place where a service is moved out of `&mut self` without losing its readiness.

use std::mem;

/// Takes the service that was polled ready, and leaves a fresh clone behind.
///
/// A tower service may hold what it reserved in `poll_ready` (a permit, a slot, a connection) in `self`; a clone has
/// not reserved anything. So a future that must own its service takes the ready one, and the clone, which will be
/// polled ready before its own call, stays. Calling a bare clone instead is the ecosystem's most repeated fault
/// (tower#548, tower-http#561).
///
/// ```
/// # use mainstay_core::take_ready;
/// # #[derive(Clone, Debug, PartialEq)] struct Service(u8);
/// # let mut inner = Service(1);
/// // in `Service::call(&mut self, request)`:
/// let ready = take_ready(&mut inner);
/// // move `ready` into the future, and call it there.
/// # assert_eq!(ready, inner);
/// ```
///
/// Costs one clone of the service; allocates what that clone allocates.
pub fn take_ready<S: Clone>(service: &mut S) -> S {
    let unready = service.clone();
    mem::replace(service, unready)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{Future, Ready, poll_fn, ready};
    use std::task::{Context, Poll};

    use tower::limit::ConcurrencyLimit;
    use tower_service::Service;

    use super::take_ready;

    #[derive(Clone)]
    struct Echo;

    impl Service<u8> for Echo {
        type Response = u8;
        type Error = Infallible;
        type Future = Ready<Result<u8, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: u8) -> Self::Future {
            ready(Ok(request))
        }
    }

    fn call_taken(
        service: &mut ConcurrencyLimit<Echo>,
    ) -> impl Future<Output = Result<u8, Infallible>> + use<> {
        take_ready(service).call(7)
    }

    #[tokio::test]
    async fn the_taken_service_carries_the_permit_and_the_one_left_behind_must_be_polled_again() {
        let mut service = ConcurrencyLimit::new(Echo, 1);
        for _ in 0..3 {
            poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
            // ConcurrencyLimit panics when it is called without the permit that its own `poll_ready` took.
            assert_eq!(call_taken(&mut service).await, Ok(7));
        }
    }
}
