//! The three hosts that every layer must fit, each on a socket of its own.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::net::{Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::{Route, get};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer, Service};

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// One request over a new connection, HTTP/1.1 or HTTP/2 as the request says, read to its end.
pub(crate) async fn send(address: SocketAddr, mut request: Request<Full<Bytes>>) -> Response<Bytes> {
    let http2 = request.version() == http::Version::HTTP_2;
    *request.uri_mut() = format!("http://{address}{}", request.uri().path()).parse().unwrap();
    let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
    let (parts, body) = client.request(request).await.unwrap().into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

pub(crate) fn get_request(path: &str) -> Request<Full<Bytes>> {
    Request::builder().uri(path).body(Full::default()).unwrap()
}

/// The layer around axum's routes: the answer to `GET /`.
pub(crate) async fn under_axum<L>(layer: L) -> Response<Bytes>
where
    L: Layer<Route> + Clone + Send + Sync + 'static,
    L::Service: Service<Request<axum::body::Body>, Response: IntoResponse, Error: Into<Infallible>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let (listener, address) = listener().await;
    let app = Router::new().route("/", get(async || "hello")).layer(layer);
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let answer = send(address, get_request("/")).await;
    server.abort();
    answer
}

/// The layer around tonic's transport: the answer of the standard health service.
pub(crate) async fn under_tonic<L, ResBody>(layer: L) -> i32
where
    L: Layer<Routes> + Clone + Send + 'static,
    L::Service: Service<
            Request<tonic::body::Body>,
            Response = Response<ResBody>,
            Error: Into<BoxError> + Send,
            Future: Send,
        > + Clone
        + Send
        + 'static,
    ResBody: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (listener, address) = listener().await;
    let (_reporter, health) = tonic_health::server::health_reporter();
    let server = tonic::transport::Server::builder().layer(layer).add_service(health);
    let server = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let status = health_status(channel).await;
    server.abort();
    status
}

/// Asks the standard health service through this channel; 1 is SERVING.
pub(crate) async fn health_status<C, ResBody>(channel: C) -> i32
where
    C: tonic::client::GrpcService<tonic::body::Body, ResponseBody = ResBody>,
    ResBody: http_body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
    C::Error: Into<BoxError>,
{
    let request = HealthCheckRequest { service: String::new() };
    HealthClient::new(channel).check(request).await.unwrap().into_inner().status
}

/// The layer around a plain service, served by hyper: the answer to `GET /`.
pub(crate) async fn under_hyper<L, ResBody>(layer: L) -> Response<Bytes>
where
    L: Layer<PlainService>,
    L::Service: Service<Request<Incoming>, Response = Response<ResBody>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    ResBody: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (listener, address) = listener().await;
    let service = layer.layer(PlainService);
    let server = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(service);
        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await
    });
    let answer = send(address, get_request("/")).await;
    server.abort();
    answer
}

/// Says hello to every request, whatever its body was wrapped in on the way.
#[derive(Clone)]
pub(crate) struct PlainService;

impl<B> Service<Request<B>> for PlainService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Full<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Full::from("hello"))))
    }
}
