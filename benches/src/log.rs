//! Where a variant's log lines go, and in which form: always through a subscriber of `tracing`, to a sink when counted.

use std::fs;
use std::io;
use std::sync::Arc;

use mainstay::telemetry::{self, TelemetryConfig};
use serde_json::Value;
use tempfile::NamedTempFile;
use tracing::dispatcher::{self, Dispatch};
use tracing_subscriber::fmt::MakeWriter;

/// The subscriber of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    /// There is none.
    Off,
    /// tracing-subscriber's JSON with the event's fields at the top and without the list of spans: the cheapest it has.
    Json,
    /// tracing-subscriber's JSON as its `json()` is.
    DefaultJson,
    /// [`mainstay::telemetry`]'s: the same fields in lines of its own writer, filtered by directives.
    Telemetry,
}

impl Log {
    /// Writes to a sink for the rest of this process.
    pub(crate) fn install(self) {
        if let Some(dispatch) = self.dispatch(io::sink) {
            dispatcher::set_global_default(dispatch).expect("a process installs one log, at its beginning");
        }
    }

    /// What is logged during `work`, parsed.
    pub(crate) fn lines_of<T>(self, work: impl FnOnce() -> T) -> (T, Vec<Value>) {
        let file = NamedTempFile::new().expect("there is room for a file");
        let writer = Arc::new(file.reopen().expect("the file is there"));
        let result = match self.dispatch(writer) {
            Some(dispatch) => dispatcher::with_default(&dispatch, work),
            None => work(),
        };
        let written = fs::read_to_string(file.path()).expect("a log is text");
        (result, written.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect())
    }

    fn dispatch<W>(self, writer: W) -> Option<Dispatch>
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let json = || tracing_subscriber::fmt().json();
        match self {
            Self::Off => None,
            Self::Json => Some(Dispatch::new(
                json().flatten_event(true).with_span_list(false).with_writer(writer).finish(),
            )),
            Self::DefaultJson => Some(Dispatch::new(json().with_writer(writer).finish())),
            Self::Telemetry => {
                let subscriber = telemetry::subscriber(&TelemetryConfig::default(), writer);
                Some(Dispatch::new(subscriber.expect("the default settings are valid")))
            }
        }
    }
}
