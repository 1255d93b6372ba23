//! What must hold of the security headers.

use std::convert::Infallible;
use std::net::SocketAddr;

use garde::Validate;
use http::{HeaderMap, Request, Response};
use mainstay_core::Peer;
use mainstay_testkit::contract::{Laws, http_layer_contract};
use tower::{Layer, ServiceExt, service_fn};

use super::{SecurityHeadersConfig, SecurityHeadersLayer, StrictTransportSecurity};
use crate::context::ContextLayer;

async fn headers(
    layer: SecurityHeadersLayer,
    encrypted: bool,
    handler: &'static [(&str, &str)],
) -> HeaderMap {
    let service = service_fn(move |_: Request<()>| async move {
        let mut answer = Response::new(());
        for (name, value) in handler {
            answer.headers_mut().append(*name, value.parse().unwrap());
        }
        Ok::<_, Infallible>(answer)
    });
    let mut request = Request::new(());
    let address = SocketAddr::from(([203, 0, 113, 9], 1));
    request.extensions_mut().insert(Peer { address, encrypted });
    let mut headers =
        ContextLayer::default().layer(layer.layer(service)).oneshot(request).await.unwrap().headers().clone();
    headers.remove("x-request-id");
    headers.remove("x-correlation-id");
    headers
}

fn listed(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

/// As helmet 8.3.0 sends them with its defaults, sorted by name.
const HELMET: [&str; 12] = [
    "content-security-policy: default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
    "cross-origin-opener-policy: same-origin",
    "cross-origin-resource-policy: same-origin",
    "origin-agent-cluster: ?1",
    "referrer-policy: no-referrer",
    "strict-transport-security: max-age=31536000; includeSubDomains",
    "x-content-type-options: nosniff",
    "x-dns-prefetch-control: off",
    "x-download-options: noopen",
    "x-frame-options: SAMEORIGIN",
    "x-permitted-cross-domain-policies: none",
    "x-xss-protection: 0",
];

#[tokio::test]
async fn over_https_the_defaults_are_helmets_byte_for_byte() {
    let headers = headers(SecurityHeadersLayer::default(), true, &[("x-powered-by", "Express")]).await;
    assert_eq!(listed(&headers), HELMET);
}

#[tokio::test]
async fn over_plain_http_nothing_insists_on_https() {
    let headers = headers(SecurityHeadersLayer::default(), false, &[]).await;
    assert!(!headers.contains_key("strict-transport-security"));
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.ends_with("style-src 'self' https: 'unsafe-inline'"), "{policy}");
    assert_eq!(headers.len(), 11);
}

#[tokio::test]
async fn the_handlers_own_value_wins_and_is_never_doubled() {
    let own = &[("content-security-policy", "default-src 'none'"), ("x-frame-options", "DENY")];
    let headers = headers(SecurityHeadersLayer::default(), true, own).await;
    assert_eq!(headers.get_all("content-security-policy").iter().collect::<Vec<_>>(), ["default-src 'none'"]);
    assert_eq!(headers["x-frame-options"], "DENY");
}

#[tokio::test]
async fn every_setting_has_its_effect() {
    let layer = |config| SecurityHeadersLayer::new(&config).unwrap();
    let off = SecurityHeadersConfig { enabled: false, ..SecurityHeadersConfig::default() };
    assert!(headers(layer(off), true, &[]).await.is_empty());

    let config = SecurityHeadersConfig {
        content_security_policy: String::new(),
        strict_transport_security: StrictTransportSecurity {
            max_age_seconds: 63_072_000,
            preload: true,
            ..StrictTransportSecurity::default()
        },
        ..SecurityHeadersConfig::default()
    };
    let sent = headers(layer(config.clone()), true, &[]).await;
    assert!(!sent.contains_key("content-security-policy"));
    assert_eq!(sent["strict-transport-security"], "max-age=63072000; includeSubDomains; preload");

    let short =
        StrictTransportSecurity { max_age_seconds: 1, include_sub_domains: false, ..Default::default() };
    let config = SecurityHeadersConfig { strict_transport_security: short.clone(), ..config };
    assert_eq!(headers(layer(config.clone()), true, &[]).await["strict-transport-security"], "max-age=1");
    let preload = StrictTransportSecurity { preload: true, ..short };
    assert!(preload.validate().unwrap_err().to_string().starts_with("preload: browsers' lists ask for"));

    let without = StrictTransportSecurity { enabled: false, ..StrictTransportSecurity::default() };
    let config = SecurityHeadersConfig { strict_transport_security: without, ..config };
    assert!(!headers(layer(config), true, &[]).await.contains_key("strict-transport-security"));
}

#[tokio::test]
async fn nothing_is_set_on_grpc() {
    let service = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let grpc = Request::builder().method("POST").header("content-type", "application/grpc").body(()).unwrap();
    let answer = SecurityHeadersLayer::default().layer(service).oneshot(grpc).await.unwrap();
    assert!(answer.headers().is_empty());
}

#[test]
fn a_policy_that_would_split_the_header_is_refused_when_it_is_read_and_when_it_is_built() {
    let config = SecurityHeadersConfig {
        content_security_policy: "default-src 'self'\r\nset-cookie: a=b".to_owned(),
        ..SecurityHeadersConfig::default()
    };
    assert!(
        config.validate().unwrap_err().to_string().starts_with("content_security_policy: holds a line break")
    );
    assert_eq!(
        SecurityHeadersLayer::new(&config).unwrap_err().to_string(),
        "the value for content-security-policy holds a line break or another character that no header may hold"
    );
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    http_layer_contract(SecurityHeadersLayer::default, || Request::new(()), Laws::default()).await;
}
