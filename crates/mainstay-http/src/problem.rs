//! Errors as RFC 9457 problems that name the request they belong to.
//!
//! ```
//! use http::StatusCode;
//! use mainstay_http::form::Form;
//! use mainstay_http::problem::Problem;
//!
//! let problem = Problem::new(StatusCode::CONFLICT)
//!     .kind("/problems/out-of-stock")
//!     .title("out of stock")
//!     .detail("COFFEE-1KG: 3 ordered, 2 left")
//!     .with("sku", "COFFEE-1KG");
//! let answer = problem.to_response(Form::Http, None);
//! assert_eq!(
//!     answer.body(),
//!     r#"{"type":"/problems/out-of-stock","title":"out of stock","status":409,"detail":"COFFEE-1KG: 3 ordered, 2 left","sku":"COFFEE-1KG"}"#
//! );
//! ```
//!
//! A handler returns a [`Problem`] without knowing the request; [`ProblemsLayer`] adds `request_id` and `instance` on the
//! way out, and turns errors that came without a body (a router's 404 and 405) or as plain text (axum's rejections) into
//! problems too. Which fields of a request were wrong, [`Problem::errors`] says; a report of garde's converts by itself.
//!
//! `instance` names the occurrence (RFC 9457, section 3.1.5), not the path: it is `urn:uuid:` and the request's id, unless
//! the handler set [another](Problem::instance).

mod fields;
mod layer;
pub(crate) mod steering;

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use mainstay_core::RequestContext;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::form::Form;
pub use fields::FieldError;
pub use layer::{Problems, ProblemsConfig, ProblemsFuture, ProblemsLayer};

/// An error as its reader sees it (RFC 9457): what kind, what happened, and to which request.
///
/// Whatever is put in is shown to the caller: no secret, no internals. One allocation, and one for each text that is not
/// `'static`; problems are for the path that failed.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    status: StatusCode,
    kind: Cow<'static, str>,
    title: Option<Cow<'static, str>>,
    detail: Option<Cow<'static, str>>,
    instance: Option<Cow<'static, str>>,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with this status, of the kind `about:blank`, titled with the status's usual phrase.
    pub fn new(status: StatusCode) -> Self {
        Self(Box::new(Inner {
            status,
            kind: Cow::Borrowed("about:blank"),
            title: None,
            detail: None,
            instance: None,
            members: Map::new(),
            headers: Vec::new(),
        }))
    }

    /// The URI (absolute, or a path) that names the kind of problem: `type` in the body.
    #[must_use]
    pub fn kind(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.0.kind = uri.into();
        self
    }

    /// A short name of the kind of problem, the same for all its occurrences.
    #[must_use]
    pub fn title(mut self, title: impl Into<Cow<'static, str>>) -> Self {
        self.0.title = Some(title.into());
        self
    }

    /// What went wrong this time, and what the caller can do about it.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// The URI of this one occurrence, instead of the URN that is made of the request's id.
    #[must_use]
    pub fn instance(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.0.instance = Some(uri.into());
        self
    }

    /// One more member of the body. A name of RFC 9457's own, or `request_id`, is not taken; a value that cannot be
    /// written as JSON becomes `null`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        if !matches!(name, "type" | "title" | "status" | "detail" | "instance" | "request_id") {
            self.0.members.insert(name.to_owned(), serde_json::to_value(value).unwrap_or(Value::Null));
        }
        self
    }

    /// One more header of the answer, for example `retry-after`; a name may come several times.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The whole answer: `application/problem+json`, without its body for HEAD.
    ///
    /// With a context the body names the request: `request_id`, and, when that is a UUID, `instance` as its URN.
    pub fn to_response(&self, form: Form, context: Option<&RequestContext>) -> Response<Bytes> {
        let body = self.body(context);
        let length = body.len();
        let mut response = Response::new(if form == Form::HttpHead { Bytes::new() } else { body });
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        if form == Form::HttpHead {
            // As GET would say it (RFC 9110, section 8.6); for GET the server says it itself.
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in &self.0.headers {
            headers.append(name.clone(), value.clone());
        }
        response
    }

    fn body(&self, context: Option<&RequestContext>) -> Bytes {
        let request_id = context.map(|context| context.request_id().as_str());
        let body =
            Body {
                kind: &self.0.kind,
                title: self.0.title.as_deref().or_else(|| self.0.status.canonical_reason()),
                status: self.0.status.as_u16(),
                detail: self.0.detail.as_deref(),
                instance: self.0.instance.clone().or_else(|| {
                    request_id.filter(|id| is_uuid(id)).map(|id| format!("urn:uuid:{id}").into())
                }),
                request_id,
                members: &self.0.members,
            };
        serde_json::to_vec(&body).expect("texts, numbers and JSON values can be written as JSON").into()
    }
}

/// The members in the order of RFC 9457, then the others by name.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

fn is_uuid(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponse for Problem {
    /// The answer without the request's id, and the problem itself in the extensions, for [`ProblemsLayer`] to complete.
    fn into_response(self) -> axum::response::Response {
        let mut response = self.to_response(Form::Http, None).map(axum::body::Body::from);
        response.extensions_mut().insert(self);
        response
    }
}
