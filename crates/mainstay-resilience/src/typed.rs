//! The innermost layer of a client whose errors are to stay typed: the service's own error becomes the cause of a [`CallError`].
//!
//! ```
//! use mainstay_core::call::{CallError, Cause};
//! use mainstay_resilience::typed::TypedLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let fails = service_fn(async |_: String| Err::<String, _>(std::fmt::Error));
//! // further layers stand outside of it
//! let client = ServiceBuilder::new().layer(TypedLayer::new()).service(fails);
//! let error: CallError<std::fmt::Error> = client.oneshot("call".to_owned()).await.unwrap_err();
//! assert_eq!(error.cause, Cause::Service(std::fmt::Error));
//! # });
//! ```
//!
//! Refuses nothing, allocates nothing; dropping its future drops the inner one. A service whose error is
//! `Box<dyn Error + Send + Sync>` does not need it.

use std::pin::Pin;
use std::task::{Context, Poll};

use mainstay_core::call::CallError;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Gives a service the error type that the layers of this crate ask for. See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct TypedLayer(());

/// The service of [`TypedLayer`].
#[derive(Clone, Debug)]
pub struct Typed<S> {
    inner: S,
}

pin_project! {
    /// The future of [`Typed`].
    #[derive(Debug)]
    pub struct TypedFuture<F> {
        #[pin]
        inner: F,
    }
}

// === impl TypedLayer ===

impl TypedLayer {
    /// The layer.
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for TypedLayer {
    type Service = Typed<S>;

    fn layer(&self, inner: S) -> Typed<S> {
        Typed { inner }
    }
}

// === impl Typed ===

impl<S, Req> Service<Req> for Typed<S>
where
    S: Service<Req>,
{
    type Response = S::Response;
    type Error = CallError<S::Error>;
    type Future = TypedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(CallError::service)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        TypedFuture { inner: self.inner.call(request) }
    }
}

// === impl TypedFuture ===

impl<F, Res, E> Future for TypedFuture<F>
where
    F: Future<Output = Result<Res, E>>,
{
    type Output = Result<Res, CallError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx).map_err(CallError::service)
    }
}

#[cfg(test)]
mod tests {
    use mainstay_core::call::{CallError, Cause};
    use mainstay_testkit::contract::{Laws, client_layer_contract};
    use mainstay_testkit::probe::ProbeError;

    use super::TypedLayer;

    #[tokio::test]
    async fn it_keeps_the_laws_of_layers() {
        fn inner(error: &CallError<ProbeError>) -> Option<&ProbeError> {
            match &error.cause {
                Cause::Service(error) => Some(error),
                Cause::Rejected(_) => None,
            }
        }
        client_layer_contract(TypedLayer::new, || "request", |_| "answer", inner, Laws::default()).await;
    }
}
