//! What a record looks like on the writer.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use mainstay_telemetry::{LogConfig, LogFormat, TelemetryConfig, TelemetryError, subscriber};
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

const NASTY: &str = "a\nb\r\u{1b}[31m\"q\"\u{2028}\u{85}\u{9b}c";

#[test]
fn json_has_the_events_fields_at_the_top_and_the_spans_under_span() {
    let lines = logged(LogFormat::Json, "info", || {
        let _outer = tracing::info_span!("outer", tenant = "acme").entered();
        let _span = tracing::info_span!("request", id = 7).entered();
        tracing::info!(order = 42, paid = true, "order placed");
    });
    let mut record: Value = serde_json::from_str(&lines).unwrap();
    let timestamp = record["timestamp"].take();
    insta::assert_snapshot!(record, @r#"{"level":"INFO","message":"order placed","order":42,"paid":true,"span":{"id":7,"name":"request"},"target":"lines","timestamp":null}"#);

    let timestamp = timestamp.as_str().unwrap();
    assert!(
        timestamp.len() == "2026-11-24T09:00:00.000000Z".len() && timestamp.ends_with('Z'),
        "{timestamp}"
    );
}

#[test]
fn the_pretty_form_is_one_line_without_colours_on_a_writer() {
    let lines = logged(LogFormat::Pretty, "info", || {
        let _span = tracing::info_span!("request", id = 7).entered();
        tracing::warn!(order = 42, "order placed");
    });
    let (_, after_timestamp) = lines.split_once('Z').unwrap();
    insta::assert_snapshot!(after_timestamp.trim(), @"WARN request{id=7}: lines: order placed order=42");
}

#[test]
fn a_record_is_one_line_whatever_is_in_its_fields() {
    for format in [LogFormat::Json, LogFormat::Pretty] {
        let lines = logged(format, "info", || {
            let _span = tracing::info_span!("request", path = NASTY, agent = %NASTY).entered();
            tracing::info!(path = NASTY, agent = %NASTY, debug = ?NASTY, "said {NASTY}");
        });
        let body = lines.strip_suffix('\n').unwrap();
        let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        assert!(!body.contains(breaks), "{format:?}: {body:?}");
        if format == LogFormat::Json {
            let record: Value = serde_json::from_str(body).unwrap();
            for field in [&record["path"], &record["agent"], &record["span"]["path"]] {
                assert_eq!(field, NASTY);
            }
        }
    }
}

#[test]
fn the_level_decides_for_all_and_for_a_module() {
    let log = || {
        tracing::info!("quiet");
        tracing::info!(target: "chatty", "shown");
    };
    let lines = logged(LogFormat::Json, "warn, chatty=info", log);
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(lines.contains("shown"));
}

#[test]
fn unvalidated_settings_are_refused() {
    let error = subscriber(&config(LogFormat::Json, "inof"), io::sink).err().unwrap();
    assert!(matches!(error, TelemetryError::Level(_)), "{error}");
    assert!(error.to_string().contains("`inof`"), "{error}");
}

fn config(format: LogFormat, level: &str) -> TelemetryConfig {
    TelemetryConfig { log: LogConfig { format, level: level.to_owned() } }
}

fn logged(format: LogFormat, level: &str, events: impl FnOnce()) -> String {
    let lines = Lines::default();
    let subscriber = subscriber(&config(format, level), lines.clone()).expect("a valid level");
    tracing::subscriber::with_default(subscriber, events);
    let bytes = lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    String::from_utf8(bytes).expect("text")
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
