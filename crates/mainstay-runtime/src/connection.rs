//! One connection: from a socket and a service to a future that ends with it.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::Watcher;
use mainstay_core::Peer;
use tokio::net::TcpStream;
use tower::{BoxError, Service, ServiceExt};

use crate::first_bytes::FirstBytes;

/// Serves one connection; boxed once for each, so that listeners of different services are of one type.
pub(crate) type Connect = Box<dyn Fn(TcpStream, Peer, Watcher) -> BoxFuture<'static, ()> + Send>;

pub(crate) fn connect<S, B>(service: S, header_read_timeout: Duration) -> Connect
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_read_timeout);
    builder.http2().timer(TokioTimer::new());
    Box::new(move |stream, peer, watcher| {
        // Answers are small and awaited; where this cannot be set, they are only slower.
        stream.set_nodelay(true).ok();
        let service = service.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            // A clone for each request, which is made ready before it is called.
            service.clone().oneshot(request)
        });
        let io = TokioIo::new(FirstBytes::new(stream, header_read_timeout));
        let connection = builder.serve_connection_with_upgrades(io, service).into_owned();
        watcher
            .watch(connection)
            .map(move |ended| {
                if let Err(error) = ended {
                    tracing::debug!(peer = %peer.address, error = %error, "connection broke");
                }
            })
            .boxed()
    })
}
