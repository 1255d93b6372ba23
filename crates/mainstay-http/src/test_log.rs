//! Captures what tests log, as the JSON lines that a user would see.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value;
use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber, set_default};

/// Everything that this thread logs while it lives.
pub(crate) struct TestLog {
    written: Written,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl TestLog {
    pub(crate) fn start() -> Self {
        Self::start_at(tracing::Level::INFO)
    }

    /// The same, with less important events too.
    pub(crate) fn start_at(level: tracing::Level) -> Self {
        several_subscribers_are_registered();
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(move || writer.clone())
            .with_max_level(level)
            .finish();
        Self { written, _guard: set_default(subscriber) }
    }

    /// What was logged so far, one value a line. Panics if something else than whole JSON lines was written.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let written = self.written.0.lock().unwrap();
        let text = std::str::from_utf8(&written).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is cut off");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The one line that was logged.
    pub(crate) fn line(&self) -> Value {
        let lines = self.lines();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines.into_iter().next().unwrap()
    }
}

/// Keeps tracing from remembering "nobody listens" of an event that another thread met first: where only one subscriber is
/// registered, it asks that thread's own, which has none. With several it asks them all, and looks again each time.
fn several_subscribers_are_registered() {
    static KEPT: OnceLock<[Dispatch; 2]> = OnceLock::new();
    KEPT.get_or_init(|| [Dispatch::new(NoSubscriber::default()), Dispatch::new(NoSubscriber::default())]);
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
