//! The HTTP edge: no panic, and no answer but the ones that a layer may give.

use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use arbitrary::Arbitrary;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use mainstay_http::idempotency::{IdempotencyConfig, IdempotencyLayer, Keys};
use mainstay_http::shape::{ShapeConfig, ShapeLayer};
use tower_layer::Layer;
use tower_service::Service;

/// The lines of one header, of any bytes.
#[derive(Arbitrary, Debug)]
pub struct Lines(Vec<Vec<Piece>>);

/// Random bytes alone hardly ever spell a type.
#[derive(Arbitrary, Debug)]
enum Piece {
    Byte(u8),
    Word(u8),
}

const WORDS: [&str; 16] = [
    "application/json",
    "text/plain",
    "text/csv",
    "application/x+xml",
    "*/*",
    "text/*",
    "; charset=utf-8",
    ";q=0",
    ";q=0.5",
    "; charset=\"utf-8\"",
    ";v=1",
    ", ",
    ";",
    "\"",
    "\\",
    "/",
];

/// Panics when this content type makes the layer panic, or get a type through that does not begin as allowed.
pub fn check_content_type(lines: &Lines) {
    let config = ShapeConfig {
        content_types: vec!["application/json".into(), "text/*; charset=utf-8".into(), "*/*+xml".into()],
        ..ShapeConfig::default()
    };
    let (status, sent) = status(&config, "content-type", lines);
    assert!(matches!(status, 200 | 400 | 415 | 431), "{status}");
    if status == 200 {
        assert!(!sent.is_empty(), "content without a type got through");
        for line in sent {
            let line = line.to_ascii_lowercase();
            let kind = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            let is_allowed =
                kind == b"application/json" || kind.starts_with(b"text/") || kind.ends_with(b"+xml");
            assert!(is_allowed && !kind.contains(&b'*'), "{} got through", kind.escape_ascii());
        }
    }
}

/// Panics when this `accept` makes the layer panic, or is refused though it names no type.
pub fn check_accept(lines: &Lines) {
    let config = ShapeConfig {
        answer_types: vec!["application/json".into(), "text/csv;v=1".into()],
        ..ShapeConfig::default()
    };
    let (status, sent) = status(&config, "accept", lines);
    assert!(matches!(status, 200 | 406 | 431), "{status}");
    let says_a_type = sent.iter().any(|line| line.contains(&b'/'));
    assert!(status != 406 || says_a_type, "refused, though no type was named");
}

/// The layer's answer to a POST with this header, and what of it was sent.
fn status(config: &ShapeConfig, name: &'static str, lines: &Lines) -> (u16, Vec<Vec<u8>>) {
    let mut request = Request::new(Full::<Bytes>::from("x"));
    *request.method_mut() = http::Method::POST;
    let mut sent = Vec::new();
    for line in &lines.0 {
        let line = bytes_of(line);
        if let Ok(value) = HeaderValue::from_bytes(&line) {
            request.headers_mut().append(HeaderName::from_static(name), value);
            sent.push(line);
        }
    }
    if name == "content-type" && mainstay_http::form::Form::of(&request) == mainstay_http::form::Form::Grpc {
        // gRPC has types of its own.
        return (415, sent);
    }
    let mut service = ShapeLayer::new(config).expect("the settings are sound").layer(Inner);
    let mut answer = pin!(service.call(request));
    match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(answer)) => (answer.status().as_u16(), sent),
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn bytes_of(line: &[Piece]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in line {
        match piece {
            Piece::Byte(byte) => bytes.push(*byte),
            Piece::Word(at) => bytes.extend(WORDS[usize::from(*at) % WORDS.len()].bytes()),
        }
    }
    bytes
}

#[derive(Clone)]
struct Inner;

impl Service<Request<Full<Bytes>>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        std::future::ready(Ok(Response::new(Full::default())))
    }
}

/// Panics when a key of these bytes makes the layer panic, or gets a call through that says it has one and has none.
pub fn check_idempotency_key(value: &[u8]) {
    let config = IdempotencyConfig { keys: Keys::Required, ..IdempotencyConfig::default() };
    let layer = IdempotencyLayer::new(&config).expect("the settings are sound");
    let service = tower::service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let Ok(value) = HeaderValue::from_bytes(value) else { return };
    let is_empty = value.as_bytes().trim_ascii().is_empty();
    let mut request = Request::post("/").body(Full::<Bytes>::default()).expect("a sound request");
    request.headers_mut().insert("idempotency-key", value);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
    let answer = runtime.block_on(layer.layer(service).call(request)).expect("it cannot fail");
    assert!(matches!(answer.status().as_u16(), 200 | 400), "{}", answer.status());
    assert!(!(is_empty && answer.status() == 200), "no key got through");
}
