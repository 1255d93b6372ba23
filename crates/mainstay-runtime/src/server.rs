//! A bound listener, accepting until it is told to stop, and then waiting for its connections.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use mainstay_core::Peer;
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};

use crate::connection::Connect;
use crate::error::RuntimeError;

/// What is left to the system to clear up when it has no room for another connection.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Listener {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    socket: TcpListener,
    connect: Connect,
}

/// How many connections are open, across listeners.
#[derive(Debug, Clone, Default)]
pub(crate) struct Open(Arc<AtomicUsize>);

/// One of them, until it is dropped.
struct OpenOne(Open);

// === impl Listener ===

impl Listener {
    pub(crate) async fn bind(
        name: &'static str,
        address: SocketAddr,
        connect: Connect,
    ) -> Result<Self, RuntimeError> {
        let failed = |source| RuntimeError::Bind { name, address, source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { name, address, socket, connect })
    }

    /// Accepts until `stop`, closes the listener, and ends with the last connection. Dropped before that, it cuts the
    /// connections.
    pub(crate) async fn serve(self, stop: impl Future<Output = ()> + Send, open: Open) {
        let Self { name, socket, connect, .. } = self;
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(ended) = connections.join_next() => note(ended, name),
                accepted = socket.accept() => match accepted {
                    Ok((stream, address)) => {
                        let peer = Peer { address, encrypted: false };
                        let counted = open.one();
                        let connection = connect(stream, peer, graceful.watcher());
                        connections.spawn(async move {
                            let _counted = counted;
                            connection.await;
                        });
                    }
                    Err(error) if concerns_one_connection(&error) => {}
                    Err(error) => {
                        tracing::warn!(listener = name, error = %error, "cannot accept connections, trying again");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
        drop(socket);
        let drained = async {
            while let Some(ended) = connections.join_next().await {
                note(ended, name);
            }
        };
        tokio::join!(graceful.shutdown(), drained);
    }
}

// === impl Open ===

impl Open {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn one(&self) -> OpenOne {
        self.0.fetch_add(1, Ordering::Relaxed);
        OpenOne(self.clone())
    }
}

impl Drop for OpenOne {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A client that went away before it was accepted says nothing about the next one.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

fn note(ended: Result<(), JoinError>, listener: &'static str) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!(listener, "a handler panicked, its connection is closed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_about_the_listener_itself_make_it_pause() {
        assert!(concerns_one_connection(&ErrorKind::ConnectionAborted.into()));
        assert!(!concerns_one_connection(&io::Error::from_raw_os_error(24)), "too many open files");
    }
}
