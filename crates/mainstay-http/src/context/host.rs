//! The host that a request itself names.

use http::header::HOST;
use http::{Request, Version};
use mainstay_core::Host;

use super::decide::only;

/// The authority of the request's target, else its `Host`.
///
/// In HTTP/1 the target's authority wins (RFC 9112, section 3.2.2). In HTTP/2 and 3 both must name the same host (RFC 9113,
/// section 8.3.1); where they do not, a handler and we might read different ones, so none is believed.
pub(super) fn own<B>(request: &Request<B>) -> Option<Host> {
    let headers = request.headers();
    let in_header = || Host::parse(only(headers, &HOST)?.as_bytes()).ok();
    let Some(authority) = request.uri().authority() else { return in_header() };
    let host = Host::parse(authority.as_str().as_bytes()).ok()?;
    let agrees = request.version() < Version::HTTP_2
        || !headers.contains_key(HOST)
        || in_header().as_ref() == Some(&host);
    agrees.then_some(host)
}
