//! The settings of all headers.

use std::collections::BTreeMap;

use garde::Validate;
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::error::InvalidSecurityHeaders;
use super::policy::ContentSecurityPolicy;
use super::source::is_origin;
use super::words::{
    CrossOriginEmbedderPolicy, CrossOriginOpenerPolicy, CrossOriginResourcePolicy, DnsPrefetchControl,
    FrameOptions, PermittedCrossDomainPolicies, ReferrerToken,
};

/// Settings of [`SecurityHeadersLayer`](super::SecurityHeadersLayer). The defaults are helmet 8.3.0's.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SecurityHeadersConfig {
    /// Whether the headers are set at all. True by default.
    #[garde(skip)]
    pub enabled: bool,
    /// Which answers get which headers: `helmet` (all get all, the default) or `by-content-type`.
    #[garde(skip)]
    pub profile: Profile,
    /// `Content-Security-Policy`.
    #[garde(custom(is_policy))]
    pub content_security_policy: ContentSecurityPolicy,
    /// `Content-Security-Policy-Report-Only`, a second policy that is tried out while the first is in force. Off by default;
    /// settings of it turn it on, if they do not say otherwise.
    #[garde(custom(is_policy))]
    pub content_security_policy_report_only: ContentSecurityPolicy,
    /// `Cross-Origin-Embedder-Policy`. `disabled` by default.
    #[garde(skip)]
    pub cross_origin_embedder_policy: CrossOriginEmbedderPolicy,
    /// `Cross-Origin-Opener-Policy`. `same-origin` by default.
    #[garde(skip)]
    pub cross_origin_opener_policy: CrossOriginOpenerPolicy,
    /// `Cross-Origin-Resource-Policy`. `same-origin` by default.
    #[garde(skip)]
    pub cross_origin_resource_policy: CrossOriginResourcePolicy,
    /// `Origin-Agent-Cluster: ?1`. True by default.
    #[garde(skip)]
    pub origin_agent_cluster: bool,
    /// `Referrer-Policy`.
    #[garde(custom(is_referrer_policy))]
    pub referrer_policy: ReferrerPolicy,
    /// `Strict-Transport-Security`, sent over encrypted connections only.
    #[garde(dive)]
    pub strict_transport_security: StrictTransportSecurity,
    /// `X-Content-Type-Options: nosniff`. True by default.
    #[garde(skip)]
    pub x_content_type_options: bool,
    /// `X-DNS-Prefetch-Control`. `off` by default.
    #[garde(skip)]
    pub x_dns_prefetch_control: DnsPrefetchControl,
    /// `X-Download-Options: noopen`. True by default.
    #[garde(skip)]
    pub x_download_options: bool,
    /// `X-Frame-Options`. `SAMEORIGIN` by default.
    #[garde(skip)]
    pub x_frame_options: FrameOptions,
    /// `X-Permitted-Cross-Domain-Policies`. `none` by default.
    #[garde(skip)]
    pub x_permitted_cross_domain_policies: PermittedCrossDomainPolicies,
    /// Whether the answer's `X-Powered-By` is removed. True by default.
    #[garde(skip)]
    pub remove_x_powered_by: bool,
    /// `X-XSS-Protection: 0`, which turns off a filter that did more harm than good. True by default.
    #[garde(skip)]
    pub x_xss_protection: bool,
    /// `Permissions-Policy`: to whom each feature is allowed: `"self"`, `"src"`, `"*"`, origins; an empty list for nobody. No
    /// feature by default, and then no header.
    #[garde(custom(is_permissions_policy))]
    pub permissions_policy: BTreeMap<String, Vec<Allowed>>,
    /// `Reporting-Endpoints`: where reports go, by the names that `report-to` uses; an https URL or a path. None by default,
    /// and then no header.
    #[garde(custom(is_endpoints))]
    pub reporting_endpoints: BTreeMap<String, String>,
}

/// Which answers get which headers.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// All answers get all headers, as helmet does it. The default.
    #[default]
    Helmet,
    /// What browsers render or run (HTML, SVG, scripts, PDF) gets all headers; other answers get those that mean something
    /// for data, with a policy that allows nothing.
    ByContentType,
}

/// How much of a page's address is told where a link leads.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ReferrerPolicy {
    /// Whether the header is sent. True by default.
    pub enabled: bool,
    /// The policies; browsers take the last that they know. `["no-referrer"]` by default.
    pub policy: Vec<ReferrerToken>,
}

/// How long browsers are to insist on https (RFC 6797).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct StrictTransportSecurity {
    /// Whether the header is sent. True by default.
    #[garde(skip)]
    pub enabled: bool,
    /// For how long, in seconds, as in the header. 31,536,000 (365 days) by default.
    #[garde(skip)]
    pub max_age_seconds: u64,
    /// Whether subdomains are meant too. True by default.
    #[garde(skip)]
    pub include_sub_domains: bool,
    /// Whether browsers may build the host into their lists; hard to take back. False by default. The lists take only hosts
    /// with at least a year and all subdomains.
    #[garde(custom(may_preload(self)))]
    pub preload: bool,
}

/// To whom `Permissions-Policy` allows a feature.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
#[serde(try_from = "String", into = "String")]
pub enum Allowed {
    /// The page's own origin. In settings: `self`.
    SelfOrigin,
    /// The origin that a frame's `src` says, in the frame's own list. In settings: `src`.
    Src,
    /// Everybody. In settings: `*`.
    Everybody,
    /// This origin, like `https://maps.example`; `https://*.example.com` for subdomains.
    Origin(String),
}

// === impl SecurityHeadersConfig ===

impl Default for SecurityHeadersConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            profile: Profile::default(),
            content_security_policy: ContentSecurityPolicy::default(),
            content_security_policy_report_only: not_enabled(),
            cross_origin_embedder_policy: CrossOriginEmbedderPolicy::default(),
            cross_origin_opener_policy: CrossOriginOpenerPolicy::default(),
            cross_origin_resource_policy: CrossOriginResourcePolicy::default(),
            origin_agent_cluster: true,
            referrer_policy: ReferrerPolicy::default(),
            strict_transport_security: StrictTransportSecurity::default(),
            x_content_type_options: true,
            x_dns_prefetch_control: DnsPrefetchControl::default(),
            x_download_options: true,
            x_frame_options: FrameOptions::default(),
            x_permitted_cross_domain_policies: PermittedCrossDomainPolicies::default(),
            remove_x_powered_by: true,
            x_xss_protection: true,
            permissions_policy: BTreeMap::new(),
            reporting_endpoints: BTreeMap::new(),
        }
    }
}

fn not_enabled() -> ContentSecurityPolicy {
    ContentSecurityPolicy { enabled: false, ..ContentSecurityPolicy::default() }
}

// === impl ReferrerPolicy ===

impl Default for ReferrerPolicy {
    fn default() -> Self {
        Self { enabled: true, policy: vec![ReferrerToken::default()] }
    }
}

impl ReferrerPolicy {
    pub(super) fn text(&self) -> Result<String, InvalidSecurityHeaders> {
        if self.policy.is_empty() {
            return Err(InvalidSecurityHeaders::NoReferrerPolicy);
        }
        for (place, token) in self.policy.iter().enumerate() {
            if self.policy[..place].contains(token) {
                return Err(InvalidSecurityHeaders::DuplicateReferrerPolicy(token.as_str().to_owned()));
            }
        }
        Ok(self.policy.iter().map(|token| token.as_str()).collect::<Vec<_>>().join(","))
    }
}

// === impl StrictTransportSecurity ===

impl Default for StrictTransportSecurity {
    fn default() -> Self {
        Self { enabled: true, max_age_seconds: 365 * 24 * 60 * 60, include_sub_domains: true, preload: false }
    }
}

impl StrictTransportSecurity {
    pub(super) fn text(&self) -> String {
        let sub_domains = if self.include_sub_domains { "; includeSubDomains" } else { "" };
        let preload = if self.preload { "; preload" } else { "" };
        format!("max-age={}{sub_domains}{preload}", self.max_age_seconds)
    }
}

// === impl Allowed ===

impl TryFrom<String> for Allowed {
    type Error = InvalidSecurityHeaders;

    fn try_from(text: String) -> Result<Self, InvalidSecurityHeaders> {
        match text.as_str() {
            "self" => Ok(Self::SelfOrigin),
            "src" => Ok(Self::Src),
            "*" => Ok(Self::Everybody),
            _ if is_origin(&text) => Ok(Self::Origin(text)),
            _ => Err(InvalidSecurityHeaders::PermissionsMember(text)),
        }
    }
}

impl From<Allowed> for String {
    fn from(allowed: Allowed) -> Self {
        match allowed {
            Allowed::SelfOrigin => "self".to_owned(),
            Allowed::Src => "src".to_owned(),
            Allowed::Everybody => "*".to_owned(),
            Allowed::Origin(origin) => origin,
        }
    }
}

/// A structured dictionary (RFC 8941) of inner lists: `camera=(), geolocation=(self "https://maps.example")`.
pub(super) fn permissions_text(
    policy: &BTreeMap<String, Vec<Allowed>>,
) -> Result<String, InvalidSecurityHeaders> {
    let mut members = Vec::new();
    for (feature, allowed) in policy {
        let is_name = feature.starts_with(|first: char| first.is_ascii_lowercase())
            && feature.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_name {
            return Err(InvalidSecurityHeaders::PermissionsFeature(feature.clone()));
        }
        if allowed.contains(&Allowed::Everybody) {
            members.push(format!("{feature}=*"));
            continue;
        }
        let allowed: Result<Vec<_>, _> = allowed.iter().map(member).collect();
        members.push(format!("{feature}=({})", allowed?.join(" ")));
    }
    Ok(members.join(", "))
}

fn member(allowed: &Allowed) -> Result<String, InvalidSecurityHeaders> {
    match allowed {
        // Also where the variant was filled without `try_from`.
        Allowed::Origin(origin) if !is_origin(origin) => {
            Err(InvalidSecurityHeaders::PermissionsMember(origin.clone()))
        }
        Allowed::Origin(origin) => Ok(format!("\"{origin}\"")),
        token => Ok(token.clone().into()),
    }
}

/// A structured dictionary of strings: `csp="https://reports.example/csp", default="/reports"`.
pub(super) fn endpoints_text(endpoints: &BTreeMap<String, String>) -> Result<String, InvalidSecurityHeaders> {
    let mut members = Vec::new();
    for (name, url) in endpoints {
        let is_name = name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b));
        if !is_name {
            return Err(InvalidSecurityHeaders::EndpointName(name.clone()));
        }
        let host = url.strip_prefix("https://");
        let is_place = host
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '['))
            || (url.starts_with('/') && !url.starts_with("//"));
        let is_text = url.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        if !is_place || !is_text {
            return Err(InvalidSecurityHeaders::EndpointUrl(url.clone()));
        }
        members.push(format!("{name}=\"{url}\""));
    }
    Ok(members.join(", "))
}

/// The text as a value whose clones never allocate.
pub(super) fn value(name: &HeaderName, text: String) -> Result<HeaderValue, InvalidSecurityHeaders> {
    let value = HeaderValue::try_from(text).map_err(|_| InvalidSecurityHeaders::Character(name.clone()))?;
    // Bytes that came from a text become shareable at their first clone: here, not in the first request.
    drop(value.clone());
    Ok(value)
}

// === what garde asks ===

fn as_garde<T>(result: Result<T, InvalidSecurityHeaders>) -> garde::Result {
    result.map(drop).map_err(garde::Error::new)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde hands the context over by reference")]
fn is_policy(policy: &ContentSecurityPolicy, (): &()) -> garde::Result {
    if !policy.enabled {
        return Ok(());
    }
    as_garde(
        policy
            .policy()
            .and_then(|policy| value(&http::header::CONTENT_SECURITY_POLICY, policy.without_nonce())),
    )
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde hands the context over by reference")]
fn is_referrer_policy(policy: &ReferrerPolicy, (): &()) -> garde::Result {
    if policy.enabled { as_garde(policy.text()) } else { Ok(()) }
}

fn may_preload(policy: &StrictTransportSecurity) -> impl FnOnce(&bool, &()) -> garde::Result {
    const YEAR: u64 = 365 * 24 * 60 * 60;
    let is_allowed = policy.max_age_seconds >= YEAR && policy.include_sub_domains;
    move |preload, ()| {
        if *preload && !is_allowed {
            return Err(garde::Error::new(
                "browsers' lists ask for max_age_seconds of a year and include_sub_domains",
            ));
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde hands the context over by reference")]
fn is_permissions_policy(policy: &BTreeMap<String, Vec<Allowed>>, (): &()) -> garde::Result {
    as_garde(permissions_text(policy))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde hands the context over by reference")]
fn is_endpoints(endpoints: &BTreeMap<String, String>, (): &()) -> garde::Result {
    as_garde(endpoints_text(endpoints))
}
