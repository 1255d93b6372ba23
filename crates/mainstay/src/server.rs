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
//! | 6 | rate limit | who calls too often costs nothing further in; policies by tenant stand at 13 |
//! | 7 | concurrency limit | what is refused for want of room has not cost a deadline's timer |
//! | 8 | load shedding | sees the readiness of everything further in |
//! | 9 | deadline | the time of your service counts, and of what prepares the call for it |
//! | 10 | received bytes, upload deadline | they wrap the request's body, each once |
//! | 11 | shape | tenant and service see headers as they are to be |
//! | 12 | tenant | innermost of what decides: it may ask a resolver, within the deadline |
//! | 13 | rate limit by tenant | it needs the tenant |
//! | 14 | idempotency key | a key is the tenant's, and what is refused further out has claimed nothing |
//!
//! A layer whose settings ask for nothing hands the call through. What `tower-http` does well (compression, CORS and others)
//! is set in [`ServerConfig::http`] and put in its place by [`ServerStack::around`], which takes a whole axum router.

#[cfg(feature = "axum")]
mod around;
mod describe;
mod http;

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Once};

use garde::Validate;
use mainstay_http::access_log::{AccessLog, AccessLogConfig, AccessLogLayer, Received, ReceivedLayer};
use mainstay_http::concurrency_limit::{
    ConcurrencyLimit, ConcurrencyLimitConfig, ConcurrencyLimitHandle, ConcurrencyLimitLayer,
};
use mainstay_http::context::{Context, ContextConfig, ContextLayer, PeerOf};
use mainstay_http::deadline::{
    DeadlineConfig, DeadlineGuard, DeadlineLayer, UploadDeadline, UploadDeadlineLayer,
};
use mainstay_http::idempotency::{Idempotency, IdempotencyConfig, IdempotencyLayer};
use mainstay_http::load_shed::{LoadShed, LoadShedConfig, LoadShedLayer};
use mainstay_http::panic_guard::{PanicGuard, PanicGuardConfig, PanicGuardLayer};
use mainstay_http::problem::{Problems, ProblemsConfig, ProblemsLayer};
use mainstay_http::rate_limit::{KeyPart, RateLimit, RateLimitConfig, RateLimitLayer};
use mainstay_http::security_headers::{SecurityHeaders, SecurityHeadersConfig, SecurityHeadersLayer};
use mainstay_http::shape::{Shape, ShapeConfig, ShapeLayer};
use mainstay_http::tenant::{Tenant, TenantConfig, TenantLayer};
use serde::{Deserialize, Serialize};
use tower_layer::Layer;

pub use self::http::{CompressionConfig, CorsConfig, CsrfConfig, HttpConfig};

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
    /// Which errors become problems.
    #[garde(dive)]
    pub problems: ProblemsConfig,
    /// What of a panic is logged.
    #[garde(dive)]
    pub panic_guard: PanicGuardConfig,
    /// How often each caller may call. No limit by default.
    #[garde(dive)]
    pub rate_limit: RateLimitConfig,
    /// How many calls may be in progress at once. No limit by default.
    #[garde(dive)]
    pub concurrency_limit: ConcurrencyLimitConfig,
    /// Whether calls are refused while the service is not ready. Off by default.
    #[garde(dive)]
    pub load_shed: LoadShedConfig,
    /// How long calls may take.
    #[garde(dive)]
    pub deadline: DeadlineConfig,
    /// How headers are to look, and what kinds of content are taken.
    #[garde(dive)]
    pub shape: ShapeConfig,
    /// Where a call's tenant is found, and which are served. No tenants by default.
    #[garde(dive)]
    pub tenant: TenantConfig,
    /// Whether calls with an `Idempotency-Key` are carried out once. Off by default.
    #[garde(dive)]
    pub idempotency: IdempotencyConfig,
    /// What is composed from `tower-http` around an axum router. All off by default.
    #[garde(dive)]
    pub http: HttpConfig,
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
    panic_guard: PanicGuardLayer,
    rate_limit: RateLimitLayer,
    concurrency_limit: ConcurrencyLimitLayer,
    load_shed: LoadShedLayer,
    deadline: DeadlineLayer,
    upload_deadline: UploadDeadlineLayer,
    shape: ShapeLayer,
    tenant: TenantLayer,
    rate_limit_by_tenant: RateLimitLayer,
    idempotency: IdempotencyLayer,
}

/// A service inside the whole [`ServerStack`].
pub type Server<S> = Observed<Answered<Admitted<S>>>;

/// The outermost part: what sees every answer.
type Observed<S> = Context<AccessLog<S>>;

/// The part that gives every answer its form.
type Answered<S> = SecurityHeaders<Problems<PanicGuard<S>>>;

/// The part that decides whether and how a call reaches the service.
type Admitted<S> = RateLimit<ConcurrencyLimit<LoadShed<DeadlineGuard<Prepared<S>>>>>;

/// The part that prepares a call for the service.
type Prepared<S> = Received<UploadDeadline<Shape<Tenant<RateLimit<Idempotency<S>>>>>>;

/// The settings do not make a stack.
#[derive(Debug)]
pub struct StackError(garde::Report);

/// Builds the server stack from its settings.
///
/// The same stack goes around axum (`Router::layer`), tonic (`transport::Server::layer`) and a plain hyper service, whose
/// request body may then be any: three of the layers wrap it.
///
/// # Errors
///
/// A setting is out of its range. Settings that [`config`](crate::config) loaded and checked do not fail here.
pub fn stack(config: &ServerConfig) -> Result<ServerStack, StackError> {
    config.validate().map_err(StackError)?;
    let checked = "the settings were checked above";
    let (by_tenant, others) = by_tenant(&config.rate_limit);
    Ok(ServerStack {
        context: ContextLayer::new(&config.context).deadline(&config.deadline),
        access_log: AccessLogLayer::new(&config.access_log),
        security_headers: SecurityHeadersLayer::new(&config.security_headers).expect(checked),
        panic_guard: PanicGuardLayer::new(&config.panic_guard).expect(checked),
        rate_limit: RateLimitLayer::new(&others).expect(checked),
        concurrency_limit: ConcurrencyLimitLayer::new(&config.concurrency_limit).expect(checked),
        load_shed: LoadShedLayer::new(&config.load_shed),
        deadline: DeadlineLayer::in_stack(&config.deadline),
        upload_deadline: UploadDeadlineLayer::new(&config.deadline),
        shape: ShapeLayer::new(&config.shape).expect(checked),
        tenant: TenantLayer::new(&config.tenant).expect(checked),
        rate_limit_by_tenant: RateLimitLayer::new(&by_tenant).expect(checked),
        idempotency: IdempotencyLayer::new(&config.idempotency).expect(checked),
        config: Arc::new(config.clone()),
    })
}

/// The policies whose key has the tenant in it, which is not known at the edge yet, and the others.
fn by_tenant(config: &RateLimitConfig) -> (RateLimitConfig, RateLimitConfig) {
    let (by_tenant, others) =
        config.policies.iter().cloned().partition(|policy| policy.key.contains(&KeyPart::Tenant));
    (
        RateLimitConfig { policies: by_tenant, ..config.clone() },
        RateLimitConfig { policies: others, ..config.clone() },
    )
}

// === impl ServerConfig ===

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            context: ContextConfig::default(),
            access_log: AccessLogConfig::default(),
            security_headers: SecurityHeadersConfig::default(),
            problems: ProblemsConfig::default(),
            panic_guard: PanicGuardConfig::default(),
            rate_limit: RateLimitConfig::default(),
            concurrency_limit: ConcurrencyLimitConfig::default(),
            load_shed: LoadShedConfig::default(),
            deadline: DeadlineConfig::default(),
            shape: ShapeConfig::default(),
            tenant: TenantConfig::default(),
            idempotency: IdempotencyConfig::default(),
            http: HttpConfig::default(),
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

    /// Adds to the access log what settings cannot say, such as [`AccessLogLayer::skip_if`].
    #[must_use]
    pub fn access_log(mut self, change: impl FnOnce(AccessLogLayer) -> AccessLogLayer) -> Self {
        self.access_log = change(self.access_log);
        self
    }

    /// Adds to the tenant what settings cannot say: [`TenantLayer::claim`], [`TenantLayer::principal`] and
    /// [`TenantLayer::resolver`].
    #[must_use]
    pub fn tenant(mut self, change: impl FnOnce(TenantLayer) -> TenantLayer) -> Self {
        self.tenant = change(self.tenant);
        self
    }

    /// Adds to idempotency keys what settings cannot say: [`IdempotencyLayer::store`] and [`IdempotencyLayer::principal`].
    #[must_use]
    pub fn idempotency(mut self, change: impl FnOnce(IdempotencyLayer) -> IdempotencyLayer) -> Self {
        self.idempotency = change(self.idempotency);
        self
    }

    /// How many calls are in progress, and the limit.
    pub fn concurrency(&self) -> ConcurrencyLimitHandle {
        self.concurrency_limit.handle()
    }

    /// The layers in their order, outermost first, each with its effective settings, for people to read.
    pub fn describe(&self) -> String {
        describe::describe(&self.config)
    }

    fn observed<S>(&self, service: S) -> Observed<S> {
        self.context.layer(self.access_log.layer(service))
    }

    fn answered<S>(&self, service: S) -> Answered<S> {
        let service = self.panic_guard.layer(service);
        self.security_headers.layer(ProblemsLayer::new(&self.config.problems).layer(service))
    }

    fn admitted<S>(&self, service: S) -> Admitted<S> {
        let service = self.rate_limit_by_tenant.layer(self.idempotency.layer(service));
        let service = self.tenant.layer(service);
        let service = self.upload_deadline.layer(self.shape.layer(service));
        let service = self.deadline.layer(ReceivedLayer::new().layer(service));
        let service = self.concurrency_limit.layer(self.load_shed.layer(service));
        self.rate_limit.layer(service)
    }
}

impl<S> Layer<S> for ServerStack {
    type Service = Server<S>;

    fn layer(&self, service: S) -> Server<S> {
        if self.config.http != HttpConfig::default() {
            warn_of_what_is_left_out();
        }
        self.observed(self.answered(self.admitted(service)))
    }
}

/// Once is enough: an axum router calls for a service for each of its routes.
fn warn_of_what_is_left_out() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!("the settings below `server.http` have no effect: they need `stack.around(router)`");
    });
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
