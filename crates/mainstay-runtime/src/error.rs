//! Why a process did not start, or did not end well.

use std::io;
use std::net::SocketAddr;

/// Why a run did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// A listener could not be bound; nothing was served.
    #[error("cannot bind `{name}` to {address}")]
    Bind {
        /// The listener's name.
        name: &'static str,
        /// The address that it asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The process cannot be told about signals; nothing was served.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    /// A task, or the accepting of a server's connections, ended although nothing asked it to.
    #[error("`{name}` ended early")]
    Ended {
        /// The task's or server's name.
        name: &'static str,
    },
    /// A task, or the accepting of a server's connections, panicked.
    #[error("`{name}` panicked: {message:?}")]
    Panicked {
        /// The task's or server's name.
        name: &'static str,
        /// What it panicked with.
        message: String,
    },
    /// Connections were still open at the end of the grace period, and were cut. When none was, a task did not let go:
    /// it never awaits.
    #[error("the grace period elapsed with {open_connections} open connections")]
    GraceElapsed {
        /// How many.
        open_connections: usize,
    },
    /// A second signal came during the shutdown, and what was still open was cut.
    #[error("a second signal cut the shutdown short with {open_connections} open connections")]
    Interrupted {
        /// How many.
        open_connections: usize,
    },
}
