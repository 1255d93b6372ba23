//! The other end of the transport, and what was decided about it.

use std::net::SocketAddr;

/// The other end of the connection that a call came in on, as the listener saw it.
///
/// Whoever accepts connections puts it into the call's extensions; whoever builds the [`RequestContext`] reads it
/// there. A call without one (a Unix socket, a test) has no client address and is never trusted.
///
/// [`RequestContext`]: crate::RequestContext
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The address of the socket's other end: the last proxy, not necessarily the client.
    pub address: SocketAddr,
    /// Whether this very connection is encrypted (TLS ends here, not at a proxy before us).
    pub encrypted: bool,
}

/// Whether the peer is one of ours: decided once, by its address against the configured networks.
///
/// It decides together whose request id is adopted, whose trace continued, whose longer timeout granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Trust {
    /// The peer is in a configured network: what it says about the call is believed.
    Trusted,
    /// The peer is anybody: what it says is data, never a decision. The default.
    #[default]
    Untrusted,
}

impl Trust {
    /// Whether the peer's word is taken.
    pub const fn is_trusted(self) -> bool {
        matches!(self, Self::Trusted)
    }
}

/// The scheme that the client spoke, as in a URI (RFC 3986, section 3.1), and whether it protects the bytes.
///
/// The crates at the edges name theirs: `Scheme::encrypted("https")`, `Scheme::plain("nats")`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scheme {
    name: &'static str,
    encrypted: bool,
}

impl Scheme {
    /// A scheme whose bytes anyone on the way can read and change.
    pub const fn plain(name: &'static str) -> Self {
        Self { name, encrypted: false }
    }

    /// A scheme that runs over TLS or the like.
    pub const fn encrypted(name: &'static str) -> Self {
        Self { name, encrypted: true }
    }

    /// The scheme's name in lower case, without `://`.
    pub const fn as_str(self) -> &'static str {
        self.name
    }

    /// Whether the client's side of the connection was encrypted.
    pub const fn is_encrypted(self) -> bool {
        self.encrypted
    }
}
