//! The HTTP and gRPC edge of a service, as tower layers.
//!
//! Every layer works alone and in the stack, under axum, tonic and plain hyper, and none changes the service's error
//! type. From the outside in:
//!
//! | layer | what it does |
//! |---|---|
//! | [`ContextLayer`] | decides the [`RequestContext`](mainstay_core::RequestContext): ids, trace, peer, deadline; echoes the ids |
//! | [`AccessLogLayer`] | one event a request, exactly once, when the answer's last byte is handed over or dropped |
//! | [`SecurityHeadersLayer`] | helmet's headers on every answer but gRPC's; the handler's own value wins |
//! | [`ProblemsLayer`] | errors leave as RFC 9457 problems that name the request id |
//! | [`PanicGuardLayer`] | a panic in call, future or body becomes an answer and one event |
//! | [`DeadlineLayer`] | no answer before the deadline: the call is dropped, the caller gets 504 or DEADLINE_EXCEEDED |
//!
//! ```
//! use mainstay_http::{AccessLogLayer, ContextLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # use std::convert::Infallible;
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//!
//! let service = ServiceBuilder::new()
//!     .layer(ContextLayer::default())
//!     .layer(AccessLogLayer::default())
//!     .service(service_fn(async |_: http::Request<String>| {
//!         Ok::<_, Infallible>(http::Response::new("hello".to_owned()))
//!     }));
//!
//! let answer = service.oneshot(http::Request::new(String::new())).await.unwrap();
//! assert!(answer.headers().contains_key("x-request-id"));
//! # });
//! ```
//!
//! On the way out, [`PropagateLayer`] writes the context into an outbound call's headers.
//!
//! A layer that refuses a call answers through one table, [`refuse`]: a problem for HTTP, a status for gRPC, nothing for
//! HEAD. The answer carries its [`Outcome`](mainstay_core::Outcome) in its extensions, where the access log reads it.

mod access_log;
mod answer;
mod body;
mod context;
mod deadline;
mod headers;
mod panic_guard;
mod problem;
mod propagate;
mod security_headers;
#[cfg(test)]
mod test_log;
mod timeout;

pub use access_log::{AccessLog, AccessLogConfig, AccessLogFuture, AccessLogLayer, LoggedBody};
pub use answer::{Form, refuse};
pub use body::AnswerBody;
pub use context::{Context, ContextConfig, ContextFuture, ContextLayer, PeerOf};
pub use deadline::{DeadlineConfig, DeadlineFuture, DeadlineGuard, DeadlineLayer};
pub use panic_guard::{BodyPanicked, GuardedBody, PanicGuard, PanicGuardFuture, PanicGuardLayer};
pub use problem::{Problem, Problems, ProblemsFuture, ProblemsLayer};
pub use propagate::{Propagate, PropagateLayer};
pub use security_headers::{
    InvalidHeaderValue, SecurityHeaders, SecurityHeadersConfig, SecurityHeadersFuture, SecurityHeadersLayer,
    StrictTransportSecurity,
};
pub use timeout::parse_grpc_timeout;
