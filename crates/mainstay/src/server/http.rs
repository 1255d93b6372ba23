//! Settings of what is composed from `tower-http`: it does these well, and they are not written again.

use std::num::NonZeroUsize;
use std::time::Duration;

use garde::Validate;
use http::{HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};

/// What [`ServerStack::around`](super::ServerStack::around) composes around an axum router. All off by default.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Answers are compressed as their callers take them.
    #[garde(dive)]
    pub compression: CompressionConfig,
    /// Requests' bodies may be compressed (gzip, br); a body limit counts what comes out. Off by default: such a body is
    /// handed on as it is.
    #[garde(skip)]
    pub decompression: bool,
    /// The largest request body, in bytes; 413 beyond. Without a value axum's own limit of 2 MiB for its extractors stays.
    #[garde(skip)]
    pub body_limit: Option<NonZeroUsize>,
    /// Which other sites' pages may call.
    #[garde(dive)]
    pub cors: CorsConfig,
    /// Whether other sites' pages are kept from calling in a user's name.
    #[garde(dive)]
    pub csrf: CsrfConfig,
    /// Whether `/orders/` is `/orders`. Off by default.
    #[garde(skip)]
    pub trim_trailing_slash: bool,
}

/// Compression of answers by gzip and br. Never of gRPC, images, and streams of events.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct CompressionConfig {
    /// Off by default: an answer that holds a secret beside what a caller chose tells its secret by its length (BREACH).
    #[garde(skip)]
    pub enabled: bool,
    /// Smaller answers are not compressed, in bytes. 1024 by default.
    #[garde(skip)]
    pub min_bytes: u64,
}

/// Cross-origin resource sharing, as the Fetch standard has it. Off while there are no origins.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct CorsConfig {
    /// The origins whose pages may read answers, `https://shop.example`; `*` alone for all. None by default.
    #[garde(custom(are_origins(self.credentials)))]
    pub origins: Vec<String>,
    /// Whether cookies and the like may be sent along. False by default; not with `*`.
    #[garde(skip)]
    pub credentials: bool,
    /// The methods besides GET, HEAD and POST. None by default.
    #[garde(inner(custom(is_method)))]
    pub methods: Vec<String>,
    /// The request headers besides the safe ones, such as `content-type`. None by default.
    #[garde(inner(custom(is_header_name)))]
    pub headers: Vec<String>,
    /// The headers of answers that pages may read besides the safe ones. The request's id by default.
    #[garde(inner(custom(is_header_name)))]
    pub expose: Vec<String>,
    /// How long a browser may remember an answer to a preflight. 10 min by default, at most 1 day.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(is_at_most_a_day))]
    pub max_age: Duration,
}

/// Protection against cross-site request forgery by `Sec-Fetch-Site` and `Origin`, without tokens: 403.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct CsrfConfig {
    /// Off by default: who has no cookies has nothing to forge.
    #[garde(skip)]
    pub enabled: bool,
    /// Origins of other sites that may call all the same. None by default.
    #[garde(custom(are_origins(true)))]
    pub trusted_origins: Vec<String>,
}

impl Default for CompressionConfig {
    fn default() -> Self {
        Self { enabled: false, min_bytes: 1024 }
    }
}

impl Default for CorsConfig {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            credentials: false,
            methods: Vec::new(),
            headers: Vec::new(),
            expose: vec!["x-request-id".to_owned()],
            max_age: Duration::from_secs(600),
        }
    }
}

// === rules ===

/// `any_is_wrong`: `*` has no place among them.
fn are_origins(any_is_wrong: bool) -> impl FnOnce(&Vec<String>, &()) -> garde::Result {
    move |origins, ()| {
        for origin in origins {
            match origin.as_str() {
                "*" if any_is_wrong => {
                    return Err(garde::Error::new(
                        "`*` stands for everybody, who are not to be trusted so far",
                    ));
                }
                "*" if origins.len() > 1 => {
                    return Err(garde::Error::new("`*` stands for all others too: keep it alone"));
                }
                "*" => {}
                origin if is_origin(origin) => {}
                _ => {
                    return Err(garde::Error::new(
                        "expected origins like https://shop.example, without a path",
                    ));
                }
            }
        }
        Ok(())
    }
}

/// A scheme, a host and perhaps a port, as browsers write it.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else { return false };
    let is_bare = uri.path() == "/" && uri.query().is_none() && !text.ends_with('/');
    let is_plain = !text.contains('@') && text.bytes().all(|byte| !byte.is_ascii_uppercase());
    matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.authority().is_some()
        && is_bare
        && is_plain
        && HeaderValue::from_str(text).is_ok()
}

fn is_method(text: &str, (): &()) -> garde::Result {
    Method::try_from(text).map(drop).map_err(|_| garde::Error::new("expected a method such as PUT"))
}

fn is_header_name(text: &str, (): &()) -> garde::Result {
    HeaderName::try_from(text).map(drop).map_err(|_| garde::Error::new("expected a header's name"))
}

fn is_at_most_a_day(length: &Duration, (): &()) -> garde::Result {
    if *length <= Duration::from_secs(86_400) { Ok(()) } else { Err(garde::Error::new("longer than 1 day")) }
}
