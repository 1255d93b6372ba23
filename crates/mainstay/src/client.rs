//! The stack of layers around a client, built from settings, in the one order that is right.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use mainstay::client::{self, ClientConfig, ReplayBody};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! // Any client: hyper-util's, reqwest's (`client::reqwest`), tonic's channel.
//! let http = service_fn(async |_: Request<ReplayBody<Full<Bytes>>>| {
//!     Ok::<_, std::io::Error>(Response::new(Full::<Bytes>::from("paid")))
//! });
//! let stack = client::stack("payments", &ClientConfig::default())?;
//! println!("{}", stack.describe());
//! let payments = stack.layer(http);
//!
//! let request = Request::post("http://payments.example/charges").body(Full::<Bytes>::from("{}")).unwrap();
//! assert_eq!(payments.oneshot(request).await.unwrap().status(), 200);
//! # Ok::<(), client::StackError>(())
//! # }).unwrap();
//! ```
//!
//! From the outside in, and why there:
//!
//! | | layer | it stands there because |
//! |---|---|---|
//! | 1 | call log | decides for which context the call is made, and sees whatever came of it |
//! | 2 | replay | keeps the request's body, in bounds, before the first attempt reads it |
//! | 3 | timeout of the call | all attempts and the waits between them count |
//! | 4 | rate limit | one call takes one of the quota, however often it is sent |
//! | 5 | throttle | what the service would refuse anyway costs neither an attempt nor a budget |
//! | 6 | retry | what follows belongs to one attempt, and is done anew for each |
//! | 7 | hedge | an attempt that takes long is sent twice; both are paid from the retry's budget |
//! | 8 | attempt log | a span for each attempt |
//! | 9 | propagation | each attempt says how much time is left then |
//! | 10 | breaker, one for each origin | refuses before anything is held for the attempt |
//! | 11 | bulkhead | what waits for a place has passed the circuit, and leaves when the attempt's time is over |
//! | 12 | timeout of the attempt | counts as a failure of the service, not as an overloaded client |
//! | 13 | peek | a gRPC status in trailers is known before the answer is judged |
//! | 14 | timeout of the body | whoever accounts for the body's end sees its error |
//!
//! A call is over, for the log, the throttle, the breaker and the bulkhead, when its answer's body is. The context of a call is that in
//! its request's extensions, else the one of the call that this thread works on, so a call made deep inside a handler need not be
//! given any. What a layer refuses is a [`CallError`] with a [`Rejection`](crate::Rejection); the client's own errors are its cause as they are.
//!
//! Alone stand: [`propagate`] for those who want nothing else, and in [`resilience`](crate::resilience) an adaptive limit, load shedding, a
//! fallback (outermost) and chaos (innermost).

mod config;
mod describe;
mod origin;
mod reached;
#[cfg(feature = "reqwest")]
mod reqwest;
mod stack;

pub use mainstay_core::call::{Attempts, CallError, CallFailure, Cause};
pub use mainstay_http::outbound::repeat::Idempotent;
pub use mainstay_http::outbound::replay::ReplayBody;

pub use self::config::{AttemptTimeoutConfig, ClientConfig, StackError};
pub use self::origin::{ByOrigin, Origin};
pub use self::reached::reached;
#[cfg(feature = "reqwest")]
pub use self::reqwest::{Reqwest, ReqwestError, reqwest};
pub use self::stack::{Breakers, Client, ClientStack, stack};

use mainstay_http::propagate::PropagateLayer;

/// Writes the [`RequestContext`](crate::RequestContext) of a call into the headers of its request, and does nothing else: ids, trace, tenant,
/// and for gRPC the time that is left.
///
/// The context is the one in the request's extensions, else that of the call that this thread works on; a request without
/// either passes as it is.
pub fn propagate() -> PropagateLayer {
    PropagateLayer::default()
}

#[cfg(test)]
mod tests;
