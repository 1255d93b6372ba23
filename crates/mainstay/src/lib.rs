//! The ground a Rust service stands on: one configuration, one request context, one stack of tower layers.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use mainstay::{Runtime, RuntimeConfig, config, server, telemetry};
//!
//! #[derive(Default, serde::Deserialize, garde::Validate)]
//! #[serde(default, deny_unknown_fields)]
//! struct Settings {
//!     #[garde(dive)]
//!     server: server::ServerConfig,
//!     #[garde(dive)]
//!     runtime: RuntimeConfig,
//!     #[garde(dive)]
//!     telemetry: telemetry::TelemetryConfig,
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     mainstay::run(async {
//!         let settings: Settings = config::load("hello")?; // files, variables; every value typed and checked
//!         let _telemetry = telemetry::init(&settings.telemetry)?;
//!         let app = Router::new().route("/", get(async || "hello")).layer(server::stack(&settings.server)?);
//!         Runtime::new(&settings.runtime).serve("http", settings.server.listen, app).run().await?;
//!         Ok(())
//!     })
//! }
//! ```
//!
//! This crate only puts together what stands in the others, and repeats here what a `main` needs:
//!
//! | here | from | |
//! |---|---|---|
//! | [`server::stack`] | `mainstay-http` | the layers around a service |
//! | [`client::stack`] | `mainstay-http`, `mainstay-resilience` | the layers around a client |
//! | [`config`] | `mainstay-config` | settings from files and variables |
//! | [`telemetry`] | `mainstay-telemetry` | logs |
//! | [`Runtime`] | `mainstay-runtime` | listeners, signals, drain |
//! | [`RequestContext`] and its parts | `mainstay-core` | what a handler reads of its request |
//! | [`Problem`] | `mainstay-http` | what a handler answers when it refuses |
//!
//! Layers one by one, and the traits that they ask for, are in [`http`] and [`resilience`]. The feature `axum` (on by default) makes [`Problem`] a response of axum's
//! and shows axum's matched route in the access log; nothing else depends on a framework. `schema` lets all settings describe themselves (JSON Schema,
//! documented templates), `reload` lets them follow their files (`config::reload::Live`), and `clap` brings the command `config check | show | explain | template | schema` for them.

pub mod client;
pub mod server;

mod describe;
mod exit;

pub use exit::{ExitResult, Failure, run};
pub use mainstay_config as config;
pub use mainstay_core::{
    CorrelationId, Deadline, Peer, Reason, Rejection, RequestContext, RequestId, TenantId, TraceContext,
    Trust, ambient,
};
pub use mainstay_http as http;
pub use mainstay_http::problem::Problem;
pub use mainstay_resilience as resilience;
pub use mainstay_runtime::{Runtime, RuntimeConfig, RuntimeError};
pub use mainstay_telemetry as telemetry;
