//! A client of one request a connection.

use std::net::SocketAddr;

use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// The status and the whole body.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let response = send(address, path).await.expect("an answer");
    let status = response.status().as_u16();
    (status, text(response).await)
}

/// The response, with its body still to come.
pub(crate) async fn send(address: SocketAddr, path: &str) -> hyper::Result<Response<Incoming>> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    sender.send_request(request(path)).await
}

/// As [`get`], over HTTP/2 by prior knowledge.
pub(crate) async fn get_http2(address: SocketAddr, path: &str) -> (u16, String) {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = Request::get(format!("http://{address}{path}")).body(Empty::<Bytes>::new());
    let response = sender.send_request(request.expect("valid")).await.expect("an answer");
    assert_eq!(response.version(), http::Version::HTTP_2);
    (response.status().as_u16(), text(response).await)
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn request(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path).header("host", "test").body(Empty::new()).expect("valid")
}
