//! The settings, and what is wrong with them.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use garde::Validate;
use http::HeaderName;
use mainstay_core::TenantId;
use serde::{Deserialize, Serialize};

use super::source::{HostPattern, PathTemplate};
use crate::headers::X_TENANT_ID;

/// Settings of [`TenantLayer`](super::TenantLayer). With no source, the default, the layer does nothing.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TenantConfig {
    /// Where a call's tenant is looked for: `"header"`, `"claim"`, `{ host = "{tenant}.example.org" }`,
    /// `{ path = "/t/{tenant}" }`. All that name one must name the same. Empty by default: calls have no tenant.
    #[garde(dive)]
    pub sources: Vec<TenantSource>,
    /// The header that carries the tenant, read where `"header"` is a source, and always what the handler sees.
    /// `x-tenant-id` by default.
    #[garde(custom(is_header_name))]
    pub header: String,
    /// Whether the header is believed from a peer that is not trusted. False by default: it is ignored and removed. True
    /// for a service whose clients name their tenant themselves.
    #[garde(skip)]
    pub from_strangers: bool,
    /// Whether a call that names no tenant is refused with 400. True by default.
    #[garde(skip)]
    pub required: bool,
    /// The tenants that are served. Others are refused with 403, unless a resolver knows them. Empty by default: without a
    /// resolver, whatever looks like a tenant is one.
    #[garde(inner(custom(is_tenant)))]
    pub known: Vec<String>,
    /// How long a resolver's answers are remembered. Without a resolver, nothing is.
    #[garde(dive)]
    pub cache: TenantCacheConfig,
    /// How many tenants keep their own name as a metric's label; the others are `_other`. 100 by default; at most 10,000.
    #[garde(range(max = 10_000))]
    pub labels: usize,
}

/// One place where a call may name its tenant.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TenantSource {
    /// The header of [`TenantConfig::header`].
    Header,
    /// One label, or a part of one, of the host's name: `{tenant}.example.org`, `api-{tenant}.example.org`.
    ///
    /// In lower case, without a port. A host of another shape names no tenant.
    Host(#[garde(custom(is_host_pattern))] String),
    /// One segment of the path, the path's beginning being as here: `/t/{tenant}`, `/*/{tenant}`.
    ///
    /// `*` stands for any one segment. A path that begins otherwise names no tenant.
    Path(#[garde(custom(is_path_template))] String),
    /// What the application knows of the caller: a [`TenantClaim`](super::TenantClaim), or whatever
    /// [`TenantLayer::claim`](super::TenantLayer::claim) reads.
    Claim,
}

/// How long a resolver's answers are remembered.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TenantCacheConfig {
    /// How many answers are remembered of each kind: so many tenants that are served, and as many that are not, so that
    /// made-up names never push out real ones. 10,000 by default; 1 to 1,000,000.
    #[garde(range(min = 1, max = 1_000_000))]
    pub entries: usize,
    /// How long a tenant stays known without asking again: so long one that was closed is still served. 60 s by default; 0
    /// remembers nothing.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(skip)]
    pub known_for: Duration,
    /// How long a tenant stays unknown or not allowed: so long a new one is still refused. 5 s by default; 0 remembers
    /// nothing.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(skip)]
    pub refused_for: Duration,
}

/// A setting of [`TenantConfig`] is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTenantConfig(String);

// === impl TenantConfig ===

impl Default for TenantConfig {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            header: X_TENANT_ID.as_str().to_owned(),
            from_strangers: false,
            required: true,
            known: Vec::new(),
            cache: TenantCacheConfig::default(),
            labels: 100,
        }
    }
}

impl Default for TenantCacheConfig {
    fn default() -> Self {
        Self { entries: 10_000, known_for: Duration::from_secs(60), refused_for: Duration::from_secs(5) }
    }
}

// === impl InvalidTenantConfig ===

impl InvalidTenantConfig {
    /// `expected` says what the value is not, and what would be right.
    pub(super) fn new(value: &str, expected: &str) -> Self {
        Self(format!("{value:?} is {expected}"))
    }

    pub(super) fn out_of_range(report: &garde::Report) -> Self {
        Self(report.to_string().trim_end().to_owned())
    }
}

impl Display for InvalidTenantConfig {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for InvalidTenantConfig {}

// === the settings' texts, parsed ===

pub(super) fn header_name(text: &str) -> Result<HeaderName, InvalidTenantConfig> {
    text.parse().map_err(|_| {
        InvalidTenantConfig::new(text, "no header name, expected letters, digits and '-' such as x-tenant-id")
    })
}

pub(super) fn tenant(text: &str) -> Result<TenantId, InvalidTenantConfig> {
    TenantId::parse(text).map_err(|_| {
        InvalidTenantConfig::new(
            text,
            "no tenant, expected 1 to 63 letters, digits, '-', '_' or '.', beginning with a letter or digit",
        )
    })
}

fn is_header_name(text: &str, (): &()) -> garde::Result {
    checked(header_name(text))
}

fn is_tenant(text: &str, (): &()) -> garde::Result {
    checked(tenant(text))
}

fn is_host_pattern(text: &str, (): &()) -> garde::Result {
    checked(HostPattern::parse(text))
}

fn is_path_template(text: &str, (): &()) -> garde::Result {
    checked(PathTemplate::parse(text))
}

fn checked<T>(parsed: Result<T, InvalidTenantConfig>) -> garde::Result {
    parsed.map(drop).map_err(garde::Error::new)
}

#[cfg(test)]
mod tests {
    use super::{TenantConfig, TenantSource};
    use crate::tenant::TenantLayer;
    use garde::Validate;

    #[test]
    fn settings_are_written_as_people_write_them() {
        let written = serde_json::json!({
            "sources": ["header", "claim", { "host": "{tenant}.example.org" }, { "path": "/t/{tenant}" }],
            "from_strangers": true,
            "known": ["acme", "globex"],
            "cache": { "known_for": "5m" },
        });
        let config: TenantConfig = serde_json::from_value(written).unwrap();
        assert_eq!(config.sources[2], TenantSource::Host("{tenant}.example.org".to_owned()));
        assert_eq!((config.header.as_str(), config.cache.known_for.as_secs()), ("x-tenant-id", 300));
        assert!(serde_json::from_value::<TenantConfig>(serde_json::json!({ "source": [] })).is_err());
        let again: TenantConfig = serde_json::from_value(serde_json::to_value(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn a_wrong_setting_is_told_when_it_is_checked_and_when_the_layer_is_built() {
        let check = |change: &dyn Fn(&mut TenantConfig), told: &str| {
            let mut config = TenantConfig::default();
            change(&mut config);
            let report = config.validate().unwrap_err().to_string();
            assert!(report.contains(told), "{report}");
            let error = TenantLayer::new(&config).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        };
        check(&|config| config.header = "x tenant".to_owned(), "\"x tenant\" is no header name");
        check(&|config| config.known = vec!["acme".into(), "a b".into()], "\"a b\" is no tenant");
        check(
            &|config| config.sources = vec![TenantSource::Host("example.org".into())],
            "\"example.org\" is",
        );
        check(&|config| config.sources = vec![TenantSource::Path("t/{tenant}".into())], "\"t/{tenant}\" is");
        check(&|config| config.cache.entries = 0, "lower than 1");
        check(&|config| config.labels = 10_001, "greater than 10000");
        assert_eq!(TenantConfig::default().validate().map_err(|report| report.to_string()), Ok(()));
    }
}
