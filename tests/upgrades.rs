//! A connection that is handed over to another protocol, through the whole stack on a real socket.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use mainstay::server::{self, ServerConfig};
use mainstay_http::deadline::{BodyLimits, Covers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::hosts::listener;

const PATIENCE: Duration = Duration::from_secs(10);

/// Hands the connection over, and sends back whatever comes on it.
async fn echo(request: Request<Body>) -> Response<Body> {
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded.await.unwrap()));
        drop(tokio::io::copy(&mut read, &mut write).await);
    });
    let answer = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    answer.header("connection", "upgrade").header("upgrade", "echo").body(Body::empty()).unwrap()
}

#[tokio::test]
async fn an_upgraded_connection_outlives_every_deadline_and_holds_no_place() {
    let tenth = Duration::from_millis(100);
    let mut config = ServerConfig::default();
    config.deadline.default = tenth;
    config.deadline.covers = Covers::Body;
    let limits = BodyLimits { idle: Some(tenth), total: Some(tenth) };
    (config.deadline.request_body, config.deadline.response_body) = (limits, limits);
    config.concurrency_limit.max_in_flight = std::num::NonZeroU32::new(8);
    let stack = server::stack(&config).unwrap();
    let concurrency = stack.concurrency();
    let (listener, address) = listener().await;
    let app = Router::new().route("/", get(echo)).layer(stack);
    tokio::spawn(async move { axum::serve(listener, app).await });

    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(timeout(PATIENCE, socket.read_u8()).await.unwrap().unwrap());
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains("\r\nx-request-id: "), "{answer}");
    // What runs on the connection is not this call's any more.
    while concurrency.in_flight() > 0 {
        tokio::task::yield_now().await;
    }
    // Real time: a socket knows no other.
    tokio::time::sleep(3 * tenth).await;
    socket.write_all(b"still there").await.unwrap();
    let mut echoed = [0; 11];
    timeout(PATIENCE, socket.read_exact(&mut echoed)).await.unwrap().unwrap();
    assert_eq!(&echoed, b"still there");
}
