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
//! 2. The client's address, scheme and host are those of one and the same hop. From a trusted peer that forwards, it is the
//!    hop that the [believed header](ForwardingHeader) tells of: from the right, the first whose address is not in a trusted
//!    network; where all are, the leftmost. What that hop hides (`unknown`, `_name`), garbles or leaves out is not known:
//!    no address, no scheme; only for a host that is not told the request's own stands in. Where nobody forwards, the peer
//!    is the client, and the host is the request's `:authority`, else its `Host`; more than one of either, or two that
//!    differ in HTTP/2, are none. At most 32 hops of 512 bytes are looked at, and nothing left of the client's.
//! 3. The request id is the trusted peer's `x-request-id` if that is [sane](mainstay_core::RequestId::parse), else a new UUIDv7. Several
//!    `x-request-id` lines are not adopted. A header that was sent is replaced, so that a handler sees exactly one; what was
//!    refused is kept, escaped and cut, as the access log's `request_id.refused`.
//! 4. The correlation id is the trusted peer's `x-correlation-id`, else the request id.
//! 5. The trace [continues](TrustedTrace) from the trusted peer's `traceparent` (W3C Trace Context), else a new one begins, with a
//!    [link](mainstay_core::TraceContext::link) to the one that was sent, whose header is removed, so that nothing further in
//!    follows it.
//! 6. The deadline is the [configured length](crate::deadline::DeadlineConfig) from now. A gRPC caller's `grpc-timeout` may shorten
//!    it, and, from a trusted peer, lengthen it up to the configured maximum; so may the header that is configured for
//!    HTTP. Handlers may [extend](RequestContext::extend_deadline) it up to the same maximum, but not beyond what the caller asked for.
//!
//! Forwarding headers that were not believed (`forwarded`, `x-forwarded-*`, `x-real-ip`) are removed, so that neither a
//! handler nor the next hop takes them for more: everything from a stranger, and from a trusted peer those of the family
//! that was not configured. The believed ones stay as they came; their left part may be anybody's, so read the context.
//!
//! While the inner service works on the call, the context is also the [current one](mainstay_core::ambient), for calls that are made
//! deep inside a handler. It is not while a body streams.
//!
//! Both ids are on every answer, whoever wrote it. The layer refuses nothing. A request that already has a context (this
//! layer stands twice) keeps it.
//!
//! # Cost
//!
//! Six allocations where the extensions hold something already, as behind a server: the context's `Arc`, its box in the
//! extensions, the text of two ids, and the growth of the answer's header map, which has two tables; two more for the
//! extensions' own map where it is empty. Address, scheme and host cost none, but for a host of more than 62 bytes. A trusted
//! peer's `tracestate` costs one, two where it comes in several lines or is too long; a refused request id one and the text
//! of its replacement; forwarding headers that are removed one for all and one each. No lock, and no system call but the
//! operating system's two clocks.

mod decide;
mod forwarded;
mod future;
mod host;
mod settle;
mod time_allowed;

use std::sync::{Arc, Once};
use std::task::{self, Poll};

use garde::Validate;
use http::{Extensions, Request, Response};
use ipnet::IpNet;
use mainstay_core::{Peer, RequestContext, ambient};
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
    /// The header in which your proxies say whom they serve: `x-forwarded-for` (default), `forwarded` or `none`.
    ///
    /// Believed only from trusted peers. Name the one that they all write: a proxy passes the other on as a stranger sent it.
    #[garde(skip)]
    pub forwarding_header: ForwardingHeader,
    /// What becomes of a trusted peer's trace: `continue` (default) or `restart`. A stranger's is always restarted.
    #[garde(skip)]
    pub trace: TrustedTrace,
}

/// The header in which trusted proxies say whom they serve.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ForwardingHeader {
    /// None: the peer is the client.
    None,
    /// `X-Forwarded-For`, and of the same hop `X-Forwarded-Proto` and `X-Forwarded-Host`: their elements are matched with
    /// the addresses from the right. A sole one counts for every hop. Your proxies must append to all that they pass on, or
    /// replace it.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// What becomes of a trusted peer's trace.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TrustedTrace {
    /// It goes on.
    #[default]
    Continue,
    /// A new one begins, linked to it.
    Restart,
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
    forwarding_header: ForwardingHeader,
    trace: TrustedTrace,
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
                forwarding_header: config.forwarding_header,
                trace: config.trace,
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
    /// without this. Tonic's own transport inserts a type of tonic's, which only a caller who depends on tonic can name:
    ///
    /// ```ignore
    /// ContextLayer::new(&config).peer(|extensions| {
    ///     let address = extensions.get::<tonic::transport::server::TcpConnectInfo>()?.remote_addr()?;
    ///     Some(Peer { address, encrypted: false })
    /// })
    /// ```
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
                settle::settle_headers(request.headers_mut(), &context, self.shared.forwarding_header);
                request.extensions_mut().insert(context.clone());
                context
            }
        };
        let mut context = Some(context);
        let lent = ambient::lend(&mut context);
        let inner = self.inner.call(request);
        drop(lent);
        ContextFuture::new(inner, context)
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
