//! Whole runs, over real sockets on ports that the system chooses.

mod client;
mod connections;
mod shutdown;
mod start;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;

use http::{Request, Response};
use hyper::body::Incoming;
use mainstay_runtime::{Runtime, RuntimeConfig, RuntimeError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::Service;

pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A run on a task of its own.
pub(crate) struct Running {
    pub(crate) http: SocketAddr,
    pub(crate) management: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    run: JoinHandle<Result<(), RuntimeError>>,
}

impl Running {
    pub(crate) async fn start(runtime: Runtime) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (started, addresses) = oneshot::channel();
        let runtime = runtime
            .management(ANY)
            .shutdown_when(async { stopped.await.unwrap_or_default() })
            .on_started(move |addresses| started.send(addresses.to_vec()).expect("awaited"));
        let run = tokio::spawn(runtime.run());
        let addresses = addresses.await.expect("started");
        assert_eq!(addresses.last().map(|(name, _)| *name), Some("management"));
        let management = addresses.last().expect("at least one").1;
        Self { http: addresses[0].1, management, stop: Some(stop), run }
    }

    pub(crate) fn begin_shutdown(&mut self) {
        self.stop.take().expect("once").send(()).expect("awaited");
    }

    pub(crate) async fn end(mut self) -> Result<(), RuntimeError> {
        if self.stop.is_some() {
            self.begin_shutdown();
        }
        self.run.await.expect("no panic")
    }

    pub(crate) async fn ended(self) -> Result<(), RuntimeError> {
        self.run.await.expect("no panic")
    }
}

pub(crate) fn runtime() -> Runtime {
    Runtime::new(&RuntimeConfig::default())
}

/// A service of one async function from request to text.
pub(crate) fn service<F, Fut>(
    handler: F,
) -> impl Service<
    Request<Incoming>,
    Response = Response<String>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<String>, Infallible>> + Send + 'static,
> + Clone
+ Send
+ 'static
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = String> + Send + 'static,
{
    tower::service_fn(move |request| {
        let text = handler(request);
        async move { Ok(Response::new(text.await)) }
    })
}
