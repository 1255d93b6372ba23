//! What must hold of the layer that completes problems.

use std::cell::RefCell;
use std::convert::Infallible;

use garde::Validate;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use mainstay_core::{Parts, RequestContext, RequestId, TraceContext};
use mainstay_testkit::body::{BodyHandle, ScriptedBody, Size, Step};
use mainstay_testkit::cancel::drop_at_every_await;
use mainstay_testkit::contract::{Laws, http_layer_contract};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

use super::{Problem, ProblemsConfig, ProblemsLayer};

async fn answer_to(method: Method, answer: Response<Full<bytes::Bytes>>) -> (http::response::Parts, String) {
    answer_of(ProblemsLayer::default(), method, answer).await
}

async fn answer_of(
    layer: ProblemsLayer,
    method: Method,
    answer: Response<Full<bytes::Bytes>>,
) -> (http::response::Parts, String) {
    let service = service_fn(move |_: Request<()>| {
        let answer = answer.clone();
        async { Ok::<_, Infallible>(answer) }
    });
    let mut request = Request::builder().method(method).body(()).unwrap();
    request.extensions_mut().insert(context());
    let (parts, body) = layer.layer(service).oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts, String::from_utf8(body.to_vec()).unwrap())
}

fn context() -> RequestContext {
    let trace = TraceContext::root([1; 16], [2; 8]);
    RequestContext::new(Parts::new(RequestId::v7(1_000, [0; 10]), trace, Instant::now().into_std()))
}

fn bare(status: StatusCode) -> Response<Full<bytes::Bytes>> {
    Response::builder().status(status).header("allow", "GET").body(Full::default()).unwrap()
}

#[tokio::test]
async fn a_bare_error_becomes_a_problem_that_names_the_request_and_keeps_its_headers() {
    let (parts, body) = answer_to(Method::GET, bare(StatusCode::METHOD_NOT_ALLOWED)).await;
    assert_eq!(parts.headers["allow"], "GET");
    assert_eq!(parts.headers["content-type"], "application/problem+json");
    assert_eq!(
        body,
        r#"{"type":"about:blank","title":"Method Not Allowed","status":405,"instance":"urn:uuid:00000000-03e8-7000-8000-000000000000","request_id":"00000000-03e8-7000-8000-000000000000"}"#
    );
}

#[tokio::test]
async fn a_handlers_problem_gets_the_requests_id() {
    let problem = Problem::new(StatusCode::CONFLICT).detail("no").with("request_id", "forged");
    let mut answer = problem.to_response(crate::form::Form::Http, None).map(Full::new);
    answer.headers_mut().insert("content-length", "1".parse().unwrap());
    answer.extensions_mut().insert(problem);
    let (parts, body) = answer_to(Method::GET, answer).await;
    assert!(body.contains(r#""request_id":"00000000-03e8-7000-8000-000000000000""#), "{body}");
    assert!(!parts.headers.contains_key("content-length"), "the length described the old body");
}

#[tokio::test]
async fn what_is_not_a_bare_error_passes_untouched() {
    let (parts, body) = answer_to(Method::GET, bare(StatusCode::NO_CONTENT)).await;
    assert_eq!((parts.status, body.as_str()), (StatusCode::NO_CONTENT, ""));

    let spoken = Response::builder().status(404).body(Full::from("gone fishing")).unwrap();
    let (parts, body) = answer_to(Method::GET, spoken).await;
    assert!(!parts.headers.contains_key("content-type"));
    assert_eq!(body, "gone fishing");

    let typed =
        Response::builder().status(404).header("content-type", "text/html").body(Full::default()).unwrap();
    assert_eq!(answer_to(Method::GET, typed).await.0.headers["content-type"], "text/html");
}

#[tokio::test]
async fn head_gets_the_same_headers_as_get_and_no_body() {
    let (get, text) = answer_to(Method::GET, bare(StatusCode::NOT_FOUND)).await;
    let (head, nothing) = answer_to(Method::HEAD, bare(StatusCode::NOT_FOUND)).await;
    assert_eq!(nothing, "");
    assert_eq!(head.headers["content-type"], get.headers["content-type"]);
    assert_eq!(head.headers["content-length"], text.len().to_string());
}

#[tokio::test]
async fn what_others_changed_on_the_way_is_kept() {
    let challenge = |scheme: &'static str| (http::header::WWW_AUTHENTICATE, scheme.parse().unwrap());
    let ((name, basic), (_, bearer)) = (challenge("Basic"), challenge("Bearer"));
    let problem = Problem::new(StatusCode::UNAUTHORIZED).header(name.clone(), basic).header(name, bearer);
    let mut answer = problem.to_response(crate::form::Form::Http, None).map(Full::new);
    answer.extensions_mut().insert(problem);
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer.headers_mut().insert("vary", "origin".parse().unwrap());
    let (parts, body) = answer_to(Method::GET, answer).await;
    assert_eq!(parts.headers.get_all("www-authenticate").iter().count(), 2);
    assert_eq!(parts.headers["vary"], "origin");
    assert!(body.contains(r#""status":503"#), "{body}");
}

#[tokio::test]
async fn grpc_is_left_alone() {
    let service = service_fn(async |_: Request<()>| Ok::<_, Infallible>(bare(StatusCode::NOT_FOUND)));
    let request =
        Request::builder().method("POST").header("content-type", "application/grpc").body(()).unwrap();
    let answer = ProblemsLayer::default().layer(service).oneshot(request).await.unwrap();
    assert!(!answer.headers().contains_key("content-type"));
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    http_layer_contract(ProblemsLayer::default, || Request::new(()), Laws::default()).await;
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<bytes::Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", "text/plain; charset=utf-8")
        .body(Full::from(text))
        .unwrap()
}

async fn detail_of(answer: Response<Full<bytes::Bytes>>) -> serde_json::Value {
    let (parts, body) = answer_to(Method::GET, answer).await;
    assert_eq!(parts.headers["content-type"], "application/problem+json", "{body}");
    serde_json::from_str::<serde_json::Value>(&body).unwrap()["detail"].clone()
}

#[tokio::test]
async fn a_text_becomes_the_detail_and_what_described_it_goes() {
    let mut answer = text(StatusCode::UNPROCESSABLE_ENTITY, "missing field `sku` at line 1 column 2\n");
    for (name, value) in [
        ("content-length", "39"),
        ("etag", "\"1\""),
        ("content-digest", "sha-256=:AA==:"),
        ("retry-after", "3"),
        ("vary", "accept"),
        ("set-cookie", "a=1"),
    ] {
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    let (parts, body) = answer_to(Method::GET, answer).await;
    assert_eq!(
        body,
        r#"{"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"missing field `sku` at line 1 column 2","instance":"urn:uuid:00000000-03e8-7000-8000-000000000000","request_id":"00000000-03e8-7000-8000-000000000000"}"#
    );
    for gone in ["content-length", "etag", "content-digest"] {
        assert!(!parts.headers.contains_key(gone), "{gone} described the text");
    }
    for kept in ["retry-after", "vary", "set-cookie"] {
        assert!(parts.headers.contains_key(kept), "{kept} was lost");
    }
    assert_eq!(detail_of(text(StatusCode::NOT_FOUND, "")).await, serde_json::Value::Null);
}

#[tokio::test]
async fn settings_say_which_errors_become_problems() {
    let config = ProblemsConfig { bare_errors: false, max_text_bytes: 5 };
    let layer = ProblemsLayer::new(&config);
    let (parts, body) = answer_of(layer, Method::GET, bare(StatusCode::NOT_FOUND)).await;
    assert_eq!((parts.headers.get("content-type"), body.as_str()), (None, ""));
    for (said, becomes_a_problem) in [("short", true), ("longer", false)] {
        let (parts, body) = answer_of(layer, Method::GET, text(StatusCode::BAD_REQUEST, said)).await;
        assert_eq!(parts.headers["content-type"] == "application/problem+json", becomes_a_problem, "{body}");
        assert!(body.contains(said));
    }
    let too_large = ProblemsConfig { max_text_bytes: 65_537, ..ProblemsConfig::default() };
    assert!(too_large.validate().is_err());
}

#[tokio::test]
async fn a_text_that_cannot_be_a_detail_goes_out_as_it_came() {
    for (name, value) in [
        ("content-type", "text/html"),
        ("content-type", "text/plain; charset=latin1"),
        ("content-type", "text/event-stream"),
        ("content-encoding", "gzip"),
    ] {
        let mut answer = text(StatusCode::BAD_REQUEST, "as it is");
        answer.headers_mut().insert(name, value.parse().unwrap());
        let (parts, body) = answer_to(Method::GET, answer).await;
        assert_eq!((body.as_str(), &parts.headers[name]), ("as it is", &value.parse().unwrap()));
    }
    let long: &'static str = "x".repeat(8_193).leak();
    assert_eq!(answer_to(Method::GET, text(StatusCode::BAD_REQUEST, long)).await.1, long);
    assert_eq!(detail_of(text(StatusCode::BAD_REQUEST, &long[1..])).await, long[1..]);
    assert_eq!(answer_to(Method::GET, text(StatusCode::OK, "fine")).await.1, "fine");

    let service = service_fn(async |_: Request<()>| {
        let mut answer = text(StatusCode::BAD_REQUEST, "");
        *answer.body_mut() = Full::from(&b"caf\xe9"[..]);
        Ok::<_, Infallible>(answer)
    });
    let answer = ProblemsLayer::default().layer(service).oneshot(Request::new(())).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), &b"caf\xe9"[..]);
}

#[tokio::test]
async fn head_of_a_text_says_what_get_says_where_the_text_is_known() {
    let (get, body) = answer_to(Method::GET, text(StatusCode::NOT_FOUND, "no such order")).await;
    let (head, nothing) = answer_to(Method::HEAD, text(StatusCode::NOT_FOUND, "no such order")).await;
    assert_eq!((nothing.as_str(), &head.headers["content-type"]), ("", &get.headers["content-type"]));
    assert_eq!(head.headers["content-length"], body.len().to_string());
    let (unknown, _) = answer_to(Method::HEAD, text(StatusCode::NOT_FOUND, "")).await;
    assert_eq!(unknown.headers["content-type"], "text/plain; charset=utf-8");
}

async fn through_the_layer(body: ScriptedBody) -> (String, BodyHandle) {
    let handle = body.handle();
    let mut body = Some(body);
    let service = service_fn(move |_: Request<()>| {
        let answer = Response::builder().status(400).header("content-type", "text/plain");
        let answer = answer.body(body.take().unwrap()).unwrap();
        async { Ok::<_, Infallible>(answer) }
    });
    let answer = ProblemsLayer::default().layer(service).oneshot(Request::new(())).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (String::from_utf8(body.to_vec()).unwrap(), handle)
}

#[tokio::test]
async fn a_text_in_pieces_is_awaited_and_one_that_breaks_leaves_a_plain_problem() {
    let data = |text: &'static str| Step::Data(bytes::Bytes::from_static(text.as_bytes()));
    let whole = vec![Step::Pending, data("hello "), data(""), Step::Pending, data("world")];
    let (body, handle) = through_the_layer(ScriptedBody::new(whole).size(Size::Exact)).await;
    assert!(body.contains(r#""detail":"hello world""#), "{body}");
    assert!(handle.is_dropped());
    assert_eq!(handle.polled_after_end(), 0);

    let broken = vec![data("hello"), Step::Error("reset".to_owned())];
    let (body, handle) = through_the_layer(ScriptedBody::new(broken).size(Size::Exact)).await;
    assert_eq!(body, r#"{"type":"about:blank","title":"Bad Request","status":400}"#);
    assert!(handle.is_dropped());
}

#[tokio::test]
async fn a_text_without_a_known_size_is_a_stream_and_not_held_back() {
    let data = Step::Data(bytes::Bytes::from_static(b"hello"));
    let (body, _) = through_the_layer(ScriptedBody::new(vec![data])).await;
    assert_eq!(body, "hello");
}

#[tokio::test]
async fn a_caller_that_leaves_while_a_text_is_read_leaves_nothing() {
    let handles = RefCell::new(Vec::new());
    let call = || {
        let data = Step::Data(bytes::Bytes::from_static(b"hello"));
        let body = ScriptedBody::new(vec![Step::Pending, data, Step::Pending]).size(Size::Exact);
        handles.borrow_mut().push(body.handle());
        let mut body = Some(body);
        let service = service_fn(move |_: Request<()>| {
            let answer = Response::builder().status(400).header("content-type", "text/plain");
            let answer = answer.body(body.take().unwrap()).unwrap();
            async { Ok::<_, Infallible>(answer) }
        });
        ProblemsLayer::default().layer(service).oneshot(Request::new(()))
    };
    let awaits = drop_at_every_await(call, |_| {
        assert!(handles.borrow().iter().all(BodyHandle::is_dropped));
    })
    .await;
    assert_eq!(awaits, 2);
}

proptest::proptest! {
    #[test]
    fn any_text_makes_valid_json_without_control_characters(text in ".{0,200}", raw in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        for bytes in [text.as_bytes(), &raw[..]] {
            let Some(detail) = super::text::detail(bytes) else {
                assert!(std::str::from_utf8(bytes).is_err());
                continue;
            };
            let written = Problem::new(StatusCode::BAD_REQUEST).detail(detail.clone()).to_response(crate::form::Form::Http, None);
            let written = std::str::from_utf8(written.body()).unwrap();
            assert!(!written.contains(char::is_control), "{written:?}");
            let parsed: serde_json::Value = serde_json::from_str(written).unwrap();
            assert_eq!(parsed["detail"], detail);
        }
    }
}
