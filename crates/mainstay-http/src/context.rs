//! The outermost layer: decides once who calls, under which ids, and until when.
//!
//! ```
//! use mainstay_core::RequestContext;
//! use mainstay_http::context::{ContextConfig, ContextLayer};
//!
//! let config = ContextConfig { trusted_networks: vec!["10.0.0.0/8".parse()?], ..ContextConfig::default() };
//! let layer = ContextLayer::new(&config);
//! // In a handler: `request.extensions().get::<RequestContext>()`.
//! # let _: (ContextLayer, Option<RequestContext>) = (layer, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is decided
//!
//! 1. The peer is trusted if its address is in one of [`ContextConfig::trusted_networks`]; nobody is by default.
//! 2. The request id is the trusted peer's `x-request-id` if that is [sane](mainstay_core::RequestId::parse), else a new UUIDv7. Several
//!    `x-request-id` lines are not adopted. A header that was sent is replaced, so that a handler sees exactly one.
//! 3. The correlation id is the trusted peer's `x-correlation-id`, else the request id.
//! 4. The trace continues from the trusted peer's `traceparent`, else a new one begins, and a `traceparent` that was sent is
//!    removed, so that nothing further in follows it.
//! 5. The deadline is the [configured length](crate::deadline::DeadlineConfig) from now. A gRPC caller's `grpc-timeout` may shorten
//!    it, and, from a trusted peer, lengthen it up to the configured maximum; so may the header that is configured for
//!    HTTP. Handlers may [extend](RequestContext::extend_deadline) it up to the same maximum, but not beyond what the caller asked for.
//!
//! The client's address and scheme are the peer's: forwarding headers are not read yet. Both ids are on every answer,
//! whoever wrote it. The layer refuses nothing. A request that already has a context (this
//! layer stands twice) keeps it.
//!
//! # Cost
//!
//! Six allocations where the extensions hold something already, as behind a server: the context's `Arc`, its box in the
//! extensions, the text of two ids, and the growth of the answer's header map, which has two tables; two more for the
//! extensions' own map where it is empty. A trusted peer's `tracestate` costs three. No lock, and no system call but the
//! operating system's two clocks.

mod decide;
mod future;
mod time_allowed;

use std::sync::{Arc, Once};
use std::task::{self, Poll};

use garde::Validate;
use http::{Extensions, Request, Response};
use ipnet::IpNet;
use mainstay_core::{Peer, RequestContext};
use serde::{Deserialize, Serialize};
use tower_layer::Layer;
use tower_service::Service;

use crate::deadline::DeadlineConfig;
pub use future::ContextFuture;
use time_allowed::TimeAllowed;

/// Settings of [`ContextLayer`].
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ContextConfig {
    /// The networks whose peers are believed, in CIDR form (`10.0.0.0/8`, `::1/128`). Empty by default: nobody is.
    ///
    /// Name only networks in which every machine is yours: a trusted peer chooses request ids and continues traces.
    #[garde(skip)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub trusted_networks: Vec<IpNet>,
}

/// How the peer is found in a request's extensions.
pub type PeerOf = fn(&Extensions) -> Option<Peer>;

/// Left in a request by an access log that found no context: where this layer sees it, the two stand in the wrong order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoggedOutside;

/// Puts a [`RequestContext`] into every request, and its ids onto every answer. See the [module](self) on what it decides.
#[derive(Clone, Debug)]
pub struct ContextLayer {
    shared: Arc<Shared>,
}

/// The service of [`ContextLayer`].
#[derive(Clone, Debug)]
pub struct Context<S> {
    inner: S,
    shared: Arc<Shared>,
}

#[derive(Clone, Debug)]
struct Shared {
    trusted_networks: Vec<IpNet>,
    deadline: TimeAllowed,
    peer_of: PeerOf,
}

// === impl ContextLayer ===

impl ContextLayer {
    /// The layer with these settings, and the default deadline.
    pub fn new(config: &ContextConfig) -> Self {
        Self {
            shared: Arc::new(Shared {
                trusted_networks: decide::canonical(&config.trusted_networks),
                deadline: TimeAllowed::new(&DeadlineConfig::default()),
                peer_of,
            }),
        }
    }

    /// How long a call may take, instead of [`DeadlineConfig::default`].
    #[must_use]
    pub fn deadline(mut self, config: &DeadlineConfig) -> Self {
        Arc::make_mut(&mut self.shared).deadline = TimeAllowed::new(config);
        self
    }

    /// Where to find the peer if the listener does not insert a [`Peer`] itself.
    ///
    /// With the feature `axum`, the `ConnectInfo<SocketAddr>` of `into_make_service_with_connect_info` is recognised
    /// without this. For tonic's own transport, read its `TcpConnectInfo`.
    #[must_use]
    pub fn peer(mut self, peer_of: PeerOf) -> Self {
        Arc::make_mut(&mut self.shared).peer_of = peer_of;
        self
    }
}

impl Default for ContextLayer {
    fn default() -> Self {
        Self::new(&ContextConfig::default())
    }
}

impl<S> Layer<S> for ContextLayer {
    type Service = Context<S>;

    fn layer(&self, inner: S) -> Context<S> {
        Context { inner, shared: Arc::clone(&self.shared) }
    }
}

// === impl Context ===

impl<S, B, ResB> Service<Request<B>> for Context<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ContextFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let context = match request.extensions().get::<RequestContext>() {
            Some(context) => context.clone(),
            None => {
                if request.extensions().get::<LoggedOutside>().is_some() {
                    warn_of_order();
                }
                let context = self.shared.decide(&request);
                decide::settle_headers(request.headers_mut(), &context);
                request.extensions_mut().insert(context.clone());
                context
            }
        };
        ContextFuture::new(self.inner.call(request), context)
    }
}

/// Once is enough: the order does not change while the process runs.
fn warn_of_order() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            "the access log stands outside the context layer, so its lines lack ids: put it inside"
        );
    });
}

/// The peer that the listener inserted, in the forms that are known here.
fn peer_of(extensions: &Extensions) -> Option<Peer> {
    let peer = extensions.get::<Peer>().copied();
    #[cfg(feature = "axum")]
    let peer = peer.or_else(|| {
        let axum::extract::ConnectInfo(address) =
            extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>()?;
        Some(Peer { address: *address, encrypted: false })
    });
    peer
}

#[cfg(test)]
mod tests;
