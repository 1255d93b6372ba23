//! The whole server stack with everything switched on: no panic, and an answer that keeps what the stack promises.

use std::convert::Infallible;
use std::net::SocketAddr;

use arbitrary::Arbitrary;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use mainstay::Peer;
use mainstay::http::access_log::QueryLog;
use mainstay::http::idempotency::Keys;
use mainstay::http::rate_limit::RatePolicy;
use mainstay::http::tenant::TenantSource;
use mainstay::server::{self, ServerConfig, ServerStack};
use tower::ServiceExt;
use tower_layer::Layer;

/// A request of any headers, from one of ours or from a stranger.
#[derive(Arbitrary, Debug)]
pub struct Sent {
    method: u8,
    path: Vec<u8>,
    is_ours: bool,
    is_http2: bool,
    headers: Vec<(u8, Vec<Piece>)>,
    body: Vec<u8>,
}

/// Random bytes alone hardly ever mean anything.
#[derive(Arbitrary, Debug)]
enum Piece {
    Byte(u8),
    Word(u8),
}

const METHODS: [Method; 6] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::OPTIONS, Method::CONNECT];

/// Every header that the edge reads.
const NAMES: [&str; 24] = [
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "grpc-timeout",
    "host",
    "idempotency-key",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-correlation-id",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
    "x-request-timeout-ms",
    "x-tenant-id",
];

const WORDS: [&str; 16] = [
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "for=\"[2001:db8::1]:80\";proto=https;host=acme.example.org",
    "10.0.0.1",
    "203.0.113.9",
    "acme",
    "globex",
    "acme.example.org",
    "application/grpc",
    "application/json",
    "text/html",
    "https",
    "upgrade",
    "websocket",
    "50m",
    ", ",
    "\"",
];

/// Panics when this request makes the stack panic, or break a promise.
pub fn check(sent: &Sent) {
    let Some(request) = sent.request() else { return };
    let is_head = request.method() == Method::HEAD;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
    runtime.block_on(async {
        let service = tower::service_fn(async |request: Request<_>| {
            let ids = request.headers().get_all("x-request-id").iter().count();
            assert!(ids <= 1, "a handler sees several request ids");
            let tenants = request.headers().get_all("x-tenant-id").iter().count();
            assert!(tenants <= 1, "a handler sees several tenants");
            drop(request);
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
        });
        let answer = stack().layer(service).oneshot(request).await.expect("it cannot fail");
        let (head, body) = answer.into_parts();
        assert_eq!(head.headers.get_all("x-request-id").iter().count(), 1);
        let body = body.collect().await.expect("no body of these fails").to_bytes();
        let status = head.status.as_u16();
        assert!(matches!(status, 200 | 400 | 403 | 406 | 409 | 413 | 415 | 429 | 431 | 504), "{status}");
        if head.headers.get("content-type").is_some_and(|kind| kind == "application/problem+json") && !is_head
        {
            let problem: serde_json::Value = serde_json::from_slice(&body).expect("a problem is JSON");
            assert_eq!(problem["status"], status);
            assert_eq!(problem["request_id"], head.headers["x-request-id"].to_str().expect("an id is text"));
        }
    });
}

fn stack() -> ServerStack {
    let mut config = ServerConfig::default();
    config.context.trusted_networks = vec!["10.0.0.0/8".parse().expect("a network")];
    config.access_log.query = QueryLog::Redacted;
    config.security_headers.profile = mainstay::http::security_headers::Profile::ByContentType;
    config.rate_limit.policies = vec![RatePolicy::default()];
    config.rate_limit.max_keys = 1_024;
    config.deadline.header = Some(HeaderName::from_static("x-request-timeout-ms"));
    config.shape.content_types = vec!["application/json".to_owned(), "text/*".to_owned()];
    config.shape.answer_types = vec!["text/plain".to_owned()];
    config.tenant.sources = vec![TenantSource::Header, TenantSource::Host("{tenant}.example.org".to_owned())];
    config.tenant.from_strangers = true;
    config.tenant.known = vec!["acme".to_owned()];
    config.idempotency.keys = Keys::Optional;
    server::stack(&config).expect("the settings are sound")
}

// === impl Sent ===

impl Sent {
    /// `None` where a server would not have made a request of it.
    fn request(&self) -> Option<Request<Full<Bytes>>> {
        let mut request = Request::new(Full::from(self.body.clone()));
        *request.method_mut() = METHODS[usize::from(self.method) % METHODS.len()].clone();
        *request.uri_mut() = [b"/", &self.path[..]].concat().as_slice().try_into().ok()?;
        *request.version_mut() = if self.is_http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        for (name, value) in &self.headers {
            let name = HeaderName::from_static(NAMES[usize::from(*name) % NAMES.len()]);
            let value: Vec<u8> = value.iter().flat_map(Piece::bytes).copied().collect();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request.headers_mut().append(name, value);
            }
        }
        let address = if self.is_ours { [10, 0, 0, 1] } else { [203, 0, 113, 9] };
        let peer = Peer { address: SocketAddr::from((address, 1)), encrypted: false };
        request.extensions_mut().insert(peer);
        Some(request)
    }
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Byte(byte) => std::slice::from_ref(byte),
            Self::Word(word) => WORDS[usize::from(*word) % WORDS.len()].as_bytes(),
        }
    }
}
