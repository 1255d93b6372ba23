//! The headers that helmet.js sets, on every answer but gRPC's; the handler's own value wins.
//!
//! ```
//! use mainstay_http::security_headers::{
//!     ContentSecurityPolicy, CspNonce, Directive, SecurityHeadersConfig, SecurityHeadersLayer, Source,
//! };
//! use tower::{Layer, ServiceExt, service_fn};
//! # use std::convert::Infallible;
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//!
//! let policy = ContentSecurityPolicy::default().with(Directive::ScriptSrc, [Source::NONCE]);
//! let config = SecurityHeadersConfig { content_security_policy: policy, ..SecurityHeadersConfig::default() };
//!
//! let page = service_fn(async |request: http::Request<()>| {
//!     let nonce = request.extensions().get::<CspNonce>().expect("the policy asks for it");
//!     let page = format!("<script nonce=\"{nonce}\">hello()</script>");
//!     Ok::<_, Infallible>(http::Response::builder().header("content-type", "text/html").body(page).unwrap())
//! });
//! let answer = SecurityHeadersLayer::new(&config)?.layer(page).oneshot(http::Request::new(())).await.unwrap();
//!
//! let policy = answer.headers()["content-security-policy"].to_str().unwrap();
//! let nonce = answer.body().split('"').nth(1).unwrap();
//! assert!(policy.contains(&format!("script-src 'nonce-{nonce}'")));
//! # Ok::<(), mainstay_http::security_headers::InvalidSecurityHeaders>(()) }).unwrap();
//! ```
//!
//! The defaults are helmet 8.3.0's, byte for byte and in its order: twelve headers, and `X-Powered-By` removed; so are all
//! its options and the texts of its errors. Two things differ, because helmet cannot know what we know:
//! `Strict-Transport-Security` and the policy's `upgrade-insecure-requests` are sent only where the [`RequestContext`]'s
//! scheme is encrypted, since over plain HTTP the first is ignored (RFC 6797, section 7.2) and the second breaks local
//! development. Without a context neither is sent.
//!
//! # Profiles
//!
//! [`Profile::Helmet`] is the default: all answers get all headers. They do no harm on JSON, and nothing that a browser
//! renders or runs is ever without them, whatever its type. [`Profile::ByContentType`] gives data a policy that allows nothing
//! (`default-src 'none';frame-ancestors 'none'`), `X-Frame-Options: DENY`, `X-Content-Type-Options`,
//! `Cross-Origin-Resource-Policy` and `Strict-Transport-Security`, as far as each is on, and nothing else. What browsers
//! render or run gets all: HTML, XHTML, SVG, scripts (a worker is under its own script's policy), PDF. A 304 without a content
//! type gets only what both kinds get alike, because browsers write its headers over those of the page that they hold.
//!
//! # The nonce
//!
//! It is made where a policy holds [`Source::NONCE`], the request is not gRPC and its `Accept` names HTML, takes anything or
//! is not there; the handler finds it as [`CspNonce`] in the request's extensions. It is sent with HTML only; in the policy of
//! other answers its place is left out, so that `script-src 'nonce'` allows no script at all. A page with a nonce must not
//! come from a cache that others share (`Cache-Control: private` or `no-store`): its nonce would be known. A 304 leaves the
//! cached page its policy with its nonce.
//!
//! # What is not here
//!
//! `Clear-Site-Data` on every answer would log its readers out; the handler that logs them out sets it. A policy of the
//! handler's own is never joined by a second one, which would forbid what either forbids; a report-only policy beside it is.
//!
//! The layer refuses nothing. It stands outside whatever writes answers of its own, so that those have the headers too.
//! Dropping the future drops the inner one. It grows the response's own map at most once, which is two allocations; a
//! nonce costs its place in the request's extensions and the text of each policy that holds it. Settings that ask for
//! nothing leave the answer as it is.

#[macro_use]
mod words;
mod error;
mod nonce;
mod plan;
mod policy;
mod settings;
mod source;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use mainstay_core::{RequestContext, Scheme};
use pin_project_lite::pin_project;
use rand::RngExt as _;
use tower_layer::Layer;
use tower_service::Service;

pub use self::error::InvalidSecurityHeaders;
pub use self::nonce::CspNonce;
pub use self::policy::{ContentSecurityPolicy, DirectiveValue, Directives};
pub use self::settings::{Allowed, Profile, ReferrerPolicy, SecurityHeadersConfig, StrictTransportSecurity};
pub use self::source::{Directive, HashAlgorithm, InvalidSource, Keyword, Source};
pub use self::words::{
    CrossOriginEmbedderPolicy, CrossOriginOpenerPolicy, CrossOriginResourcePolicy, DnsPrefetchControl,
    FrameOptions, PermittedCrossDomainPolicies, ReferrerToken,
};

use self::nonce::may_take_html;
use self::plan::Plan;
use crate::form::Form;

/// Sets security headers. See the [module](self).
#[derive(Clone, Debug)]
pub struct SecurityHeadersLayer {
    // None: the settings ask for nothing.
    plan: Option<Arc<Plan>>,
}

/// The service of [`SecurityHeadersLayer`].
#[derive(Clone, Debug)]
pub struct SecurityHeaders<S> {
    inner: S,
    plan: Option<Arc<Plan>>,
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
        nonce: Option<CspNonce>,
    }
}

// === impl SecurityHeadersLayer ===

impl SecurityHeadersLayer {
    /// The layer with these settings, all checked and ready to send.
    ///
    /// # Errors
    ///
    /// A header that is on cannot be sent as it is set.
    pub fn new(config: &SecurityHeadersConfig) -> Result<Self, InvalidSecurityHeaders> {
        Ok(Self { plan: Plan::new(config)?.map(Arc::new) })
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
        SecurityHeaders { inner, plan: self.plan.clone() }
    }
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let plan = self.plan.as_ref().filter(|_| Form::of(&request) != Form::Grpc).map(Arc::clone);
        let scheme = request.extensions().get().and_then(RequestContext::scheme);
        let nonce = match &plan {
            Some(plan) if plan.asks_for_nonce() => nonce_of(&mut request),
            _ => None,
        };
        SecurityHeadersFuture {
            encrypted: scheme.is_some_and(Scheme::is_encrypted),
            plan,
            nonce,
            inner: self.inner.call(request),
        }
    }
}

/// The nonce that a layer further out has made, or a new one, if the answer might be HTML.
fn nonce_of<B>(request: &mut Request<B>) -> Option<CspNonce> {
    let made = request.extensions().get::<CspNonce>().copied();
    made.or_else(|| {
        may_take_html(request.headers()).then(|| {
            let nonce = CspNonce::new(rand::rng().random());
            request.extensions_mut().insert(nonce);
            nonce
        })
    })
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
            plan.set(response.status(), response.headers_mut(), *this.encrypted, this.nonce.as_ref());
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests;
