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
    /// How the fields of a JSON line are named. Default: [`LogNames::Otel`].
    #[garde(skip)]
    pub names: LogNames,
    /// Fields whose values are written as `[redacted]`, by their name or by what stands after its last dot, in any case. By default
    /// `password`, `passwd`, `secret`, `client_secret`, `token`, `access_token`, `refresh_token`, `api_key`, `authorization` and `cookie`; a
    /// list of your own replaces these.
    #[garde(skip)]
    pub redact: Vec<String>,
}

/// How the fields of a JSON line are named.
///
/// | here | `ecs` | `pino` |
/// |---|---|---|
/// | `timestamp` (RFC 3339) | `@timestamp` | `time` (ms since 1970) |
/// | `level` | `log.level` | `level` (10 to 50) |
/// | `message` | `message` | `msg` |
/// | `target` | `log.logger` | `name` |
/// | `request_id` | `http.request.id` | `reqId` |
/// | `trace_id`, `span_id` | `trace.id`, `span.id` | the same |
/// | `duration_ms` | the same | `responseTime` |
/// | `error` | the same | `err` |
/// | `http.request.body.size`, `http.response.body.size` | `http.request.body.bytes`, `http.response.body.bytes` | the same |
/// | `network.protocol.version` | `http.version` | the same |
///
/// `ecs` lines say `ecs.version` too. All other fields keep their names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LogNames {
    /// By OpenTelemetry's conventions.
    #[default]
    Otel,
    /// By the Elastic Common Schema.
    Ecs,
    /// By pino, the logger of Node.
    Pino,
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
        Self {
            format: LogFormat::default(),
            level: "info".to_owned(),
            names: LogNames::default(),
            redact: SECRETS.map(str::to_owned).to_vec(),
        }
    }
}

const SECRETS: [&str; 10] = [
    "password",
    "passwd",
    "secret",
    "client_secret",
    "token",
    "access_token",
    "refresh_token",
    "api_key",
    "authorization",
    "cookie",
];

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
        assert!(
            json.starts_with(
                r#"{"log":{"format":"json","level":"info","names":"otel","redact":["password","#
            )
        );
    }
}
