//! The settings.

use std::time::Duration;

use garde::Validate;
use http::{HeaderName, Method};
use serde::{Deserialize, Serialize};

/// Settings of [`IdempotencyLayer`](super::IdempotencyLayer).
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct IdempotencyConfig {
    /// Whether keys are looked at. Off by default.
    #[garde(skip)]
    pub keys: Keys,
    /// The methods of calls that may have a key. POST and PATCH by default: the others can be repeated as they are.
    #[garde(inner(custom(is_method)))]
    pub methods: Vec<String>,
    /// Whether a key may come without its quotes, as many clients send it. True by default.
    #[garde(skip)]
    pub bare_keys: bool,
    /// The headers that belong to what a key stands for. `authorization` and `content-type` by default.
    #[garde(inner(custom(is_header_name)))]
    pub fingerprint_headers: Vec<String>,
    /// The largest request body of a call with a key, in bytes: it is read as a whole. 64 KiB by default, at most 16 MiB.
    #[garde(range(max = 16 * 1024 * 1024))]
    pub max_request_bytes: usize,
    /// The largest answer that is kept, in bytes. 256 KiB by default, at most 16 MiB.
    #[garde(range(max = 16 * 1024 * 1024))]
    pub max_response_bytes: usize,
    /// For how long a call is its process's before another may take over, unless it is renewed. 30 s by default; at least 1 s.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(at_least_a_second))]
    pub lease: Duration,
    /// For how long an answer is kept. 24 h by default; at least 1 s. Tell your callers.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(at_least_a_second))]
    pub retention: Duration,
    /// What becomes of a call with a key while the store is away or full. Refused by default.
    #[garde(skip)]
    pub store_failure: StoreFailure,
    /// How many keys the store in memory remembers; it is not used where another store is set. 10,000 by default.
    #[garde(range(min = 1, max = 10_000_000))]
    pub max_entries: usize,
    /// How many bytes of answers the store in memory keeps. 64 MiB by default.
    #[garde(skip)]
    pub max_bytes: usize,
}

/// Whether calls have idempotency keys.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Keys {
    /// Nobody looks at them. The default.
    #[default]
    Off,
    /// A call that has one is carried out once.
    Optional,
    /// A call without one is refused.
    Required,
}

/// What becomes of a call with a key while the store cannot answer.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StoreFailure {
    /// 503: better not at all than twice. The default.
    #[default]
    Refuse,
    /// It is carried out as if it had no key: better twice than not at all.
    Run,
}

impl Default for IdempotencyConfig {
    fn default() -> Self {
        Self {
            keys: Keys::Off,
            methods: vec!["POST".to_owned(), "PATCH".to_owned()],
            bare_keys: true,
            fingerprint_headers: vec!["authorization".to_owned(), "content-type".to_owned()],
            max_request_bytes: 64 * 1024,
            max_response_bytes: 256 * 1024,
            lease: Duration::from_secs(30),
            retention: Duration::from_secs(24 * 60 * 60),
            store_failure: StoreFailure::Refuse,
            max_entries: 10_000,
            max_bytes: 64 * 1024 * 1024,
        }
    }
}

fn is_method(text: &str, (): &()) -> garde::Result {
    Method::try_from(text).map(drop).map_err(|_| garde::Error::new("expected a method such as POST"))
}

fn is_header_name(text: &str, (): &()) -> garde::Result {
    HeaderName::try_from(text).map(drop).map_err(|_| garde::Error::new("expected a header's name"))
}

fn at_least_a_second(length: &Duration, (): &()) -> garde::Result {
    if *length >= Duration::from_secs(1) { Ok(()) } else { Err(garde::Error::new("shorter than 1s")) }
}
