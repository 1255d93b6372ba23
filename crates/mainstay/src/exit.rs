//! How a service's `main` begins and ends: a runtime, a report on standard error, and an exit code that says what it was.

use std::env;
use std::error::Error;
use std::fmt::{self, Debug, Display, Formatter};
use std::io::{self, IsTerminal, Write};
use std::iter;
use std::process::ExitCode;

use mainstay_config::{ConfigError, ProfilesReport, Style};
use mainstay_http::panic_guard::install_hook;

/// What the body of a `main` returns to [`run`]; `?` works on everything that is a [`std::error::Error`].
pub type ExitResult = Result<(), Failure>;

/// Why a service ended: a report for people, and the process's exit code.
///
/// Made from any error. A [`ConfigError`] or a [`ProfilesReport`], or an error that one caused, exits with 78 (`EX_CONFIG` of `sysexits.h`), anything else with 1.
pub struct Failure {
    report: String,
    // Where the report has colours to offer.
    coloured: Option<String>,
    code: u8,
}

/// Runs a service's `main` on a tokio runtime with all its threads, and turns the result into an exit code.
///
/// Panics are remembered with their place for the panic guard's events ([`install_hook`]); the hook that was there
/// before still runs.
///
/// A failure's report goes to standard error as it is, without a backtrace, in colours if that is a terminal and `NO_COLOR`
/// is not set. Tasks that still run at the end are dropped, and
/// blocking ones (`spawn_blocking`) are left behind: the process does not wait for them.
///
/// ```
/// let code = mainstay::run(async { Ok(()) });
/// assert_eq!(format!("{code:?}"), format!("{:?}", std::process::ExitCode::SUCCESS));
/// ```
pub fn run(main: impl Future<Output = ExitResult>) -> ExitCode {
    install_hook();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::from(error).report_to(&mut io::stderr(), wants_colours()),
    };
    let code = match runtime.block_on(main) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report_to(&mut io::stderr(), wants_colours()),
    };
    runtime.shutdown_background();
    code
}

// === impl Failure ===

impl Failure {
    /// The process's exit code.
    pub fn code(&self) -> u8 {
        self.code
    }

    fn report_to(&self, writer: &mut impl Write, colours: bool) -> ExitCode {
        let report = self.coloured.as_ref().filter(|_| colours).unwrap_or(&self.report);
        // Where even standard error is gone, the code still says it.
        let _written: io::Result<()> = writeln!(writer, "{report}");
        ExitCode::from(self.code)
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let code = chain(&error).find_map(config_code);
        if let Some(code) = code.filter(|_| error.source().is_none()) {
            let coloured = chain(&error).find_map(|error| error.downcast_ref::<ConfigError>());
            let coloured = coloured.map(|error| error.report(Style::Coloured));
            return Self { report: error.to_string(), coloured, code };
        }
        let texts: Vec<String> = chain(&error).map(ToString::to_string).collect();
        let report = format!("error: {}", texts.join("\n  because: "));
        Self { report, coloured: None, code: code.unwrap_or(1) }
    }
}

/// Colours are for a person at a terminal who did not ask to be spared (<https://no-color.org>).
fn wants_colours() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The exit code of an error that is a report on the settings.
fn config_code(error: &(dyn Error + 'static)) -> Option<u8> {
    #[cfg(feature = "clap")]
    if let Some(error) = error.downcast_ref::<mainstay_config::CommandError>() {
        return Some(error.exit_code()).filter(|code| *code != 1);
    }
    let one = error.downcast_ref().map(ConfigError::exit_code);
    one.or_else(|| error.downcast_ref().map(ProfilesReport::exit_code))
}

/// The error and what caused it, outermost first.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report)
    }
}

impl Debug for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::Failure;
    use crate::config::{ConfigError, Loader};
    use crate::telemetry::TelemetryConfig;

    #[test]
    fn a_mistake_in_the_configuration_has_its_own_exit_code_and_its_whole_report() {
        let load = || {
            let loader = Loader::new("test").profiles(&["development"]).profile(Some("prod".to_owned()));
            loader.environment::<&str, &str>([]).load::<TelemetryConfig>().map(drop).unwrap_err()
        };
        let expected = load().to_string();
        let caused = Failure::from(Wrapped(load()));
        assert_eq!(
            (caused.code(), caused.to_string()),
            (78, format!("error: cannot start\n  because: {expected}"))
        );
        let failure = Failure::from(load());
        assert_eq!((failure.code(), failure.to_string()), (78, expected));
    }

    #[derive(Debug)]
    struct Wrapped(ConfigError);

    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("cannot start")
        }
    }

    impl std::error::Error for Wrapped {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn the_end_does_not_wait_for_a_blocking_task() {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let code = super::run(async move {
            tokio::task::spawn_blocking(move || held.recv());
            Ok(())
        });
        assert_eq!(format!("{code:?}"), format!("{:?}", std::process::ExitCode::SUCCESS));
        drop(release);
    }

    #[test]
    fn any_other_error_says_its_causes_and_exits_with_one() {
        let inner = io::Error::new(io::ErrorKind::AddrInUse, "address in use");
        let failure = Failure::from(io::Error::other(inner));
        assert_eq!((failure.code(), failure.to_string()), (1, "error: address in use".to_owned()));

        let mut written = Vec::new();
        failure.report_to(&mut written, true);
        assert_eq!(written, b"error: address in use\n");
    }
}
