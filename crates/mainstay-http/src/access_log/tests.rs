//! What must hold of the access log: one event for each request, with what became of it.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use mainstay_core::{Peer, RequestContext, TenantId};
use mainstay_testkit::body::{Adversary, ScriptedBody, drain, drain_at_most};
use mainstay_testkit::contract::{Law, Laws, http_layer_contract};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};

use super::{AccessLogConfig, AccessLogLayer};
use crate::context::ContextLayer;
use crate::deadline::DeadlineLayer;
use crate::panic_guard::PanicGuardLayer;
use crate::test_log::TestLog;

fn request(method: Method, uri: &str) -> Request<()> {
    let mut request =
        Request::builder().method(method).uri(uri).header("user-agent", "curl/8").body(()).unwrap();
    let address = SocketAddr::from(([203, 0, 113, 9], 1));
    request.extensions_mut().insert(Peer { address, encrypted: false });
    request
}

/// Sends one request to a service that answers with this body, and reads it to its end.
async fn line_for(method: Method, status: u16, body: ScriptedBody) -> Value {
    let log = TestLog::start();
    let mut answer = Some(Response::builder().status(status).body(body).unwrap());
    let service = service_fn(move |_: Request<()>| {
        let answer = answer.take().unwrap();
        async { Ok::<_, Infallible>(answer) }
    });
    let answer =
        AccessLogLayer::default().layer(service).oneshot(request(method.clone(), "/a")).await.unwrap();
    if method == Method::HEAD {
        drop(answer); // as a server does
    } else {
        drain(answer.into_body()).await;
    }
    log.line()
}

#[tokio::test(start_paused = true)]
async fn the_line_says_who_asked_for_what_and_what_became_of_it() {
    let log = TestLog::start();
    let service = service_fn(async |request: Request<()>| {
        let context = request.extensions().get::<RequestContext>().unwrap();
        context.set_tenant(TenantId::parse("acme").unwrap()).unwrap();
        sleep(Duration::from_millis(20)).await;
        Ok::<_, Infallible>(Response::builder().status(201).body(Adversary::ExactSize.body()).unwrap())
    });
    let service = ContextLayer::default().layer(AccessLogLayer::default().layer(service));
    let answer = service.oneshot(request(Method::POST, "/orders?token=secret")).await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(log.lines().is_empty(), "the answer has not ended yet");
    drain(answer.into_body()).await;

    let mut line = log.line();
    let line = line.as_object_mut().unwrap();
    for varying in ["timestamp", "trace_id", "span_id"] {
        assert!(line.remove(varying).is_some(), "{varying} is missing");
    }
    assert_eq!(
        Value::Object(line.clone()),
        json!({
            "level": "INFO",
            "target": "mainstay::access",
            "message": "request",
            "http.request.method": "POST",
            "url.path": "/orders",
            "http.response.status_code": 201,
            "http.response.body.size": 11,
            "network.protocol.version": "1.1",
            "client.address": "203.0.113.9",
            "user_agent.original": "curl/8",
            "request_id": id,
            "correlation_id": id,
            "tenant": "acme",
            "outcome": "complete",
            "time_to_first_byte_ms": 20.0,
            "duration_ms": 20.0,
        })
    );
}

#[tokio::test]
async fn every_way_in_which_an_answer_can_end_is_one_line() {
    for adversary in Adversary::ALL {
        if !adversary.ends() || adversary.panics() {
            continue;
        }
        let line = line_for(Method::GET, 200, adversary.body()).await;
        let failed = matches!(adversary, Adversary::ErrorFirst | Adversary::ErrorAfterFrame);
        let (outcome, level) = if failed { ("failed_in_stream", "ERROR") } else { ("complete", "INFO") };
        assert_eq!((&line["outcome"], &line["level"]), (&json!(outcome), &json!(level)), "{adversary:?}");
    }
}

#[tokio::test]
async fn an_answer_without_a_body_is_no_disconnect() {
    for (method, status) in
        [(Method::HEAD, 200), (Method::GET, 204), (Method::GET, 304), (Method::CONNECT, 200)]
    {
        let log = TestLog::start();
        let service = service_fn(move |_: Request<()>| async move {
            Ok::<_, Infallible>(Response::builder().status(status).body(Adversary::ExactSize.body()).unwrap())
        });
        let uri = if method == Method::CONNECT { "example.org:443" } else { "/a" };
        drop(AccessLogLayer::default().layer(service).oneshot(request(method.clone(), uri)).await);
        assert_eq!(log.line()["outcome"], "complete", "{method} {status}");
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_is_noticed_before_and_in_the_body() {
    let log = TestLog::start();
    let service = service_fn(async |_: Request<()>| {
        pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    {
        let mut call = pin!(AccessLogLayer::default().layer(service).oneshot(request(Method::GET, "/slow")));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
        assert!(log.lines().is_empty());
    }
    let line = log.line();
    assert_eq!((&line["outcome"], &line["level"]), (&json!("abandoned"), &json!("INFO")));
    assert_eq!(line.get("http.response.status_code"), None);

    let log = TestLog::start();
    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Adversary::Hangs.body())));
    let mut answer =
        AccessLogLayer::default().layer(service).oneshot(request(Method::GET, "/")).await.unwrap();
    answer.body_mut().frame().await.unwrap().unwrap();
    drop(answer);
    let line = log.line();
    assert_eq!(
        (&line["outcome"], &line["http.response.body.size"]),
        (&json!("abandoned_in_stream"), &json!(5))
    );
}

#[tokio::test]
async fn an_error_of_the_service_is_logged_and_passed_on() {
    let log = TestLog::start();
    let service = service_fn(async |_: Request<()>| Err::<Response<Empty<Bytes>>, _>("broken"));
    let result = AccessLogLayer::default().layer(service).oneshot(request(Method::GET, "/")).await;
    assert_eq!(result.map(drop), Err("broken"));
    let line = log.line();
    assert_eq!((&line["outcome"], &line["level"]), (&json!("failed"), &json!("ERROR")));
}

#[tokio::test(start_paused = true)]
async fn what_an_inner_layer_answered_keeps_its_outcome() {
    let log = TestLog::start();
    let service = service_fn(async |_: Request<()>| {
        pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let service = AccessLogLayer::default().layer(DeadlineLayer::default().layer(service));
    service.oneshot(request(Method::GET, "/")).await.unwrap().into_body().collect().await.unwrap();
    let line = log.line();
    assert_eq!((&line["outcome"], &line["reason"]), (&json!("timed_out"), &json!("deadline_exceeded")));
    assert_eq!((&line["http.response.status_code"], &line["level"]), (&json!(504), &json!("WARN")));
}

#[tokio::test]
async fn a_panic_in_the_body_is_told_apart_from_an_error() {
    let log = TestLog::start();
    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Adversary::PanicsInPoll.body())));
    let service = AccessLogLayer::default().layer(PanicGuardLayer::new().layer(service));
    let answer = ContextLayer::default().layer(service).oneshot(request(Method::GET, "/")).await.unwrap();
    assert!(answer.into_body().collect().await.is_err());
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "one for the panic, one for the request: {lines:#?}");
    assert_eq!(lines[1]["outcome"], "panicked_in_stream");
}

#[tokio::test]
async fn grpcs_status_is_read_from_the_trailers_and_its_faults_are_errors() {
    let trailers = mainstay_testkit::body::Step::Trailers(
        [("grpc-status".parse().unwrap(), "13".parse().unwrap())].into_iter().collect(),
    );
    let line = line_for(Method::POST, 200, ScriptedBody::new([trailers])).await;
    assert_eq!((&line["rpc.grpc.status_code"], &line["level"]), (&json!(13), &json!("ERROR")));
}

#[tokio::test]
async fn standing_outside_the_context_layer_is_said_once() {
    let log = TestLog::start();
    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
    let service = AccessLogLayer::default().layer(ContextLayer::default().layer(service));
    for _ in 0..2 {
        drop(service.clone().oneshot(request(Method::GET, "/")).await);
    }
    let warnings = log.lines().into_iter().filter(|line| line["level"] == "WARN").count();
    assert_eq!((warnings, log.lines().len()), (1, 3));
}

#[tokio::test]
async fn a_server_that_stops_reading_at_the_announced_length_has_delivered_everything() {
    // What hyper does over HTTP/1.1: it writes the length that it was told, and drops the body.
    for (announced, adversary) in [(None, Adversary::ExactSize), (Some("5"), Adversary::Hangs)] {
        let log = TestLog::start();
        let service = service_fn(move |_: Request<()>| async move {
            let mut answer = Response::new(adversary.body());
            if let Some(length) = announced {
                answer.headers_mut().insert("content-length", length.parse().unwrap());
            }
            Ok::<_, Infallible>(answer)
        });
        let answer =
            AccessLogLayer::default().layer(service).oneshot(request(Method::GET, "/")).await.unwrap();
        let frames = if announced.is_some() { 1 } else { 2 };
        drain_at_most(pin!(answer.into_body()), frames).await;
        assert_eq!(log.line()["outcome"], "complete", "{adversary:?}");
    }
}

#[tokio::test]
async fn a_panic_that_passes_by_is_no_disconnect() {
    let log = TestLog::start();
    let service = service_fn(async |_: Request<()>| -> Result<Response<Empty<Bytes>>, Infallible> {
        panic!("unguarded")
    });
    let call = AccessLogLayer::default().layer(service).oneshot(request(Method::GET, "/"));
    assert!(tokio::spawn(call).await.is_err());
    let line = log.line();
    assert_eq!((&line["outcome"], &line["level"]), (&json!("panicked"), &json!("ERROR")));
}

#[tokio::test]
async fn a_grpc_answer_without_a_status_is_logged_as_its_caller_sees_it() {
    let grpc =
        || Request::builder().method("POST").header("content-type", "application/grpc").body(()).unwrap();
    for (adversary, reads, status) in [(Adversary::Empty, usize::MAX, 2), (Adversary::Hangs, 1, 1)] {
        let log = TestLog::start();
        let service =
            service_fn(
                move |_: Request<()>| async move { Ok::<_, Infallible>(Response::new(adversary.body())) },
            );
        let answer = AccessLogLayer::default().layer(service).oneshot(grpc()).await.unwrap();
        drain_at_most(pin!(answer.into_body()), reads).await;
        assert_eq!(log.line()["rpc.grpc.status_code"], status, "{adversary:?}");
    }
}

#[tokio::test]
async fn a_grpc_body_that_panics_is_not_complete() {
    let log = TestLog::start();
    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Adversary::PanicsInPoll.body())));
    let service = AccessLogLayer::default().layer(PanicGuardLayer::new().layer(service));
    let grpc = Request::builder().method("POST").header("content-type", "application/grpc").body(()).unwrap();
    let answer = ContextLayer::default().layer(service).oneshot(grpc).await.unwrap();
    answer.into_body().collect().await.unwrap();
    let lines = log.lines();
    assert_eq!(
        (&lines[1]["outcome"], &lines[1]["rpc.grpc.status_code"]),
        (&json!("panicked_in_stream"), &json!(13))
    );
}

#[tokio::test]
async fn a_method_of_a_strangers_invention_does_not_fill_the_log() {
    let log = TestLog::start();
    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
    let invented = Method::from_bytes(&[b'M'; 60_000]).unwrap();
    drop(AccessLogLayer::default().layer(service).oneshot(request(invented, "/")).await);
    let line = log.line();
    assert_eq!(line["http.request.method"], "_OTHER");
    assert_eq!(line["http.request.method_original"].as_str().unwrap().len(), 1_024);
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn under_axum_the_route_and_the_whole_path_are_logged_also_in_a_nested_router() {
    use axum::Router;
    use axum::routing::get;

    let log = TestLog::start();
    let orders = Router::new().route("/orders/{id}", get(async || "one")).layer(AccessLogLayer::default());
    let app = Router::new().nest("/api", orders);
    let request = Request::builder().uri("/api/orders/7").body(axum::body::Body::empty()).unwrap();
    app.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    let line = log.line();
    assert_eq!(
        (&line["url.path"], &line["http.route"]),
        (&json!("/api/orders/7"), &json!("/api/orders/{id}"))
    );
}

#[tokio::test]
async fn nothing_is_logged_when_it_is_switched_off() {
    let log = TestLog::start();
    let service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
    let layer = AccessLogLayer::new(&AccessLogConfig { enabled: false });
    drop(layer.layer(service).oneshot(request(Method::GET, "/")).await);
    assert!(log.lines().is_empty());
}

#[tokio::test]
async fn it_keeps_the_laws_of_layers_and_bodies() {
    let laws = Laws { panicking_bodies: Law::Held, ..Laws::default() };
    http_layer_contract(AccessLogLayer::default, || Request::new(()), laws).await;
}

proptest! {
    #[test]
    fn one_request_is_one_line_whatever_its_bytes(
        agent in prop::collection::vec(prop_oneof![Just(b'\t'), 0x20_u8..=0x7e, 0x80_u8..=0xff], 0..2_000),
        path in prop::collection::vec(any::<u8>(), 0..2_000),
    ) {
        let path: String = path.iter().map(|byte| format!("%{byte:02x}")).collect();
        let mut request = Request::builder().uri(format!("/{path}")).body(()).unwrap();
        request.headers_mut().insert("user-agent", http::HeaderValue::from_bytes(&agent).unwrap());
        let log = TestLog::start();
        let service = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { drop(AccessLogLayer::default().layer(service).oneshot(request).await) });
        let line = log.line();
        prop_assert!(line["url.path"].as_str().unwrap().len() <= 1_024);
        prop_assert!(line["user_agent.original"].as_str().unwrap().len() <= 1_024);
    }
}
