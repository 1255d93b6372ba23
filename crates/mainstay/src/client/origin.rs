//! Whom a request goes to.

use std::fmt::{self, Display, Formatter};

use http::Request;
use http::uri::{Authority, Scheme};
use mainstay_resilience::breaker::KeyOf;

/// Scheme and authority of a request's URI (RFC 6454): what shares a circuit. Cloning it allocates nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Option<Scheme>,
    authority: Option<Authority>,
}

/// A circuit for each origin.
#[derive(Clone, Copy, Debug)]
pub struct ByOrigin(pub(super) ());

impl<B> KeyOf<Request<B>> for ByOrigin {
    type Key = Origin;

    fn key_of(&self, request: &Request<B>) -> Origin {
        let uri = request.uri();
        Origin { scheme: uri.scheme().cloned(), authority: uri.authority().cloned() }
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (&self.scheme, &self.authority) {
            (Some(scheme), Some(authority)) => write!(f, "{scheme}://{authority}"),
            (None, Some(authority)) => write!(f, "{authority}"),
            (_, None) => f.write_str("(no authority)"),
        }
    }
}
