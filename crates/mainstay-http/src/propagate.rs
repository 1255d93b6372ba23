//! The client's side: what was decided at our edge goes on to the next hop.
//!
//! ```
//! use mainstay_http::propagate::PropagateLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # use std::convert::Infallible;
//! # use mainstay_core::{Parts, RequestContext, RequestId, TraceContext};
//! # let trace = TraceContext::root([1; 16], [2; 8]);
//! # let parts = Parts::new(RequestId::v7(1_000, [0; 10]), trace, std::time::Instant::now());
//! # let context = RequestContext::new(parts);
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let client = ServiceBuilder::new().layer(PropagateLayer::new()).service(service_fn(send));
//!
//! let mut request = http::Request::new(());
//! request.extensions_mut().insert(context); // the handler's own
//! client.oneshot(request).await.unwrap();
//!
//! async fn send(request: http::Request<()>) -> Result<http::Response<()>, Infallible> {
//!     assert_eq!(request.headers()["x-request-id"], "00000000-03e8-7000-8000-000000000000");
//!     assert!(request.headers().contains_key("traceparent"));
//!     # Ok(http::Response::new(()))
//! }
//! # });
//! ```

use std::task::{Context, Poll};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use mainstay_core::{RequestContext, TenantId};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::form::is_grpc;
use crate::grpc_timeout;
use crate::headers::{GRPC_TIMEOUT, TRACEPARENT, TRACESTATE, X_CORRELATION_ID, X_REQUEST_ID, X_TENANT_ID};

/// Writes the [`RequestContext`] in a request's extensions into its headers.
///
/// `x-request-id`, `x-correlation-id`, `traceparent` (our span as the parent), `tracestate`, `x-tenant-id`, and for gRPC
/// the time that is left as `grpc-timeout`, rounded down, unless the request asks for less. What is there already is
/// replaced, and removed where the context knows nothing: a gateway that forwards a stranger's request must not lend it
/// our trust. To send something else, [derive](RequestContext::derive) the context. A request without one passes as it is.
///
/// Wraps a client's service and leaves its errors and its response alone. Allocates the text of each header it adds. Use
/// it towards your own services; a third party need not learn your tenants.
#[derive(Clone, Copy, Debug, Default)]
pub struct PropagateLayer(());

/// The service of [`PropagateLayer`].
#[derive(Clone, Debug)]
pub struct Propagate<S> {
    inner: S,
}

// === impl PropagateLayer ===

impl PropagateLayer {
    /// The layer.
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for PropagateLayer {
    type Service = Propagate<S>;

    fn layer(&self, inner: S) -> Propagate<S> {
        Propagate { inner }
    }
}

// === impl Propagate ===

impl<S, B> Service<Request<B>> for Propagate<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if let Some(context) = request.extensions().get::<RequestContext>().cloned() {
            write(&context, request.headers_mut());
        }
        self.inner.call(request)
    }
}

fn write(context: &RequestContext, headers: &mut HeaderMap) {
    set(headers, X_REQUEST_ID, Some(context.request_id().as_str()));
    set(headers, X_CORRELATION_ID, Some(context.correlation_id().as_str()));
    set(headers, TRACEPARENT, Some(context.trace().traceparent().as_str()));
    set(headers, TRACESTATE, context.trace().state());
    set(headers, X_TENANT_ID, context.tenant().map(TenantId::as_str));
    if let Some(deadline) = context.deadline().filter(|_| is_grpc(headers)) {
        let left = deadline.remaining(Instant::now().into_std());
        let asked = headers.get(GRPC_TIMEOUT).and_then(|value| grpc_timeout::parse(value.as_bytes()));
        let allowed = asked.map_or(left, |asked| asked.min(left));
        set(headers, GRPC_TIMEOUT, Some(&grpc_timeout::format(allowed)));
    }
}

/// What the context does not know is not sent: a header that is there may be a stranger's, forwarded.
fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    match value {
        Some(value) => {
            let value =
                HeaderValue::from_str(value).expect("ids, traces, tenants and times are printable ASCII");
            headers.insert(name, value);
        }
        None => {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use http::{HeaderMap, Request, Response};
    use mainstay_core::{Deadline, Parts, RequestContext, RequestId, TenantId, TraceContext};
    use mainstay_testkit::contract::{Laws, http_layer_contract};
    use tokio::time::Instant;
    use tower::{Layer, ServiceExt, service_fn};

    use super::PropagateLayer;

    async fn sent(mut request: Request<()>) -> HeaderMap {
        let now = Instant::now().into_std();
        let parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = TraceContext::continued(parent, Some(b"vendor=1"), [0xaa; 8]).unwrap();
        let context = RequestContext::new(Parts {
            deadline: Some(Deadline::after(now, Duration::from_millis(1_500))),
            ..Parts::new(RequestId::parse(b"r-1").unwrap(), trace, now)
        });
        context.set_tenant(TenantId::parse("acme").unwrap()).unwrap();
        request.extensions_mut().insert(context);
        let client = service_fn(async |request: Request<()>| {
            Ok::<_, Infallible>(Response::new(request.headers().clone()))
        });
        PropagateLayer::new().layer(client).oneshot(request).await.unwrap().into_body()
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_hop_reads_the_same_call() {
        let headers = sent(Request::new(())).await;
        for (name, value) in [
            ("x-request-id", "r-1"),
            ("x-correlation-id", "r-1"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-aaaaaaaaaaaaaaaa-01"),
            ("tracestate", "vendor=1"),
            ("x-tenant-id", "acme"),
        ] {
            assert_eq!(headers[name], value);
        }
        assert!(!headers.contains_key("grpc-timeout"), "HTTP has no such header");
    }

    #[tokio::test(start_paused = true)]
    async fn a_grpc_call_learns_how_much_time_is_left() {
        let grpc = Request::builder().header("content-type", "application/grpc").body(()).unwrap();
        assert_eq!(sent(grpc).await["grpc-timeout"], "1500000u");
    }

    #[tokio::test(start_paused = true)]
    async fn a_strangers_headers_are_not_lent_our_trust() {
        let trace = TraceContext::root([1; 16], [2; 8]);
        let context = RequestContext::new(Parts::new(
            RequestId::parse(b"r-2").unwrap(),
            trace,
            Instant::now().into_std(),
        ));
        let mut forwarded = Request::builder()
            .header("x-request-id", "forged")
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            .header("tracestate", "forged=1")
            .header("x-tenant-id", "victim")
            .body(())
            .unwrap();
        forwarded.extensions_mut().insert(context);
        let client = service_fn(async |request: Request<()>| {
            Ok::<_, Infallible>(Response::new(request.headers().clone()))
        });
        let headers = PropagateLayer::new().layer(client).oneshot(forwarded).await.unwrap().into_body();
        assert_eq!(headers["x-request-id"], "r-2");
        assert_eq!(headers["traceparent"], "00-01010101010101010101010101010101-0202020202020202-00");
        assert!(!headers.contains_key("tracestate") && !headers.contains_key("x-tenant-id"), "{headers:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_grpc_call_may_ask_for_less_time_than_is_left_and_not_for_more() {
        for (asked, sent_as) in [("1S", "1000000u"), ("99999999H", "1500000u"), ("nonsense", "1500000u")] {
            let grpc =
                Request::builder().header("content-type", "application/grpc").header("grpc-timeout", asked);
            assert_eq!(sent(grpc.body(()).unwrap()).await["grpc-timeout"], sent_as, "{asked}");
        }
    }

    #[tokio::test]
    async fn it_keeps_the_laws_of_layers_and_bodies() {
        http_layer_contract(PropagateLayer::new, || Request::new(()), Laws::default()).await;
    }
}
