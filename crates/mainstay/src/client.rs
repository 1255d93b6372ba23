//! What stands around an outbound client.
//!
//! ```
//! use tower::{ServiceBuilder, service_fn};
//! # use std::convert::Infallible;
//! # let http_client = service_fn(async |_: http::Request<String>| Ok::<_, Infallible>(http::Response::new(())));
//! let payments = ServiceBuilder::new().layer(mainstay::client::propagate()).service(http_client);
//! # drop(payments);
//! ```

use mainstay_http::propagate::PropagateLayer;

/// Writes the [`RequestContext`](crate::RequestContext) in a request's extensions into its headers: ids, trace, tenant,
/// and for gRPC the time that is left.
///
/// Put the handler's context into the outbound request's extensions; a request without one passes as it is.
pub fn propagate() -> PropagateLayer {
    PropagateLayer::default()
}
