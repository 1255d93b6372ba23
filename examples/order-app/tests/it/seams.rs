//! The service behind mainstay's stack: one request, one name everywhere.

use std::sync::{Arc, Mutex};

use axum::routing::post;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::support::{COFFEE, LAST_ONE, Provider, World, order, request};

#[tokio::test]
async fn the_payment_provider_learns_the_request_that_it_is_paid_for() {
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let recorder = Arc::clone(&seen);
    let charge = async move |headers: HeaderMap| {
        *recorder.lock().unwrap() = headers;
        (StatusCode::CREATED, Json(json!({"id": "payment-1", "status": "succeeded"})))
    };
    let provider = Provider::other(Router::new().route("/charges", post(charge))).await;
    let world = World::with(provider).await;

    let body = order(COFFEE, 1, "tok_ok").to_string();
    let answer = world.send(request("POST", "acme", "/orders", body.into())).await;
    let (headers, placed) = (answer.headers, answer.json);

    let seen = seen.lock().unwrap();
    assert_eq!(seen["x-request-id"], headers["x-request-id"]);
    assert_eq!(seen["x-tenant-id"], "acme");
    assert!(seen.contains_key("traceparent"));
    assert_eq!(seen["idempotency-key"], placed["id"].as_str().unwrap());
}

#[tokio::test]
async fn problems_name_the_request() {
    let world = World::new().await;
    let body = order(LAST_ONE, 0, "tok_ok").to_string();

    for refused in [
        request("POST", "acme", "/orders", body.into()),
        request("GET", "acme", "/nowhere", "".into()),
        request("DELETE", "acme", "/orders", "".into()),
        request("GET", "initech", "/orders", "".into()),
    ] {
        let answer = world.send(refused).await;
        let (headers, problem) = (answer.headers, answer.json);
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(problem["request_id"], headers["x-request-id"].to_str().unwrap());
    }
}
