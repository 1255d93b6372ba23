//! What each layer allocates for one request, as its documentation says: counted, layer by layer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use mainstay_core::{
    CorrelationId, Deadline, Host, Parts, Peer, RequestContext, RequestId, TenantId, TraceContext,
};
use mainstay_http::access_log::{AccessLogConfig, AccessLogLayer, ReceivedLayer, SkipConfig};
use mainstay_http::concurrency_limit::{ConcurrencyLimitConfig, ConcurrencyLimitLayer};
use mainstay_http::context::{ContextConfig, ContextLayer};
use mainstay_http::deadline::{
    BodyLimits, Covers, DeadlineConfig, DeadlineLayer, RouteDeadline, UploadBody, UploadDeadlineLayer,
};
use mainstay_http::idempotency::{IdempotencyConfig, IdempotencyLayer, Keys};
use mainstay_http::load_shed::{LoadShedConfig, LoadShedLayer};
use mainstay_http::panic_guard::PanicGuardLayer;
use mainstay_http::problem::ProblemsLayer;
use mainstay_http::propagate::PropagateLayer;
use mainstay_http::rate_limit::{RateLimitConfig, RateLimitLayer, RatePolicy};
use mainstay_http::security_headers::{
    ContentSecurityPolicy, Directive, SecurityHeadersConfig, SecurityHeadersLayer, Source,
};
use mainstay_http::shape::{HeaderRule, ShapeConfig, ShapeLayer};
use mainstay_http::tenant::{
    ResolverError, Standing, TenantCacheConfig, TenantConfig, TenantLayer, TenantResolver, TenantSource,
};
use mainstay_testkit::alloc::{count_allocations, count_allocations_of};
use mainstay_testkit::body::{ScriptedBody, Step};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, NoSubscriber, set_default};
use tracing::{Dispatch, Event, Metadata, Subscriber};

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

/// From here on this thread's events are taken, also those that another thread met first: with several subscribers
/// registered, tracing does not remember that nobody listened there.
fn listen() -> DefaultGuard {
    static KEPT: OnceLock<[Dispatch; 2]> = OnceLock::new();
    KEPT.get_or_init(|| [Dispatch::new(NoSubscriber::default()), Dispatch::new(NoSubscriber::default())]);
    set_default(Listening)
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
    let trace = TraceContext::root([1; 16], [2; 8]);
    let parts = Parts {
        host: Host::parse(b"example.org").ok(),
        ..Parts::new(RequestId::v7(1, [0; 10]), trace, Instant::now().into_std())
    };
    request.extensions_mut().insert(RequestContext::new(parts));
    request
}

/// Allocations of one whole exchange through the layer, the body read to its end; not of the first, which sets up the
/// thread's random generator and makes configured header values shareable.
async fn allocations<L, B, ResB>(layer: L, request: impl Fn() -> Request<B>) -> u64
where
    L: Layer<Inner>,
    L::Service: Service<Request<B>, Response = Response<ResB>, Error = Infallible>,
    ResB: Body<Data = Bytes> + Unpin,
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
    let listening = listen();
    assert_eq!(allocations(AccessLogLayer::default(), request).await, 0, "where somebody does");
    drop(listening);
    assert_eq!(allocations(ReceivedLayer::new(), request).await, 0);
    assert_eq!(allocations(ProblemsLayer::default(), request).await, 0);
    assert_eq!(allocations(PanicGuardLayer::default(), request).await, 0);
    assert_eq!(allocations(DeadlineLayer::default(), request).await, 0);
}

#[tokio::test]
async fn the_context_costs_its_arc_its_box_two_ids_and_the_growth_of_the_answers_headers() {
    assert_eq!(allocations(ContextLayer::default(), || request(&[])).await, 6);
}

#[tokio::test]
async fn a_tracestate_costs_one_more() {
    let config =
        ContextConfig { trusted_networks: vec!["10.0.0.0/8".parse().unwrap()], ..ContextConfig::default() };
    let parent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(allocations(ContextLayer::new(&config), || request(&[parent])).await, 6);
    let with_state = || request(&[parent, ("tracestate", "vendor=1")]);
    assert_eq!(allocations(ContextLayer::new(&config), with_state).await, 7);
}

#[tokio::test]
async fn address_scheme_and_host_cost_nothing_and_a_refused_id_its_text_and_its_replacement() {
    let config =
        ContextConfig { trusted_networks: vec!["10.0.0.0/8".parse().unwrap()], ..ContextConfig::default() };
    let forwarded = [
        ("x-forwarded-for", "203.0.113.9, 10.0.0.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example.org"),
    ];
    assert_eq!(allocations(ContextLayer::new(&config), || request(&forwarded)).await, 6);
    // From a stranger they are removed: their list, and each name, of which a clone is kept.
    assert_eq!(allocations(ContextLayer::default(), || request(&forwarded)).await, 10);
    assert_eq!(allocations(ContextLayer::default(), || request(&[("x-request-id", "mine")])).await, 8);
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
    assert_eq!(allocations(PropagateLayer::default(), || with_context(request(&[]))).await, 3);
}

#[tokio::test]
async fn a_request_without_a_context_is_propagated_for_nothing() {
    assert_eq!(allocations(PropagateLayer::default(), || request(&[])).await, 0);
}

/// Reads its request's body to the end, and answers when it has.
#[derive(Clone)]
struct Reading;

impl Service<Request<UploadBody<ScriptedBody>>> for Reading {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<UploadBody<ScriptedBody>>) -> Answering {
        Answering(request.into_body())
    }
}

struct Answering(UploadBody<ScriptedBody>);

impl Future for Answering {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        while ready!(Pin::new(&mut self.0).poll_frame(cx)).is_some() {}
        Poll::Ready(Ok(Response::new(Full::from("hello"))))
    }
}

async fn upload_allocations(config: &DeadlineConfig, steps: &[Step]) -> u64 {
    let service = UploadDeadlineLayer::new(config).layer(Reading);
    let request = Request::new(ScriptedBody::new(steps.to_vec()));
    let (_, counted) = count_allocations_of(async { drop(service.oneshot(request).await) }).await;
    counted.count
}

#[tokio::test(start_paused = true)]
async fn deadlines_cost_nothing_but_the_timer_of_a_limited_body_and_the_flag_of_an_upload() {
    let limits = BodyLimits { idle: Some(Duration::from_secs(1)), total: Some(Duration::from_secs(9)) };
    let route = RouteDeadline::new("/orders/{id}".parse().unwrap());
    let limited = DeadlineConfig {
        covers: Covers::Body,
        request_body: limits,
        response_body: limits,
        routes: vec![route],
        ..DeadlineConfig::default()
    };
    let request = || with_context(request(&[]));
    for layer in [DeadlineLayer::in_stack(&limited), DeadlineLayer::new(&limited), DeadlineLayer::inherited()]
    {
        assert_eq!(allocations(layer, request).await, 0);
    }
    let (ready, waited) = ([Step::Data("x".into())], [Step::Pending, Step::Data("x".into()), Step::Pending]);
    assert_eq!(upload_allocations(&DeadlineConfig::default(), &waited).await, 0);
    assert_eq!(upload_allocations(&limited, &ready).await, 1);
    assert_eq!(upload_allocations(&limited, &waited).await, 2);
}

#[tokio::test]
async fn a_nonce_costs_its_place_in_the_extensions_and_the_policys_text_where_it_is_sent() {
    let policy = ContentSecurityPolicy::default().with(Directive::ScriptSrc, [Source::NONCE]);
    let config = SecurityHeadersConfig { content_security_policy: policy, ..Default::default() };
    let layer = SecurityHeadersLayer::new(&config).unwrap();
    // The map, twice, and the box in extensions that have a context already; the answer is not HTML.
    assert_eq!(allocations(layer.clone(), || with_context(request(&[]))).await, 3);
    let json = || with_context(request(&[("accept", "application/json")]));
    assert_eq!(allocations(layer.clone(), json).await, 2, "no nonce for who takes no HTML");

    // Answered by HTML: the map is there before, so that only the text and the growth are the layer's.
    let html = tower::service_fn(async |_: Request<()>| {
        let answer = Response::builder().header("content-type", "text/html").body(Full::<Bytes>::default());
        Ok::<_, Infallible>(answer.unwrap())
    });
    let count = async |layer: SecurityHeadersLayer| {
        let mut service = layer.layer(html);
        let request = with_context(request(&[]));
        count_allocations_of(async { drop(service.call(request).await) }).await.1.count
    };
    let without_nonce = count(SecurityHeadersLayer::default()).await;
    assert_eq!(count(layer).await, without_nonce + 2, "its box and the policy's text");
}

#[tokio::test]
async fn security_headers_that_ask_for_nothing_cost_nothing() {
    let config = SecurityHeadersConfig { enabled: false, ..Default::default() };
    let layer = SecurityHeadersLayer::new(&config).unwrap();
    assert_eq!(allocations(layer, || with_context(request(&[]))).await, 0);
}

#[tokio::test]
async fn a_tenant_that_is_known_costs_nothing_and_one_that_is_not_its_text_or_a_question() {
    struct Everybody;

    impl TenantResolver for Everybody {
        async fn resolve(&self, _: &TenantId, _: Option<&str>) -> Result<Standing, ResolverError> {
            Ok(Standing::Known)
        }
    }

    let named = || with_context(request(&[("x-tenant-id", "acme")]));
    assert_eq!(allocations(TenantLayer::default(), named).await, 0, "asks for nothing");

    let header =
        TenantConfig { sources: vec![TenantSource::Header], from_strangers: true, ..TenantConfig::default() };
    let listed = TenantConfig { known: vec!["acme".to_owned()], ..header.clone() };
    assert_eq!(allocations(TenantLayer::new(&listed).unwrap(), named).await, 0, "on the list");
    let host = TenantSource::Host("{tenant}.org".to_owned());
    let by_host = TenantConfig { sources: vec![host], known: vec!["example".to_owned()], ..header.clone() };
    let by_host = TenantLayer::new(&by_host).unwrap();
    assert_eq!(allocations(by_host, || with_context(request(&[]))).await, 0, "room for the header is there");

    assert_eq!(allocations(TenantLayer::new(&header).unwrap(), named).await, 2, "nobody vouches for it");
    let asking = TenantLayer::new(&header).unwrap().resolver(Everybody);
    assert_eq!(allocations(asking, named).await, 0, "remembered");
    let forgetful = TenantCacheConfig { known_for: Duration::ZERO, ..TenantCacheConfig::default() };
    let asking = TenantLayer::new(&TenantConfig { cache: forgetful, ..header }).unwrap().resolver(Everybody);
    assert_eq!(allocations(asking, named).await, 10, "asked for");
}

#[tokio::test]
async fn limits_allocate_nothing_but_the_fields_that_tell_the_caller() {
    let request = || with_context(request(&[]));
    assert_eq!(allocations(ConcurrencyLimitLayer::default(), request).await, 0);
    let config = ConcurrencyLimitConfig {
        max_in_flight: std::num::NonZeroU32::new(8),
        exempt: vec!["/health/*".to_owned()],
        ..ConcurrencyLimitConfig::default()
    };
    assert_eq!(allocations(ConcurrencyLimitLayer::new(&config).unwrap(), request).await, 0);

    assert_eq!(allocations(LoadShedLayer::default(), request).await, 0);
    let config = LoadShedConfig { enabled: true, ..LoadShedConfig::default() };
    assert_eq!(allocations(LoadShedLayer::new(&config), request).await, 0);

    assert_eq!(allocations(RateLimitLayer::default(), request).await, 0);
    let policies =
        vec![RatePolicy::default(), RatePolicy { name: "second".to_owned(), ..RatePolicy::default() }];
    let config = RateLimitConfig { policies, headers: false, ..RateLimitConfig::default() };
    assert_eq!(allocations(RateLimitLayer::new(&config).unwrap(), request).await, 0);
    // The value of `ratelimit`, and the two tables of the answer's header map, which was empty.
    let config = RateLimitConfig { headers: true, ..config };
    assert_eq!(allocations(RateLimitLayer::new(&config).unwrap(), request).await, 3);
}

#[tokio::test]
async fn shaping_costs_one_for_each_value_that_changes_and_nothing_else() {
    let posted = |headers: &[(&'static str, &str)]| {
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/json; charset=utf-8"));
        headers.push(("accept", "text/html;q=0.5, */*;q=0.1"));
        with_context(request(&headers)).map(|()| Full::<Bytes>::from("{}"))
    };
    let layer = |request_headers| {
        let config = ShapeConfig {
            request_headers,
            content_types: vec!["application/json".into()],
            answer_types: vec!["application/json".into()],
            ..ShapeConfig::default()
        };
        ShapeLayer::new(&config).unwrap()
    };
    let idle =
        || posted(&[("connection", "keep-alive, x-hop"), ("x-hop", "1"), ("x-a", "a"), ("x-old", "b")]);
    assert_eq!(allocations(ShapeLayer::default(), idle).await, 0);

    let tidy =
        || HeaderRule { trim: true, lower_case: true, default: Some("c".into()), ..HeaderRule::of("x-a") };
    let renamed = HeaderRule { rename: Some("x-new".into()), ..HeaderRule::of("x-old") };
    let removed = HeaderRule { remove: true, ..HeaderRule::of("x-gone") };
    let rules = vec![tidy(), renamed, removed];
    assert_eq!(allocations(layer(rules), idle).await, 0, "rules that change no text");

    let untidy = || {
        let mut request = posted(&[("x-a", " A ")]);
        for line in ["b", "C"] {
            request.headers_mut().append("x-a", HeaderValue::from_static(line));
        }
        request
    };
    assert_eq!(allocations(layer(vec![tidy()]), untidy).await, 2);

    let missing = || posted(&[]);
    assert_eq!(allocations(layer(vec![tidy()]), missing).await, 0, "the map has room for one more");
}

#[tokio::test]
async fn rules_and_a_sample_cost_the_access_log_nothing_and_a_line_its_text() {
    let _listening = listen();
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

#[tokio::test]
async fn a_call_without_an_idempotency_key_costs_nothing() {
    let optional = IdempotencyConfig { keys: Keys::Optional, ..IdempotencyConfig::default() };
    let post = || {
        let mut request = with_context(request(&[])).map(|()| Full::<Bytes>::default());
        *request.method_mut() = http::Method::POST;
        request
    };
    assert_eq!(allocations(IdempotencyLayer::default(), post).await, 0);
    assert_eq!(allocations(IdempotencyLayer::new(&optional).unwrap(), post).await, 0);
}
