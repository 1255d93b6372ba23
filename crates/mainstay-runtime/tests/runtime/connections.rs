//! What holds of connections while the service runs.

use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use mainstay_core::Peer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{get, get_http2, send};
use crate::{ANY, Running, runtime, service};

#[tokio::test]
async fn each_request_knows_its_peer() {
    let http = service(|request: Request<Incoming>| async move {
        let peer = request.extensions().get::<Peer>().expect("a peer");
        format!("{} {}", peer.address, peer.encrypted)
    });
    let running = Running::start(runtime().serve("http", ANY, http)).await;

    let mut client = TcpStream::connect(running.http).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    let expected = format!("{} false", client.local_addr().unwrap());
    assert!(answer.ends_with(&expected), "{answer}, expected {expected}");

    assert!(get_http2(running.http, "/").await.1.ends_with(" false"));
    running.end().await.unwrap();
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_its_connection_and_nothing_else() {
    let http = service(|request: Request<Incoming>| async move {
        assert_ne!(request.uri().path(), "/panic", "as asked");
        "fine".to_owned()
    });
    let running = Running::start(runtime().serve("http", ANY, http)).await;

    assert!(send(running.http, "/panic").await.is_err());
    assert_eq!(get(running.http, "/").await, (200, "fine".to_owned()));
    running.end().await.unwrap();
}

/// The default of `header_read_timeout`.
const LIMIT: Duration = Duration::from_secs(10);

/// The clock is paused when all bytes are on their way, so that it jumps to the timeouts.
#[tokio::test]
async fn a_client_that_stalls_in_its_head_is_cut_off() {
    let running = Running::start(runtime().serve("http", ANY, service(|_| async { String::new() }))).await;
    for sent in ["", "PRI", "GET / HTTP/1.1\r\nhost:"] {
        let mut client = TcpStream::connect(running.http).await.unwrap();
        client.write_all(sent.as_bytes()).await.unwrap();
        tokio::time::pause();
        let mut answer = Vec::new();
        let closed =
            tokio::time::timeout(LIMIT + Duration::from_secs(1), client.read_to_end(&mut answer)).await;
        tokio::time::resume();
        assert!(closed.is_ok(), "still open after {sent:?}");
    }
    running.end().await.unwrap();
}
