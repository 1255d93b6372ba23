//! Settings of the log.

use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::subscriber::filter;

/// What is observed, and how it is written.
#[derive(Debug, Clone, Default, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// The log.
    #[garde(dive)]
    pub log: LogConfig,
}

/// What is logged, and in which form.
#[derive(Debug, Clone, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// The form of a line. Default: [`LogFormat::Json`].
    #[garde(skip)]
    pub format: LogFormat,
    /// What is logged, as directives with commas between them: a level (`trace`, `debug`, `info`, `warn`, `error`,
    /// `off`) for everything, or one for a module (`hyper=warn`) or a span
    /// ([all forms](tracing_subscriber::filter::EnvFilter)). Default: `info`.
    ///
    /// A lone word has to be a level. The filter itself would take a misspelt `inof` for the name of a module, and the
    /// application would log nothing.
    #[garde(custom(directives))]
    pub level: String,
}

/// The form of a line in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    #[default]
    Json,
    /// One line of text a record, for people.
    Pretty,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::default(), level: "info".to_owned() }
    }
}

fn directives(level: &str, (): &()) -> garde::Result {
    filter(level).map(drop).map_err(garde::Error::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objection(level: &str) -> String {
        let config = TelemetryConfig { log: LogConfig { level: level.to_owned(), ..LogConfig::default() } };
        config.validate().map_or_else(|report| report.to_string(), |()| String::new())
    }

    #[test]
    fn levels_modules_and_spans_are_directives() {
        for level in
            ["info", "WARN", "off", "warn,hyper=debug", "info, my_app::orders=trace", "[request]=debug"]
        {
            assert_eq!(objection(level), "", "{level}");
        }
    }

    #[test]
    fn the_directive_that_is_none_is_named() {
        insta::assert_snapshot!(objection("inof"), @"log.level: `inof` is not a level (trace, debug, info, warn, error, off); for a module write module=level");
        insta::assert_snapshot!(objection("info,hyper=loud"), @r#"log.level: `hyper=loud`: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5"#);
        insta::assert_snapshot!(objection(""), @"log.level: `` is not a level (trace, debug, info, warn, error, off); for a module write module=level");
        insta::assert_snapshot!(objection("info,,warn"), @"log.level: `` is not a level (trace, debug, info, warn, error, off); for a module write module=level");
    }

    #[test]
    fn settings_are_read_with_defaults_and_without_typos() {
        let config: TelemetryConfig = serde_json::from_str(r#"{"log": {"format": "pretty"}}"#).unwrap();
        assert_eq!((config.log.format, config.log.level.as_str()), (LogFormat::Pretty, "info"));
        assert!(serde_json::from_str::<TelemetryConfig>(r#"{"log": {"levl": "info"}}"#).is_err());
        let json = serde_json::to_string(&TelemetryConfig::default()).unwrap();
        assert_eq!(json, r#"{"log":{"format":"json","level":"info"}}"#);
    }
}
