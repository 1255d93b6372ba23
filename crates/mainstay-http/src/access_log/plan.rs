//! What the settings mean, worked out once: which headers are kept, which calls skipped, which part sampled.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::Body;
use mainstay_core::{FieldValue, Outcome};
use serde_json::{Map, Value};

use super::config::{AccessLogConfig, LoggedHeader};
use super::morgan::LogFormat;
use super::record::text;
use super::redact::{REDACTED_HEADER, is_secret};

/// The most lines of one header that are logged.
const MOST_VALUES: usize = 16;

/// What is known of a call when it has ended, for a closure that decides whether it is logged.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Seen<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The request's path, as the client sent it.
    pub path: &'a str,
    /// The user agent's bytes.
    pub user_agent: Option<&'a [u8]>,
    /// The answer's status, if there was an answer.
    pub status: Option<u16>,
    /// What became of the call.
    pub outcome: Outcome,
}

type SkipIf = dyn Fn(&Seen<'_>) -> bool + Send + Sync;

#[derive(Clone)]
pub(super) struct Plan {
    pub(super) config: AccessLogConfig,
    request_headers: Vec<HeaderName>,
    response_headers: Vec<HeaderName>,
    skip_if: Vec<Arc<SkipIf>>,
}

/// The headers of one exchange that its line shows.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) request: HeaderMap,
    pub(super) response: HeaderMap,
}

// === impl Plan ===

impl Plan {
    pub(super) fn new(config: &AccessLogConfig) -> Self {
        let listed = |headers: &[LoggedHeader]| headers.iter().map(|header| header.0.clone()).collect();
        let (request_headers, response_headers) = match &config.format {
            LogFormat::Structured => (listed(&config.request_headers), listed(&config.response_headers)),
            LogFormat::Line(line) => (line.request_headers().collect(), line.response_headers().collect()),
        };
        Self { config: config.clone(), request_headers, response_headers, skip_if: Vec::new() }
    }

    pub(super) fn skipping(&self, skip: impl Fn(&Seen<'_>) -> bool + Send + Sync + 'static) -> Self {
        let mut plan = self.clone();
        plan.skip_if.push(Arc::new(skip));
        plan
    }

    /// Keeps what the line shows of the request's headers, if it shows any headers at all.
    pub(super) fn shown(&self, request: &HeaderMap) -> Option<Box<Shown>> {
        if self.request_headers.is_empty() && self.response_headers.is_empty() {
            return None;
        }
        let mut shown = Box::<Shown>::default();
        copy(&self.request_headers, request, &mut shown.request);
        Some(shown)
    }

    pub(super) fn show_answer<B: Body>(&self, shown: &mut Shown, response: &Response<B>) {
        copy(&self.response_headers, response.headers(), &mut shown.response);
        // A server writes the length that the body knows, further out than this.
        let length = response.body().size_hint().exact().filter(|length| *length > 0);
        if let Some(length) = length
            && self.response_headers.contains(&CONTENT_LENGTH)
        {
            shown.response.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
        }
    }

    pub(super) fn skips(&self, seen: &Seen<'_>) -> bool {
        let rules = &self.config.skip;
        let agent_begins =
            |begin: &String| seen.user_agent.is_some_and(|agent| agent.starts_with(begin.as_bytes()));
        rules.paths.iter().any(|path| path == seen.path)
            || rules.path_prefixes.iter().any(|prefix| seen.path.starts_with(prefix.as_str()))
            || rules.methods.iter().any(|method| method == seen.method)
            || rules.user_agents.iter().any(agent_begins)
            || rules
                .status_classes
                .iter()
                .any(|class| seen.status.is_some_and(|status| status / 100 == u16::from(*class)))
            || self.skip_if.iter().any(|skip| skip(seen))
    }
}

impl Debug for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A name that is listed twice is copied once.
fn copy(names: &[HeaderName], from: &HeaderMap, to: &mut HeaderMap) {
    for name in names {
        if !to.contains_key(name) {
            for value in from.get_all(name).iter().take(MOST_VALUES) {
                to.append(name.clone(), value.clone());
            }
        }
    }
}

/// Whether a call with this trace id belongs to the part that is logged.
///
/// OpenTelemetry's consistent probability sampling: the last 56 bits of the id, which are random, against a threshold. Every
/// hop of a trace decides alike, and one that logs a larger part logs whatever one with a smaller part does.
pub(super) fn keeps(rate: f64, trace_id: [u8; 16]) -> bool {
    const RANGE: f64 = (1_u64 << 56) as f64;
    let random = trace_id[9..].iter().fold(0_u64, |random, byte| random << 8 | u64::from(*byte));
    #[expect(clippy::cast_precision_loss, reason = "three of 56 bits, beyond what any rate tells apart")]
    let random = random as f64;
    rate > 0.0 && random >= (1.0 - rate) * RANGE
}

/// The listed headers that were there, as a JSON object of lists by OpenTelemetry's names; `side` is `request` or `response`.
pub(super) fn headers_text(side: &str, names: &[LoggedHeader], headers: &HeaderMap) -> Option<String> {
    let mut object = Map::new();
    for LoggedHeader(name) in names {
        let shown = |value: &HeaderValue| {
            if is_secret(name, value) { REDACTED_HEADER.into() } else { Value::from(text(value)) }
        };
        let values: Vec<Value> = headers.get_all(name).iter().map(shown).collect();
        if !values.is_empty() {
            object.insert(format!("http.{side}.header.{name}"), values.into());
        }
    }
    (!object.is_empty()).then(|| Value::Object(object).to_string())
}

/// The handler's fields as a JSON object.
pub(super) fn fields_text(fields: &[(&'static str, FieldValue)]) -> Option<String> {
    let value = |value: &FieldValue| match value {
        FieldValue::Text(text) => Value::from(text.as_ref()),
        FieldValue::Integer(number) => (*number).into(),
        FieldValue::Number(number) => (*number).into(),
        FieldValue::Boolean(yes) => (*yes).into(),
        other => other.to_string().into(),
    };
    let object: Map<String, Value> =
        fields.iter().map(|(name, field)| ((*name).to_owned(), value(field))).collect();
    (!object.is_empty()).then(|| Value::Object(object).to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::keeps;

    proptest! {
        #[test]
        fn a_larger_part_holds_every_smaller_one(id: [u8; 16], one in 0.0..=1.0, other in 0.0..=1.0) {
            let (less, more) = if one < other { (one, other) } else { (other, one) };
            prop_assert!(!keeps(less, id) || keeps(more, id));
            prop_assert!(keeps(1.0, id) && !keeps(0.0, id));
        }
    }

    #[test]
    fn the_part_that_is_kept_is_as_large_as_asked_for() {
        let kept = |rate| (0..=255_u8).filter(|byte| keeps(rate, [*byte; 16])).count();
        assert_eq!((kept(0.25), kept(0.5)), (64, 128));
    }
}
