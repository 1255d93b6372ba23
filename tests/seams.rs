//! The seams between the crates: one id from the edge to the next service, one answer for both protocols.

use std::future::pending;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, State};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mainstay::server::{self, ServerConfig};
use mainstay::{RequestContext, Runtime, RuntimeConfig, client};
use tokio::sync::oneshot;
use tower::{Layer, ServiceExt};

use crate::hosts::{get_request, health_status, send};

/// Serves an app through the whole stack on our runtime, until the returned sender is dropped.
async fn serve(config: &ServerConfig, app: Router) -> (SocketAddr, oneshot::Sender<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let (started, address) = oneshot::channel();
    let app = app.layer(server::stack(config).unwrap());
    let runtime = Runtime::new(&RuntimeConfig::default())
        .serve("http", SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), app)
        .on_started(move |addresses| started.send(addresses[0].1).unwrap())
        .shutdown_when(async { drop(stopped.await) });
    tokio::spawn(async { runtime.run().await.unwrap() });
    (address.await.unwrap(), stop)
}

fn trusting_loopback() -> ServerConfig {
    let mut config = ServerConfig::default();
    config.context.trusted_networks = vec!["127.0.0.0/8".parse().unwrap()];
    config
}

fn grpc(path: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method("POST")
        .version(http::Version::HTTP_2)
        .uri(path)
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "50m")
        .body(Full::default())
        .unwrap()
}

#[tokio::test]
async fn one_call_through_two_services_keeps_its_ids_and_its_trace() {
    async fn inner(Extension(context): Extension<RequestContext>) -> String {
        let trace = context.trace();
        format!("{} {} {}", context.correlation_id(), trace.trace_id(), trace.parent_span_id().unwrap())
    }
    let (inner_address, _inner) = serve(&trusting_loopback(), Router::new().route("/", get(inner))).await;

    type HttpClient = Client<HttpConnector, Full<Bytes>>;
    async fn outer(
        State((http, inner)): State<(HttpClient, SocketAddr)>,
        Extension(context): Extension<RequestContext>,
    ) -> String {
        let mut request = get_request("/");
        *request.uri_mut() = format!("http://{inner}/").parse().unwrap();
        request.extensions_mut().insert(context.clone());
        let answer = client::propagate().layer(http).oneshot(request).await.unwrap();
        let seen =
            String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let trace = context.trace();
        let ours = format!("{} {} {}", context.correlation_id(), trace.trace_id(), trace.span_id());
        assert_eq!(seen, ours, "the next service saw another call");
        "same".to_owned()
    }
    let http: HttpClient = Client::builder(TokioExecutor::new()).build_http();
    let app = Router::new().route("/", get(outer)).with_state((http, inner_address));
    let (address, _outer) = serve(&trusting_loopback(), app).await;

    let mut request = get_request("/");
    request.headers_mut().insert("x-correlation-id", "order-42".parse().unwrap());
    let answer = send(address, request).await;
    assert_eq!(answer.body(), "same");
    assert_eq!(answer.headers()["x-correlation-id"], "order-42");
}

#[tokio::test]
async fn the_runtime_tells_the_stack_who_calls() {
    async fn address(Extension(context): Extension<RequestContext>) -> String {
        context.client_address().map(|address| address.to_string()).unwrap_or_default()
    }
    let (at, _stop) = serve(&ServerConfig::default(), Router::new().route("/", get(address))).await;
    assert_eq!(send(at, get_request("/")).await.body(), &IpAddr::from(Ipv4Addr::LOCALHOST).to_string());
}

#[tokio::test]
async fn grpc_routes_behind_another_server_than_tonics_still_honour_the_callers_deadline() {
    let app = Router::new().route("/slow.Service/Call", post(async || pending::<()>().await));
    let (address, _stop) = serve(&ServerConfig::default(), app).await;
    let answer = tokio::time::timeout(Duration::from_secs(5), send(address, grpc("/slow.Service/Call")))
        .await
        .unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["grpc-status"]), (200, &"4".parse().unwrap()));
    assert!(answer.headers().contains_key("x-request-id"));
    assert!(
        !answer.headers().contains_key("content-security-policy"),
        "gRPC has no use for browsers' headers"
    );
}

#[tokio::test]
async fn tonics_own_routes_work_on_our_runtime_and_a_tonic_client_carries_the_context() {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let routes = tonic::service::Routes::new(health).into_axum_router();
    let (address, _stop) = serve(&trusting_loopback(), routes).await;
    let channel =
        tonic::transport::Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    assert_eq!(health_status(client::propagate().layer(channel)).await, 1);
}

#[tokio::test]
async fn a_handlers_panic_leaves_the_connection_usable_for_others() {
    let app = Router::new()
        .route("/panic", get(async || -> &'static str { panic!("the handler panicked on purpose") }))
        .route("/", get(async |headers: HeaderMap| headers.len().to_string()));
    let (address, _stop) = serve(&ServerConfig::default(), app).await;
    let answer = send(address, get_request("/panic")).await;
    assert_eq!(answer.status(), 500);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(send(address, get_request("/")).await.status(), 200);
}
