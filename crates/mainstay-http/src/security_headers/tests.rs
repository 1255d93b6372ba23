//! What must hold of the security headers, beyond what `tests/helmet.rs` holds.

use std::convert::Infallible;
use std::net::SocketAddr;

use garde::Validate;
use http::{HeaderMap, Request, Response, StatusCode};
use mainstay_core::Peer;
use mainstay_testkit::contract::{Laws, http_layer_contract};
use proptest::prelude::*;
use tower::{Layer, ServiceExt, service_fn};

use super::{
    Allowed, ContentSecurityPolicy, CspNonce, Directive, DirectiveValue, FrameOptions, HashAlgorithm,
    InvalidSecurityHeaders, Keyword, Profile, SecurityHeadersConfig, SecurityHeadersLayer, Source,
    StrictTransportSecurity,
};
use crate::context::ContextLayer;

/// What a handler answers with, and the request that it answers.
#[derive(Clone, Copy)]
struct Exchange {
    encrypted: bool,
    accept: Option<&'static str>,
    status: StatusCode,
    answer: &'static [(&'static str, &'static str)],
}

const PLAIN: Exchange = Exchange { encrypted: false, accept: None, status: StatusCode::OK, answer: &[] };
const HTTPS: Exchange = Exchange { encrypted: true, ..PLAIN };
const HTML: Exchange = Exchange { answer: &[("content-type", "text/html; charset=utf-8")], ..HTTPS };
const JSON: Exchange = Exchange { answer: &[("content-type", "application/json")], ..HTTPS };

/// The answer's headers without the ids, and the nonce that the handler saw.
async fn exchange(config: &SecurityHeadersConfig, exchange: Exchange) -> (HeaderMap, Option<String>) {
    let Exchange { encrypted, accept, status, answer } = exchange;
    let handler = service_fn(move |request: Request<()>| async move {
        let mut response = Response::new(());
        *response.status_mut() = status;
        for (name, value) in answer {
            response.headers_mut().append(*name, value.parse().unwrap());
        }
        let nonce = request.extensions().get().map(CspNonce::to_string);
        response.extensions_mut().insert(nonce);
        Ok::<_, Infallible>(response)
    });
    let mut request = Request::new(());
    if let Some(accept) = accept {
        request.headers_mut().insert("accept", accept.parse().unwrap());
    }
    request.extensions_mut().insert(Peer { address: SocketAddr::from(([203, 0, 113, 9], 1)), encrypted });
    let layer = SecurityHeadersLayer::new(config).unwrap();
    let (parts, ()) =
        ContextLayer::default().layer(layer.layer(handler)).oneshot(request).await.unwrap().into_parts();
    let mut headers = parts.headers;
    headers.remove("x-request-id");
    headers.remove("x-correlation-id");
    (headers, parts.extensions.get::<Option<String>>().unwrap().clone())
}

async fn headers(config: &SecurityHeadersConfig, of: Exchange) -> HeaderMap {
    exchange(config, of).await.0
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    headers.keys().map(http::HeaderName::as_str).collect()
}

fn with_nonce() -> SecurityHeadersConfig {
    let policy = ContentSecurityPolicy::default()
        .with(Directive::ScriptSrc, [Source::NONCE, Keyword::StrictDynamic.into()])
        .with(Directive::StyleSrc, [Source::NONCE]);
    SecurityHeadersConfig { content_security_policy: policy, ..SecurityHeadersConfig::default() }
}

fn by_type() -> SecurityHeadersConfig {
    SecurityHeadersConfig { profile: Profile::ByContentType, ..SecurityHeadersConfig::default() }
}

#[tokio::test]
async fn over_plain_http_nothing_insists_on_https() {
    let config = SecurityHeadersConfig::default();
    let headers = headers(&config, PLAIN).await;
    assert!(!headers.contains_key("strict-transport-security"));
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.ends_with("style-src 'self' https: 'unsafe-inline'"), "{policy}");
    assert_eq!(headers.len(), 11);

    let handler = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let bare = SecurityHeadersLayer::default().layer(handler).oneshot(Request::new(())).await.unwrap();
    assert_eq!(*bare.headers(), headers, "without a context nobody knows that it is https");

    let only_upgrade = ContentSecurityPolicy {
        use_defaults: false,
        dangerously_disable_default_src: true,
        ..ContentSecurityPolicy::default()
    }
    .with(Directive::UpgradeInsecureRequests, std::iter::empty::<Source>());
    let config = SecurityHeadersConfig { content_security_policy: only_upgrade, ..config };
    assert!(!self::headers(&config, PLAIN).await.contains_key("content-security-policy"));
    assert_eq!(self::headers(&config, HTTPS).await["content-security-policy"], "upgrade-insecure-requests");
}

#[tokio::test]
async fn the_handlers_own_value_wins_and_is_never_doubled() {
    let own = &[("content-type", "text/html"), ("content-security-policy", "a"), ("x-frame-options", "DENY")];
    for config in [SecurityHeadersConfig::default(), with_nonce(), by_type()] {
        let headers = headers(&config, Exchange { answer: own, ..HTTPS }).await;
        assert_eq!(headers.get_all("content-security-policy").iter().collect::<Vec<_>>(), ["a"]);
        assert_eq!(headers.get_all("x-frame-options").iter().collect::<Vec<_>>(), ["DENY"]);
    }
}

#[tokio::test]
async fn nothing_is_set_on_grpc_and_no_nonce_made_for_it() {
    let handler = service_fn(async |request: Request<()>| {
        assert!(request.extensions().get::<CspNonce>().is_none());
        Ok::<_, Infallible>(Response::new(()))
    });
    let grpc = Request::builder().method("POST").header("content-type", "application/grpc").body(()).unwrap();
    let layer = SecurityHeadersLayer::new(&with_nonce()).unwrap();
    assert!(layer.layer(handler).oneshot(grpc).await.unwrap().headers().is_empty());
}

#[tokio::test]
async fn errors_and_answers_from_caches_have_the_headers_too() {
    for status in [StatusCode::NOT_MODIFIED, StatusCode::NOT_FOUND, StatusCode::INTERNAL_SERVER_ERROR] {
        let headers = headers(&SecurityHeadersConfig::default(), Exchange { status, ..HTTPS }).await;
        assert_eq!(headers.len(), 12, "{status}");
    }
}

#[tokio::test]
async fn settings_that_ask_for_nothing_leave_the_answer_as_it_is() {
    let off = SecurityHeadersConfig { enabled: false, ..SecurityHeadersConfig::default() };
    let powered = Exchange { answer: &[("x-powered-by", "us")], ..HTTPS };
    assert_eq!(names(&headers(&off, powered).await), ["x-powered-by"]);
    assert!(SecurityHeadersLayer::new(&off).unwrap().plan.is_none());
}

// === the nonce ===

#[tokio::test]
async fn a_page_has_one_nonce_in_its_scripts_and_in_its_policy_and_the_next_page_another() {
    let (headers, nonce) = exchange(&with_nonce(), HTML).await;
    let nonce = nonce.unwrap();
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains(&format!(";script-src 'nonce-{nonce}' 'strict-dynamic';")), "{policy}");
    assert!(policy.contains(&format!(";style-src 'nonce-{nonce}';upgrade-insecure-requests")), "{policy}");
    assert!(headers["content-security-policy"].is_sensitive(), "a log of headers would tell it");
    assert_ne!(exchange(&with_nonce(), HTML).await.1.unwrap(), nonce);

    let (plain, nonce) = exchange(&with_nonce(), Exchange { encrypted: false, ..HTML }).await;
    let policy = plain["content-security-policy"].to_str().unwrap();
    assert!(policy.ends_with(&format!(";style-src 'nonce-{}'", nonce.unwrap())), "{policy}");
}

#[tokio::test]
async fn no_nonce_is_made_where_no_policy_asks_or_the_caller_takes_no_html() {
    assert_eq!(exchange(&SecurityHeadersConfig::default(), HTML).await.1, None);
    for (accept, made) in [
        (Some("text/html,application/xhtml+xml;q=0.9"), true),
        (Some("image/png, */*;q=0.1"), true),
        (Some("Text/*"), true),
        (None, true),
        (Some("application/json"), false),
        (Some("text/htmlx, image/*"), false),
        (Some(""), false),
    ] {
        let (headers, nonce) = exchange(&with_nonce(), Exchange { accept, ..HTML }).await;
        assert_eq!(nonce.is_some(), made, "{accept:?}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert_eq!(policy.contains("'nonce-"), made, "{accept:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_html_has_the_policy_without_its_nonce() {
    let headers = headers(&with_nonce(), JSON).await;
    let policy = headers["content-security-policy"].to_str().unwrap();
    let without = ";script-src 'strict-dynamic';script-src-attr 'none';style-src;upgrade-insecure-requests";
    assert!(policy.ends_with(without), "{policy}");
}

#[tokio::test]
async fn a_304_leaves_the_cached_page_its_policy_with_its_nonce() {
    let unchanged = Exchange { status: StatusCode::NOT_MODIFIED, ..HTTPS };
    let headers = headers(&with_nonce(), unchanged).await;
    assert!(!headers.contains_key("content-security-policy"));
    assert!(headers.contains_key("x-frame-options"));
}

#[tokio::test]
async fn two_layers_around_one_handler_have_one_nonce() {
    let handler = service_fn(async |request: Request<()>| {
        let nonce = request.extensions().get::<CspNonce>().unwrap().to_string();
        let answer = Response::builder().header("content-type", "text/html").header("x-nonce", nonce);
        Ok::<_, Infallible>(answer.body(()).unwrap())
    });
    let layer = || SecurityHeadersLayer::new(&with_nonce()).unwrap();
    let answer = (layer(), layer()).layer(handler).oneshot(Request::new(())).await.unwrap();
    let nonce = answer.headers()["x-nonce"].to_str().unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains(&format!("'nonce-{nonce}'")), "{policy}");
}

#[test]
fn a_nonce_in_a_text_of_several_sources_is_one_too() {
    let policy = ContentSecurityPolicy::default()
        .with(Directive::ScriptSrc, [Source::text("'self'  'nonce' a")])
        .policy()
        .unwrap();
    assert!(policy.asks_for_nonce());
    assert_eq!(policy.pieces().len(), 2);
    assert!(policy.without_nonce().contains(";script-src 'self'  a;"), "{}", policy.without_nonce());
}

// === profiles ===

#[tokio::test]
async fn by_content_type_a_page_has_all_headers_and_data_those_that_mean_something_for_it() {
    let data = [
        "content-type",
        "content-security-policy",
        "cross-origin-resource-policy",
        "strict-transport-security",
        "x-content-type-options",
        "x-frame-options",
    ];
    for (content_type, is_data) in [
        ("text/html", false),
        ("TEXT/HTML ;charset=utf-8", false),
        ("application/xhtml+xml", false),
        ("image/svg+xml", false),
        ("text/javascript", false),
        ("application/pdf", false),
        ("application/json", true),
        ("application/problem+json", true),
        ("text/plain", true),
        ("text/htmlx", true),
    ] {
        let answer = Box::leak(Box::new([("content-type", content_type)]));
        let headers = headers(&by_type(), Exchange { answer, ..HTTPS }).await;
        assert_eq!(headers.len(), if is_data { data.len() } else { 13 }, "{content_type}");
        if is_data {
            assert_eq!(names(&headers), data, "{content_type}");
            assert_eq!(headers["content-security-policy"], "default-src 'none';frame-ancestors 'none'");
            assert_eq!(headers["x-frame-options"], "DENY");
        }
    }
    assert_eq!(headers(&by_type(), HTTPS).await.len(), data.len() - 1, "an answer without a type is data");
    assert_eq!(headers(&by_type(), PLAIN).await.len(), data.len() - 2);
}

#[tokio::test]
async fn by_content_type_a_304_without_a_type_does_not_write_over_a_cached_pages_policy() {
    let unchanged = Exchange { status: StatusCode::NOT_MODIFIED, ..HTTPS };
    let alike = ["cross-origin-resource-policy", "strict-transport-security", "x-content-type-options"];
    assert_eq!(names(&headers(&by_type(), unchanged).await), alike);
}

#[tokio::test]
async fn by_content_type_what_is_off_for_pages_is_off_for_data() {
    let config = SecurityHeadersConfig {
        content_security_policy: ContentSecurityPolicy { enabled: false, ..Default::default() },
        x_frame_options: FrameOptions::Disabled,
        x_content_type_options: false,
        ..by_type()
    };
    let left = ["content-type", "cross-origin-resource-policy", "strict-transport-security"];
    assert_eq!(names(&headers(&config, JSON).await), left);
}

// === what helmet does not have ===

#[tokio::test]
async fn one_policy_is_enforced_while_another_is_only_reported() {
    let config: SecurityHeadersConfig = serde_json::from_value(serde_json::json!({
        "content_security_policy_report_only": { "directives": {
            "script-src": ["'nonce'"], "report-to": ["csp"], "report-uri": "/reports", "style-src": false,
        } },
        "reporting_endpoints": { "csp": "https://reports.example/csp?a=1", "default": "/reports" },
        "permissions_policy": {
            "camera": [], "fullscreen": ["*"], "geolocation": ["self", "https://*.maps.example:8443", "src"],
        },
    }))
    .unwrap();
    let (headers, nonce) = exchange(&config, HTML).await;
    assert_eq!(
        headers["content-security-policy"],
        self::headers(&Default::default(), HTML).await["content-security-policy"]
    );
    let reported = headers["content-security-policy-report-only"].to_str().unwrap();
    let nonce = format!("script-src 'nonce-{}'", nonce.unwrap());
    assert!(reported.contains(&nonce) && !reported.contains("style-src"), "{reported}");
    assert!(reported.ends_with(";report-to csp;report-uri /reports"), "{reported}");
    let endpoints = r#"csp="https://reports.example/csp?a=1", default="/reports""#;
    assert_eq!(headers["reporting-endpoints"], endpoints);
    let permissions = r#"camera=(), fullscreen=*, geolocation=(self "https://*.maps.example:8443" src)"#;
    assert_eq!(headers["permissions-policy"], permissions);
}

#[test]
fn what_cannot_be_sent_is_refused_when_settings_are_checked_and_when_the_layer_is_built() {
    fn refused(change: impl FnOnce(&mut SecurityHeadersConfig)) -> String {
        let mut config = SecurityHeadersConfig::default();
        change(&mut config);
        let error = SecurityHeadersLayer::new(&config).unwrap_err().to_string();
        let report = config.validate().unwrap_err().to_string();
        assert!(report.contains(&error), "{report}");
        error
    }
    let policy = |text: &'static str| ContentSecurityPolicy::default().with("x", [Source::text(text)]);
    let character = "the value for content-security-policy holds a line break or another character that no header may hold";
    assert_eq!(refused(|config| config.content_security_policy = policy("a\r\nset-cookie: a=b")), character);
    assert!(
        refused(|config| config.content_security_policy_report_only = policy("self"))
            .ends_with("\"self\" should be quoted")
    );
    assert_eq!(
        refused(|config| config.referrer_policy.policy.clear()),
        "Referrer-Policy received no policy tokens"
    );
    for name in ["", "Camera", "a b", "a=b", "1a"] {
        let error = refused(|config| drop(config.permissions_policy.insert(name.to_owned(), Vec::new())));
        assert!(error.contains("is not a feature's name"), "{name}: {error}");
    }
    let origin = Allowed::Origin("https://a\"b".to_owned());
    let error = refused(|config| drop(config.permissions_policy.insert("camera".to_owned(), vec![origin])));
    assert!(error.starts_with(r#""https://a\"b" cannot be allowed a feature"#), "{error}");
    for (name, url) in [
        ("", "/a"),
        ("A", "/a"),
        ("a", ""),
        ("a", "http://a.example"),
        ("a", "//a"),
        ("a", "/\""),
        ("a", "/a b"),
    ] {
        refused(|config| drop(config.reporting_endpoints.insert(name.to_owned(), url.to_owned())));
    }
    let off = ContentSecurityPolicy { enabled: false, ..policy("self") };
    let config = SecurityHeadersConfig { content_security_policy: off, ..SecurityHeadersConfig::default() };
    assert!(
        config.validate().is_ok() && SecurityHeadersLayer::new(&config).is_ok(),
        "what is off is not looked at"
    );
}

#[test]
fn preloading_asks_for_a_year_and_all_subdomains() {
    let short = StrictTransportSecurity { max_age_seconds: 1, preload: true, ..Default::default() };
    assert!(short.validate().unwrap_err().to_string().starts_with("preload: browsers' lists ask for"));
    assert!(StrictTransportSecurity { preload: true, ..Default::default() }.validate().is_ok());
}

// === settings ===

#[test]
fn settings_are_read_as_they_are_written_and_nothing_else_is() {
    let config: SecurityHeadersConfig = serde_json::from_str(
        r#"{
            "profile": "by-content-type",
            "content_security_policy": { "directives": { "scriptSrc": "https://a.example", "img-src": false } },
            "cross_origin_embedder_policy": "credentialless",
            "referrer_policy": { "policy": ["origin", ""] },
            "x_frame_options": "deny"
        }"#,
    )
    .unwrap();
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<SecurityHeadersConfig>(&text).unwrap(), config);
    assert_eq!(config.x_frame_options, FrameOptions::Deny);
    assert_eq!(config.content_security_policy.directives.0[0].0, "scriptSrc");
    assert_eq!(config.content_security_policy.directives.0[1].1, DirectiveValue::Removed);

    for (wrong, text) in [
        (r#"{"hsts": true}"#, "unknown field `hsts`"),
        (r#"{"strict_transport_security": {"maxage": 1}}"#, "unknown field `maxage`"),
        (r#"{"content_security_policy": {"directives": {"a": true}}}"#, "expected a list of sources"),
        (r#"{"content_security_policy": {"directives": {"a": [1]}}}"#, "expected a string"),
        (r#"{"x_frame_options": "allow-from"}"#, "received an invalid action \"allow-from\""),
        (r#"{"cross_origin_opener_policy": "x"}"#, "does not support the \"x\" policy"),
        (r#"{"x_dns_prefetch_control": true}"#, "invalid type"),
        (r#"{"x_dns_prefetch_control": "yes"}"#, "is \"on\", \"off\" or \"disabled\", not \"yes\""),
        (r#"{"permissions_policy": {"camera": ["none"]}}"#, "\"none\" cannot be allowed a feature"),
    ] {
        let error = serde_json::from_str::<SecurityHeadersConfig>(wrong).unwrap_err().to_string();
        assert!(error.contains(text), "{wrong}: {error}");
    }
}

#[test]
fn a_source_of_the_builder_is_what_it_is_called() {
    for host in [
        "a.example",
        "*",
        "*.a.example",
        "localhost:*",
        "https://a:8443",
        "wss://*.a/b/c",
        "a/b.js",
        "selfish",
    ] {
        assert_eq!(Source::host(host).unwrap().as_str(), host);
    }
    for no_host in [
        "",
        "self",
        "none",
        "unsafe-inline",
        "nonce-abc",
        "sha256-abc",
        "a b",
        "a;b",
        "a/b,c",
        "a..b",
        "*.",
        "**",
        "a:x",
        "a:99999",
        "a:+1",
        "://a",
        "1x://a",
        "a/?q",
        "'self'",
        "https:",
        "é",
    ] {
        assert!(Source::host(no_host).is_err(), "{no_host}");
    }
    assert_eq!(Source::scheme("https:").unwrap().as_str(), "https:");
    assert!(["", "1a", "a b", "a;", "https://"].iter().all(|text| Source::scheme(text).is_err()));
    let hash = "A".repeat(43) + "=";
    assert_eq!(Source::hash(HashAlgorithm::Sha256, &hash).unwrap().as_str(), format!("'sha256-{hash}'"));
    assert!(Source::hash(HashAlgorithm::Sha384, &hash).is_err());
    assert_eq!(
        Source::host("self").unwrap_err().to_string(),
        "\"self\" is not a host like https://*.example.com:443/path"
    );
}

#[test]
fn a_directive_that_is_set_again_is_replaced() {
    let policy = ContentSecurityPolicy::default()
        .with(Directive::ScriptSrc, [Keyword::None])
        .with("script-src", [Source::host("a.example").unwrap()])
        .without(Directive::StyleSrc);
    let text = policy.policy().unwrap().without_nonce();
    assert!(text.contains(";script-src a.example;") && !text.contains("style-src"), "{text}");
}

proptest! {
    #[test]
    fn no_source_begins_a_directive_or_a_policy_or_a_header(
        names in proptest::collection::vec("[a-zA-Z-]{0,6}|\\PC{0,4}", 0..4),
        sources in proptest::collection::vec("[ -~]{0,8}|'nonce'|\\PC{0,8}|[\\x00-\\x20;,]{0,3}", 0..4),
        nonce in any::<[u8; 18]>(),
    ) {
        let mut policy = ContentSecurityPolicy::default();
        for name in &names {
            policy.directives.0.push((
                name.clone().into(),
                DirectiveValue::Sources(sources.iter().cloned().map(Source::text).collect()),
            ));
        }
        match policy.policy() {
            Ok(policy) => {
                let nonce = CspNonce::new(nonce);
                let full = policy.pieces().join(nonce.as_str());
                let known = ["default-src", "base-uri", "font-src"];
                for text in [&full, &policy.without_nonce()] {
                    let directives: Vec<_> = text.split(';').collect();
                    prop_assert!(directives.len() >= 11 && directives.len() <= 11 + names.len());
                    prop_assert!(directives.iter().zip(known).all(|(directive, known)| directive.starts_with(known)));
                    prop_assert!(!text.contains(','));
                }
                prop_assert_eq!(policy.asks_for_nonce(), full.contains(nonce.as_str()));
                prop_assert_eq!(policy.without_nonce().contains("'nonce'"), false);
            }
            Err(
                InvalidSecurityHeaders::DirectiveName(_)
                | InvalidSecurityHeaders::DuplicateDirective(_)
                | InvalidSecurityHeaders::DirectiveValue(_)
                | InvalidSecurityHeaders::Unquoted { .. },
            ) => {}
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn no_accept_and_no_content_type_makes_it_panic(value in proptest::collection::vec(32_u8..=255, 0..40)) {
        let value: Vec<u8> = value.into_iter().filter(|byte| *byte != 127).collect();
        let mut headers = HeaderMap::new();
        headers.insert("accept", http::HeaderValue::from_bytes(&value).unwrap());
        headers.insert("content-type", http::HeaderValue::from_bytes(&value).unwrap());
        super::nonce::may_take_html(&headers);
        let plan = super::plan::Plan::new(&SecurityHeadersConfig { profile: Profile::ByContentType, ..with_nonce() });
        plan.unwrap().unwrap().set(StatusCode::OK, &mut headers, true, None);
        prop_assert!(headers.contains_key("x-content-type-options"));
    }
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    for config in [SecurityHeadersConfig::default(), with_nonce(), by_type()] {
        http_layer_contract(
            || SecurityHeadersLayer::new(&config).unwrap(),
            || Request::new(()),
            Laws::default(),
        )
        .await;
    }
    let off = SecurityHeadersConfig { enabled: false, ..SecurityHeadersConfig::default() };
    http_layer_contract(|| SecurityHeadersLayer::new(&off).unwrap(), || Request::new(()), Laws::default())
        .await;
}
