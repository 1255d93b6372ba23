//! What holds from the signal to the end.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use mainstay_runtime::RuntimeError;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::client::{get, send};
use crate::{ANY, Running, runtime, service};

#[tokio::test]
async fn a_request_in_flight_is_answered_to_the_end_of_its_body() {
    let (chunks, http) = chunked();
    let task_dropped = Arc::new(AtomicBool::new(false));
    let guard = SetOnDrop(Arc::clone(&task_dropped));
    let task = async move {
        let _guard = guard;
        pending::<()>().await;
    };
    let mut running = Running::start(runtime().serve("http", ANY, http).task("helper", task)).await;

    let mut response = send(running.http, "/").await.unwrap();
    chunks.send("one, ").unwrap();
    assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), "one, ");

    running.begin_shutdown();
    until_draining(&running).await;
    until_refused(&running).await;
    assert!(!task_dropped.load(Ordering::SeqCst), "the request may need it");

    chunks.send("two").unwrap();
    drop(chunks);
    assert_eq!(response.collect().await.unwrap().to_bytes(), "two");
    running.ended().await.unwrap();
    assert!(task_dropped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let running = Running::start(runtime().serve("http", ANY, service(|_| async { String::new() }))).await;
    let silent = TcpStream::connect(running.http).await.unwrap();
    let used = send(running.http, "/").await.unwrap();
    running.end().await.unwrap();
    drop((silent, used));
}

/// The clock is paused when only the grace period is left to wait for, so that it jumps to its end.
#[tokio::test]
async fn a_request_that_hangs_is_cut_at_the_end_of_the_grace_period_and_counted() {
    let (_chunks, http) = chunked();
    let running = Running::start(runtime().serve("http", ANY, http)).await;
    let _response = send(running.http, "/").await.unwrap();
    tokio::time::pause();
    let error = running.end().await.unwrap_err();
    assert!(matches!(error, RuntimeError::GraceElapsed { open_connections: 1 }), "{error}");
    assert_eq!(error.to_string(), "the grace period elapsed with 1 open connections");
}

#[tokio::test]
async fn tasks_are_gone_when_the_run_has_ended() {
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = SetOnDrop(Arc::clone(&dropped));
    let task = async move {
        let _guard = guard;
        pending::<()>().await;
    };
    runtime().task("helper", task).shutdown_when(async {}).run().await.unwrap();
    assert!(dropped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_task_that_panics_or_ends_shuts_down_and_is_named() {
    let error = runtime().task("reconcile", async { panic!("no\nledger") }).run().await.unwrap_err();
    assert_eq!(error.to_string(), r#"`reconcile` panicked: "no\nledger""#);

    let error = runtime().task("cleanup", pending()).task("reconcile", async {}).run().await.unwrap_err();
    assert!(matches!(error, RuntimeError::Ended { name: "reconcile" }), "{error}");
}

#[tokio::test]
async fn a_task_may_end_once_the_shutdown_has_begun() {
    let (chunks, http) = chunked();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let task = async { ended.await.unwrap_or_default() };
    let mut running = Running::start(runtime().serve("http", ANY, http).task("helper", task)).await;
    let response = send(running.http, "/").await.unwrap();
    running.begin_shutdown();
    until_draining(&running).await;
    end.send(()).unwrap();
    drop(chunks);
    response.collect().await.unwrap();
    running.ended().await.unwrap();
}

/// A service whose one response has the body that is sent to it, piece by piece.
fn chunked() -> (
    mpsc::UnboundedSender<&'static str>,
    impl tower::Service<
        Request<Incoming>,
        Response = Response<impl http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static>,
        Error = Infallible,
        Future = impl Future + Send + 'static,
    > + Clone
    + Send
    + 'static,
) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let service = tower::service_fn(move |_| {
        let receiver = Arc::clone(&receiver);
        async move {
            let chunks = stream::unfold(receiver, |receiver| async {
                let chunk: &str = receiver.lock().await.recv().await?;
                Some((chunk, receiver))
            });
            let frames =
                chunks.map(|chunk| Ok::<_, Infallible>(Frame::data(Bytes::from_static(chunk.as_bytes()))));
            Ok(Response::new(StreamBody::new(frames)))
        }
    });
    (sender, service)
}

/// Asks until the answer changes; each question is a round trip, so nothing spins.
async fn until_draining(running: &Running) {
    while get(running.management, "/readyz").await != (503, "draining".to_owned()) {}
}

async fn until_refused(running: &Running) {
    while TcpStream::connect(running.http).await.is_ok() {}
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
