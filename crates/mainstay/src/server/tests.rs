//! What must hold of the stack as a whole.

use std::num::NonZeroUsize;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Extension, Path};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use mainstay_http::rate_limit::{KeyPart, RatePolicy};
use mainstay_http::security_headers::{ContentSecurityPolicy, Directive, Keyword};
use mainstay_testkit::contract::{Laws, http_layer_contract};
use tower::ServiceExt;

use super::{ServerConfig, stack};
use crate::{Problem, RequestContext};

fn app() -> Router {
    Router::new()
        .route(
            "/context",
            get(async |Extension(context): Extension<RequestContext>| context.request_id().to_string()),
        )
        .route("/panic", get(async || -> &'static str { panic!("no") }))
        .route("/slow", get(async || std::future::pending::<()>().await))
        .route("/problem", get(async || Problem::new(StatusCode::CONFLICT).detail("taken")))
        .layer(stack(&ServerConfig::default()).unwrap())
}

async fn send(method: Method, path: &str) -> (Response<()>, String) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let (parts, body) = app().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(parts, ()), String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn every_answer_has_the_ids_and_the_headers_and_every_refusal_is_a_problem_with_its_id() {
    for (method, path, status) in [
        (Method::GET, "/context", 200),
        (Method::GET, "/nowhere", 404),
        (Method::POST, "/context", 405),
        (Method::GET, "/panic", 500),
        (Method::GET, "/slow", 504),
        (Method::GET, "/problem", 409),
    ] {
        let (answer, body) = send(method.clone(), path).await;
        assert_eq!(answer.status(), status, "{method} {path}");
        let id = answer.headers()["x-request-id"].to_str().unwrap();
        assert_eq!(answer.headers()["x-correlation-id"], id);
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        assert!(body.contains(id), "{path}: {body} does not name {id}");
        if status >= 400 {
            assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
        }
    }
}

#[tokio::test]
async fn what_axums_extractors_reject_is_a_problem_that_says_what_was_wrong() {
    #[derive(serde::Deserialize)]
    #[expect(dead_code, reason = "read by nobody: what matters is what is rejected")]
    struct Order {
        sku: String,
        quantity: u8,
    }

    let app = Router::new()
        .route("/orders", post(async |Json(_): Json<Order>| "placed"))
        .route("/orders/{id}", get(async |Path(_): Path<u32>| "found"))
        .layer(DefaultBodyLimit::max(100))
        .layer(stack(&ServerConfig::default()).unwrap());
    let json = |text: &str| {
        Request::post("/orders").header("content-type", "application/json").body(Body::from(text.to_owned()))
    };
    for (request, status, said) in [
        (json(r#"{"sku": "TEA", "quantity": 300}"#), 422, "quantity: invalid value: integer `300`"),
        (json("{"), 400, "EOF while parsing"),
        (json(&"x".repeat(101)), 413, "length limit exceeded"),
        (
            Request::post("/orders").body(Body::from("{}")),
            415,
            "Expected request with `Content-Type: application/json`",
        ),
        (Request::get("/orders/many").body(Body::empty()), 400, "Cannot parse `many` to a `u32`"),
    ] {
        let (parts, body) = app.clone().oneshot(request.unwrap()).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((parts.status.as_u16(), &problem["status"]), (status, &status.into()));
        assert_eq!(parts.headers["content-type"], "application/problem+json");
        assert!(problem["detail"].as_str().unwrap().contains(said), "{problem}");
        assert_eq!(problem["request_id"], parts.headers["x-request-id"].to_str().unwrap());
        assert_eq!(parts.headers["content-length"], body.len().to_string().as_str());
    }
}

#[tokio::test]
async fn the_router_still_says_which_methods_it_allows() {
    let (answer, _) = send(Method::DELETE, "/context").await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["allow"]), (405, &"GET,HEAD".parse().unwrap()));
}

#[test]
fn it_can_be_read_in_its_order_with_the_settings_in_effect() {
    let mut config = ServerConfig::default();
    config.context.trusted_networks = vec!["10.0.0.0/8".parse().unwrap()];
    config.deadline.default = Duration::from_secs(2);
    config.security_headers.content_security_policy =
        ContentSecurityPolicy { use_defaults: false, ..ContentSecurityPolicy::default() }
            .with(Directive::DefaultSrc, [Keyword::None]);
    config.rate_limit.policies = vec![
        RatePolicy { name: "address".to_owned(), ..RatePolicy::default() },
        RatePolicy { name: "tenant".to_owned(), key: vec![KeyPart::Tenant], ..RatePolicy::default() },
    ];
    config.http.body_limit = NonZeroUsize::new(65_536);
    insta::assert_snapshot!(stack(&config).unwrap().describe());
}

#[test]
fn settings_out_of_range_make_no_stack() {
    let mut config = ServerConfig::default();
    config.deadline.default = Duration::ZERO;
    let error = stack(&config).unwrap_err().to_string();
    assert_eq!(
        error,
        "the server's settings do not make a stack:\n  deadline.default: shorter than 1ms: no call could ever be answered"
    );
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    http_layer_contract(
        || stack(&ServerConfig::default()).unwrap(),
        || Request::new(Empty::<Bytes>::new()),
        Laws::default(),
    )
    .await;
}
