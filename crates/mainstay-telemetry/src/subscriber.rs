//! The subscriber, made from settings.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::{LogFormat, TelemetryConfig};
use crate::json::JsonLayer;
use crate::one_line::OneLine;
use crate::redact::{REDACTED, Redact};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The level is not made of directives.
    #[error("log level: {0}")]
    Level(String),
    /// The process already has a global subscriber, from an earlier [`init`] or from elsewhere.
    #[error("the process already has a global tracing subscriber")]
    AlreadySet,
    /// The subscriber whose levels were to be changed is there no more.
    #[error("the subscriber is gone, and its levels with it")]
    Gone,
}

/// Held as long as there is something to log; dropping it flushes standard output.
///
/// The subscriber stays in place when this is dropped: what is logged later is still written.
#[derive(Debug)]
#[must_use = "dropped at once, it flushes nothing: keep it until the end of `main`"]
pub struct TelemetryGuard {
    levels: LogLevels,
}

/// What is logged, shown and changed while the process runs. Clones change the same.
#[derive(Clone, Debug)]
pub struct LogLevels {
    filter: reload::Handle<EnvFilter, Registry>,
    // The directives as they were given: the filter forgets them.
    given: Arc<Mutex<String>>,
}

/// Logs what `config` says to standard output, for the whole process.
///
/// Colours are used in the pretty form when standard output is a terminal and `NO_COLOR` is unset or empty.
///
/// # Errors
///
/// [`TelemetryError::Level`] for settings that were not validated, [`TelemetryError::AlreadySet`] when something else
/// was faster.
pub fn init(config: &TelemetryConfig) -> Result<TelemetryGuard, TelemetryError> {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let ansi = io::stdout().is_terminal() && !no_color;
    let (subscriber, levels) = build(config, io::stdout, ansi)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::AlreadySet)?;
    Ok(TelemetryGuard { levels })
}

/// The same subscriber on a writer of your own and for no one yet, for tests and benches. Never coloured.
///
/// ```
/// use mainstay_telemetry::{TelemetryConfig, subscriber};
///
/// let subscriber = subscriber(&TelemetryConfig::default(), std::io::sink).unwrap();
/// tracing::subscriber::with_default(subscriber, || tracing::info!("written to nowhere"));
/// ```
///
/// # Errors
///
/// [`TelemetryError::Level`] for settings that were not validated.
pub fn subscriber<W>(
    config: &TelemetryConfig,
    make_writer: W,
) -> Result<impl Subscriber + Send + Sync + use<W>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    build(config, make_writer, false).map(|(subscriber, _)| subscriber)
}

/// As [`subscriber`], with what changes its levels.
///
/// ```
/// use mainstay_telemetry::{TelemetryConfig, subscriber_with_levels};
///
/// let (subscriber, levels) = subscriber_with_levels(&TelemetryConfig::default(), std::io::sink)?;
/// levels.set("warn,orders=debug")?;
/// assert_eq!(levels.current(), "warn,orders=debug");
/// # drop(subscriber);
/// # Ok::<(), mainstay_telemetry::TelemetryError>(())
/// ```
///
/// # Errors
///
/// [`TelemetryError::Level`] for settings that were not validated.
pub fn subscriber_with_levels<W>(
    config: &TelemetryConfig,
    make_writer: W,
) -> Result<(impl Subscriber + Send + Sync + use<W>, LogLevels), TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    build(config, make_writer, false)
}

fn build<W>(
    config: &TelemetryConfig,
    make_writer: W,
    ansi: bool,
) -> Result<(impl Subscriber + Send + Sync + use<W>, LogLevels), TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter(&config.log.level).map_err(TelemetryError::Level)?);
    let levels = LogLevels { filter: handle, given: Arc::new(Mutex::new(config.log.level.clone())) };
    let form: Box<dyn Layer<Registry> + Send + Sync> = match config.log.format {
        LogFormat::Json => JsonLayer::new(&config.log, make_writer).boxed(),
        LogFormat::Pretty => {
            let redact = Redact::new(&config.log.redact);
            let fields = debug_fn(move |writer, field, value| match field.name() {
                "message" => write!(writer, "{value:?}"),
                name if redact.hides(name) => write!(writer, "{name}={REDACTED}"),
                name => write!(writer, "{}={value:?}", name.strip_prefix("r#").unwrap_or(name)),
            });
            let writer = OneLine { inner: make_writer, ansi };
            fmt::layer().with_ansi(ansi).fmt_fields(fields.delimited(" ")).with_writer(writer).boxed()
        }
    };
    Ok((tracing_subscriber::registry().with(form.with_filter(filter)), levels))
}

/// The filter of these directives, or which of them is none and why.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, String> {
    let directives: Vec<&str> = level.split(',').map(str::trim).collect();
    // Parsed one by one, as the error for the whole does not say which it was.
    for directive in &directives {
        let shown = directive.escape_debug();
        // The filter would take an empty one for `error`.
        let is_level = !directive.is_empty() && directive.parse::<LevelFilter>().is_ok();
        if !is_level && !directive.contains(['=', '[']) {
            return Err(format!(
                "`{shown}` is not a level (trace, debug, info, warn, error, off); for a module write module=level"
            ));
        }
        EnvFilter::builder().parse(directive).map_err(|error| format!("`{shown}`: {error}"))?;
    }
    EnvFilter::builder().parse(directives.join(",")).map_err(|error| error.to_string())
}

// === impl TelemetryGuard ===

impl TelemetryGuard {
    /// What shows and changes the log's levels.
    pub fn levels(&self) -> LogLevels {
        self.levels.clone()
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        // Nobody is left to be told: a closed pipe is the usual reason.
        io::stdout().flush().ok();
    }
}

// === impl LogLevels ===

impl LogLevels {
    /// The directives in force, as they were given.
    pub fn current(&self) -> String {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Logs by these directives from now on, in the form of [`LogConfig::level`](crate::LogConfig::level).
    ///
    /// # Errors
    ///
    /// [`TelemetryError::Level`] when one of them is none, and [`TelemetryError::Gone`] when the subscriber is; then nothing changes.
    pub fn set(&self, directives: &str) -> Result<(), TelemetryError> {
        let filter = filter(directives).map_err(TelemetryError::Level)?;
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        self.filter.reload(filter).map_err(|_| TelemetryError::Gone)?;
        directives.clone_into(&mut given);
        Ok(())
    }
}
