//! Deadlines: no panic on any pattern, path or header, and no caller that gets more time than it may have.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arbitrary::Arbitrary;
use http::{HeaderName, HeaderValue, Request, Response};
use mainstay_core::RequestContext;
use mainstay_http::context::ContextLayer;
use mainstay_http::deadline::{DeadlineConfig, PathPattern};
use tower_layer::Layer;
use tower_service::Service;

/// A route's pattern, a path to hold against it, and what callers say about their time.
#[derive(Arbitrary, Debug)]
pub struct Texts {
    pattern: Vec<Segment>,
    any: String,
    path: String,
    lines: Vec<Line>,
}

#[derive(Arbitrary, Debug)]
enum Segment {
    Text(u8),
    One,
    Rest,
    Any(String),
}

#[derive(Arbitrary, Debug)]
enum Line {
    Bytes(Vec<u8>),
    Number(u64),
}

/// Panics when these texts do, when a pattern matches what it should not, or when a stranger gets more than the default.
pub fn check(texts: &Texts) {
    let pattern: String = texts.pattern.iter().map(|segment| format!("/{}", segment.text())).collect();
    for pattern in [&pattern, &texts.any] {
        if let Ok(parsed) = pattern.parse::<PathPattern>() {
            assert_eq!(parsed.to_string(), *pattern);
            for path in [&texts.path, &texts.any, pattern, &pattern.replace(['{', '}', '*'], "")] {
                assert_eq!(parsed.matches(path), matches(pattern, path), "{pattern:?} on {path:?}");
            }
        }
    }
    check_time(texts);
}

/// The slow model: all segments beside each other.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    let fits = |(segment, part): (&&str, &&str)| {
        if segment.starts_with('{') { !part.is_empty() } else { segment == part }
    };
    match pattern.split_last() {
        Some((last, first)) if last.starts_with("{*") => {
            path.len() >= pattern.len()
                && first.iter().zip(&path).all(fits)
                && !path[first.len()..].join("/").is_empty()
        }
        _ => path.len() == pattern.len() && pattern.iter().zip(&path).all(fits),
    }
}

fn check_time(texts: &Texts) {
    const HEADER: HeaderName = HeaderName::from_static("x-request-timeout-ms");
    let config = DeadlineConfig { header: Some(HEADER), ..DeadlineConfig::default() };
    let mut request = Request::new(());
    for line in &texts.lines {
        if let Ok(value) = HeaderValue::from_bytes(&line.bytes()) {
            request.headers_mut().append(HEADER, value);
        }
    }
    let lines: Vec<Vec<u8>> =
        request.headers().get_all(HEADER).iter().map(|line| line.as_bytes().to_vec()).collect();
    let mut service = ContextLayer::default().deadline(&config).layer(Echo);
    let answer = pin!(service.call(request)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(answer)) = answer else { panic!("the edge waits for nothing") };
    let context = answer.extensions().get::<RequestContext>().expect("the edge makes one");
    let allowed = context.deadline().expect("there is a default").remaining(context.received_at());

    let believed = match &lines[..] {
        [line] if line.len() <= 10 && line.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).filter(|millis| *millis > 0)
        }
        _ => None,
    };
    let asked = believed.map_or(config.default, Duration::from_millis);
    assert_eq!(allowed, asked.min(config.default), "{lines:?}");
}

struct Echo;

impl Service<Request<()>> for Echo {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let mut answer = Response::new(());
        *answer.extensions_mut() = request.into_parts().0.extensions;
        ready(Ok(answer))
    }
}

// === impl Segment ===

impl Segment {
    fn text(&self) -> String {
        match self {
            Self::Text(byte) => char::from(b'a' + byte % 3).to_string(),
            Self::One => "{one}".to_owned(),
            Self::Rest => "{*rest}".to_owned(),
            Self::Any(text) => text.clone(),
        }
    }
}

// === impl Line ===

impl Line {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Number(number) => number.to_string().into_bytes(),
        }
    }
}
