//! Whether a failed call may have reached its service: what may be sent again, and what a customer may be told, hangs on it.

use std::error::Error;
use std::io;

/// Whether the service may have seen the call that failed with this error; `false` only where there is proof that it did not.
///
/// Proof is, anywhere in the chain of sources: a connection that was refused (`io::ErrorKind::ConnectionRefused`) or could not be made
/// (hyper-util's `is_connect`, which reqwest and others wrap), a request that hyper gave back before it was written (`is_canceled`), or
/// an HTTP/2 stream that the peer refused (`REFUSED_STREAM`, RFC 9113, section 8.7).
///
/// ```
/// use std::io;
/// use mainstay::client::reached;
///
/// assert!(!reached(&io::Error::from(io::ErrorKind::ConnectionRefused)));
/// assert!(reached(&io::Error::from(io::ErrorKind::ConnectionReset)), "the request may have been read before");
/// ```
pub fn reached(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if is_proof_of_the_contrary(error) {
            return false;
        }
        // An `io::Error` made of another error has that one's source as its own: the other itself would be passed over.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    true
}

fn is_proof_of_the_contrary(error: &(dyn Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return error.kind() == io::ErrorKind::ConnectionRefused;
    }
    if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
        return error.is_connect();
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return error.is_canceled();
    }
    error.downcast_ref::<h2::Error>().is_some_and(|error| error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fmt;
    use std::io::{self, ErrorKind};

    use super::reached;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("sending the request failed")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn proof_is_found_wherever_it_stands_in_the_chain() {
        let refused = || io::Error::from(ErrorKind::ConnectionRefused);
        assert!(!reached(&Outer(refused())));
        assert!(!reached(&io::Error::other(Outer(refused()))), "inside of what an io::Error hides");
        assert!(!reached(&h2_refused()));
        assert!(!reached(&Outer(io::Error::other(h2_refused()))));
    }

    #[test]
    fn everything_else_may_have_arrived() {
        for kind in
            [ErrorKind::ConnectionReset, ErrorKind::TimedOut, ErrorKind::BrokenPipe, ErrorKind::UnexpectedEof]
        {
            assert!(reached(&Outer(io::Error::from(kind))), "{kind}");
        }
        assert!(reached(&h2::Error::from(h2::Reason::CANCEL)));
    }

    fn h2_refused() -> h2::Error {
        h2::Error::from(h2::Reason::REFUSED_STREAM)
    }
}
