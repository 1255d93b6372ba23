//! Looks, before anything is counted, whether a variant does what it is counted for.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde_json::Value;

use super::peers::HEADERS;
use super::variants::Duties;
use crate::exchange::{Extensions, Hello, TEXT, sender};
use mainstay_http::security_headers::SecurityHeadersLayer;
use tower_layer::Layer;

const IDS: [&str; 2] = ["x-request-id", "x-correlation-id"];

/// The headers that ours sets on an answer to this request, for the peers to set the same.
pub(super) fn security_headers() -> [(HeaderName, HeaderValue); HEADERS] {
    let answer = sender(SecurityHeadersLayer::default().layer(Hello), Extensions::Peer)(1);
    others(answer.headers()).try_into().expect("the peers set as many headers as ours")
}

/// Panics unless one request was answered in full, with what the duties say and nothing else.
pub(super) fn prove(name: &str, duties: Duties, answer: &Response<usize>, lines: &[Value]) {
    assert_eq!(
        (answer.status(), *answer.body()),
        (StatusCode::OK, TEXT.len()),
        "{name}: not the handler's answer"
    );
    let headers = if duties.headers { security_headers().to_vec() } else { Vec::new() };
    assert_eq!(sorted(others(answer.headers())), sorted(headers), "{name}: not the security headers");

    let id = answer.headers().get(IDS[0]).map(|id| id.to_str().expect("an id is ASCII"));
    assert_eq!(id.is_some(), duties.id, "{name}: the answer's request id is {id:?}");

    assert_eq!(lines.len(), usize::from(duties.line), "{name}: logged {lines:?}");
    if let Some(line) = lines.first() {
        let id = Value::from(id.expect("what is logged has an id"));
        assert!(holds(line, &id), "{name}: no {id} in {line}");
        assert!(holds(line, &Value::from(200)), "{name}: no status in {line}");
        let outcome = line.get("outcome");
        assert!(outcome.is_none_or(|outcome| outcome == "complete"), "{name}: not read to its end: {line}");
    }
}

/// All headers but the ids and the handler's own.
fn others(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let others = headers.iter().filter(|(name, _)| *name != CONTENT_TYPE && !IDS.contains(&name.as_str()));
    others.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn sorted(mut headers: Vec<(HeaderName, HeaderValue)>) -> Vec<(HeaderName, HeaderValue)> {
    headers.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    headers
}

/// Whether the value is somewhere in the line, at the top or in a span.
fn holds(line: &Value, wanted: &Value) -> bool {
    match line {
        Value::Object(members) => members.values().any(|member| holds(member, wanted)),
        Value::Array(items) => items.iter().any(|item| holds(item, wanted)),
        value => value == wanted,
    }
}
