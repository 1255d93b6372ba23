//! The settings of deadlines: plain data.

use std::time::Duration;

use garde::Validate;
use http::{HeaderName, Method};
use serde::{Deserialize, Serialize};

use super::route::PathPattern;
use crate::text;

/// How long calls, their requests' bodies and their answers' bodies may take.
///
/// Lengths of time are texts with a unit (`500ms`, `30s`, `5m`), at least 1 ms each.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct DeadlineConfig {
    /// How long a call may take that does not say otherwise. 10 s by default; at least 1 ms.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(at_least_a_millisecond))]
    pub default: Duration,
    /// The longest that a trusted caller may ask for, and that a handler may extend to. 60 s by default; at least
    /// [`default`](Self::default).
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(not_shorter_than(self.default)))]
    pub maximum: Duration,
    /// The HTTP header in which callers say how long they wait, in whole milliseconds: one to ten digits, not zero, as in
    /// Connect's `connect-timeout-ms` and Envoy's `x-envoy-expected-rq-timeout-ms`. None by default: no header is read.
    #[serde(with = "text::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(skip)]
    pub header: Option<HeaderName>,
    /// What the deadline covers. `answer` by default.
    #[garde(skip)]
    pub covers: Covers,
    /// How long the caller may keep us waiting for its request's body. No limit by default.
    #[garde(dive)]
    pub request_body: BodyLimits,
    /// How long the service may keep the caller waiting for the answer's body. No limit by default.
    #[garde(dive)]
    pub response_body: BodyLimits,
    /// Routes on which something else holds: the first that matches counts. Empty by default.
    #[garde(dive)]
    pub routes: Vec<RouteDeadline>,
}

/// What a deadline covers.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Covers {
    /// Nothing, unless the caller says how long it waits: for uploads, long polls and other routes that only idle limits
    /// should end.
    Nothing,
    /// The time until the answer's headers.
    #[default]
    Answer,
    /// The time until the answer's body has ended, so that the body continues the call's deadline. Server-sent events and
    /// upgraded connections are left alone, and so is a gRPC stream whose caller named no deadline.
    Body,
}

/// The limits of one body.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct BodyLimits {
    /// How long the reader may have to wait for the next piece of the body. None by default: no limit.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(inner(custom(at_least_a_millisecond)))]
    pub idle: Option<Duration>,
    /// How long the whole body may take. None by default: no limit. Not for server-sent events, gRPC and upgraded
    /// connections.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(inner(custom(at_least_a_millisecond)))]
    pub total: Option<Duration>,
}

/// What holds on one route instead; what is not given stays as it is everywhere.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RouteDeadline {
    /// The paths: `/orders`, `/orders/{id}`, `/files/{*rest}`, `/orders.Orders/Watch`.
    #[garde(skip)]
    pub path: PathPattern,
    /// The methods. All by default.
    #[serde(default, with = "text::list")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    #[garde(skip)]
    pub methods: Vec<Method>,
    /// Instead of [`DeadlineConfig::default`]; where only a shorter maximum is given, that.
    #[serde(default, with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(inner(custom(at_least_a_millisecond)))]
    pub default: Option<Duration>,
    /// Instead of [`DeadlineConfig::maximum`]; where only a longer default is given, that.
    #[serde(default, with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(inner(custom(not_shorter_than(self.default.unwrap_or(MILLISECOND)))))]
    pub maximum: Option<Duration>,
    /// Instead of [`DeadlineConfig::covers`].
    #[serde(default)]
    #[garde(skip)]
    pub covers: Option<Covers>,
    /// Instead of [`DeadlineConfig::request_body`], as a whole.
    #[serde(default)]
    #[garde(dive)]
    pub request_body: Option<BodyLimits>,
    /// Instead of [`DeadlineConfig::response_body`], as a whole.
    #[serde(default)]
    #[garde(dive)]
    pub response_body: Option<BodyLimits>,
}

const MILLISECOND: Duration = Duration::from_millis(1);

// === impl DeadlineConfig ===

impl Default for DeadlineConfig {
    fn default() -> Self {
        Self {
            default: Duration::from_secs(10),
            maximum: Duration::from_secs(60),
            header: None,
            covers: Covers::Answer,
            request_body: BodyLimits::default(),
            response_body: BodyLimits::default(),
            routes: Vec::new(),
        }
    }
}

// === impl RouteDeadline ===

impl RouteDeadline {
    /// The route on which nothing else holds yet.
    pub const fn new(path: PathPattern) -> Self {
        Self {
            path,
            methods: Vec::new(),
            default: None,
            maximum: None,
            covers: None,
            request_body: None,
            response_body: None,
        }
    }
}

fn at_least_a_millisecond(length: &Duration, (): &()) -> garde::Result {
    if *length >= MILLISECOND {
        Ok(())
    } else {
        Err(garde::Error::new("shorter than 1ms: no call could ever be answered"))
    }
}

fn not_shorter_than(default: Duration) -> impl FnOnce(&Duration, &()) -> garde::Result {
    move |maximum, ()| {
        if *maximum >= default { Ok(()) } else { Err(garde::Error::new("shorter than the default deadline")) }
    }
}
