//! The headers that helmet.js sets, on every answer but gRPC's; the handler's own value wins.
//!
//! ```
//! use mainstay_http::security_headers::{SecurityHeadersConfig, SecurityHeadersLayer};
//!
//! let config = SecurityHeadersConfig {
//!     content_security_policy: "default-src 'none';frame-ancestors 'none'".to_owned(),
//!     ..SecurityHeadersConfig::default()
//! };
//! let layer = SecurityHeadersLayer::new(&config)?;
//! # let _: SecurityHeadersLayer = layer;
//! # Ok::<(), mainstay_http::security_headers::InvalidHeaderValue>(())
//! ```
//!
//! The defaults are helmet 8.3.0's, byte for byte: twelve headers, and `X-Powered-By` removed. Two things differ, because
//! helmet cannot know what we know: `Strict-Transport-Security` and the policy's `upgrade-insecure-requests` are sent only
//! where the [`RequestContext`]'s scheme is encrypted, since over plain HTTP the first is ignored (RFC 6797, section 7.2)
//! and the second breaks local development.
//!
//! Whether a connection is encrypted is what the listener says of it ([`Peer::encrypted`](mainstay_core::Peer)); a proxy's
//! `X-Forwarded-Proto` is not read yet, so behind a proxy that ends TLS neither of the two is sent.
//!
//! The layer refuses nothing. It stands outside whatever writes answers of its own, so that those have the headers too. It
//! grows the response's own map at most once, which is two allocations.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use garde::Validate;
use http::header::{
    CONTENT_SECURITY_POLICY, Entry, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_DNS_PREFETCH_CONTROL, X_FRAME_OPTIONS, X_XSS_PROTECTION,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use mainstay_core::{RequestContext, Scheme};
use pin_project_lite::pin_project;
use serde::{Deserialize, Serialize};
use tower_layer::Layer;
use tower_service::Service;

use crate::form::Form;

const DEFAULT_POLICY: &str = "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';\
    frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';script-src-attr 'none';\
    style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests";
const UPGRADE: &str = "upgrade-insecure-requests";
const X_POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");

/// What never differs: helmet's other ten headers.
const FIXED: [(HeaderName, HeaderValue); 10] = [
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("origin-agent-cluster"), HeaderValue::from_static("?1")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_DNS_PREFETCH_CONTROL, HeaderValue::from_static("off")),
    (HeaderName::from_static("x-download-options"), HeaderValue::from_static("noopen")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN")),
    (HeaderName::from_static("x-permitted-cross-domain-policies"), HeaderValue::from_static("none")),
    (X_XSS_PROTECTION, HeaderValue::from_static("0")),
];

/// Settings of [`SecurityHeadersLayer`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SecurityHeadersConfig {
    /// Whether the headers are set at all. True by default.
    #[garde(skip)]
    pub enabled: bool,
    /// The whole `Content-Security-Policy`, directives joined by `;`. helmet's by default; empty means that none is sent.
    #[garde(custom(is_header_value))]
    pub content_security_policy: String,
    /// `Strict-Transport-Security`, sent over encrypted connections only.
    #[garde(dive)]
    pub strict_transport_security: StrictTransportSecurity,
}

/// How long browsers are to insist on https (RFC 6797).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct StrictTransportSecurity {
    /// Whether the header is sent. True by default.
    #[garde(skip)]
    pub enabled: bool,
    /// For how long, in seconds, as in the header. 31,536,000 (365 days) by default.
    #[garde(skip)]
    pub max_age_seconds: u64,
    /// Whether subdomains are meant too. True by default.
    #[garde(skip)]
    pub include_sub_domains: bool,
    /// Whether browsers may build the host into their lists; hard to take back. False by default. The lists take only hosts
    /// with at least a year and all subdomains.
    #[garde(custom(may_preload(self)))]
    pub preload: bool,
}

/// A configured text holds a character that no header may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHeaderValue {
    header: HeaderName,
}

/// Sets security headers. See the [module](self).
#[derive(Clone, Debug)]
pub struct SecurityHeadersLayer {
    plan: Arc<Plan>,
}

/// The service of [`SecurityHeadersLayer`].
#[derive(Clone, Debug)]
pub struct SecurityHeaders<S> {
    inner: S,
    plan: Arc<Plan>,
}

pin_project! {
    /// The future of [`SecurityHeaders`]. Dropping it drops the inner one.
    #[derive(Debug)]
    pub struct SecurityHeadersFuture<F> {
        #[pin]
        inner: F,
        // None: nothing is to be set on this answer.
        plan: Option<Arc<Plan>>,
        encrypted: bool,
    }
}

/// The headers, ready to be copied: which of the two lists depends on the client's scheme.
#[derive(Debug)]
struct Plan {
    enabled: bool,
    plain: Box<[(HeaderName, HeaderValue)]>,
    encrypted: Box<[(HeaderName, HeaderValue)]>,
}

// === impl SecurityHeadersConfig ===

impl Default for SecurityHeadersConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            content_security_policy: DEFAULT_POLICY.to_owned(),
            strict_transport_security: StrictTransportSecurity::default(),
        }
    }
}

impl Default for StrictTransportSecurity {
    fn default() -> Self {
        Self { enabled: true, max_age_seconds: 365 * 24 * 60 * 60, include_sub_domains: true, preload: false }
    }
}

impl StrictTransportSecurity {
    fn value(&self) -> HeaderValue {
        let sub_domains = if self.include_sub_domains { "; includeSubDomains" } else { "" };
        let preload = if self.preload { "; preload" } else { "" };
        let text = format!("max-age={}{sub_domains}{preload}", self.max_age_seconds);
        HeaderValue::try_from(text).expect("digits and fixed words are a header value")
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde hands the context over by reference")]
fn is_header_value(text: &str, (): &()) -> garde::Result {
    match HeaderValue::from_str(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(garde::Error::new("holds a line break or another character that no header may hold")),
    }
}

fn may_preload(policy: &StrictTransportSecurity) -> impl FnOnce(&bool, &()) -> garde::Result {
    const YEAR: u64 = 365 * 24 * 60 * 60;
    let is_allowed = policy.max_age_seconds >= YEAR && policy.include_sub_domains;
    move |preload, ()| {
        if *preload && !is_allowed {
            return Err(garde::Error::new(
                "browsers' lists ask for max_age_seconds of a year and include_sub_domains",
            ));
        }
        Ok(())
    }
}

// === impl SecurityHeadersLayer ===

impl SecurityHeadersLayer {
    /// The layer with these settings, all texts checked and ready to send.
    ///
    /// # Errors
    ///
    /// The policy holds a character that no header may hold.
    pub fn new(config: &SecurityHeadersConfig) -> Result<Self, InvalidHeaderValue> {
        let plan = Plan {
            enabled: config.enabled,
            plain: headers(&without_upgrade(&config.content_security_policy), None)?,
            encrypted: headers(&config.content_security_policy, Some(&config.strict_transport_security))?,
        };
        Ok(Self { plan: Arc::new(plan) })
    }
}

impl Default for SecurityHeadersLayer {
    fn default() -> Self {
        Self::new(&SecurityHeadersConfig::default()).expect("helmet's values are header values")
    }
}

impl<S> Layer<S> for SecurityHeadersLayer {
    type Service = SecurityHeaders<S>;

    fn layer(&self, inner: S) -> SecurityHeaders<S> {
        SecurityHeaders { inner, plan: Arc::clone(&self.plan) }
    }
}

/// The whole list for one scheme.
fn headers(
    policy: &str,
    transport: Option<&StrictTransportSecurity>,
) -> Result<Box<[(HeaderName, HeaderValue)]>, InvalidHeaderValue> {
    let mut headers = Vec::with_capacity(FIXED.len() + 2);
    if !policy.is_empty() {
        let value = HeaderValue::from_str(policy)
            .map_err(|_| InvalidHeaderValue { header: CONTENT_SECURITY_POLICY })?;
        headers.push((CONTENT_SECURITY_POLICY, value));
    }
    if let Some(transport) = transport.filter(|transport| transport.enabled) {
        headers.push((STRICT_TRANSPORT_SECURITY, transport.value()));
    }
    headers.extend(FIXED);
    Ok(headers.into())
}

fn without_upgrade(policy: &str) -> String {
    let directives = policy.split(';').filter(|directive| !directive.trim().eq_ignore_ascii_case(UPGRADE));
    directives.collect::<Vec<_>>().join(";")
}

// === impl SecurityHeaders ===

impl<S, B, ResB> Service<Request<B>> for SecurityHeaders<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = SecurityHeadersFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let wanted = self.plan.enabled && Form::of(&request) != Form::Grpc;
        let scheme = request.extensions().get().and_then(RequestContext::scheme);
        SecurityHeadersFuture {
            encrypted: scheme.is_some_and(Scheme::is_encrypted),
            plan: wanted.then(|| Arc::clone(&self.plan)),
            inner: self.inner.call(request),
        }
    }
}

// === impl SecurityHeadersFuture ===

impl<F, ResB, E> Future for SecurityHeadersFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
{
    type Output = Result<Response<ResB>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        if let Some(plan) = this.plan {
            set(response.headers_mut(), if *this.encrypted { &plan.encrypted } else { &plan.plain });
        }
        Poll::Ready(Ok(response))
    }
}

fn set(headers: &mut HeaderMap, plan: &[(HeaderName, HeaderValue)]) {
    // The map doubles as it grows: without this, three times on the way; with room for the ids and the content type that
    // others set, once.
    headers.reserve(plan.len() + 4);
    for (name, value) in plan {
        if let Entry::Vacant(place) = headers.entry(name) {
            place.insert(value.clone());
        }
    }
    headers.remove(X_POWERED_BY);
}

impl Display for InvalidHeaderValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the value for {} holds a line break or another character that no header may hold",
            self.header
        )
    }
}

impl Error for InvalidHeaderValue {}

#[cfg(test)]
mod tests;
