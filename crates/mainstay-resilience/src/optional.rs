//! A layer that is there or not, as settings say, without another type for either.
//!
//! ```
//! use mainstay_resilience::optional::OptionalLayer;
//! use mainstay_resilience::rate_limit::{RateLimitConfig, RateLimitLayer};
//!
//! let limit: Option<RateLimitConfig> = None; // from settings
//! let limit = limit.map(|limit| RateLimitLayer::new(&limit)).transpose()?;
//! let layer = OptionalLayer(limit);
//! # let _ = layer;
//! # Ok::<(), garde::Report>(())
//! ```
//!
//! For layers that leave answer and error as they are. Where it is not there, calls pass as they are; it refuses and allocates nothing.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// The layer, or nothing.
#[derive(Clone, Copy, Debug)]
pub struct OptionalLayer<L>(pub Option<L>);

/// The service of [`OptionalLayer`]: inside of the layer `L`, or as it is.
#[derive(Debug)]
pub struct Optional<L, A, B> {
    inner: Either<A, B>,
    layer: PhantomData<fn() -> L>,
}

#[derive(Clone, Debug)]
enum Either<A, B> {
    Layered(A),
    Plain(B),
}

pin_project! {
    /// The future of [`Optional`]. Dropping it drops the inner one.
    #[derive(Debug)]
    pub struct OptionalFuture<A, B> {
        #[pin]
        path: Path<A, B>,
    }
}

pin_project! {
    #[project = PathProjection]
    #[derive(Debug)]
    enum Path<A, B> {
        Layered { #[pin] inner: A },
        Plain { #[pin] inner: B },
    }
}

impl<S, L: Layer<S>> Layer<S> for OptionalLayer<L> {
    type Service = Optional<L, L::Service, S>;

    fn layer(&self, inner: S) -> Self::Service {
        let inner = match &self.0 {
            Some(layer) => Either::Layered(layer.layer(inner)),
            None => Either::Plain(inner),
        };
        Optional { inner, layer: PhantomData }
    }
}

impl<L, A: Clone, B: Clone> Clone for Optional<L, A, B> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: PhantomData }
    }
}

impl<L, A, B, Req> Service<Req> for Optional<L, A, B>
where
    A: Service<Req>,
    B: Service<Req, Response = A::Response, Error = A::Error>,
{
    type Response = A::Response;
    type Error = A::Error;
    type Future = OptionalFuture<A::Future, B::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        match &mut self.inner {
            Either::Layered(service) => service.poll_ready(cx),
            Either::Plain(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Req) -> Self::Future {
        match &mut self.inner {
            Either::Layered(service) => {
                OptionalFuture { path: Path::Layered { inner: service.call(request) } }
            }
            Either::Plain(service) => OptionalFuture { path: Path::Plain { inner: service.call(request) } },
        }
    }
}

impl<A, B> Future for OptionalFuture<A, B>
where
    A: Future,
    B: Future<Output = A::Output>,
{
    type Output = A::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<A::Output> {
        match self.project().path.project() {
            PathProjection::Layered { inner } => inner.poll(cx),
            PathProjection::Plain { inner } => inner.poll(cx),
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use mainstay_testkit::contract::{Laws, layer_contract};

    use super::OptionalLayer;
    use crate::timeout::{TimeoutConfig, TimeoutLayer};

    #[tokio::test(start_paused = true)]
    async fn there_or_not_it_keeps_the_laws_of_layers() {
        let there = || {
            let config = TimeoutConfig { covers_readiness: false, ..TimeoutConfig::default() };
            OptionalLayer(Some(TimeoutLayer::new(&config).unwrap()))
        };
        layer_contract(there, || 7_u32, |number| number + 1, Laws::default()).await;
        let not = || OptionalLayer(None::<TimeoutLayer>);
        layer_contract(not, || 7_u32, |number| number + 1, Laws::default()).await;
    }
}
