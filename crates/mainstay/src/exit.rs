//! How a service's `main` begins and ends: a runtime, a report on standard error, and an exit code that says what it was.

use std::any::Any;
use std::error::Error;
use std::fmt::{self, Debug, Display, Formatter};
use std::io::{self, Write};
use std::process::ExitCode;

use mainstay_config::ConfigError;

/// What the body of a `main` returns to [`run`]; `?` works on every error.
pub type ExitResult = Result<(), Failure>;

/// Why a service ended: a report for people, and the process's exit code.
///
/// Made from any error. A [`ConfigError`] exits with 78 (`EX_CONFIG` of `sysexits.h`), anything else with 1.
pub struct Failure {
    report: String,
    code: u8,
}

/// Runs a service's `main` on a tokio runtime with all its threads, and turns the result into an exit code.
///
/// A failure's report goes to standard error as it is, without a backtrace. Tasks that still run at the end are dropped.
///
/// ```
/// let code = mainstay::run(async { Ok(()) });
/// assert_eq!(format!("{code:?}"), format!("{:?}", std::process::ExitCode::SUCCESS));
/// ```
pub fn run(main: impl Future<Output = ExitResult>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::from(error).report_to(&mut io::stderr()),
    };
    match runtime.block_on(main) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report_to(&mut io::stderr()),
    }
}

// === impl Failure ===

impl Failure {
    /// The process's exit code.
    pub fn code(&self) -> u8 {
        self.code
    }

    fn report_to(&self, writer: &mut impl Write) -> ExitCode {
        // Where even standard error is gone, the code still says it.
        let _written: io::Result<()> = writeln!(writer, "{self}");
        ExitCode::from(self.code)
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let any: &dyn Any = &error;
        if let Some(config) = any.downcast_ref::<ConfigError>() {
            return Self { report: config.to_string(), code: config.exit_code() };
        }
        let mut report = format!("error: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            report.push_str(&format!("\n  because: {cause}"));
            source = cause.source();
        }
        Self { report, code: 1 }
    }
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
    use crate::config::Loader;
    use crate::telemetry::TelemetryConfig;

    #[test]
    fn a_mistake_in_the_configuration_has_its_own_exit_code_and_its_whole_report() {
        let loader = Loader::new("test").profiles(&["development"]).profile(Some("prod".to_owned()));
        let error = loader.environment::<&str, &str>([]).load::<TelemetryConfig>().map(drop).unwrap_err();
        let expected = error.to_string();
        let failure = Failure::from(error);
        assert_eq!((failure.code(), failure.to_string()), (78, expected));
    }

    #[test]
    fn any_other_error_says_its_causes_and_exits_with_one() {
        let inner = io::Error::new(io::ErrorKind::AddrInUse, "address in use");
        let failure = Failure::from(io::Error::other(inner));
        assert_eq!((failure.code(), failure.to_string()), (1, "error: address in use".to_owned()));

        let mut written = Vec::new();
        failure.report_to(&mut written);
        assert_eq!(written, b"error: address in use\n");
    }
}
