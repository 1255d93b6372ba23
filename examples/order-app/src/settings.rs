//! What the service can be told, by file, variable or argument.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use garde::Validate;
use mainstay::RuntimeConfig;
use mainstay::client::ClientConfig;
use mainstay::config::{ConfigError, Guard, Loaded, Loader, Secret};
use mainstay::server::ServerConfig;
use mainstay::telemetry::TelemetryConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;

/// The profiles; the first is in force when nothing names one.
pub const PROFILES: [&str; 3] = ["development", "staging", "production"];

/// The files of `config/`, as this build was made with them: used when no folder is named, so that the service starts
/// from any working directory.
const BUILT_IN: [(&str, &str); 4] = [
    ("default.toml", include_str!("../config/default.toml")),
    ("development.toml", include_str!("../config/development.toml")),
    ("staging.toml", include_str!("../config/staging.toml")),
    ("production.toml", include_str!("../config/production.toml")),
];

/// All settings. What has no default here and is in no file must be given: there is no guessing.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The tenants that are served.
    #[garde(length(min = 1), inner(custom(is_tenant)))]
    pub tenants: Vec<String>,
    /// The public listener and its stack.
    #[garde(dive)]
    pub server: ServerConfig,
    /// The listener for operators.
    #[garde(dive)]
    pub management: ManagementSettings,
    /// How the process ends.
    #[garde(dive)]
    pub runtime: RuntimeConfig,
    /// What is logged, and how.
    #[garde(dive)]
    pub telemetry: TelemetryConfig,
    /// Where orders are kept.
    #[garde(dive)]
    pub database: DatabaseSettings,
    /// Who takes the money.
    #[garde(dive)]
    pub payment: PaymentSettings,
    /// How orders are taken.
    #[garde(dive)]
    pub ordering: OrderingSettings,
}

/// The listener for operators.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct ManagementSettings {
    /// Where to listen; not for the public.
    #[garde(skip)]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
}

/// Where orders are kept.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// A file of SQLite, `sqlite:path/to/file.db`; a relative path starts at the working directory.
    #[garde(custom(is_sqlite_file))]
    pub url: String,
}

/// Who takes the money.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct PaymentSettings {
    /// The provider's base URL, or `simulator` for one of our own in this process, in `development` only.
    #[garde(skip)]
    #[schemars(with = "String")]
    pub url: Provider,
    /// What the provider knows us by.
    #[garde(skip)]
    pub api_key: Secret<String>,
    /// How it is called.
    #[serde(default)]
    #[garde(dive)]
    pub client: ClientConfig,
}

/// Which payment provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// One of our own, in this process, on loopback.
    Simulator,
    /// The one at this base URL.
    At(Url),
}

/// How orders are taken.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct OrderingSettings {
    /// How often orders whose payment is unknown are settled. At least 1 ms.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    #[garde(custom(is_some_time))]
    pub reconcile_every: Duration,
}

/// What the place of deployment supplies: no file of ours can know it, so CI does not ask for it.
const SUPPLIED_LATER: [&str; 2] = ["tenants", "payment.url"];

/// What is read once, at the start. The rest (who is served, how long a payment may take, how often payments are settled)
/// follows its files while the service runs.
pub(crate) const RESTART_ONLY: [&str; 23] = [
    "server",
    "management",
    "runtime",
    "telemetry.log.format",
    "telemetry.log.names",
    "telemetry.log.redact",
    "database",
    "payment.url",
    "payment.api_key",
    "payment.client.replay",
    "payment.client.timeout.covers_readiness",
    "payment.client.rate_limit",
    "payment.client.throttle",
    "payment.client.retry",
    "payment.client.repeat",
    "payment.client.hedge",
    "payment.client.propagate",
    "payment.client.breaker",
    "payment.client.most_origins",
    "payment.client.bulkhead",
    "payment.client.attempt_timeout",
    "payment.client.body_timeout",
    "payment.client.judge",
];

/// Where settings come from: `--config-dir` or `ORDERS_CONFIG_DIR` names a folder, else the built-in files are used.
pub fn sources(loader: Loader) -> Loader {
    let production = |guard: Guard| guard.only_in(&["production"]);
    loader
        .profiles(&PROFILES)
        .embedded(&BUILT_IN)
        .supplied_later(&SUPPLIED_LATER)
        .guard(production(Guard::secret(["payment.api_key"])))
        .guard(production(Guard::encrypted(["payment.url"])))
}

/// Reads the settings.
///
/// # Errors
///
/// [`ConfigError`], a report of what is wrong and where.
pub fn load(loader: Loader) -> Result<Loaded<Settings>, ConfigError> {
    sources(loader).load()
}

// === impl Provider ===

impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "simulator" {
            return Ok(Self::Simulator);
        }
        let expected = "expected a url like https://payments.example/, or simulator";
        Url::parse(&text).map(Self::At).map_err(|_| de::Error::custom(expected))
    }
}

impl Serialize for Provider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simulator => f.write_str("simulator"),
            Self::At(url) => {
                // A URL may hold a user's name and password; what is shown does not.
                write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
                url.port().map_or(Ok(()), |port| write!(f, ":{port}"))?;
                f.write_str(url.path())
            }
        }
    }
}

// === rules ===

fn is_tenant(name: &str, (): &()) -> garde::Result {
    mainstay::TenantId::parse(name).map(drop).map_err(garde::Error::new)
}

fn is_sqlite_file(url: &str, (): &()) -> garde::Result {
    if url.starts_with("sqlite:") {
        Ok(())
    } else {
        Err(garde::Error::new("not a file of sqlite: sqlite:data/orders.db"))
    }
}

fn is_some_time(length: &Duration, (): &()) -> garde::Result {
    if *length >= Duration::from_millis(1) { Ok(()) } else { Err(garde::Error::new("shorter than 1ms")) }
}

#[cfg(test)]
mod tests {
    use mainstay::config::Loader;

    use super::{Provider, load};

    fn loader(profile: &str) -> Loader {
        Loader::new("orders").profile(Some(profile.to_owned()))
    }

    #[test]
    fn development_needs_nothing() {
        let loaded = load(loader("development").environment::<&str, &str>([])).unwrap();
        assert_eq!(loaded.settings.payment.url, Provider::Simulator);
        assert!(loaded.settings.server.listen.ip().is_loopback());
        assert!(loaded.settings.management.listen.ip().is_loopback());
    }

    #[test]
    fn production_guesses_nothing_and_says_what_to_set() {
        let report = load(loader("production").environment::<&str, &str>([])).unwrap_err().to_string();
        assert!(report.contains("set ORDERS__PAYMENT__URL"), "{report}");

        let given = [
            ("ORDERS__TENANTS", "acme,globex"),
            ("ORDERS__PAYMENT__URL", "https://user:hunter2@payments.example/v1"),
            ("ORDERS__PAYMENT__API_KEY", "hunter3-of-the-provider"),
        ];
        let loaded = load(loader("production").environment(given)).unwrap();
        let shown: String = loaded
            .effective()
            .iter()
            .map(|setting| format!("{} = {}\n", setting.key, setting.value))
            .collect();
        assert!(shown.contains(r#"payment.url = "https://payments.example/v1""#), "{shown}");
        assert!(!shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn the_documented_variables_have_their_effect() {
        let given = [
            ("ORDERS__SERVER__LISTEN", "127.0.0.1:0"),
            ("ORDERS__MANAGEMENT__LISTEN", "127.0.0.1:9"),
            ("ORDERS__DATABASE__URL", "sqlite:/tmp/other.db"),
            ("ORDERS__TELEMETRY__LOG__FORMAT", "json"),
        ];
        let settings = load(loader("development").environment(given)).unwrap().settings;
        assert_eq!(settings.server.listen.port(), 0);
        assert_eq!(settings.management.listen.port(), 9);
        assert_eq!(settings.database.url, "sqlite:/tmp/other.db");
        assert_eq!(settings.telemetry.log.format, mainstay::telemetry::LogFormat::Json);
    }
}
