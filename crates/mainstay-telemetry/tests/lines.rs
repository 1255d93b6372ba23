//! What a record looks like on the writer.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use mainstay_core::{Parts, RequestContext, RequestId, TraceContext, ambient};
use mainstay_telemetry::{
    LogConfig, LogFormat, LogNames, TelemetryConfig, TelemetryError, subscriber, subscriber_with_levels,
};
use mainstay_testkit::alloc::count_allocations;
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
fn a_field_that_a_span_records_again_has_its_last_value_only() {
    let lines = logged(LogFormat::Json, "info", || {
        let span = tracing::info_span!("request", user = tracing::field::Empty, id = 7, user_count = 1);
        span.record("user", "unknown");
        span.record("id", 8);
        span.record("user", "ada");
        span.in_scope(|| tracing::info!("hello"));
    });
    assert!(lines.contains(r#""span":{"name":"request","user_count":1,"id":8,"user":"ada"}}"#), "{lines}");
}

#[derive(Debug)]
struct Failed(std::num::ParseIntError);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no number in \"line\n3\"")
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn every_kind_of_value_has_its_form_in_json() {
    let failed = Failed("x".parse::<u8>().unwrap_err());
    let error: &(dyn std::error::Error + 'static) = &failed;
    let lines = logged(LogFormat::Json, "info", || {
        tracing::info!(
            text = "a",
            yes = true,
            small = -1_i64,
            large = u64::MAX,
            huge = u128::MAX,
            half = 0.5,
            nan = f64::NAN,
            infinite = f64::INFINITY,
            absent = None::<u8>,
            present = Some(3_u8),
            display = %"b",
            debug = ?["c"],
            error,
            r#type = "keyword",
            "quoted \"name\"" = 1,
        );
    });
    let (_, fields) = lines.split_once("Z\",").unwrap();
    insta::assert_snapshot!(fields.trim());
    assert!(serde_json::from_str::<Value>(&lines).is_ok(), "{lines}");
}

/// The context of a call, as the edge makes it.
fn context() -> RequestContext {
    let trace = TraceContext::root([1; 16], [2; 8]);
    let id = RequestId::parse(b"r-1").expect("a sane id");
    RequestContext::new(Parts::new(id, trace, tokio::time::Instant::now().into_std()))
}

#[test]
fn an_event_inside_of_a_call_has_the_calls_ids_unless_it_has_its_own() {
    let mut slot = Some(context());
    let lines = logged(LogFormat::Json, "info", || {
        let _lent = ambient::lend(&mut slot);
        tracing::info!("inside");
        tracing::info!(request_id = "its own", "inside");
    });
    let (inside, own) = lines.split_once('\n').unwrap();
    let (_, fields) = inside.split_once("Z\",").unwrap();
    insta::assert_snapshot!(fields, @r#""level":"INFO","message":"inside","request_id":"r-1","correlation_id":"r-1","trace_id":"01010101010101010101010101010101","span_id":"0202020202020202","target":"lines"}"#);
    assert!(own.contains("its own") && !own.contains("r-1"), "{own}");
}

#[test]
fn lines_can_have_the_names_of_ecs_and_of_pino() {
    let event = || {
        let _span = tracing::info_span!("request", trace_id = "t").entered();
        tracing::warn!(request_id = "r", duration_ms = 1.5, http.response.body.size = 3, "slow");
    };
    let named = |names| {
        let config = LogConfig { names, ..LogConfig::default() };
        let mut record: Value = serde_json::from_str(&logged_by(&config, event)).unwrap();
        for key in ["@timestamp", "time"] {
            if let Some(time) = record.get_mut(key) {
                assert!(time.is_string() == (key == "@timestamp"));
                *time = Value::Null;
            }
        }
        record
    };
    insta::assert_snapshot!(named(LogNames::Ecs), @r#"{"@timestamp":null,"duration_ms":1.5,"ecs.version":"8.17.0","http.request.id":"r","http.response.body.bytes":3,"log.level":"WARN","log.logger":"lines","message":"slow","span":{"name":"request","trace.id":"t"}}"#);
    insta::assert_snapshot!(named(LogNames::Pino), @r#"{"http.response.body.size":3,"level":40,"msg":"slow","name":"lines","reqId":"r","responseTime":1.5,"span":{"name":"request","trace_id":"t"},"time":null}"#);
}

#[test]
fn fields_that_the_settings_hide_are_hidden_in_both_forms_and_in_spans() {
    for format in [LogFormat::Json, LogFormat::Pretty] {
        let lines = logged(format, "info", || {
            let _span = tracing::info_span!("login", password = "hunter2", user = "ada").entered();
            tracing::info!(token = %"hunter2", db.password = ?"hunter2", secret = 42, "said");
        });
        assert!(!lines.contains("hunter2") && !lines.contains("42"), "{lines}");
        assert_eq!((lines.matches("[redacted]").count(), lines.contains("ada")), (4, true), "{lines}");
    }
}

#[test]
fn the_access_logs_objects_are_objects_and_what_only_looks_like_one_is_text() {
    let lines = logged(LogFormat::Json, "info", || {
        let headers = r#"{"http.request.header.accept":["a","b"]}"#;
        tracing::info!(http.request.headers = headers, fields = r#"{"order":7}"#);
        tracing::info!(http.request.headers = "{}", fields = r#"{"a":1},"level":"x""#);
        tracing::info!(fields = "{\"a\":\n1}", http.response.headers = r#"{"x":{"y":1}}"#);
        tracing::info!(fields = r#"{"order":7,"card.token":"t"}"#);
    });
    let records: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records[0]["http.request.header.accept"], serde_json::json!(["a", "b"]));
    assert_eq!(records[0]["fields"]["order"], 7);
    assert_eq!(records[1]["fields"], r#"{"a":1},"level":"x""#);
    assert_eq!((&records[2]["fields"], &records[2]["x"]["y"]), (&"{\"a\":\n1}".into(), &1.into()));
    assert_eq!(records[3]["fields"], "[redacted]");
}

#[test]
fn a_field_that_logs_while_it_is_written_makes_a_line_of_its_own() {
    struct Chatty;
    impl std::fmt::Display for Chatty {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            tracing::info!("inner");
            f.write_str("done")
        }
    }
    let lines = logged(LogFormat::Json, "info", || tracing::info!(chatty = %Chatty, "outer"));
    for line in lines.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
    assert!(lines.contains(r#""chatty":"done""#), "{lines}");
}

/// A writer that always fails, as a full disk or a closed pipe does.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

#[test]
fn a_writer_that_fails_stops_nobody() {
    for format in [LogFormat::Json, LogFormat::Pretty] {
        let subscriber = subscriber(&config(format, "info"), || Full).unwrap();
        tracing::subscriber::with_default(subscriber, || tracing::info!("lost"));
    }
}

#[test]
fn a_line_allocates_nothing_once_its_buffer_has_grown() {
    let subscriber = subscriber(&TelemetryConfig::default(), io::sink).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let log = || tracing::info!(order = 42, path = "/a\nb", share = 0.5, agent = %"x", "order placed");
        log();
        assert_eq!(count_allocations(log).count, 0);
    });
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
fn levels_change_while_the_process_runs_and_a_misspelt_one_changes_nothing() {
    let lines = Lines::default();
    let (subscriber, levels) = subscriber_with_levels(&TelemetryConfig::default(), lines.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let log = |text| {
            tracing::debug!("debug {text}");
            tracing::info!("info {text}");
        };
        log("one");
        levels.set("debug").unwrap();
        log("two");
        levels.set("off,lines=inof").unwrap_err();
        log("three");
        levels.set("off").unwrap();
        log("four");
        assert_eq!(levels.current(), "off");
    });
    assert!(matches!(levels.set("info"), Err(TelemetryError::Gone)));
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let messages: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["message"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(messages, ["info one", "debug two", "info two", "debug three", "info three"]);
}

#[test]
fn unvalidated_settings_are_refused() {
    let error = subscriber(&config(LogFormat::Json, "inof"), io::sink).err().unwrap();
    assert!(matches!(error, TelemetryError::Level(_)), "{error}");
    assert!(error.to_string().contains("`inof`"), "{error}");
}

fn config(format: LogFormat, level: &str) -> TelemetryConfig {
    TelemetryConfig { log: LogConfig { format, level: level.to_owned(), ..LogConfig::default() } }
}

fn logged(format: LogFormat, level: &str, events: impl FnOnce()) -> String {
    logged_by(&config(format, level).log, events)
}

fn logged_by(config: &LogConfig, events: impl FnOnce()) -> String {
    let lines = Lines::default();
    let config = TelemetryConfig { log: config.clone() };
    let subscriber = subscriber(&config, lines.clone()).expect("a valid level");
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
