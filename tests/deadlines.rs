//! Deadlines on real sockets: gRPC under a server that is not tonic's, events, and uploads.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Extension;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use mainstay_http::context::ContextLayer;
use mainstay_http::deadline::{BodyLimits, Covers, DeadlineConfig, DeadlineLayer, UploadDeadlineLayer};
use tokio::time::timeout;
use tokio_stream::{Stream, StreamExt};
use tonic::server::NamedService;
use tower::{Service, ServiceBuilder};

use crate::hosts::{get_request, listener, send};

/// Long enough for a loaded machine, and short enough to tell a hang.
const PATIENCE: Duration = Duration::from_secs(10);

async fn serve(config: &DeadlineConfig, app: Router) -> SocketAddr {
    let (listener, address) = listener().await;
    let layers = ServiceBuilder::new()
        .layer(ContextLayer::default().deadline(config))
        .layer(DeadlineLayer::in_stack(config))
        .layer(UploadDeadlineLayer::new(config));
    tokio::spawn(async move { axum::serve(listener, app.layer(layers)).await });
    address
}

fn millis(millis: u64) -> Option<Duration> {
    Some(Duration::from_millis(millis))
}

/// A tonic service whose only method never answers.
#[derive(Clone)]
struct Hanging;

impl NamedService for Hanging {
    const NAME: &'static str = "slow.Service";
}

impl Service<Request<tonic::body::Body>> for Hanging {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = std::future::Pending<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<tonic::body::Body>) -> Self::Future {
        pending()
    }
}

#[tokio::test]
async fn tonics_routes_under_axum_honour_grpc_timeout() {
    let routes = tonic::service::Routes::new(Hanging).into_axum_router();
    let address = serve(&DeadlineConfig::default(), routes).await;
    let request = Request::post("/slow.Service/Call")
        .version(http::Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "50m")
        .body(Full::default())
        .unwrap();
    let answer = timeout(PATIENCE, send(address, request)).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["grpc-status"]), (200, &"4".parse().unwrap()));
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    assert!(answer.body().is_empty());
}

#[tokio::test]
async fn the_configured_header_ends_an_http_call() {
    let header = Some(http::HeaderName::from_static("x-request-timeout-ms"));
    let config = DeadlineConfig { header, ..DeadlineConfig::default() };
    let address = serve(&config, Router::new().route("/", get(async || pending::<()>().await))).await;
    let mut request = get_request("/");
    request.headers_mut().insert("x-request-timeout-ms", "50".parse().unwrap());
    let answer = timeout(PATIENCE, send(address, request)).await.unwrap();
    assert_eq!(answer.status(), 504);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
}

fn every(pause: Duration, frames: usize) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    tokio_stream::iter(0..frames).then(move |_| async move {
        tokio::time::sleep(pause).await;
        Ok(Bytes::from_static(b"data: x\n\n"))
    })
}

#[tokio::test]
async fn events_outlive_the_deadline_that_ends_a_download() {
    let config = DeadlineConfig {
        default: Duration::from_millis(200),
        covers: Covers::Body,
        ..DeadlineConfig::default()
    };
    let frames = async |kind: &'static str| {
        ([("content-type", kind)], Body::from_stream(every(Duration::from_millis(60), 10)))
    };
    let app = Router::new()
        .route("/events", get(move || frames("text/event-stream")))
        .route("/download", get(move || frames("text/csv")));
    let address = serve(&config, app).await;

    let events = timeout(PATIENCE, send(address, get_request("/events"))).await.unwrap();
    assert_eq!(events.body().len(), 10 * 9);

    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let download = client.get(format!("http://{address}/download").parse().unwrap()).await.unwrap();
    assert_eq!(download.status(), 200);
    let whole = timeout(PATIENCE, download.into_body().collect()).await.unwrap();
    assert!(whole.is_err(), "a download that was broken off looks complete");
}

#[tokio::test]
async fn an_upload_may_take_long_while_it_moves_and_is_answered_408_when_it_stalls() {
    let route = mainstay_http::deadline::RouteDeadline {
        covers: Some(Covers::Nothing),
        request_body: Some(BodyLimits { idle: millis(400), total: None }),
        ..mainstay_http::deadline::RouteDeadline::new("/uploads/{name}".parse().unwrap())
    };
    let config = DeadlineConfig {
        default: Duration::from_millis(300),
        routes: vec![route],
        ..DeadlineConfig::default()
    };
    let app = Router::new().route("/uploads/{name}", post(async |body: Bytes| body.len().to_string()));
    let address = serve(&config, app).await;
    let upload = async |pause: Duration| {
        let body = every(pause, 10).map(|piece| piece.map(Frame::data));
        let client = Client::builder(TokioExecutor::new()).build_http();
        let request = Request::post(format!("http://{address}/uploads/a"));
        let answer = client.request(request.body(StreamBody::new(Box::pin(body))).unwrap());
        timeout(PATIENCE, answer).await.unwrap().unwrap()
    };
    let moving = upload(Duration::from_millis(60)).await;
    assert_eq!((moving.status().as_u16(), moving.collect().await.unwrap().to_bytes()), (200, "90".into()));
    assert_eq!(upload(Duration::from_secs(3)).await.status(), 408);
}

#[tokio::test]
async fn a_handler_sees_its_deadline_and_moves_it() {
    async fn extend(Extension(context): Extension<mainstay::RequestContext>) -> &'static str {
        let deadline = context.deadline().unwrap().instant();
        context.extend_deadline(deadline + Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(300)).await;
        "done"
    }
    let config = DeadlineConfig { default: Duration::from_millis(100), ..DeadlineConfig::default() };
    let address = serve(&config, Router::new().route("/", get(extend))).await;
    assert_eq!(send(address, get_request("/")).await.body(), "done");
}
