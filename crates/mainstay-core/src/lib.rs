//! The words that every Mainstay crate shares: one request context, one deadline, one way to refuse.
//!
//! ```
//! use mainstay_core::{Parts, RequestContext, RequestId, TenantId, TraceContext, Trust};
//! # let (received_at, unix_millis) = (std::time::Instant::now(), 1_732_406_400_000);
//! # let (random10, random16, random8) = ([7; 10], [7; 16], [7; 8]);
//! let request_id = RequestId::v7(unix_millis, random10);
//! let trace = TraceContext::root(random16, random8);
//! let context = RequestContext::new(Parts {
//!     trust: Trust::Untrusted,
//!     ..Parts::new(request_id, trace, received_at)
//! });
//!
//! context.set_tenant(TenantId::parse("acme")?)?;
//! let same = context.clone(); // one atomic increment
//! assert_eq!(same.tenant().map(TenantId::as_str), Some("acme"));
//! assert_eq!(same.correlation_id().as_str(), request_id.as_str());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing here knows a protocol: no HTTP, no gRPC, no broker. The crates at the edges fill a context in, and turn a
//! [`Rejection`] into their protocol's answer. Nothing here reads a clock or draws a random number either: both are
//! arguments, so that everything can be tested and replayed.

pub mod ambient;
pub mod call;
mod context;
mod deadline;
mod fields;
mod host;
mod id;
pub mod idempotency;
mod outcome;
mod peer;
mod ready;
mod refused;
mod rejection;
mod tenant;
mod trace;

pub use context::{Parts, RequestContext, TenantConflict};
pub use deadline::Deadline;
pub use fields::FieldValue;
pub use host::{Host, InvalidHost};
pub use id::{CorrelationId, InvalidId, RequestId};
pub use outcome::{Outcome, Phase};
pub use peer::{Peer, Scheme, Trust};
pub use ready::take_ready;
pub use refused::RefusedId;
pub use rejection::{Reason, Rejection};
pub use tenant::{InvalidTenantId, TenantId};
pub use trace::{InvalidTraceparent, Link, SpanId, TraceContext, TraceId, Traceparent};
