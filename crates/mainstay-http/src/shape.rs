//! Headers as handlers want them: cleaned, renamed, completed; and no content of a type that nobody reads.
//!
//! ```
//! use http::Request;
//! use http_body_util::Full;
//! use mainstay_http::shape::{HeaderRule, ShapeConfig, ShapeLayer};
//! use tower::{Layer, ServiceExt, service_fn};
//! # use std::convert::Infallible;
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//!
//! let layer = ShapeLayer::new(&ShapeConfig {
//!     request_headers: vec![HeaderRule { rename: Some("x-client".into()), ..HeaderRule::of("x-customer") }],
//!     content_types: vec!["application/json".into(), "application/*+json".into()],
//!     ..ShapeConfig::default()
//! })?;
//! let service = layer.layer(service_fn(async |request: Request<Full<bytes::Bytes>>| {
//!     assert_eq!(request.headers()["x-client"], "acme");
//!     Ok::<_, Infallible>(http::Response::new(Full::<bytes::Bytes>::default()))
//! }));
//!
//! let request = Request::post("/").header("x-customer", "acme").header("content-type", "application/json; charset=utf-8");
//! assert_eq!(service.clone().oneshot(request.body("{}".into()).unwrap()).await.unwrap().status(), 200);
//!
//! let refused = service.oneshot(Request::post("/").body("{}".into()).unwrap()).await.unwrap();
//! assert_eq!(refused.status(), 415);
//! assert_eq!(refused.headers()["accept"], "application/json, application/*+json");
//! # Ok::<(), mainstay_http::shape::InvalidShape>(())
//! # }).unwrap();
//! ```
//!
//! As settings:
//!
//! ```toml
//! content_types = ["application/json", "application/*+json", "text/plain; charset=utf-8"]
//! answer_types = ["application/json"]
//! underscores = "remove"
//! request_headers = [
//!     { header = "x-customer", rename = "x-client" },
//!     { header = "x-client", trim = true, lower_case = true, default = "anonymous" },
//!     { header = "x-api-version", set = "2" },
//!     { header = "x-debug", deny = true },
//! ]
//! response_headers = [
//!     { header = "server", remove = true },
//!     { header = "cache-control", default = "no-store" },
//! ]
//! ```
//!
//! # What happens, in this order
//!
//! 1. **Limits**: a request with too many or too long header lines is refused with 431.
//! 2. **Hygiene**: `content-length`, `content-type` or `host` sent twice with different values is refused with 400. What
//!    is meant for the connection ends here: `connection` and the headers that it names, `keep-alive`, `te`, `trailer`,
//!    `transfer-encoding`, `upgrade`, `proxy-*`, and `proxy`. Three things stay: `te: trailers`, without which gRPC is not
//!    spoken; an upgrade that HTTP/1.1 asks for (`connection: upgrade` with `upgrade`), as for WebSocket; and a header for
//!    everybody that `connection` names against the rules (`authorization`, `host`, `x-forwarded-for`, ...), or that one of
//!    the rules below is for, as a caller could hide it from the handler else. Names with an underscore are treated as
//!    [`Underscores`] says.
//! 3. **Rules** for the request's headers: refusals (400), then new names, then all others. Within one rule a value is
//!    trimmed, lower-cased, and then renamed or given a default.
//! 4. **Content**: if there is any, its type must be one of [`ShapeConfig::content_types`], else 415, with the list in
//!    `accept`, and in `accept-post` or `accept-patch` for those methods. The body is asked whether it has ended and not
//!    read. Parameters count only where the setting names them. A rule may give a default to `content-type`.
//! 5. **Accept**: one of [`ShapeConfig::answer_types`], if there are any, must be acceptable, else 406.
//! 6. **Rules** for the response's headers, also of what is refused here.
//!
//! gRPC has types of its own, so the fourth and fifth do not concern it. What no rule names is not touched: values keep
//! their order, may be several, need not be UTF-8, and stay marked as sensitive where they are. The answer's own headers for
//! the connection are left to the server, which knows what the handler may say there (`connection: close`).
//!
//! The layer stands inside the [deadline](crate::deadline) and outside everything that reads the headers that it shapes. Refusals have
//! the caller's form ([`refuse`]). Dropping the future drops the inner one.
//!
//! # Cost
//!
//! One look at each header line, and one look-up for each rule; no lock. Nothing is allocated for a request to which no rule
//! applies: one allocation for a value that really changes, a name that is sent several times and renamed, the growth of the
//! map where a header is added, and the text of a refusal.
//!
//! Sources: RFC 9110 (sections 5.6, 7.6.1, 8.3, 12.5.1, 15.5), RFC 6585 (431), RFC 5789 (`accept-patch`), Linked Data
//! Platform 1.0 (`accept-post`).

mod content;
mod hygiene;
mod plan;
mod rewrite;
mod rule;

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use garde::Validate;
use http::{Request, Response};
use http_body::Body;
use mainstay_core::{RequestContext, take_ready};
use pin_project_lite::pin_project;
use serde::{Deserialize, Serialize};
use tower_layer::Layer;
use tower_service::Service;

#[cfg(doc)]
use crate::answer::refuse;
use crate::body::AnswerBody;
use crate::form::Form;
use plan::Plan;
pub use rule::{HeaderRule, InvalidRule, RuleFault};

/// Settings of [`ShapeLayer`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ShapeConfig {
    /// How many and how long a request's headers may be.
    #[garde(dive)]
    pub limits: HeaderLimits,
    /// Whether headers for the connection end here, and contradictory ones are refused. True by default.
    #[garde(skip)]
    pub hygiene: bool,
    /// What becomes of request headers whose names hold an underscore. Kept by default.
    #[garde(skip)]
    pub underscores: Underscores,
    /// The rules for a request's headers, at most one for each. Empty by default.
    #[garde(custom(are_request_rules))]
    pub request_headers: Vec<HeaderRule>,
    /// The rules for an answer's headers, at most one for each. Empty by default.
    #[garde(custom(are_response_rules))]
    pub response_headers: Vec<HeaderRule>,
    /// The types of content that are taken: `type/subtype`, `type/*`, `type/*+suffix` or `*/*`, with parameters where those
    /// are asked for (`text/plain; charset=utf-8`). Empty by default: any, or none stated.
    #[garde(custom(are_content_types))]
    pub content_types: Vec<String>,
    /// The types that answers have, each in full. Empty by default: whatever a caller accepts is not looked at.
    #[garde(custom(are_answer_types))]
    pub answer_types: Vec<String>,
}

/// How many and how long a request's headers may be. Servers have limits of their own, which come first.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct HeaderLimits {
    /// The most lines. 100 by default; at least 1.
    #[garde(range(min = 1))]
    pub lines: u32,
    /// The longest line, name and value, in bytes. 8,192 by default; at least 1.
    #[garde(range(min = 1))]
    pub line_bytes: u32,
    /// The most bytes of all names and values together. 32,768 by default; at least 1.
    #[garde(range(min = 1))]
    pub total_bytes: u32,
}

/// What becomes of request headers whose names hold an underscore, which some programs take for a hyphen (CGI, and what
/// descends from it): `x_user` may pass a proxy that guards `x-user`. Headers that a rule is for, or renames
/// onto, are left to that rule.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Underscores {
    /// They stay, for gRPC metadata is often named so, and nothing here mistakes the one for the other.
    #[default]
    Keep,
    /// They are taken away, as nginx does.
    Remove,
    /// The request is refused with 400.
    Refuse,
}

/// Settings that make no [`ShapeLayer`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidShape {
    /// A rule in [`ShapeConfig::request_headers`].
    RequestRule(InvalidRule),
    /// A rule in [`ShapeConfig::response_headers`].
    ResponseRule(InvalidRule),
    /// This entry of [`ShapeConfig::content_types`] is no media type or range.
    ContentType(String),
    /// This entry of [`ShapeConfig::answer_types`] is no media type, or a range of them.
    AnswerType(String),
}

/// Shapes headers. See the [module](self).
#[derive(Clone, Debug)]
pub struct ShapeLayer {
    plan: Arc<Plan>,
}

/// The service of [`ShapeLayer`].
#[derive(Clone, Debug)]
pub struct Shape<S> {
    inner: S,
    plan: Arc<Plan>,
}

pin_project! {
    /// The future of [`Shape`]. Dropping it drops the inner one.
    #[derive(Debug)]
    pub struct ShapeFuture<F> {
        #[pin]
        state: State<F>,
        // None: no rule is for answers.
        plan: Option<Arc<Plan>>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProject]
    enum State<F> {
        Called { #[pin] inner: F },
        // None: already given out.
        Refused { answer: Option<Response<Bytes>> },
    }
}

// === impl ShapeConfig ===

impl Default for ShapeConfig {
    fn default() -> Self {
        Self {
            limits: HeaderLimits::default(),
            hygiene: true,
            underscores: Underscores::Keep,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            content_types: Vec::new(),
            answer_types: Vec::new(),
        }
    }
}

fn are_request_rules(rules: &[HeaderRule], (): &()) -> garde::Result {
    rule::compile(rules, rule::Side::Request).map(drop).map_err(garde::Error::new)
}

fn are_response_rules(rules: &[HeaderRule], (): &()) -> garde::Result {
    rule::compile(rules, rule::Side::Response).map(drop).map_err(garde::Error::new)
}

fn are_content_types(texts: &[String], (): &()) -> garde::Result {
    plan::content_types(texts).map(drop).map_err(garde::Error::new)
}

fn are_answer_types(texts: &[String], (): &()) -> garde::Result {
    plan::answer_types(texts).map(drop).map_err(garde::Error::new)
}

// === impl HeaderLimits ===

impl Default for HeaderLimits {
    fn default() -> Self {
        Self { lines: 100, line_bytes: 8 * 1024, total_bytes: 32 * 1024 }
    }
}

// === impl ShapeLayer ===

impl ShapeLayer {
    /// The layer with these settings, all rules checked and compiled.
    ///
    /// # Errors
    ///
    /// A rule cannot be followed, or a type is none; the error names it.
    pub fn new(config: &ShapeConfig) -> Result<Self, InvalidShape> {
        Ok(Self { plan: Arc::new(Plan::new(config)?) })
    }
}

impl Default for ShapeLayer {
    fn default() -> Self {
        Self::new(&ShapeConfig::default()).expect("without rules and types nothing can be wrong")
    }
}

impl<S> Layer<S> for ShapeLayer {
    type Service = Shape<S>;

    fn layer(&self, inner: S) -> Shape<S> {
        Shape { inner, plan: Arc::clone(&self.plan) }
    }
}

// === impl Shape ===

impl<S, B, ResB> Service<Request<B>> for Shape<S>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    B: Body,
{
    type Response = Response<AnswerBody<ResB>>;
    type Error = S::Error;
    type Future = ShapeFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The caller's form, whatever a rule makes of the content type.
        let form = Form::of(&request);
        let state = match self.plan.shape(&mut request, form) {
            Ok(()) => State::Called { inner: self.inner.call(request) },
            Err(refusal) => {
                // Nobody will call the instance that was made ready: what it reserved goes with it.
                drop(take_ready(&mut self.inner));
                let context = request.extensions().get::<RequestContext>();
                State::Refused { answer: Some(refusal.answer(form, request.method(), context)) }
            }
        };
        ShapeFuture { state, plan: self.plan.shapes_answers().then(|| Arc::clone(&self.plan)) }
    }
}

// === impl ShapeFuture ===

impl<F, ResB, E> Future for ShapeFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
{
    type Output = Result<Response<AnswerBody<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.state.project() {
            StateProject::Called { inner } => ready!(inner.poll(cx))?.map(AnswerBody::inner),
            StateProject::Refused { answer } => {
                answer.take().expect("a future is not polled after it was ready").map(AnswerBody::written)
            }
        };
        if let Some(plan) = this.plan {
            plan.shape_answer(response.headers_mut());
        }
        Poll::Ready(Ok(response))
    }
}

// === impl InvalidShape ===

impl Display for InvalidShape {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestRule(rule) => write!(f, "request_headers: {rule}"),
            Self::ResponseRule(rule) => write!(f, "response_headers: {rule}"),
            Self::ContentType(text) => write!(
                f,
                "{text:?} is no media type: expected type/subtype, type/*, type/*+suffix or */*, and parameters"
            ),
            Self::AnswerType(text) => {
                write!(f, "{text:?} is not one media type: expected type/subtype, and parameters")
            }
        }
    }
}

impl Error for InvalidShape {}

#[cfg(test)]
mod tests;
