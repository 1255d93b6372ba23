//! Calls that survive a bad day: layers around a client, none of which knows a protocol.
//!
//! Each is a `tower::Layer` with settings (`XConfig`), a live view and control (`XHandle`) and events (`.on_event(..)`), works for
//! `Service<String>` as for HTTP or gRPC, and leaves the error type of its service alone: a refusal is a
//! [`Rejection`](mainstay_core::Rejection) that becomes the service's error by [`CallFailure`](mainstay_core::call::CallFailure), which
//! [`TypedLayer`](typed::TypedLayer) gives to any service.
//!
//! What they share:
//!
//! - **The deadline** is that of the current call ([`ambient::deadline`](mainstay_core::ambient::deadline)): nothing waits beyond it.
//! - **Time** is tokio's clock, which tests pause; **randomness** is an argument of what decides.
//! - **A call is over** when [`Settle`](mainstay_core::call::Settle) says so: at the answer, or at the end of its body.
//! - **A listener** runs on the caller's task, inside the call, and never under a lock; it must not block.

pub mod adaptive;
pub mod breaker;
pub mod budget;
pub mod bulkhead;
pub mod chaos;
pub mod fallback;
pub mod hedge;
pub mod load_shed;
pub mod optional;
pub mod rate_limit;
pub mod retry;
pub mod throttle;
pub mod timeout;
pub mod typed;

mod events;
mod keyed;
mod rolling;
mod sync;
