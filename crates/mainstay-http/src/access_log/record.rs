//! What is remembered of one request until it is logged, which happens exactly when this is dropped.

use std::borrow::Cow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use http::header::{CONTENT_LENGTH, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use mainstay_core::{Outcome, Phase, Reason, RequestContext};
use tokio::time::Instant;
use tracing::Level;

use super::config::QueryLog;
use super::morgan::{Exchange, LineFormat, LogFormat};
use super::plan::{Plan, Seen, Shown, fields_text, headers_text, keeps};
use super::redact;
use crate::answer::Ended;
use crate::context::LoggedOutside;
use crate::form::Form;
use crate::headers::GRPC_STATUS;

const TARGET: &str = "mainstay::access";

/// The longest path and user agent that are logged, in bytes.
const MAX_FIELD: usize = 1_024;

/// gRPC's codes for what nobody said.
const CANCELLED: u16 = 1;
const UNKNOWN: u16 = 2;

/// One request on its way to its one event.
///
/// The event is written in `drop` and nowhere else, so there is exactly one whatever becomes of the request; the methods
/// only note what has happened by then. Everything that a line can say is in here or follows from it, so a writer of its own
/// format can read it without `tracing`'s visitors.
#[derive(Debug)]
pub(crate) struct Record {
    plan: Arc<Plan>,
    // Only where the settings ask for headers.
    shown: Option<Box<Shown>>,
    context: Option<RequestContext>,
    form: Form,
    method: Method,
    uri: Uri,
    version: Version,
    user_agent: Option<HeaderValue>,
    route: Route,
    started: Instant,
    status: Option<StatusCode>,
    grpc_status: Option<u16>,
    first_byte: Option<Duration>,
    bytes_sent: u64,
    // How many bytes the body has, where that is known before.
    length: Option<u64>,
    // What the log says if nothing more happens.
    outcome: Outcome,
    // What it says once the body has ended well.
    outcome_at_end: Outcome,
    // How many bytes the request announced.
    announced: Option<u64>,
    // From the beginning to the end, once that is there.
    total: Duration,
}

#[cfg(feature = "axum")]
type Route = Option<axum::extract::MatchedPath>;
#[cfg(not(feature = "axum"))]
type Route = Option<&'static str>;

impl Record {
    /// Whether the subscriber takes the event at any level: where it does not, nothing is recorded.
    pub(super) fn is_wanted() -> bool {
        tracing::enabled!(target: TARGET, Level::ERROR)
    }

    /// Notes what the request says. Clones share the request's own buffers.
    pub(super) fn begin<B>(plan: &Arc<Plan>, request: &mut Request<B>) -> Self {
        let context = request.extensions().get::<RequestContext>().cloned();
        if context.is_none() {
            request.extensions_mut().insert(LoggedOutside);
        }
        let started = context.as_ref().map_or_else(Instant::now, |context| context.received_at().into());
        Self {
            plan: Arc::clone(plan),
            shown: plan.shown(request.headers()),
            announced: content_length(request.headers()),
            total: Duration::ZERO,
            context,
            form: Form::of(request),
            method: request.method().clone(),
            uri: original_uri(request).clone(),
            version: request.version(),
            user_agent: request.headers().get(USER_AGENT).cloned(),
            route: route_of(request),
            started,
            status: None,
            grpc_status: None,
            first_byte: None,
            bytes_sent: 0,
            length: None,
            outcome: Outcome::Abandoned(Phase::Answer),
            outcome_at_end: Outcome::Complete,
        }
    }

    /// The response's headers are there.
    pub(super) fn answered<B: Body>(&mut self, response: &Response<B>) {
        self.first_byte = Some(self.started.elapsed());
        self.status = Some(response.status());
        self.grpc_status = grpc_status(response.headers());
        self.length = length_of(response);
        self.outcome_at_end =
            response.extensions().get().map_or(Outcome::Complete, |Ended(outcome)| *outcome);
        if is_upgrade(&self.method, response.status()) {
            self.outcome_at_end = Outcome::Upgraded;
        }
        if let Some(shown) = &mut self.shown {
            self.plan.show_answer(shown, response);
        }
        // Where nothing is to follow, the body is dropped unread although all is well.
        self.outcome = if self.has_no_body(response.status()) || response.body().is_end_stream() {
            self.outcome_at_end
        } else {
            Outcome::Abandoned(Phase::Stream)
        };
    }

    /// The service returned an error instead of a response.
    pub(super) fn failed(&mut self) {
        self.outcome = Outcome::Failed(Phase::Answer);
    }

    /// So many bytes of the body were taken.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes_sent += bytes as u64;
        if self.length.is_some_and(|length| self.bytes_sent >= length) {
            // A server that has written the length it announced asks for no more; trailers may still follow.
            self.outcome = self.outcome_at_end;
        }
    }

    /// The body's trailers were taken; gRPC's status is in them.
    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        self.grpc_status = grpc_status(trailers).or(self.grpc_status);
    }

    /// The body failed.
    pub(super) fn body_failed(&mut self) {
        self.outcome = Outcome::Failed(Phase::Stream);
    }

    /// The whole body was taken.
    pub(super) fn ended(&mut self) {
        self.outcome = self.outcome_at_end;
    }

    /// RFC 9110, section 6.4.1: these answers have no content, and servers drop the body that they were given.
    fn has_no_body(&self, status: StatusCode) -> bool {
        self.method == Method::HEAD
            || status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED
            || (self.method == Method::CONNECT && status.is_success())
    }

    /// What is known only at the very end.
    fn conclude(&mut self) {
        if let (Outcome::Abandoned(phase), true) = (self.outcome, thread::panicking()) {
            self.outcome = Outcome::Panicked(phase);
        } else if let Some(noted) = self.context().and_then(RequestContext::noted_outcome) {
            self.outcome = noted;
        }
        if self.outcome == Outcome::Abandoned(Phase::Answer) && self.request_is_incomplete() {
            self.outcome = Outcome::Abandoned(Phase::Request);
        }
        self.total = self.started.elapsed();
        if self.form == Form::Grpc && self.status == Some(StatusCode::OK) {
            let unsaid = if matches!(self.outcome, Outcome::Abandoned(_)) { CANCELLED } else { UNKNOWN };
            self.grpc_status.get_or_insert(unsaid);
        }
    }

    /// Whether the caller was still sending, as far as the announced length and the count of what came tell.
    fn request_is_incomplete(&self) -> bool {
        let received = self.context().and_then(RequestContext::received);
        received.zip(self.announced).is_some_and(|(received, announced)| 0 < received && received < announced)
    }

    fn is_slow(&self) -> bool {
        self.plan.config.slow.is_some_and(|slow| self.total >= slow)
    }

    /// How many calls the line stands for, or `None` if there is to be no line.
    fn weight(&self) -> Option<f64> {
        if self.is_our_fault() {
            return Some(1.0);
        }
        let user_agent = self.user_agent.as_ref().map(HeaderValue::as_bytes);
        let status = self.status.map(|status| status.as_u16());
        let (method, path) = (self.method.as_str(), self.uri.path());
        if self.plan.skips(&Seen { method, path, user_agent, status, outcome: self.outcome }) {
            return None;
        }
        let rate = self.plan.config.sample;
        let ordinary = matches!(self.outcome, Outcome::Complete | Outcome::Upgraded) && !self.is_slow();
        match self.context() {
            Some(context) if rate < 1.0 && ordinary => {
                keeps(rate, context.trace().trace_id().to_bytes()).then(|| rate.recip())
            }
            _ => Some(1.0),
        }
    }

    /// The method that was called, where it is known to be one: anything else has too many values to group by.
    fn rpc(&self) -> Option<(&str, &str)> {
        const UNIMPLEMENTED: u16 = 12;
        let answered = self.form == Form::Grpc
            && self.grpc_status.is_some_and(|status| status != UNIMPLEMENTED)
            && !matches!(self.outcome, Outcome::Rejected(_) | Outcome::TimedOut(Phase::Answer));
        let (service, method) = self.uri.path().strip_prefix('/')?.split_once('/')?;
        (answered && !service.is_empty() && !method.is_empty() && !method.contains('/'))
            .then(|| (shortened(service), shortened(method)))
    }

    fn query(&self) -> Option<Cow<'_, str>> {
        Some(redact::query(self.uri.query()?, &self.plan.config.secret_parameters))
    }

    /// The line in morgan's words. The time of day is read here, and only where the line shows it.
    fn line(&self, format: &LineFormat) -> String {
        let empty = HeaderMap::new();
        let shown = self.shown.as_deref();
        let url = match self.query() {
            Some(query) => Cow::Owned(format!("{}?{query}", self.uri.path())),
            None if self.method == Method::CONNECT => Cow::Owned(self.uri.to_string()),
            None => Cow::Borrowed(self.uri.path()),
        };
        format.render(&Exchange {
            method: self.method.as_str(),
            url: &url,
            version: self.version,
            remote_address: self.context().and_then(RequestContext::client_address),
            request: shown.map_or(&empty, |shown| &shown.request),
            status: self.status,
            response: shown.map_or(&empty, |shown| &shown.response),
            first_byte: self.first_byte,
            total: self.total,
            now: if format.shows_date() { SystemTime::now() } else { SystemTime::UNIX_EPOCH },
        })
    }

    fn is_refused_for_want(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::TimedOut(_)
                | Outcome::Rejected(Reason::RateLimited | Reason::Overloaded | Reason::Unavailable)
        )
    }

    fn is_our_fault(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(Phase::Answer | Phase::Stream) | Outcome::Panicked(_))
            || self.status.is_some_and(|status| status.is_server_error())
            || matches!(self.grpc_status, Some(UNKNOWN | 4 | 12 | 13 | 14 | 15))
    }

    fn log(&self, weight: f64) {
        if let LogFormat::Line(format) = &self.plan.config.format {
            let line = self.line(format);
            match self.level() {
                Level::ERROR => tracing::event!(target: TARGET, Level::ERROR, "{line}"),
                Level::WARN => tracing::event!(target: TARGET, Level::WARN, "{line}"),
                _ => tracing::event!(target: TARGET, Level::INFO, "{line}"),
            }
            return;
        }
        let rpc = self.rpc();
        let query = if self.plan.config.query == QueryLog::Redacted { self.query() } else { None };
        let shown = self.shown.as_deref();
        let request_headers = shown
            .and_then(|shown| headers_text("request", &self.plan.config.request_headers, &shown.request));
        let response_headers = shown
            .and_then(|shown| headers_text("response", &self.plan.config.response_headers, &shown.response));
        let fields = self.context().and_then(|context| context.read_fields(fields_text));
        // One call site for each level: tracing fixes a level at compile time.
        macro_rules! event {
            ($level:expr) => {
                tracing::event!(
                    target: TARGET,
                    $level,
                    http.request.method = known(&self.method).unwrap_or("_OTHER"),
                    http.request.method_original = unknown(&self.method),
                    url.path = shortened(self.uri.path()),
                    url.query = query.as_deref().map(shortened),
                    http.route = route(&self.route),
                    rpc.service = rpc.map(|(service, _)| service),
                    rpc.method = rpc.map(|(_, method)| method),
                    http.response.status_code = self.status.map(|status| status.as_u16()),
                    rpc.grpc.status_code = self.grpc_status,
                    http.request.body.size = self.context().and_then(RequestContext::received),
                    http.response.body.size = self.bytes_sent,
                    network.protocol.version = protocol_version(self.version),
                    client.address = self.context().and_then(|c| c.client_address()).map(tracing::field::display),
                    user_agent.original = self.user_agent.as_ref().map(text).as_deref(),
                    http.request.headers = request_headers.as_deref(),
                    http.response.headers = response_headers.as_deref(),
                    fields = fields.as_deref(),
                    request_id = self.context().map(|c| c.request_id().as_str()),
                    request_id.refused = self.context().and_then(|c| c.refused_request_id()).map(|id| id.as_str()),
                    correlation_id = self.context().map(|c| c.correlation_id().as_str()),
                    trace_id = self.context().map(|c| tracing::field::display(c.trace().trace_id())),
                    span_id = self.context().map(|c| tracing::field::display(c.trace().span_id())),
                    tenant = self.context().and_then(|c| c.tenant()).map(|tenant| tenant.as_str()),
                    outcome = self.outcome.as_str(),
                    reason = reason(self.outcome).map(Reason::as_str),
                    time_to_first_byte_ms = self.first_byte.map(millis),
                    duration_ms = millis(self.total),
                    slow = self.is_slow().then_some(true),
                    sampling.weight = (self.plan.config.sample < 1.0).then_some(weight),
                    "request"
                )
            };
        }
        match self.level() {
            Level::ERROR => event!(Level::ERROR),
            Level::WARN => event!(Level::WARN),
            _ => event!(Level::INFO),
        }
    }

    fn level(&self) -> Level {
        if self.is_refused_for_want() {
            Level::WARN
        } else if self.is_our_fault() {
            Level::ERROR
        } else if self.is_slow() {
            Level::WARN
        } else {
            Level::INFO
        }
    }

    fn context(&self) -> Option<&RequestContext> {
        self.context.as_ref()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.conclude();
        if let Some(weight) = self.weight() {
            self.log(weight);
        }
    }
}

/// How many bytes the answer announces, or its body knows.
fn length_of<B: Body>(response: &Response<B>) -> Option<u64> {
    content_length(response.headers()).or_else(|| response.body().size_hint().exact())
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// RFC 9110, sections 9.3.6 and 15.2.2: from here on the connection, or a tunnel, speaks another protocol.
fn is_upgrade(method: &Method, status: StatusCode) -> bool {
    status == StatusCode::SWITCHING_PROTOCOLS || (*method == Method::CONNECT && status.is_success())
}

/// The methods that OpenTelemetry knows: anything else is of unbounded variety.
fn known(method: &Method) -> Option<&str> {
    const KNOWN: [&str; 10] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];
    KNOWN.into_iter().find(|known| *known == method.as_str())
}

fn unknown(method: &Method) -> Option<&str> {
    known(method).is_none().then(|| shortened(method.as_str()))
}

fn reason(outcome: Outcome) -> Option<Reason> {
    match outcome {
        Outcome::Rejected(reason) => Some(reason),
        Outcome::TimedOut(_) => Some(Reason::DeadlineExceeded),
        _ => None,
    }
}

/// The URI as the client sent it: axum's nested routers see only their part of the path.
#[cfg(feature = "axum")]
fn original_uri<B>(request: &Request<B>) -> &Uri {
    request.extensions().get::<axum::extract::OriginalUri>().map_or_else(|| request.uri(), |uri| &uri.0)
}

#[cfg(not(feature = "axum"))]
fn original_uri<B>(request: &Request<B>) -> &Uri {
    request.uri()
}

#[cfg(feature = "axum")]
fn route_of<B>(request: &Request<B>) -> Route {
    request.extensions().get().cloned()
}

#[cfg(feature = "axum")]
fn route(route: &Route) -> Option<&str> {
    route.as_ref().map(axum::extract::MatchedPath::as_str)
}

/// Only axum tells which of its routes matched; a path itself has too many values to stand for a route.
#[cfg(not(feature = "axum"))]
fn route_of<B>(_: &Request<B>) -> Route {
    None
}

#[cfg(not(feature = "axum"))]
const fn route(route: &Route) -> Option<&str> {
    *route
}

fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get(GRPC_STATUS)?.to_str().ok()?.parse().ok()
}

pub(super) fn text(value: &HeaderValue) -> Cow<'_, str> {
    match value.to_str() {
        Ok(text) => Cow::Borrowed(shortened(text)),
        Err(_) => Cow::Owned(shortened(&String::from_utf8_lossy(value.as_bytes())).to_owned()),
    }
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(MAX_FIELD);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn millis(length: Duration) -> f64 {
    // To the microsecond: more digits are noise in a line that people read.
    (length.as_secs_f64() * 1e6).round() / 1e3
}

fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}
