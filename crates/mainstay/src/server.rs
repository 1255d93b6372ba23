//! The stack of layers around a service, built from settings, in the one order that is right.
//!
//! ```
//! use axum::{Router, routing::get};
//! use mainstay::server::{self, ServerConfig};
//!
//! let stack = server::stack(&ServerConfig::default())?;
//! println!("{}", stack.describe());
//! let app: Router = Router::new().route("/", get(async || "hello")).layer(stack);
//! # Ok::<(), mainstay::server::StackError>(())
//! ```
//!
//! From the outside in, and why there:
//!
//! | | layer | it stands there because |
//! |---|---|---|
//! | 1 | context | everything else reads what it decides, and its ids belong on every answer |
//! | 2 | access log | it must see whatever any other layer answered |
//! | 3 | security headers | answers of the layers further in need them too |
//! | 4 | problems | it completes the problems that handlers answer, and turns the router's bare 404 and 405 into problems |
//! | 5 | panic guard | a panic's answer needs the headers and the line above |
//! | 6 | deadline | innermost: only your service's own time counts |

mod describe;

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use garde::Validate;
use mainstay_http::access_log::{AccessLog, AccessLogConfig, AccessLogLayer};
use mainstay_http::context::{Context, ContextConfig, ContextLayer, PeerOf};
use mainstay_http::deadline::{DeadlineConfig, DeadlineGuard, DeadlineLayer};
use mainstay_http::panic_guard::{PanicGuard, PanicGuardLayer};
use mainstay_http::problem::{Problems, ProblemsLayer};
use mainstay_http::security_headers::{SecurityHeaders, SecurityHeadersConfig, SecurityHeadersLayer};
use serde::{Deserialize, Serialize};
use tower_layer::Layer;

/// Settings of the server stack and of the address that it is served on.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where to listen. `127.0.0.1:8080` by default: nothing is reachable from outside until told to.
    #[garde(skip)]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub listen: SocketAddr,
    /// Whom to trust.
    #[garde(dive)]
    pub context: ContextConfig,
    /// Whether requests are logged.
    #[garde(dive)]
    pub access_log: AccessLogConfig,
    /// Which security headers answers get.
    #[garde(dive)]
    pub security_headers: SecurityHeadersConfig,
    /// How long calls may take.
    #[garde(dive)]
    pub deadline: DeadlineConfig,
}

/// All layers of a server, as one.
///
/// Cloning is cheap: settings are shared, and so is the state of every service that it makes.
#[derive(Clone, Debug)]
pub struct ServerStack {
    config: Arc<ServerConfig>,
    context: ContextLayer,
    access_log: AccessLogLayer,
    security_headers: SecurityHeadersLayer,
}

/// A service inside the whole [`ServerStack`].
pub type Server<S> = Context<AccessLog<SecurityHeaders<Problems<PanicGuard<DeadlineGuard<S>>>>>>;

/// The settings do not make a stack.
#[derive(Debug)]
pub struct StackError(garde::Report);

/// Builds the server stack from its settings.
///
/// The same stack goes around axum (`Router::layer`), tonic (`transport::Server::layer`) and a plain hyper service.
///
/// # Errors
///
/// A setting is out of its range. Settings that [`config`](crate::config) loaded and checked do not fail here.
pub fn stack(config: &ServerConfig) -> Result<ServerStack, StackError> {
    config.validate().map_err(StackError)?;
    Ok(ServerStack {
        context: ContextLayer::new(&config.context).deadline(&config.deadline),
        access_log: AccessLogLayer::new(&config.access_log),
        security_headers: SecurityHeadersLayer::new(&config.security_headers)
            .expect("the settings were checked above"),
        config: Arc::new(config.clone()),
    })
}

// === impl ServerConfig ===

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            context: ContextConfig::default(),
            access_log: AccessLogConfig::default(),
            security_headers: SecurityHeadersConfig::default(),
            deadline: DeadlineConfig::default(),
        }
    }
}

// === impl ServerStack ===

impl ServerStack {
    /// Where to find the peer, if neither [`Runtime`](crate::Runtime) nor axum serves: see
    /// [`ContextLayer::peer`].
    #[must_use]
    pub fn peer(mut self, peer_of: PeerOf) -> Self {
        self.context = self.context.peer(peer_of);
        self
    }

    /// The layers in their order, outermost first, each with its effective settings, for people to read.
    pub fn describe(&self) -> String {
        describe::describe(&self.config)
    }
}

impl<S> Layer<S> for ServerStack {
    type Service = Server<S>;

    fn layer(&self, service: S) -> Server<S> {
        let service = DeadlineLayer::inherited().layer(service);
        let service = PanicGuardLayer::new().layer(service);
        let service = ProblemsLayer::new().layer(service);
        let service = self.security_headers.layer(service);
        let service = self.access_log.layer(service);
        self.context.layer(service)
    }
}

// === impl StackError ===

impl Display for StackError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("the server's settings do not make a stack:")?;
        for (path, error) in self.0.iter() {
            write!(f, "\n  {path}: {error}")?;
        }
        Ok(())
    }
}

impl Error for StackError {}

#[cfg(test)]
mod tests;
