//! What is set on which answer: decided from the settings once, looked up for each answer.

use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, CONTENT_TYPE, Entry, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_DNS_PREFETCH_CONTROL, X_FRAME_OPTIONS,
    X_XSS_PROTECTION,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::error::InvalidSecurityHeaders;
use super::nonce::CspNonce;
use super::policy::{ContentSecurityPolicy, Policy};
use super::settings::{Profile, SecurityHeadersConfig, endpoints_text, permissions_text, value};
use super::words::FrameOptions;
use crate::headers::{
    CROSS_ORIGIN_EMBEDDER_POLICY, CROSS_ORIGIN_OPENER_POLICY, CROSS_ORIGIN_RESOURCE_POLICY,
    ORIGIN_AGENT_CLUSTER, PERMISSIONS_POLICY, REPORTING_ENDPOINTS, X_DOWNLOAD_OPTIONS,
    X_PERMITTED_CROSS_DOMAIN_POLICIES, X_POWERED_BY,
};

/// What data may load, were it shown as a page: nothing.
const DATA_POLICY: &str = "default-src 'none';frame-ancestors 'none'";

/// The headers, ready to be copied.
#[derive(Debug)]
pub(super) struct Plan {
    remove_x_powered_by: bool,
    profile: Profile,
    plain: Lists,
    encrypted: Lists,
}

/// The headers for one scheme.
#[derive(Debug)]
struct Lists {
    /// For what browsers render or run; for everything, if the profile is helmet's.
    page: Box<[(HeaderName, HeaderValue)]>,
    /// The page's policies that hold a nonce.
    with_nonce: Box<[WithNonce]>,
    /// For data.
    data: Box<[(HeaderName, HeaderValue)]>,
    /// What pages and data get alike.
    either: Box<[(HeaderName, HeaderValue)]>,
}

#[derive(Debug)]
struct WithNonce {
    name: HeaderName,
    /// The text between the nonces.
    pieces: Box<[String]>,
    otherwise: HeaderValue,
}

/// What an answer is to a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Html,
    /// Rendered or run, but not HTML: a policy of its own can matter (an SVG, a worker's script).
    Active,
    Data,
    /// A 304 that does not say of what: browsers write its headers over those of the page that they hold.
    Unknown,
}

// === impl Plan ===

impl Plan {
    /// The plan, or none where the settings ask for nothing.
    pub(super) fn new(config: &SecurityHeadersConfig) -> Result<Option<Self>, InvalidSecurityHeaders> {
        let plan = Self {
            remove_x_powered_by: config.remove_x_powered_by,
            profile: config.profile,
            plain: Lists::new(config, false)?,
            encrypted: Lists::new(config, true)?,
        };
        let asks_for_something = config.remove_x_powered_by
            || [&plan.plain, &plan.encrypted]
                .iter()
                .any(|lists| !lists.page.is_empty() || lists.asks_for_nonce());
        Ok(Some(plan).filter(|_| config.enabled && asks_for_something))
    }

    pub(super) fn asks_for_nonce(&self) -> bool {
        self.plain.asks_for_nonce()
    }

    /// Sets what the answer does not have yet.
    pub(super) fn set(
        &self,
        status: StatusCode,
        headers: &mut HeaderMap,
        encrypted: bool,
        nonce: Option<&CspNonce>,
    ) {
        let lists = if encrypted { &self.encrypted } else { &self.plain };
        // Looked up only where something depends on it.
        let by_type = self.profile == Profile::ByContentType;
        let kind = if by_type || lists.asks_for_nonce() { Kind::of(status, headers) } else { Kind::Active };
        let (list, with_nonce) = match kind {
            Kind::Html | Kind::Active => (&lists.page, &lists.with_nonce[..]),
            Kind::Data if by_type => (&lists.data, &[][..]),
            Kind::Data => (&lists.page, &lists.with_nonce[..]),
            // The page that it is about holds another nonce.
            Kind::Unknown if by_type => (&lists.either, &[][..]),
            Kind::Unknown => (&lists.page, &[][..]),
        };
        // The map doubles as it grows: without this, three times on the way; with room for the ids and the content type
        // that others set, once.
        headers.reserve(list.len() + with_nonce.len() + 4);
        for policy in with_nonce {
            if let Entry::Vacant(place) = headers.entry(&policy.name) {
                place.insert(match nonce {
                    Some(nonce) if kind == Kind::Html => policy.filled(nonce),
                    _ => policy.otherwise.clone(),
                });
            }
        }
        for (name, value) in list {
            if let Entry::Vacant(place) = headers.entry(name) {
                place.insert(value.clone());
            }
        }
        if self.remove_x_powered_by {
            headers.remove(X_POWERED_BY);
        }
    }
}

// === impl Lists ===

impl Lists {
    fn new(config: &SecurityHeadersConfig, encrypted: bool) -> Result<Self, InvalidSecurityHeaders> {
        let (mut page, mut with_nonce) = (Vec::new(), Vec::new());
        for (name, policy) in [
            (CONTENT_SECURITY_POLICY, &config.content_security_policy),
            (CONTENT_SECURITY_POLICY_REPORT_ONLY, &config.content_security_policy_report_only),
        ] {
            let Some(policy) = in_effect(policy, encrypted)? else {
                continue;
            };
            let otherwise = value(&name, policy.without_nonce())?;
            if policy.asks_for_nonce() {
                with_nonce.push(WithNonce { name, pieces: policy.pieces().into(), otherwise });
            } else {
                page.push((name, otherwise));
            }
        }
        page.extend(others(config, encrypted)?);
        let data = of_data(config, &page)?;
        let either = page.iter().filter(|header| data.contains(header)).cloned().collect();
        Ok(Self { page: page.into(), with_nonce: with_nonce.into(), data: data.into(), either })
    }

    fn asks_for_nonce(&self) -> bool {
        !self.with_nonce.is_empty()
    }
}

/// The policy as far as this scheme is to have it.
fn in_effect(
    config: &ContentSecurityPolicy,
    encrypted: bool,
) -> Result<Option<Policy>, InvalidSecurityHeaders> {
    if !config.enabled {
        return Ok(None);
    }
    let policy = config.policy()?;
    let policy = if encrypted { policy } else { policy.without_upgrade() };
    Ok(Some(policy).filter(|policy| !policy.without_nonce().is_empty()))
}

/// All but the policies, in helmet's order, then what helmet does not know.
fn others(
    config: &SecurityHeadersConfig,
    encrypted: bool,
) -> Result<Vec<(HeaderName, HeaderValue)>, InvalidSecurityHeaders> {
    let referrer = &config.referrer_policy;
    let transport = &config.strict_transport_security;
    let fixed = |on: bool, text: &'static str| on.then(|| text.to_owned());
    let word = |word: Option<&'static str>| word.map(str::to_owned);
    let written = |text: String| Some(text).filter(|text| !text.is_empty());
    [
        (CROSS_ORIGIN_EMBEDDER_POLICY, word(config.cross_origin_embedder_policy.sent())),
        (CROSS_ORIGIN_OPENER_POLICY, word(config.cross_origin_opener_policy.sent())),
        (CROSS_ORIGIN_RESOURCE_POLICY, word(config.cross_origin_resource_policy.sent())),
        (ORIGIN_AGENT_CLUSTER, fixed(config.origin_agent_cluster, "?1")),
        (REFERRER_POLICY, referrer.enabled.then(|| referrer.text()).transpose()?),
        (STRICT_TRANSPORT_SECURITY, (encrypted && transport.enabled).then(|| transport.text())),
        (X_CONTENT_TYPE_OPTIONS, fixed(config.x_content_type_options, "nosniff")),
        (X_DNS_PREFETCH_CONTROL, word(config.x_dns_prefetch_control.sent())),
        (X_DOWNLOAD_OPTIONS, fixed(config.x_download_options, "noopen")),
        (X_FRAME_OPTIONS, word(config.x_frame_options.sent())),
        (X_PERMITTED_CROSS_DOMAIN_POLICIES, word(config.x_permitted_cross_domain_policies.sent())),
        (X_XSS_PROTECTION, fixed(config.x_xss_protection, "0")),
        (REPORTING_ENDPOINTS, written(endpoints_text(&config.reporting_endpoints)?)),
        (PERMISSIONS_POLICY, written(permissions_text(&config.permissions_policy)?)),
    ]
    .into_iter()
    .filter_map(|(name, text)| Some((name, text?)))
    .map(|(name, text)| value(&name, text).map(|value| (name, value)))
    .collect()
}

/// What data gets: what of the page's headers means something for it, and nobody may load or frame anything.
fn of_data(
    config: &SecurityHeadersConfig,
    page: &[(HeaderName, HeaderValue)],
) -> Result<Vec<(HeaderName, HeaderValue)>, InvalidSecurityHeaders> {
    let mut data = Vec::new();
    if config.content_security_policy.enabled {
        data.push((CONTENT_SECURITY_POLICY, value(&CONTENT_SECURITY_POLICY, DATA_POLICY.to_owned())?));
    }
    let kept = [CROSS_ORIGIN_RESOURCE_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS];
    data.extend(page.iter().filter(|(name, _)| kept.contains(name)).cloned());
    if config.x_frame_options != FrameOptions::Disabled {
        data.push((X_FRAME_OPTIONS, HeaderValue::from_static(FrameOptions::Deny.as_str())));
    }
    Ok(data)
}

// === impl WithNonce ===

impl WithNonce {
    /// One allocation.
    fn filled(&self, nonce: &CspNonce) -> HeaderValue {
        let length = self.pieces.iter().map(|piece| piece.len() + nonce.as_str().len()).sum::<usize>();
        let mut text = String::with_capacity(length - nonce.as_str().len());
        for (number, piece) in self.pieces.iter().enumerate() {
            text.push_str(if number > 0 { nonce.as_str() } else { "" });
            text.push_str(piece);
        }
        let mut value = HeaderValue::try_from(text).expect("a nonce is base64, and the rest was checked");
        // Whoever logs the answer's headers does not tell it, and HPACK does not keep it.
        value.set_sensitive(true);
        value
    }
}

// === impl Kind ===

impl Kind {
    fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        const ACTIVE: [&[u8]; 5] = [
            b"image/svg+xml",
            b"text/javascript",
            b"application/javascript",
            b"application/x-javascript",
            b"application/pdf",
        ];
        let Some(value) = headers.get(CONTENT_TYPE) else {
            return if status == StatusCode::NOT_MODIFIED { Self::Unknown } else { Self::Data };
        };
        let media_type = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |name: &[u8]| name.eq_ignore_ascii_case(media_type);
        if is(b"text/html") || is(b"application/xhtml+xml") {
            Self::Html
        } else if ACTIVE.iter().any(|name| is(name)) {
            Self::Active
        } else {
            Self::Data
        }
    }
}
