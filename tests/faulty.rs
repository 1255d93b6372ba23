//! A server on loopback that misbehaves by script, and notes what reached it.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with one request, once it has read it whole.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Answers 200 with `ok`, and keeps the connection.
    None,
    /// Resets the connection.
    Reset,
    /// Begins its answer so much later.
    SlowHeaders(Duration),
    /// Sends the headers and half of the body, the other half so much later.
    SlowBody(Duration),
    /// Closes the connection in the middle of the body.
    HalfAnswer,
    /// Answers 503, with `retry-after` in seconds.
    Busy(u32),
    /// Answers nothing, and keeps the connection open.
    Hang,
}

/// What reached the server.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// The server; it stops when this is dropped.
pub(crate) struct Faulty {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    serving: tokio::task::JoinHandle<()>,
}

type Script = Arc<Mutex<VecDeque<Fault>>>;

impl Faulty {
    /// Does these in turn, one a request, and after them [`Fault::None`].
    pub(crate) async fn start(script: impl IntoIterator<Item = Fault>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let script: Script = Arc::new(Mutex::new(script.into_iter().collect()));
        let received = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&received);
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&script), Arc::clone(&noted)));
            }
        });
        Self { address, received, serving }
    }

    /// All requests that were read whole so far, in order.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub(crate) fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Received {
    /// The value of a header, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }
}

/// An address on which nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap()
}

async fn serve(mut socket: TcpStream, script: Script, received: Arc<Mutex<Vec<Received>>>) {
    while let Some(request) = read(&mut socket).await {
        received.lock().unwrap().push(request);
        let fault = script.lock().unwrap().pop_front().unwrap_or(Fault::None);
        let mut write = async |text: &str| drop(socket.write_all(text.as_bytes()).await);
        match fault {
            Fault::None => write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await,
            Fault::Busy(seconds) => {
                let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4";
                write(&format!("{head}\r\nretry-after: {seconds}\r\n\r\nbusy")).await;
            }
            Fault::SlowHeaders(late) => {
                tokio::time::sleep(late).await;
                write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate").await;
            }
            Fault::SlowBody(late) => {
                write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nsl").await;
                tokio::time::sleep(late).await;
                write("ow").await;
            }
            Fault::HalfAnswer => {
                write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha").await;
                return;
            }
            Fault::Reset => return socket.set_zero_linger().unwrap(),
            Fault::Hang => std::future::pending().await,
        }
    }
}

/// One request of HTTP/1.1 with `content-length`, or chunked; none when the connection ends first.
async fn read(socket: &mut TcpStream) -> Option<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut received = Received { head, body: String::new() };
    if let Some(length) = received.header("content-length") {
        let mut body = vec![0; length.parse().unwrap()];
        socket.read_exact(&mut body).await.ok()?;
        received.body = String::from_utf8(body).unwrap();
    } else if received.header("transfer-encoding").is_some() {
        let mut line = Vec::new();
        loop {
            line.push(socket.read_u8().await.ok()?);
            if !line.ends_with(b"\r\n") {
                continue;
            }
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim_end(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            socket.read_exact(&mut chunk).await.ok()?;
            received.body.push_str(std::str::from_utf8(&chunk[..size]).unwrap());
            line.clear();
            if size == 0 {
                break;
            }
        }
    }
    Some(received)
}

/// A gRPC service over HTTP/2 that answers 200 each time and says in its trailers what became of the call; after the scripted
/// statuses it answers with `message` and 0.
pub(crate) struct FaultyGrpc {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<HeaderMap>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl FaultyGrpc {
    pub(crate) async fn start(statuses: impl IntoIterator<Item = u16>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let script: Arc<Mutex<VecDeque<u16>>> = Arc::new(Mutex::new(statuses.into_iter().collect()));
        let received = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&received);
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (script, noted) = (Arc::clone(&script), Arc::clone(&noted));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (script, noted) = (Arc::clone(&script), Arc::clone(&noted));
                    async move {
                        noted.lock().unwrap().push(request.headers().clone());
                        drop(request.into_body().collect().await);
                        let status = script.lock().unwrap().pop_front().unwrap_or(0);
                        Ok::<_, std::convert::Infallible>(grpc_answer(status))
                    }
                });
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(async move {
                    drop(connection.serve_connection(TokioIo::new(socket), service).await);
                });
            }
        });
        Self { address, received, serving }
    }

    pub(crate) fn received(&self) -> Vec<HeaderMap> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for FaultyGrpc {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Frames = tokio_stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, std::convert::Infallible>>>;

fn grpc_answer(status: u16) -> Response<StreamBody<Frames>> {
    let mut trailers = HeaderMap::new();
    trailers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(status));
    let mut frames = Vec::new();
    if status == 0 {
        // An empty message: not compressed, no bytes.
        frames.push(Ok(Frame::data(Bytes::from_static(&[0; 5]))));
    }
    frames.push(Ok(Frame::trailers(trailers)));
    let answer = Response::builder().header("content-type", "application/grpc");
    answer.body(StreamBody::new(tokio_stream::iter(frames))).unwrap()
}
