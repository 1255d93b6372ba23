//! What must hold of shaped headers.

mod properties;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use garde::Validate;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use http_body_util::{BodyExt, Empty, Full};
use mainstay_core::{Outcome, Reason};
use mainstay_testkit::contract::{Laws, http_layer_contract};
use mainstay_testkit::probe::Probe;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{HeaderLimits, HeaderRule, InvalidShape, ShapeConfig, ShapeLayer, Underscores};
use crate::answer::Ended;

type Answer = Response<Bytes>;

#[tokio::test]
async fn each_action_of_a_rule_has_its_effect() {
    let config = rules(vec![
        HeaderRule { trim: true, ..HeaderRule::of("X-Trim") },
        HeaderRule { lower_case: true, ..HeaderRule::of("x-lower") },
        HeaderRule { remove: true, ..HeaderRule::of("x-gone") },
        HeaderRule { set: Some("2".into()), ..HeaderRule::of("x-set") },
        HeaderRule { default: Some("none".into()), ..HeaderRule::of("x-default") },
        HeaderRule { default: Some("none".into()), ..HeaderRule::of("x-sent") },
        HeaderRule { rename: Some("X-New".into()), trim: true, lower_case: true, ..HeaderRule::of("x-old") },
    ]);
    let request = get(&[
        ("x-trim", "\t a b "),
        ("x-lower", "ABC"),
        ("x-gone", "1"),
        ("x-gone", "2"),
        ("x-set", "1"),
        ("x-sent", ""),
        ("x-old", " ONE "),
        ("x-old", "two"),
        ("x-new", "Zero"),
        ("x-other", " As It Is "),
    ]);
    assert_eq!(
        seen(&config, request).await,
        [
            "x-default: none",
            "x-lower: abc",
            "x-new: Zero",
            "x-new: one",
            "x-new: two",
            "x-other:  As It Is ",
            "x-sent: ",
            "x-set: 2",
            "x-trim: a b",
        ]
    );
}

#[tokio::test]
async fn a_rule_for_the_new_name_meets_what_was_renamed_wherever_it_stands() {
    let config = rules(vec![
        HeaderRule { lower_case: true, default: Some("none".into()), ..HeaderRule::of("x-new") },
        HeaderRule { rename: Some("x-new".into()), ..HeaderRule::of("x-old") },
    ]);
    assert_eq!(seen(&config, get(&[("x-old", "ACME")])).await, ["x-new: acme"]);
    assert_eq!(seen(&config, get(&[])).await, ["x-new: none"]);
}

#[tokio::test]
async fn a_denied_header_is_refused_by_name_and_only_where_it_is_sent() {
    let config = rules(vec![HeaderRule { deny: true, ..HeaderRule::of("x-debug") }]);
    let answer = answer(&config, get(&[("x-debug", "secret")])).await;
    assert_eq!(refused(&answer), (400, Reason::Invalid));
    assert!(text(&answer).contains("the header x-debug is not taken") && !text(&answer).contains("secret"));
    assert!(seen(&config, get(&[])).await.is_empty());
}

#[tokio::test]
async fn values_that_are_not_utf_8_and_the_sensitive_mark_outlive_every_change() {
    let config = rules(vec![HeaderRule {
        trim: true,
        lower_case: true,
        rename: Some("x-new".into()),
        ..HeaderRule::of("x-old")
    }]);
    let mut request = get(&[]);
    let mut value = HeaderValue::from_bytes(b" \xC3\x84\xFFKEY ").unwrap();
    value.set_sensitive(true);
    request.headers_mut().append("x-old", value);
    let headers = shaped(&config, request).await;
    assert_eq!(headers["x-new"].as_bytes(), b"\xC3\x84\xFFkey");
    assert!(headers["x-new"].is_sensitive());
}

#[tokio::test]
async fn rules_for_answers_shape_the_handlers_answer_and_a_refusal() {
    let config = ShapeConfig {
        response_headers: vec![
            HeaderRule { remove: true, ..HeaderRule::of("server") },
            HeaderRule { default: Some("no-store".into()), ..HeaderRule::of("cache-control") },
        ],
        request_headers: vec![HeaderRule { deny: true, ..HeaderRule::of("x-debug") }],
        ..ShapeConfig::default()
    };
    let passed = answer(&config, get(&[])).await;
    assert_eq!(
        (passed.headers().get("server"), &passed.headers()["cache-control"]),
        (None, &"no-store".parse().unwrap())
    );
    let refused = answer(&config, get(&[("x-debug", "1")])).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["cache-control"]),
        (400, &"no-store".parse().unwrap())
    );
}

#[test]
fn a_rule_that_cannot_be_followed_is_refused_by_name() {
    let of = |header: &str| HeaderRule::of(header);
    let renamed = |from: &str, to: &str| HeaderRule { rename: Some(to.into()), ..of(from) };
    let removed = |header: &str| HeaderRule { remove: true, ..of(header) };
    let set = |value: &str| HeaderRule { set: Some(value.into()), ..of("x-a") };
    for (rules, error) in [
        (
            vec![removed("x a")],
            r#"rule 1 ("x a"): "x a" is no header's name: expected letters, digits and hyphens"#,
        ),
        (
            vec![renamed("x-a", "")],
            r#"rule 1 ("x-a"): "" is no header's name: expected letters, digits and hyphens"#,
        ),
        (
            vec![removed("x-b"), set("a\r\nb: c")],
            r#"rule 2 ("x-a"): the value of set holds a line break or another character that no header may hold"#,
        ),
        (
            vec![removed("Content-Length")],
            r#"rule 1 ("Content-Length"): content-length frames the message, which is left to the server"#,
        ),
        (
            vec![renamed("x-a", "connection")],
            r#"rule 1 ("x-a"): connection frames the message, which is left to the server"#,
        ),
        (
            vec![of("x-a")],
            r#"rule 1 ("x-a"): asks for nothing: expected deny, remove, set, trim, lower_case, rename or default"#,
        ),
        (
            vec![HeaderRule { remove: true, ..set("b") }],
            r#"rule 1 ("x-a"): remove and set exclude each other: expected one of them"#,
        ),
        (
            vec![HeaderRule { trim: true, ..removed("x-a") }],
            r#"rule 1 ("x-a"): remove and trim exclude each other: expected one of them"#,
        ),
        (
            vec![HeaderRule { deny: true, ..renamed("x-a", "x-b") }],
            r#"rule 1 ("x-a"): deny and rename exclude each other: expected one of them"#,
        ),
        (
            vec![HeaderRule { default: Some("1".into()), ..renamed("x-a", "x-b") }],
            r#"rule 1 ("x-a"): rename and default exclude each other: expected one of them"#,
        ),
        (vec![renamed("x-a", "X-A")], r#"rule 1 ("x-a"): renamed onto itself: expected another name"#),
        (
            vec![removed("x-a"), set("1"), removed("X-A")],
            r#"rule 2 ("x-a"): rule 1 is for the same header: expected one rule"#,
        ),
        (
            vec![renamed("x-a", "x-c"), renamed("x-b", "X-C")],
            r#"rule 2 ("x-b"): rule 1 renames onto the same header: expected another name"#,
        ),
        (
            vec![renamed("x-a", "x-b"), removed("x-b")],
            r#"rule 1 ("x-a"): rule 2 denies, removes, sets or renames the new name: expected it to keep the values"#,
        ),
        (
            vec![renamed("x-a", "x-b"), renamed("x-b", "x-a")],
            r#"rule 1 ("x-a"): rule 2 denies, removes, sets or renames the new name: expected it to keep the values"#,
        ),
    ] {
        let config = ShapeConfig { request_headers: rules, ..ShapeConfig::default() };
        assert_eq!(ShapeLayer::new(&config).unwrap_err().to_string(), format!("request_headers: {error}"));
        assert_eq!(config.validate().unwrap_err().to_string(), format!("request_headers: {error}\n"));
    }
    let denies = vec![HeaderRule { deny: true, ..of("server") }];
    let config = ShapeConfig { response_headers: denies, ..ShapeConfig::default() };
    let error = r#"response_headers: rule 1 ("server"): an answer cannot be denied: expected remove"#;
    assert_eq!(ShapeLayer::new(&config).unwrap_err().to_string(), error);
    assert_eq!(config.validate().unwrap_err().to_string(), format!("{error}\n"));
}

#[test]
fn types_and_limits_that_make_no_sense_are_refused() {
    let config =
        ShapeConfig { content_types: vec!["text/*".into(), "json".into()], ..ShapeConfig::default() };
    assert_eq!(ShapeLayer::new(&config).unwrap_err(), InvalidShape::ContentType("json".into()));
    assert!(
        config.validate().unwrap_err().to_string().starts_with("content_types: \"json\" is no media type")
    );
    let config = ShapeConfig { answer_types: vec!["text/*".into()], ..ShapeConfig::default() };
    assert_eq!(ShapeLayer::new(&config).unwrap_err(), InvalidShape::AnswerType("text/*".into()));
    assert!(config.validate().unwrap_err().to_string().starts_with("answer_types: \"text/*\" is not one"));
    let limits = HeaderLimits { lines: 0, line_bytes: 0, total_bytes: 0 };
    assert_eq!(limits.validate().unwrap_err().iter().count(), 3);
}

#[tokio::test]
async fn headers_for_the_connection_end_here() {
    let request = get(&[
        ("connection", "close, X-Hop"),
        ("connection", "keep-alive"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "gzip"),
        ("trailer", "x-sum"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("proxy", "http://evil"),
        ("proxy-authorization", "Basic x"),
        ("proxy-connection", "close"),
        ("accept", "*/*"),
    ]);
    assert_eq!(seen(&ShapeConfig::default(), request).await, ["accept: */*"]);

    let off = ShapeConfig { hygiene: false, ..ShapeConfig::default() };
    assert_eq!(seen(&off, get(&[("connection", "close, accept"), ("accept", "*/*")])).await.len(), 2);
}

#[tokio::test]
async fn an_upgrade_and_the_trailers_of_grpc_stay() {
    let upgrade =
        [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket"), ("te", "trailers, deflate;q=0.5")];
    let kept = ["connection: upgrade", "te: trailers", "upgrade: websocket"];
    assert_eq!(seen(&ShapeConfig::default(), get(&upgrade)).await, kept);

    let mut over_http2 = get(&upgrade);
    *over_http2.version_mut() = Version::HTTP_2;
    assert_eq!(seen(&ShapeConfig::default(), over_http2).await, ["te: trailers"]);
    assert!(seen(&ShapeConfig::default(), get(&[("connection", "upgrade")])).await.is_empty());
}

#[tokio::test]
async fn nobody_hides_a_header_for_everybody_from_the_handler() {
    let config = rules(vec![HeaderRule { trim: true, ..HeaderRule::of("x-user") }]);
    let request = get(&[
        ("connection", "authorization, x-user, X-Forwarded-For, X-Tenant-Id"),
        ("authorization", "a"),
        ("x-user", "b"),
        ("x-forwarded-for", "c"),
        ("x-tenant-id", "d"),
    ]);
    assert_eq!(
        seen(&config, request).await,
        ["authorization: a", "x-forwarded-for: c", "x-tenant-id: d", "x-user: b"]
    );
}

#[tokio::test]
async fn one_header_sent_twice_and_differently_is_refused() {
    for name in ["content-length", "content-type", "host"] {
        let twice = |second| get(&[(name, "1"), ("accept", "*/*"), (name, second)]);
        assert_eq!(
            refused(&answer(&ShapeConfig::default(), twice("2")).await),
            (400, Reason::Invalid),
            "{name}"
        );
        assert_eq!(answer(&ShapeConfig::default(), twice("1")).await.status(), 200, "{name}");
        let off = ShapeConfig { hygiene: false, ..ShapeConfig::default() };
        assert_eq!(answer(&off, twice("2")).await.status(), 200, "{name}");
    }
}

#[tokio::test]
async fn underscores_are_treated_as_the_setting_says_except_where_a_rule_is_for_the_header() {
    let rule = HeaderRule { rename: Some("x-user".into()), ..HeaderRule::of("x_user") };
    let config = |underscores| ShapeConfig { underscores, ..rules(vec![rule.clone()]) };
    let request = || get(&[("x_user", "a"), ("x_admin", "1"), ("x_admin", "2")]);
    let kept = ["x-user: a", "x_admin: 1", "x_admin: 2"];
    assert_eq!(seen(&config(Underscores::Keep), request()).await, kept);
    assert_eq!(seen(&config(Underscores::Remove), request()).await, ["x-user: a"]);
    assert_eq!(refused(&answer(&config(Underscores::Refuse), request()).await), (400, Reason::Invalid));
    assert_eq!(seen(&config(Underscores::Refuse), get(&[("x_user", "a")])).await, ["x-user: a"]);

    let onto = HeaderRule { rename: Some("x_user".into()), ..HeaderRule::of("x-user") };
    let config = ShapeConfig { underscores: Underscores::Remove, ..rules(vec![onto]) };
    assert_eq!(seen(&config, get(&[("x-user", "a"), ("x_user", "b")])).await, ["x_user: b", "x_user: a"]);
}

#[tokio::test]
async fn each_limit_is_taken_to_the_full_and_not_beyond() {
    let limits = HeaderLimits { lines: 2, line_bytes: 5, total_bytes: 8 };
    let config = ShapeConfig { limits, ..ShapeConfig::default() };
    assert_eq!(answer(&config, get(&[("a", "1234"), ("b", "12")])).await.status(), 200);
    for (over, said) in [
        (vec![("a", "1"), ("b", "1"), ("b", "1")], "more than 2 header lines"),
        (vec![("a", "12345")], "longer than 5 bytes"),
        (vec![("a", "1234"), ("b", "123")], "longer than 8 bytes together"),
    ] {
        let answer = answer(&config, get(&over)).await;
        assert_eq!(refused(&answer), (431, Reason::HeadersTooLarge));
        assert!(text(&answer).contains(said), "{}", text(&answer));
    }
}

#[tokio::test]
async fn content_of_another_type_is_refused_with_the_types_that_are_taken() {
    let config = typed();
    for taken in ["application/json", "Application/JSON;charset=utf-8", "application/merge-patch+json"] {
        assert_eq!(answer(&config, post(&[("content-type", taken)])).await.status(), 200, "{taken}");
    }
    for other in ["text/plain", "application/jsonp", "", "application/json, text/plain", "*/*"] {
        let answer = answer(&config, post(&[("content-type", other)])).await;
        assert_eq!(refused(&answer), (415, Reason::Unsupported), "{other}");
        for header in ["accept", "accept-post"] {
            assert_eq!(answer.headers()[header], "application/json, application/*+json");
        }
    }
    assert_eq!(
        answer(&config, post(&[])).await.status(),
        415,
        "a type that is missing is none that is listed"
    );
    let twice = [("content-type", "application/json"), ("content-type", "text/plain")];
    let lax = ShapeConfig { hygiene: false, ..config.clone() };
    assert_eq!(answer(&lax, post(&twice)).await.status(), 415, "every line counts");

    let patch = |method| Request::builder().method(method).body(Full::from("x")).unwrap();
    let answer_to = async |method| answer(&config, patch(method)).await;
    let patched = answer_to(Method::PATCH).await;
    assert!(patched.headers().contains_key("accept-patch") && !patched.headers().contains_key("accept-post"));
    assert_eq!(answer_to(Method::PUT).await.headers().get("accept-patch"), None);
}

#[tokio::test]
async fn a_type_is_asked_for_only_where_there_is_content() {
    let config = typed();
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let request = Request::builder().method(method).body(Full::default()).unwrap();
        assert_eq!(answer(&config, request).await.status(), 200);
    }
    let status = async |method: Method, version: Version, header: Option<(&str, &str)>| {
        let mut request = Request::builder().method(method).version(version);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        call(&config, request.body(Unsized).unwrap()).await.status().as_u16()
    };
    assert_eq!(status(Method::POST, Version::HTTP_11, None).await, 200);
    assert_eq!(status(Method::POST, Version::HTTP_11, Some(("content-length", "0"))).await, 200);
    assert_eq!(status(Method::POST, Version::HTTP_11, Some(("content-length", "1"))).await, 415);
    assert_eq!(status(Method::POST, Version::HTTP_11, Some(("transfer-encoding", "chunked"))).await, 415);
    assert_eq!(status(Method::POST, Version::HTTP_2, None).await, 415);
    assert_eq!(status(Method::CONNECT, Version::HTTP_2, None).await, 200);
}

#[tokio::test]
async fn a_rule_may_give_the_content_its_type() {
    let rule = HeaderRule { default: Some("application/json".into()), ..HeaderRule::of("content-type") };
    let config = ShapeConfig { request_headers: vec![rule], ..typed() };
    assert_eq!(answer(&config, post(&[])).await.status(), 200);
}

#[tokio::test]
async fn a_caller_who_takes_none_of_the_answers_types_is_told_them() {
    let config = ShapeConfig {
        answer_types: vec!["application/json".into(), "text/csv".into()],
        ..ShapeConfig::default()
    };
    for accept in ["*/*", "text/*;q=0.1", "image/png, application/json", ""] {
        assert_eq!(answer(&config, get(&[("accept", accept)])).await.status(), 200, "{accept}");
    }
    assert_eq!(answer(&config, get(&[])).await.status(), 200);
    for accept in ["text/html", "application/json;q=0, image/*"] {
        let answer = answer(&config, get(&[("accept", accept)])).await;
        assert_eq!(refused(&answer), (406, Reason::NotAcceptable), "{accept}");
        assert!(text(&answer).contains("they are application/json, text/csv"), "{}", text(&answer));
    }
    let head = Request::head("/").header("accept", "text/html").body(Full::default()).unwrap();
    let head = answer(&config, head).await;
    assert_eq!((head.status().as_u16(), head.body().len()), (406, 0));
}

#[tokio::test]
async fn grpc_has_types_of_its_own_and_gets_refusals_in_its_form() {
    let config = ShapeConfig { answer_types: vec!["text/csv".into()], ..typed() };
    let grpc = [("content-type", "application/grpc+proto"), ("te", "trailers"), ("accept", "text/html")];
    assert_eq!(answer(&config, post(&grpc)).await.headers().get("grpc-status"), None);
    assert_eq!(seen(&config, post(&grpc)).await.len(), 3);
    let limits = HeaderLimits { lines: 2, ..HeaderLimits::default() };
    let refused = answer(&ShapeConfig { limits, ..config }, post(&grpc)).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["grpc-status"]), (200, &"8".parse().unwrap()));
}

#[tokio::test]
async fn a_call_that_is_refused_gives_back_what_was_reserved_for_it() {
    let probe = Probe::new(|_: Request<Full<Bytes>>| Ok(Response::new(String::new())));
    let handle = probe.handle();
    let mut service = ShapeLayer::new(&typed()).unwrap().layer(probe);
    let answer = service.ready().await.unwrap().call(post(&[])).await.unwrap();
    assert_eq!(answer.status(), 415);
    assert_eq!((handle.calls(), handle.reserved()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    let full = ShapeConfig {
        response_headers: vec![HeaderRule { remove: true, ..HeaderRule::of("server") }],
        answer_types: vec!["text/csv".into()],
        ..typed()
    };
    for config in [ShapeConfig::default(), full] {
        let layer = || ShapeLayer::new(&config).unwrap();
        http_layer_contract(layer, || Request::new(Empty::<Bytes>::new()), Laws::default()).await;
    }
}

// === helpers ===

fn rules(request_headers: Vec<HeaderRule>) -> ShapeConfig {
    ShapeConfig { request_headers, ..ShapeConfig::default() }
}

fn typed() -> ShapeConfig {
    let content_types = vec!["application/json".to_owned(), " application/*+json ".to_owned()];
    ShapeConfig { content_types, ..ShapeConfig::default() }
}

fn get(headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder();
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

fn post(headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = get(headers);
    *request.method_mut() = Method::POST;
    *request.body_mut() = Full::from("{}");
    request
}

/// A body that does not know its size, as behind a layer that does not pass it on.
struct Unsized;

impl http_body::Body for Unsized {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        panic!("the body is asked and not read")
    }
}

async fn answer(config: &ShapeConfig, request: Request<Full<Bytes>>) -> Answer {
    call(config, request).await
}

async fn call<B>(config: &ShapeConfig, request: Request<B>) -> Answer
where
    B: http_body::Body,
{
    let service = service_fn(async |_: Request<B>| {
        Ok::<_, Infallible>(
            Response::builder().header("server", "ours").body(Full::<Bytes>::default()).unwrap(),
        )
    });
    let answer = ShapeLayer::new(config).unwrap().layer(service).oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

/// The headers that the handler sees.
async fn shaped(config: &ShapeConfig, request: Request<Full<Bytes>>) -> HeaderMap {
    let seen = Arc::new(Mutex::new(None));
    let service = service_fn(|request: Request<Full<Bytes>>| {
        *seen.lock().unwrap() = Some(request.headers().clone());
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    ShapeLayer::new(config).unwrap().layer(service).oneshot(request).await.unwrap();
    let seen = seen.lock().unwrap().take();
    seen.expect("the request was not refused")
}

/// The lines that the handler sees, sorted by name.
async fn seen(config: &ShapeConfig, request: Request<Full<Bytes>>) -> Vec<String> {
    let headers = shaped(config, request).await;
    let mut names: Vec<_> = headers.keys().collect();
    names.sort_by_key(|name| name.as_str());
    let lines =
        names.into_iter().flat_map(|name| headers.get_all(name).iter().map(move |value| (name, value)));
    lines.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
}

fn refused(answer: &Answer) -> (u16, Reason) {
    match answer.extensions().get() {
        Some(Ended(Outcome::Rejected(reason))) => (answer.status().as_u16(), *reason),
        other => panic!("not refused: {} {other:?}", answer.status()),
    }
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(answer.body()).unwrap()
}
