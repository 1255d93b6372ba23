//! The HTTP and gRPC edge of a service, as tower layers.
//!
//! Every layer works alone and in the stack, under axum, tonic and plain hyper, and none changes the service's error
//! type. From the outside in:
//!
//! | layer | what it does |
//! |---|---|
//! | [`ContextLayer`](context::ContextLayer) | decides the [`RequestContext`](mainstay_core::RequestContext): ids, trace, peer, deadline; echoes the ids |
//! | [`AccessLogLayer`](access_log::AccessLogLayer) | one event a request, exactly once, when the answer's last byte is handed over or dropped |
//! | [`SecurityHeadersLayer`](security_headers::SecurityHeadersLayer) | helmet's headers on every answer but gRPC's, with a nonce where asked; the handler's own value wins |
//! | [`ProblemsLayer`](problem::ProblemsLayer) | problems of handlers and bare errors of routers leave as RFC 9457 problems that name the request id |
//! | [`PanicGuardLayer`](panic_guard::PanicGuardLayer) | a panic in call, future or body becomes an answer and one event |
//! | [`RateLimitLayer`](rate_limit::RateLimitLayer) | so many calls in a time for each client, tenant or route; 429 or RESOURCE_EXHAUSTED, and the `RateLimit` fields |
//! | [`ConcurrencyLimitLayer`](concurrency_limit::ConcurrencyLimitLayer) | so many calls at once, to the end of their bodies; the next gets 503 or UNAVAILABLE |
//! | [`LoadShedLayer`](load_shed::LoadShedLayer) | no waiting for a service that is not ready: 503 or UNAVAILABLE |
//! | [`DeadlineLayer`](deadline::DeadlineLayer) | too slow a call is dropped, the caller gets 504 or DEADLINE_EXCEEDED; too slow an answer's body is ended |
//! | [`UploadDeadlineLayer`](deadline::UploadDeadlineLayer) | reading too slow a request's body fails; the caller gets 408 |
//! | [`ShapeLayer`](shape::ShapeLayer) | trims, renames, completes and removes headers by rule; 415 and 406 by media type, 431 by size |
//! | [`TenantLayer`](tenant::TenantLayer) | decides whose call it is, and refuses a call that names no tenant, two, or one that is not served |
//! | [`IdempotencyLayer`](idempotency::IdempotencyLayer) | a call with an `Idempotency-Key` is carried out once; a retry gets the same answer |
//!
//! ```
//! use mainstay_http::access_log::AccessLogLayer;
//! use mainstay_http::context::ContextLayer;
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
//! On the way out, [`PropagateLayer`](propagate::PropagateLayer) writes the context into an outbound call's headers, and
//! [`call_log`] says what became of it, [`body_timeout`] ends bodies that stall, and [`outbound`] tells the layers that repeat and judge calls what they must know of HTTP and gRPC.
//!
//! A layer that refuses a call answers through one table, [`refuse`](answer::refuse): a problem for HTTP, a status for gRPC, nothing for
//! HEAD. The answer carries its [`Outcome`](mainstay_core::Outcome) in its extensions, where the access log reads it.

pub mod access_log;
pub mod answer;
pub mod body;
pub mod body_timeout;
pub mod call_log;
pub mod concurrency_limit;
pub mod context;
pub mod deadline;
pub mod form;
pub mod grpc_timeout;
pub mod idempotency;
pub mod load_shed;
pub mod outbound;
pub mod panic_guard;
pub mod problem;
pub mod propagate;
pub mod rate_limit;
pub mod security_headers;
pub mod shape;
pub mod tenant;

mod headers;
mod load;
mod media_type;
mod millis;
mod patience;
#[cfg(test)]
mod test_log;
mod text;
