//! The JSON form of a record: one line, written straight into a buffer that its thread keeps.
//!
//! A line is put together in one pass: the event's fields are escaped as they are visited, the fields of a span once, when it is made.
//! In between there is no map, no `serde_json::Value` and no second look; a line allocates nothing once its thread's buffer has grown, and
//! is given to the writer in one `write`.

mod escape;
mod fields;
mod timestamp;

use std::cell::Cell;
use std::io::Write as _;
use std::time::SystemTime;

use mainstay_core::{RequestContext, ambient};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use crate::config::{LogConfig, LogNames};
use crate::redact::Redact;
use escape::push_string;
use fields::{Fields, SpanFields};

/// A buffer that grew beyond this is not kept for the next line.
const KEPT: usize = 64 * 1024;

thread_local! {
    // Taken while a line is made: a field whose `Display` logs gets another one.
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Writes each event as a line of JSON.
pub(crate) struct JsonLayer<W> {
    make_writer: W,
    style: Style,
}

/// How fields are named, and which are hidden.
pub(crate) struct Style {
    names: LogNames,
    redact: Redact,
}

impl<W> JsonLayer<W> {
    pub(crate) fn new(config: &LogConfig, make_writer: W) -> Self {
        Self { make_writer, style: Style { names: config.names, redact: Redact::new(&config.redact) } }
    }
}

impl<S, W> Layer<S> for JsonLayer<W>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = SpanFields::default();
        attributes.record(&mut fields.recorder(&self.style));
        span.extensions_mut().replace(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<SpanFields>() {
            values.record(&mut fields.recorder(&self.style));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = LINE.take();
        line.clear();
        self.style.line(&mut line, event, context.event_span(event), SystemTime::now());
        // Nobody is left to be told where the log itself cannot be written; the request goes on.
        self.make_writer.make_writer_for(event.metadata()).write_all(&line).ok();
        if line.capacity() <= KEPT {
            LINE.set(line);
        }
    }
}

impl Style {
    fn line<'s, S>(
        &self,
        line: &mut Vec<u8>,
        event: &Event<'_>,
        span: Option<SpanRef<'s, S>>,
        now: SystemTime,
    ) where
        S: LookupSpan<'s>,
    {
        let metadata = event.metadata();
        self.head(line, *metadata.level(), now);
        let mut fields = Fields::new(line, self);
        event.record(&mut fields);
        if !fields.has_request_id
            && let Some(context) = ambient::current()
        {
            fields.context(&context);
        }
        self.tail(line, metadata);
        if let Some(span) = span {
            line.extend_from_slice(b",\"span\":{\"name\":");
            push_string(line, span.name());
            if let Some(fields) = span.extensions().get::<SpanFields>() {
                line.extend_from_slice(fields.text());
            }
            line.push(b'}');
        }
        line.extend_from_slice(b"}\n");
    }

    fn head(&self, line: &mut Vec<u8>, level: Level, now: SystemTime) {
        match self.names {
            LogNames::Otel => line.extend_from_slice(b"{\"timestamp\":\""),
            LogNames::Ecs => line.extend_from_slice(b"{\"@timestamp\":\""),
            LogNames::Pino => {
                let (level, millis) = (pino_level(level), timestamp::epoch_millis(now));
                // Writing to a vector does not fail.
                write!(line, "{{\"level\":{level},\"time\":{millis}").ok();
                return;
            }
        }
        timestamp::push(line, now);
        let key: &[u8] =
            if self.names == LogNames::Ecs { b"\",\"log.level\":\"" } else { b"\",\"level\":\"" };
        line.extend_from_slice(key);
        line.extend_from_slice(level.as_str().as_bytes());
        line.push(b'"');
    }

    fn tail(&self, line: &mut Vec<u8>, metadata: &Metadata<'_>) {
        line.extend_from_slice(match self.names {
            LogNames::Otel => b",\"target\":".as_slice(),
            LogNames::Ecs => b",\"ecs.version\":\"8.17.0\",\"log.logger\":",
            LogNames::Pino => b",\"name\":",
        });
        push_string(line, metadata.target());
    }

    /// The name that a field has in the line.
    fn name(&self, field: &'static str) -> &'static str {
        let field = field.strip_prefix("r#").unwrap_or(field);
        match self.names {
            LogNames::Otel => field,
            LogNames::Ecs => match field {
                "trace_id" => "trace.id",
                "span_id" => "span.id",
                "request_id" => "http.request.id",
                "http.request.body.size" => "http.request.body.bytes",
                "http.response.body.size" => "http.response.body.bytes",
                "network.protocol.version" => "http.version",
                other => other,
            },
            LogNames::Pino => match field {
                "message" => "msg",
                "request_id" => "reqId",
                "duration_ms" => "responseTime",
                "error" => "err",
                other => other,
            },
        }
    }
}

impl Fields<'_> {
    /// Who the line belongs to, for events inside of a call that do not say so themselves.
    fn context(&mut self, context: &RequestContext) {
        self.text("request_id", context.request_id().as_str());
        self.text("correlation_id", context.correlation_id().as_str());
        self.display("trace_id", &context.trace().trace_id());
        self.display("span_id", &context.trace().span_id());
        if let Some(tenant) = context.tenant() {
            self.text("tenant", tenant.as_str());
        }
    }
}

/// The numbers that pino gives its levels.
const fn pino_level(level: Level) -> u8 {
    match level {
        Level::TRACE => 10,
        Level::DEBUG => 20,
        Level::INFO => 30,
        Level::WARN => 40,
        Level::ERROR => 50,
    }
}
