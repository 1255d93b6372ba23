//! What is noted of a call, and the one event that is made of it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, Uri};
use mainstay_core::call::{Attempts, CallFailure, Done, Verdict};
use mainstay_core::{Outcome, Phase, Reason, RequestContext, TenantId};
use tokio::time::Instant;
use tracing::{Level, Span};

use crate::problem::steering::without_steering;

pub(super) const TARGET: &str = "mainstay::client";

/// A call, or an attempt, that is not over yet. It is logged when it is: with a verdict, or by its drop.
#[derive(Debug)]
pub struct LoggedCall {
    kind: Kind,
    subject: Subject,
    // What happens for the call happens inside of it, its event too.
    pub(super) span: Span,
    started: Instant,
    // How long the answer took to begin.
    answered: Option<Duration>,
    status: Option<StatusCode>,
    attempts: Attempts,
    failed: Option<Failed>,
    verdict: Option<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Call,
    /// With its number, 1 for the first.
    Attempt(u32),
}

/// Who calls whom, and for whom.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    client: Arc<str>,
    method: Method,
    uri: Uri,
    pub(super) context: Option<RequestContext>,
}

#[derive(Debug)]
struct Failed {
    // None: the service failed by itself.
    refused: Option<Reason>,
    text: String,
}

// === impl Subject ===

impl Subject {
    /// Copies two reference-counted values.
    pub(super) fn of<B>(request: &Request<B>, client: Arc<str>, context: Option<RequestContext>) -> Self {
        Self { client, method: request.method().clone(), uri: request.uri().clone(), context }
    }
}

// === impl LoggedCall ===

impl LoggedCall {
    pub(super) fn begin(kind: Kind, subject: Subject, span: Span) -> Self {
        Self {
            kind,
            subject,
            span,
            started: Instant::now(),
            answered: None,
            status: None,
            attempts: Attempts::ONE,
            failed: None,
            verdict: None,
        }
    }

    pub(super) fn answered<B, E: CallFailure>(&mut self, result: Result<&Response<B>, &E>) {
        self.answered = Some(self.started.elapsed());
        match result {
            Ok(response) => {
                self.status = Some(response.status());
                self.attempts = response.extensions().get().copied().unwrap_or_default();
            }
            Err(error) => {
                self.attempts = error.attempts();
                let refused = error.rejection().map(|rejection| rejection.reason);
                self.failed = Some(Failed { refused, text: chain_of(error.as_error()) });
            }
        }
    }

    fn outcome(&self) -> Outcome {
        let phase = if self.answered.is_some() { Phase::Stream } else { Phase::Answer };
        match (&self.failed, self.verdict) {
            (Some(Failed { refused: Some(reason), .. }), _) => Outcome::of_rejection(*reason),
            (Some(_), _) => Outcome::Failed(Phase::Answer),
            (None, None) => Outcome::Abandoned(phase),
            // The status says the rest, unless the body broke.
            (None, Some(_)) => Outcome::Complete,
        }
    }

    fn level(&self) -> Level {
        let failed = self.failed.is_some() || self.verdict.is_some_and(Verdict::is_failure);
        match self.kind {
            Kind::Attempt(_) => Level::DEBUG,
            Kind::Call if failed => Level::WARN,
            Kind::Call if self.attempts.count > 1 => Level::INFO,
            Kind::Call => Level::DEBUG,
        }
    }

    fn log(&self) {
        let context = self.subject.context.as_ref();
        let uri = &self.subject.uri;
        let outcome = self.outcome();
        let (message, attempt) = match self.kind {
            Kind::Call => ("call", None),
            Kind::Attempt(number) => ("attempt", Some(number)),
        };
        // One call site for each level: tracing fixes a level at compile time.
        macro_rules! event {
            ($level:expr) => {
                tracing::event!(
                    target: TARGET,
                    $level,
                    client = &*self.subject.client,
                    http.request.method = self.subject.method.as_str(),
                    server.address = uri.host(),
                    server.port = uri.port_u16(),
                    url.path = uri.path(),
                    http.response.status_code = self.status.map(|status| status.as_u16()),
                    outcome = outcome.as_str(),
                    reason = self.failed.as_ref().and_then(|failed| failed.refused).map(Reason::as_str),
                    verdict = self.verdict.map(verdict_name),
                    error = self.failed.as_ref().map(|failed| without_steering(&failed.text)).as_deref(),
                    attempt,
                    attempts = (self.kind == Kind::Call).then_some(self.attempts.count),
                    time_to_first_byte_ms = self.answered.map(millis),
                    duration_ms = millis(self.started.elapsed()),
                    request_id = context.map(|context| context.request_id().as_str()),
                    correlation_id = context.map(|context| context.correlation_id().as_str()),
                    trace_id = context.map(|context| tracing::field::display(context.trace().trace_id())),
                    span_id = context.map(|context| tracing::field::display(context.trace().span_id())),
                    tenant = context.and_then(RequestContext::tenant).map(TenantId::as_str),
                    "{message}"
                )
            };
        }
        match self.level() {
            Level::WARN => event!(Level::WARN),
            Level::INFO => event!(Level::INFO),
            _ => event!(Level::DEBUG),
        }
    }
}

const fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Success => "success",
        Verdict::Failure => "failure",
        Verdict::Overloaded { .. } => "overloaded",
        Verdict::Ignored => "ignored",
    }
}

/// To the microsecond, as the access log.
fn millis(length: Duration) -> f64 {
    (length.as_secs_f64() * 1e6).round() / 1e3
}

/// The error with what caused it, each said once: clients' errors hide what happened in their sources.
fn chain_of(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = error.source();
    }
    text
}

impl Done for LoggedCall {
    fn done(mut self, verdict: Verdict) {
        self.verdict = Some(verdict);
    }
}

impl Drop for LoggedCall {
    fn drop(&mut self) {
        let _entered = self.span.enter();
        self.log();
    }
}
