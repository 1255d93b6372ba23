//! Serve, run named tasks, and end well: readiness, signals, and a drain with a limit.
//!
//! ```
//! use std::convert::Infallible;
//! use std::net::SocketAddr;
//!
//! use http_body_util::Full;
//! use mainstay_runtime::{Runtime, RuntimeConfig, RuntimeError};
//!
//! async fn hello(_: http::Request<hyper::body::Incoming>) -> Result<http::Response<Full<&'static [u8]>>, Infallible> {
//!     Ok(http::Response::new(Full::new(b"hello")))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), RuntimeError> {
//! let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
//!
//! Runtime::new(&RuntimeConfig::default())
//!     .serve("http", any_port, tower::service_fn(hello)) // an axum router fits here too
//!     .management(any_port)
//!     .task("cleanup", std::future::pending())
//!     .on_started(|addresses| println!("{addresses:?}"))
//!     .shutdown_when(async { /* besides SIGTERM and Ctrl-C */ })
//!     .run()
//!     .await
//! # }
//! ```
//!
//! # From start to end
//!
//! 1. Every listener is bound; one that cannot be ends the start before anything was served.
//! 2. The management listener answers, `/readyz` with 503 `starting`.
//! 3. The `on_started` hooks run, then servers and tasks start, and `/readyz` turns 200 `ready`.
//! 4. At the first signal, when a future of `shutdown_when` ends, or when a task ends, `/readyz` turns 503 `draining`,
//!    the servers' listeners close, and idle connections are closed. Requests that are being answered go on to the end
//!    of their bodies; tasks go on too, because those requests may need them.
//! 5. When the last connection is closed the tasks are dropped, and the run ends. When that takes longer than the grace
//!    period, or a second signal comes, what is left is dropped and the run ends with an error that counts it.
//!
//! Connections are TCP with HTTP/1.1 or HTTP/2 (by prior knowledge, as gRPC speaks it), told apart by their first
//! bytes. Each request carries a [`Peer`](mainstay_core::Peer) in its extensions. A panic in a handler ends its
//! connection and nothing else. A connection that was upgraded (WebSocket) is not waited for.

mod config;
mod connection;
mod error;
mod first_bytes;
mod management;
mod phase;
mod runtime;
mod server;
mod signals;
mod tasks;

pub use self::config::RuntimeConfig;
pub use self::error::RuntimeError;
pub use self::runtime::Runtime;
