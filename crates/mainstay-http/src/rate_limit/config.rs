//! The settings of the rate limit.

use std::num::NonZeroU32;
use std::time::Duration;

use garde::Validate;
use serde::{Deserialize, Serialize};

use super::MOST_POLICIES;
use crate::load::are_paths;

/// The longest name of a policy, in bytes.
pub(super) const MAX_NAME: usize = 32;

/// Settings of [`RateLimitLayer`](super::RateLimitLayer).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitConfig {
    /// What is limited, each policy on its own; at most 4. None by default: nothing is limited.
    #[garde(dive, custom(few_and_distinct))]
    pub policies: Vec<RatePolicy>,
    /// How many keys each policy remembers, rounded up to a power of two; 8 to 16 777 216, 65 536 by default. A key costs
    /// 16 bytes, taken at the start: choose about the number of keys that are seen within a window.
    #[garde(range(min = 8, max = 1 << 24))]
    pub max_keys: u32,
    /// Whether answers say what is left, in `ratelimit` and `ratelimit-policy`. `true` by default.
    #[garde(skip)]
    pub headers: bool,
    /// Paths that are neither counted nor refused, such as `/health`, or `/health/*` for all below it. None by default.
    #[garde(custom(are_paths))]
    pub exempt: Vec<String>,
}

/// So many calls in a time for each key.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RatePolicy {
    /// What callers read as the policy's name: 1 to 32 lower-case letters, digits, `-` or `_`. `default` by default.
    #[garde(custom(is_name))]
    pub name: String,
    /// What makes a key; together, if several. The client by default; empty: one key for everybody.
    #[garde(skip)]
    pub key: Vec<KeyPart>,
    /// How many calls a key may make at once, and in each window. 100 by default.
    #[garde(skip)]
    pub quota: NonZeroU32,
    /// How long it takes until a used-up quota is whole again: whole seconds, 1 s to 1 day. 1 min by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(is_window))]
    pub window: Duration,
}

/// A part of a key.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyPart {
    /// The client's address, as the trust boundary decided it; of IPv6 the /64 network.
    Client,
    /// The tenant, which must have been decided further out.
    Tenant,
    /// axum's matched route, such as `/orders/{id}`; calls without one share a key.
    Route,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self { policies: Vec::new(), max_keys: 1 << 16, headers: true, exempt: Vec::new() }
    }
}

impl Default for RatePolicy {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            key: vec![KeyPart::Client],
            quota: const { NonZeroU32::new(100).expect("100 is not 0") },
            window: Duration::from_secs(60),
        }
    }
}

fn few_and_distinct(policies: &[RatePolicy], (): &()) -> garde::Result {
    if policies.len() > MOST_POLICIES {
        return Err(garde::Error::new(format!(
            "{} policies: expected at most {MOST_POLICIES}",
            policies.len()
        )));
    }
    let repeated = policies
        .iter()
        .enumerate()
        .find(|(at, policy)| policies[..*at].iter().any(|earlier| earlier.name == policy.name));
    match repeated {
        None => Ok(()),
        Some((_, policy)) => Err(garde::Error::new(format!("two policies are named {:?}", policy.name))),
    }
}

fn is_name(name: &str, (): &()) -> garde::Result {
    let is_clean = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
    if is_clean && (1..=MAX_NAME).contains(&name.len()) {
        Ok(())
    } else {
        Err(garde::Error::new(format!(
            "expected 1 to {MAX_NAME} lower-case letters, digits, '-' or '_' as the name of a policy"
        )))
    }
}

fn is_window(window: &Duration, (): &()) -> garde::Result {
    if window.subsec_nanos() == 0 && (1..=86_400).contains(&window.as_secs()) {
        Ok(())
    } else {
        Err(garde::Error::new("expected whole seconds, 1s to 1day, as the window of a policy"))
    }
}
