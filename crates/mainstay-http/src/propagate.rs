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
//! let client = ServiceBuilder::new().layer(PropagateLayer::default()).service(service_fn(send));
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

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use garde::Validate;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use mainstay_core::{RequestContext, TenantId, Traceparent, ambient};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::form::is_grpc;
use crate::headers::{GRPC_TIMEOUT, TRACEPARENT, TRACESTATE, X_CORRELATION_ID, X_REQUEST_ID, X_TENANT_ID};
use crate::text;
use crate::{grpc_timeout, millis};

/// What a call that goes out tells the next hop.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct PropagateConfig {
    /// `x-request-id` and `x-correlation-id`. `true` by default.
    #[garde(skip)]
    pub ids: bool,
    /// `traceparent` and `tracestate`. `true` by default.
    #[garde(skip)]
    pub trace: bool,
    /// `x-tenant-id`. `true` by default; a third party need not learn your tenants.
    #[garde(skip)]
    pub tenant: bool,
    /// The time that is left, for gRPC as `grpc-timeout`. `true` by default.
    #[garde(skip)]
    pub deadline: bool,
    /// The HTTP header that says the same, in whole milliseconds, such as `x-request-timeout-ms`: the one that the next hop
    /// [reads](crate::deadline::DeadlineConfig::header). None by default: HTTP has no such header of its own.
    #[serde(with = "text::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(skip)]
    pub deadline_header: Option<HeaderName>,
}

/// Writes the [`RequestContext`] of a call into the headers of its request.
///
/// The context is the one in the request's extensions; without one, the [current](ambient) one of the call that this thread works on.
///
/// `x-request-id`, `x-correlation-id`, `traceparent` (the context's span as the parent), `tracestate`, `x-tenant-id`, and the time that
/// is left, rounded down: for gRPC as `grpc-timeout`, else in the configured header, unless the request asks for less. What is
/// there already is replaced, and removed where the context knows nothing: a gateway that forwards a stranger's request must
/// not lend it our trust. So is what the settings do not send. To send something else, [derive](RequestContext::derive) the
/// context. A call without a context passes as it is.
///
/// Wraps a client's service and leaves its errors and its response alone. Allocates the text of each header it adds.
#[derive(Clone, Debug, Default)]
pub struct PropagateLayer {
    config: Arc<PropagateConfig>,
}

/// The service of [`PropagateLayer`].
#[derive(Clone, Debug)]
pub struct Propagate<S> {
    inner: S,
    config: Arc<PropagateConfig>,
}

// === impl PropagateConfig ===

impl Default for PropagateConfig {
    fn default() -> Self {
        Self { ids: true, trace: true, tenant: true, deadline: true, deadline_header: None }
    }
}

// === impl PropagateLayer ===

impl PropagateLayer {
    /// The layer with these settings.
    pub fn new(config: &PropagateConfig) -> Self {
        Self { config: Arc::new(config.clone()) }
    }
}

impl<S> Layer<S> for PropagateLayer {
    type Service = Propagate<S>;

    fn layer(&self, inner: S) -> Propagate<S> {
        Propagate { inner, config: Arc::clone(&self.config) }
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
        let explicit = request.extensions().get::<RequestContext>().cloned();
        if let Some(context) = explicit.or_else(ambient::current) {
            self.config.write(&context, request.headers_mut());
        }
        self.inner.call(request)
    }
}

// === impl PropagateConfig ===

impl PropagateConfig {
    fn write(&self, context: &RequestContext, headers: &mut HeaderMap) {
        set(headers, &X_REQUEST_ID, self.ids.then(|| context.request_id().as_str()));
        set(headers, &X_CORRELATION_ID, self.ids.then(|| context.correlation_id().as_str()));
        let traceparent = self.trace.then(|| context.trace().traceparent());
        set(headers, &TRACEPARENT, traceparent.as_ref().map(Traceparent::as_str));
        set(headers, &TRACESTATE, context.trace().state().filter(|_| self.trace));
        set(headers, &X_TENANT_ID, context.tenant().map(TenantId::as_str).filter(|_| self.tenant));
        if self.deadline {
            self.write_deadline(context, headers);
        }
    }

    /// A deadline that has passed is sent as the shortest time: refusing such a call is another layer's.
    fn write_deadline(&self, context: &RequestContext, headers: &mut HeaderMap) {
        let Some(deadline) = context.deadline() else { return };
        let left = deadline.remaining(Instant::now().into_std());
        if is_grpc(headers) {
            let asked = headers.get(GRPC_TIMEOUT).and_then(|value| grpc_timeout::parse(value.as_bytes()));
            set(headers, &GRPC_TIMEOUT, Some(&grpc_timeout::format(at_most(left, asked))));
        } else if let Some(name) = &self.deadline_header {
            let asked = headers.get(name).and_then(|value| millis::parse(value.as_bytes()));
            set(headers, name, Some(&millis::format(at_most(left, asked))));
        }
    }
}

fn at_most(left: Duration, asked: Option<Duration>) -> Duration {
    asked.map_or(left, |asked| asked.min(left))
}

/// What the context does not know is not sent: a header that is there may be a stranger's, forwarded.
fn set(headers: &mut HeaderMap, name: &HeaderName, value: Option<&str>) {
    match value {
        Some(value) => {
            let value =
                HeaderValue::from_str(value).expect("ids, traces, tenants and times are printable ASCII");
            headers.insert(name.clone(), value);
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

    use http::{HeaderMap, HeaderName, Request, Response};
    use mainstay_core::{Deadline, Parts, RequestContext, RequestId, TenantId, TraceContext, ambient};
    use mainstay_testkit::contract::{Laws, http_layer_contract};
    use tokio::time::Instant;
    use tower::{Layer, ServiceExt, service_fn};

    use super::{PropagateConfig, PropagateLayer};

    async fn sent(request: Request<()>) -> HeaderMap {
        sent_with(&PropagateConfig::default(), request).await
    }

    fn context() -> RequestContext {
        let now = Instant::now().into_std();
        let parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = TraceContext::continued(parent, Some(b"vendor=1"), [0xaa; 8]).unwrap();
        let context = RequestContext::new(Parts {
            deadline: Some(Deadline::after(now, Duration::from_millis(1_500))),
            ..Parts::new(RequestId::parse(b"r-1").unwrap(), trace, now)
        });
        context.set_tenant(TenantId::parse("acme").unwrap()).unwrap();
        context
    }

    async fn sent_with(config: &PropagateConfig, mut request: Request<()>) -> HeaderMap {
        request.extensions_mut().insert(context());
        through(config, request).await
    }

    async fn through(config: &PropagateConfig, request: Request<()>) -> HeaderMap {
        let client = service_fn(async |request: Request<()>| {
            Ok::<_, Infallible>(Response::new(request.headers().clone()))
        });
        PropagateLayer::new(config).layer(client).oneshot(request).await.unwrap().into_body()
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
        let headers = through(&PropagateConfig::default(), forwarded).await;
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

    #[tokio::test(start_paused = true)]
    async fn an_http_call_says_how_much_time_is_left_in_the_header_that_the_settings_name() {
        let name = HeaderName::from_static("x-request-timeout-ms");
        let config = PropagateConfig { deadline_header: Some(name.clone()), ..PropagateConfig::default() };
        for (asked, sent_as) in
            [(None, "1500"), (Some("200"), "200"), (Some("9000"), "1500"), (Some("0"), "1500")]
        {
            let mut request = Request::new(());
            if let Some(asked) = asked {
                request.headers_mut().insert(name.clone(), asked.parse().unwrap());
            }
            assert_eq!(sent_with(&config, request).await[&name], sent_as, "{asked:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_settings_do_not_send_is_not_sent_and_not_forwarded_either() {
        let config = PropagateConfig {
            ids: false,
            trace: false,
            tenant: false,
            deadline: false,
            deadline_header: None,
        };
        let mut request = Request::builder().header("content-type", "application/grpc");
        for name in ["x-request-id", "x-correlation-id", "traceparent", "tracestate", "x-tenant-id"] {
            request = request.header(name, "forged");
        }
        let headers = sent_with(&config, request.body(()).unwrap()).await;
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["content-type"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_current_calls_context_is_sent_unless_the_request_has_one_of_its_own() {
        let config = PropagateConfig::default();
        let current = context().derive(|parts| parts.request_id = RequestId::parse(b"current").unwrap());
        let work = async {
            let of_current = through(&config, Request::new(())).await;
            let of_own = sent_with(&config, Request::new(())).await;
            (of_current["x-request-id"].clone(), of_own["x-request-id"].clone())
        };
        let (of_current, of_own) = ambient::scope(current, work).await;
        assert_eq!((of_current.to_str().unwrap(), of_own.to_str().unwrap()), ("current", "r-1"));
        assert!(through(&config, Request::new(())).await.is_empty(), "there is no call to speak of");
    }

    #[tokio::test]
    async fn it_keeps_the_laws_of_layers_and_bodies() {
        http_layer_contract(PropagateLayer::default, || Request::new(()), Laws::default()).await;
    }
}
