//! The settings of the access log.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::time::Duration;

use garde::Validate;
use http::HeaderName;
use serde::{Deserialize, Serialize};

use super::LogFormat;

/// Settings of [`AccessLogLayer`](super::AccessLogLayer).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AccessLogConfig {
    /// Whether requests are logged at all. True by default.
    #[garde(skip)]
    pub enabled: bool,
    /// How a line looks: `structured` (the default), one of morgan's formats (`combined`, `common`, `default`, `short`, `tiny`,
    /// `dev`), or a string of morgan's tokens.
    #[garde(skip)]
    pub format: LogFormat,
    /// From which duration on, to the answer's end, a call is slow: logged at warn, and never sampled away. None by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(skip)]
    pub slow: Option<Duration>,
    /// Whether structured lines show the query. `off` by default; lines in a format of morgan's show it redacted in `:url`.
    #[garde(skip)]
    pub query: QueryLog,
    /// Query parameters whose values are secret, besides those that always are. Compared without regard to case. None by default.
    #[garde(skip)]
    pub secret_parameters: Vec<String>,
    /// The request's headers that structured lines show. None by default.
    #[garde(skip)]
    pub request_headers: Vec<LoggedHeader>,
    /// The answer's headers that structured lines show. None by default.
    #[garde(skip)]
    pub response_headers: Vec<LoggedHeader>,
    /// Which calls are not logged, unless they were our fault. None by default.
    #[garde(dive)]
    pub skip: SkipConfig,
    /// Which part of the ordinary calls is logged, from 0 to 1. 1 by default: all.
    #[garde(custom(is_ratio))]
    pub sample: f64,
}

/// Which calls are not logged: those to which any of these applies.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SkipConfig {
    /// Exact paths, such as `/healthz`. None by default.
    #[garde(skip)]
    pub paths: Vec<String>,
    /// Beginnings of paths, such as `/assets/`. None by default.
    #[garde(skip)]
    pub path_prefixes: Vec<String>,
    /// Beginnings of user agents, such as `kube-probe/`. None by default.
    #[garde(skip)]
    pub user_agents: Vec<String>,
    /// Methods, such as `OPTIONS`. None by default.
    #[garde(skip)]
    pub methods: Vec<String>,
    /// First digits of statuses, from 1 to 4; 5 is our fault and always logged. None by default.
    #[garde(inner(range(min = 1, max = 4)))]
    pub status_classes: Vec<u8>,
}

/// Whether the query is logged.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum QueryLog {
    /// It is not: it may hold secrets that nobody thought of.
    #[default]
    Off,
    /// It is, with the values of secret parameters replaced.
    Redacted,
}

/// The name of a header that may be logged.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct LoggedHeader(pub HeaderName);

/// Not the name of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHeaderName(String);

// === impl AccessLogConfig ===

impl Default for AccessLogConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            format: LogFormat::Structured,
            slow: None,
            query: QueryLog::Off,
            secret_parameters: Vec::new(),
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            skip: SkipConfig::default(),
            sample: 1.0,
        }
    }
}

fn is_ratio(ratio: &f64, (): &()) -> garde::Result {
    if (0.0..=1.0).contains(ratio) { Ok(()) } else { Err(garde::Error::new("not between 0 and 1")) }
}

// === impl LoggedHeader ===

impl FromStr for LoggedHeader {
    type Err = InvalidHeaderName;

    fn from_str(name: &str) -> Result<Self, InvalidHeaderName> {
        name.parse().map(Self).map_err(|_| InvalidHeaderName(name.to_owned()))
    }
}

impl TryFrom<String> for LoggedHeader {
    type Error = InvalidHeaderName;

    fn try_from(name: String) -> Result<Self, InvalidHeaderName> {
        name.parse()
    }
}

impl From<LoggedHeader> for String {
    fn from(LoggedHeader(name): LoggedHeader) -> Self {
        name.as_str().to_owned()
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for LoggedHeader {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LoggedHeader".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

// === impl InvalidHeaderName ===

impl Display for InvalidHeaderName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not the name of a header", self.0)
    }
}

impl std::error::Error for InvalidHeaderName {}
