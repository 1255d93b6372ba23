//! Logs from settings: one line a record, as JSON or for people.
//!
//! ```
//! use mainstay_telemetry::{TelemetryConfig, init};
//!
//! # fn main() -> Result<(), mainstay_telemetry::TelemetryError> {
//! let _telemetry = init(&TelemetryConfig::default())?; // kept until the end of `main`
//! tracing::info!(order = 42, "order placed");
//! # Ok(())
//! # }
//! ```
//!
//! prints, with the defaults:
//!
//! ```json
//! {"timestamp":"2026-11-24T09:00:00.000000Z","level":"INFO","message":"order placed","order":42,"target":"orders"}
//! ```
//!
//! # What a line is
//!
//! A record is one line, whatever the world put into its fields: line breaks of every kind, terminal escapes and other
//! control characters are written as escapes, in both formats. JSON holds the event's fields at the top, beside
//! `timestamp` (RFC 3339, UTC), `level` and `target`; the name and the fields of the innermost span are under `span`. An event field
//! that is itself named `timestamp`, `level`, `target` or `span` appears twice in the object: name it differently.
//!
//! An event inside of a call has the ids of that call's [context](mainstay_core::ambient): `request_id`, `correlation_id`, `trace_id`,
//! `span_id` and `tenant`, unless it has a `request_id` of its own. Errors are written with their causes. Fields that the settings
//! [hide](LogConfig::redact) are `[redacted]`, in both formats. Names can be those of [ECS or pino](LogNames).
//!
//! A line of JSON allocates nothing once its thread's buffer has grown, and is one `write`. What cannot be written is lost, and
//! stops nobody.
//!
//! What is logged can be changed while the process runs: [`TelemetryGuard::levels`].
//!
//! Records of the `log` crate are not collected, and nothing is exported: this crate writes lines.

mod config;
mod json;
mod one_line;
mod redact;
mod subscriber;

pub use self::config::{LogConfig, LogFormat, LogNames, TelemetryConfig};
pub use self::subscriber::{
    LogLevels, TelemetryError, TelemetryGuard, init, subscriber, subscriber_with_levels,
};
