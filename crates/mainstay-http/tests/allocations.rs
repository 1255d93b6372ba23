//! What each layer allocates for one request, as its documentation says: counted, layer by layer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use mainstay_core::{CorrelationId, Deadline, Parts, Peer, RequestContext, RequestId, TraceContext};
use mainstay_http::access_log::{AccessLogConfig, AccessLogLayer, ReceivedLayer, SkipConfig};
use mainstay_http::context::{ContextConfig, ContextLayer};
use mainstay_http::deadline::DeadlineLayer;
use mainstay_http::panic_guard::PanicGuardLayer;
use mainstay_http::problem::ProblemsLayer;
use mainstay_http::propagate::PropagateLayer;
use mainstay_http::security_headers::SecurityHeadersLayer;
use mainstay_testkit::alloc::{count_allocations, count_allocations_of};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Answers at once with a text that is there already: nothing of what is counted is its own.
#[derive(Clone)]
struct Inner;

impl<B> Service<Request<B>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        std::future::ready(Ok(Response::new(Full::from("hello"))))
    }
}

/// Takes every event and does nothing with it, so that only our own cost is seen.
struct Listening;

impl Subscriber for Listening {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A request as it comes out of a server: from a peer, with a few headers.
fn request(headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::new(());
    request.headers_mut().insert("host", "example.org".parse().unwrap());
    for (name, value) in headers {
        // As hyper does it: a slice of the buffer that was read, which can be shared without an allocation.
        let value = BytesMut::from(*value).split().freeze();
        request.headers_mut().insert(*name, HeaderValue::from_maybe_shared(value).unwrap());
    }
    let peer = Peer { address: SocketAddr::from(([10, 0, 0, 1], 1)), encrypted: false };
    request.extensions_mut().insert(peer);
    request
}

fn with_context(mut request: Request<()>) -> Request<()> {
    let parts =
        Parts::new(RequestId::v7(1, [0; 10]), TraceContext::root([1; 16], [2; 8]), Instant::now().into_std());
    request.extensions_mut().insert(RequestContext::new(parts));
    request
}

/// Allocations of one whole exchange through the layer, the body read to its end; not of the first, which sets up the
/// thread's random generator and makes configured header values shareable.
async fn allocations<L, ResB>(layer: L, request: impl Fn() -> Request<()>) -> u64
where
    L: Layer<Inner>,
    L::Service: Service<Request<()>, Response = Response<ResB>, Error = Infallible>,
    ResB: http_body::Body<Data = Bytes> + Unpin,
{
    let mut service = layer.layer(Inner);
    let mut count = 0;
    for _ in 0..2 {
        let request = request();
        service.ready().await.unwrap();
        let (_, counted) = count_allocations_of(async {
            let mut body = service.call(request).await.unwrap().into_body();
            while let Some(frame) = body.frame().await {
                drop(frame);
            }
        })
        .await;
        count = counted.count;
    }
    count
}

#[test]
fn an_id_and_a_clone_of_the_context_cost_nothing() {
    let now = Instant::now().into_std();
    let made = count_allocations(|| {
        let id = RequestId::v7(1_732_406_400_000, [7; 10]);
        assert_eq!(CorrelationId::from(id).as_str(), id.as_str());
        assert!(Deadline::after(now, Duration::from_secs(1)).remaining(now) > Duration::ZERO);
    });
    assert_eq!(made.count, 0);

    let parts = Parts::new(RequestId::v7(1, [0; 10]), TraceContext::root([1; 16], [2; 8]), now);
    let mut context = None;
    assert_eq!(count_allocations(|| context = Some(RequestContext::new(parts))).count, 1);
    assert_eq!(count_allocations(|| drop(context.clone())).count, 0);
}

#[tokio::test]
async fn layers_that_only_watch_allocate_nothing() {
    let request = || with_context(request(&[("user-agent", "curl")]));
    assert_eq!(allocations(AccessLogLayer::default(), request).await, 0, "where nobody listens");
    let listening = tracing::subscriber::set_default(Listening);
    assert_eq!(allocations(AccessLogLayer::default(), request).await, 0, "where somebody does");
    drop(listening);
    assert_eq!(allocations(ReceivedLayer::new(), request).await, 0);
    assert_eq!(allocations(ProblemsLayer::new(), request).await, 0);
    assert_eq!(allocations(PanicGuardLayer::new(), request).await, 0);
    assert_eq!(allocations(DeadlineLayer::default(), request).await, 0);
}

#[tokio::test]
async fn the_context_costs_its_arc_its_box_two_ids_and_the_growth_of_the_answers_headers() {
    assert_eq!(allocations(ContextLayer::default(), || request(&[])).await, 6);
}

#[tokio::test]
async fn a_tracestate_costs_three_more() {
    let config = ContextConfig { trusted_networks: vec!["10.0.0.0/8".parse().unwrap()] };
    let parent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(allocations(ContextLayer::new(&config), || request(&[parent])).await, 6);
    let with_state = || request(&[parent, ("tracestate", "vendor=1")]);
    assert_eq!(allocations(ContextLayer::new(&config), with_state).await, 9);
}

#[tokio::test]
async fn security_headers_grow_the_answers_map_once() {
    assert_eq!(allocations(SecurityHeadersLayer::default(), || with_context(request(&[]))).await, 2);
    // The ids fit into what was reserved.
    let both = (ContextLayer::default(), SecurityHeadersLayer::default());
    assert_eq!(allocations(both, || request(&[])).await, 6);
}

#[tokio::test]
async fn propagation_costs_the_text_of_each_header_and_the_growth_of_the_map() {
    assert_eq!(allocations(PropagateLayer::new(), || with_context(request(&[]))).await, 3);
}

#[tokio::test]
async fn a_request_without_a_context_is_propagated_for_nothing() {
    assert_eq!(allocations(PropagateLayer::new(), || request(&[])).await, 0);
}

#[tokio::test]
async fn rules_and_a_sample_cost_the_access_log_nothing_and_a_line_its_text() {
    let _listening = tracing::subscriber::set_default(Listening);
    let request = || with_context(request(&[("user-agent", "curl")]));
    let ruled = AccessLogConfig {
        sample: 0.5,
        slow: Some(Duration::from_secs(1)),
        skip: SkipConfig { paths: vec!["/healthz".to_owned()], ..SkipConfig::default() },
        ..AccessLogConfig::default()
    };
    assert_eq!(allocations(AccessLogLayer::new(&ruled), request).await, 0);
    let line =
        AccessLogConfig { format: ":method :url :status".parse().unwrap(), ..AccessLogConfig::default() };
    assert_eq!(allocations(AccessLogLayer::new(&line), request).await, 1);
}
