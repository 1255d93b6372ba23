//! Fields on their way into a line.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::ops::Range;

use serde::Serialize;
use serde::de::IgnoredAny;
use tracing::field::{Field, Visit};

use super::Style;
use super::escape::{Escaped, push_escaped, push_string};
use crate::redact::REDACTED;

/// The longest chain of causes that is written.
const MAX_CAUSES: usize = 16;

/// Writes `,"name":value` for each field.
pub(super) struct Fields<'a> {
    line: &'a mut Vec<u8>,
    style: &'a Style,
    pub(super) has_request_id: bool,
}

/// The fields of a span, as they stand in its lines.
#[derive(Default)]
pub(super) struct SpanFields {
    text: Vec<u8>,
    fields: Vec<(&'static str, Range<usize>)>,
}

/// Notes which part of the text is which field's, and replaces that of one that is recorded again.
pub(super) struct SpanRecorder<'a> {
    span: &'a mut SpanFields,
    style: &'a Style,
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub(super) fn new(line: &'a mut Vec<u8>, style: &'a Style) -> Self {
        Self { line, style, has_request_id: false }
    }

    pub(super) fn text(&mut self, name: &'static str, text: &str) {
        if self.name(name) {
            push_string(self.line, text);
        }
    }

    pub(super) fn display(&mut self, name: &'static str, value: &dyn fmt::Display) {
        self.written(name, format_args!("{value}"));
    }

    fn written(&mut self, name: &'static str, value: fmt::Arguments<'_>) {
        if self.name(name) {
            self.line.push(b'"');
            // A `Display` that fails leaves what it has written.
            Escaped(self.line).write_fmt(value).ok();
            self.line.push(b'"');
        }
    }

    fn plain(&mut self, name: &'static str, value: impl Serialize) {
        if self.name(name) {
            // Writing to a vector does not fail. Not a number and infinity are `null`.
            serde_json::to_writer(&mut *self.line, &value).ok();
        }
    }

    /// Writes the name; `false` when the value is not to be seen, and something else stands in its place.
    fn name(&mut self, name: &'static str) -> bool {
        self.has_request_id |= name == "request_id";
        self.line.extend_from_slice(b",\"");
        push_escaped(self.line, self.style.name(name));
        self.line.extend_from_slice(b"\":");
        let is_hidden = self.style.redact.hides(name);
        if is_hidden {
            push_string(self.line, REDACTED);
        }
        !is_hidden
    }

    /// The text of an object of JSON, which is written as one: under its own name, or its members among the other fields. One with a
    /// member that is not to be seen is hidden as a whole.
    fn object(&mut self, name: &'static str, text: &str, is_spread: bool) {
        match members(text) {
            None => self.text(name, text),
            Some(members) if members.keys().any(|member| self.style.redact.hides(member)) => {
                self.text(name, REDACTED);
            }
            Some(_) if !is_spread => {
                if self.name(name) {
                    self.line.extend_from_slice(text.as_bytes());
                }
            }
            Some(_) => {
                let inside = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
                if let Some(inside) = inside.filter(|inside| !inside.trim().is_empty()) {
                    self.line.push(b',');
                    self.line.extend_from_slice(inside.as_bytes());
                }
            }
        }
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // The access log's own objects: a field of `tracing` has no value that is one.
        match field.name() {
            name @ ("http.request.headers" | "http.response.headers") => self.object(name, value, true),
            name @ "fields" => self.object(name, value, false),
            name => self.text(name, value),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field.name(), value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.plain(field.name(), value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.plain(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.plain(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        if self.name(field.name()) {
            self.line.push(b'"');
            write!(Escaped(self.line), "{value}").ok();
            let mut cause = value.source();
            for _ in 0..MAX_CAUSES {
                let Some(error) = cause else { break };
                write!(Escaped(self.line), ": {error}").ok();
                cause = error.source();
            }
            self.line.push(b'"');
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.written(field.name(), format_args!("{value:?}"));
    }
}

// === impl SpanFields ===

impl SpanFields {
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn recorder<'a>(&'a mut self, style: &'a Style) -> SpanRecorder<'a> {
        SpanRecorder { span: self, style }
    }

    fn forget(&mut self, name: &'static str) {
        let Some(at) = self.fields.iter().position(|(known, _)| *known == name) else { return };
        let (_, gone) = self.fields.remove(at);
        self.text.drain(gone.clone());
        for (_, range) in &mut self.fields[at..] {
            *range = range.start - gone.len()..range.end - gone.len();
        }
    }
}

// === impl SpanRecorder ===

impl SpanRecorder<'_> {
    fn record(&mut self, field: &Field, record: impl FnOnce(&mut Fields<'_>)) {
        self.span.forget(field.name());
        let start = self.span.text.len();
        record(&mut Fields::new(&mut self.span.text, self.style));
        self.span.fields.push((field.name(), start..self.span.text.len()));
    }
}

impl Visit for SpanRecorder<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, |fields| fields.record_str(field, value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record(field, |fields| fields.record_i64(field, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record(field, |fields| fields.record_u64(field, value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.record(field, |fields| fields.record_i128(field, value));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.record(field, |fields| fields.record_u128(field, value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.record(field, |fields| fields.record_bool(field, value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.record(field, |fields| fields.record_f64(field, value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record(field, |fields| fields.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record(field, |fields| fields.record_debug(field, value));
    }
}

/// The names of the members of an object of JSON that stands on one line; `None` if the text is none.
fn members(text: &str) -> Option<HashMap<String, IgnoredAny>> {
    let breaks = |character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    if text.contains(breaks) { None } else { serde_json::from_str(text).ok() }
}
