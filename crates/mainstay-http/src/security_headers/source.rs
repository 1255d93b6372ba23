//! What a policy's directive allows: keywords, schemes, hosts, hashes, the nonce.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

/// One entry of a directive of a [`ContentSecurityPolicy`](super::ContentSecurityPolicy), as it is sent.
///
/// ```
/// use mainstay_http::security_headers::{HashAlgorithm, Keyword, Source};
///
/// assert_eq!(Source::from(Keyword::SelfOrigin).as_str(), "'self'");
/// assert_eq!(Source::host("https://*.example.com:443/static/")?.as_str(), "https://*.example.com:443/static/");
/// assert_eq!(Source::scheme("data")?.as_str(), "data:");
/// assert!(Source::host("self").is_err());
/// assert!(Source::host("a.example;script-src *").is_err());
/// # Ok::<(), mainstay_http::security_headers::InvalidSource>(())
/// ```
///
/// Settings hold the same as text; then the [layer](super::SecurityHeadersLayer::new) checks what helmet does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Source(Cow<'static, str>);

words! {
    /// The directives of CSP level 3 and those of its neighbours that browsers know.
    Directive {
        /// What holds for all of `*-src` that is not there.
        DefaultSrc = "default-src",
        /// What `base` may say.
        BaseUri = "base-uri",
        /// Workers and frames.
        ChildSrc = "child-src",
        /// `fetch`, WebSockets, beacons.
        ConnectSrc = "connect-src",
        /// Fonts.
        FontSrc = "font-src",
        /// Where forms may be sent.
        FormAction = "form-action",
        /// Who may frame the page.
        FrameAncestors = "frame-ancestors",
        /// What the page may frame.
        FrameSrc = "frame-src",
        /// Images.
        ImgSrc = "img-src",
        /// The application's manifest.
        ManifestSrc = "manifest-src",
        /// Audio and video.
        MediaSrc = "media-src",
        /// Plugins.
        ObjectSrc = "object-src",
        /// The endpoint that reports go to, by its name in `Reporting-Endpoints`.
        ReportTo = "report-to",
        /// Where reports go, for browsers that do not know `report-to`.
        ReportUri = "report-uri",
        /// Which sinks ask for trusted types.
        RequireTrustedTypesFor = "require-trusted-types-for",
        /// A sandbox as an `iframe` has it.
        Sandbox = "sandbox",
        /// Scripts.
        ScriptSrc = "script-src",
        /// Scripts in attributes.
        ScriptSrcAttr = "script-src-attr",
        /// Scripts in elements.
        ScriptSrcElem = "script-src-elem",
        /// Styles.
        StyleSrc = "style-src",
        /// Styles in attributes.
        StyleSrcAttr = "style-src-attr",
        /// Styles in elements.
        StyleSrcElem = "style-src-elem",
        /// Which policies make trusted types.
        TrustedTypes = "trusted-types",
        /// Everything over https; sent over encrypted connections only.
        UpgradeInsecureRequests = "upgrade-insecure-requests",
        /// Workers.
        WorkerSrc = "worker-src",
    }
}

words! {
    /// The keywords, with the quotes that make them keywords.
    Keyword {
        /// Nothing.
        None = "'none'",
        /// The page's own origin.
        SelfOrigin = "'self'",
        /// What an allowed script loads; hosts do not count then.
        StrictDynamic = "'strict-dynamic'",
        /// A piece of the script in reports.
        ReportSample = "'report-sample'",
        /// Speculation rules in the page.
        InlineSpeculationRules = "'inline-speculation-rules'",
        /// Scripts or styles in the page.
        UnsafeInline = "'unsafe-inline'",
        /// `eval` and the like.
        UnsafeEval = "'unsafe-eval'",
        /// Hashes count for attributes too.
        UnsafeHashes = "'unsafe-hashes'",
        /// WebAssembly.
        WasmUnsafeEval = "'wasm-unsafe-eval'",
    }
}

words! {
    /// How a script or style was hashed.
    HashAlgorithm {
        /// SHA-256.
        Sha256 = "sha256",
        /// SHA-384.
        Sha384 = "sha384",
        /// SHA-512.
        Sha512 = "sha512",
    }
}

/// Not a source of the kind that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSource {
    text: String,
    expected: &'static str,
}

// === impl Source ===

impl Source {
    /// The nonce of each answer: a [`CspNonce`](super::CspNonce). In settings, `'nonce'`.
    pub const NONCE: Self = Self(Cow::Borrowed("'nonce'"));

    /// A host, perhaps with `*.` before it, a scheme, a port and a path (CSP level 3, section 2.3.1).
    ///
    /// # Errors
    ///
    /// It is not one, or a browser would take it for something else.
    pub fn host(text: impl Into<Cow<'static, str>>) -> Result<Self, InvalidSource> {
        let text = text.into();
        let is_allowed = is_host_source(&text) && !should_be_quoted(&text);
        Self::checked(text, is_allowed, "a host like https://*.example.com:443/path")
    }

    /// A scheme, with or without its colon.
    ///
    /// # Errors
    ///
    /// It is not one (RFC 3986, section 3.1).
    pub fn scheme(text: &str) -> Result<Self, InvalidSource> {
        let name = text.strip_suffix(':').unwrap_or(text);
        Self::checked(format!("{name}:").into(), is_scheme(name), "a scheme like https")
    }

    /// The hash of a script or style, in base64.
    ///
    /// # Errors
    ///
    /// It is not base64, or has not the algorithm's length.
    pub fn hash(algorithm: HashAlgorithm, base64: &str) -> Result<Self, InvalidSource> {
        let (digits, padding) = match algorithm {
            HashAlgorithm::Sha256 => (43, "="),
            HashAlgorithm::Sha384 => (64, ""),
            HashAlgorithm::Sha512 => (86, "=="),
        };
        let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
        let is_allowed = base64
            .split_at_checked(digits)
            .is_some_and(|(hash, rest)| hash.as_bytes().iter().all(is_digit) && rest == padding);
        let text = format!("'{}-{base64}'", algorithm.as_str());
        Self::checked(text.into(), is_allowed, "a hash in base64, as long as its algorithm makes it")
    }

    /// Any other entry (`allow-forms` of `sandbox`, an endpoint's name), which is checked as one from settings is.
    pub fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Self(text.into())
    }

    /// The source as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn checked(
        text: Cow<'static, str>,
        is_allowed: bool,
        expected: &'static str,
    ) -> Result<Self, InvalidSource> {
        if is_allowed { Ok(Self(text)) } else { Err(InvalidSource { text: text.into_owned(), expected }) }
    }
}

impl From<Keyword> for Source {
    fn from(keyword: Keyword) -> Self {
        Self(Cow::Borrowed(keyword.as_str()))
    }
}

impl From<Directive> for Cow<'static, str> {
    fn from(directive: Directive) -> Self {
        Self::Borrowed(directive.as_str())
    }
}

/// Whether helmet asks for quotes around it.
pub(super) fn should_be_quoted(text: &str) -> bool {
    ["nonce-", "sha256-", "sha384-", "sha512-"].iter().any(|prefix| text.starts_with(prefix))
        || Keyword::ALL.iter().any(|keyword| keyword.as_str().trim_matches('\'') == text)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// `[scheme "://"] host [":" port] [path]`.
fn is_host_source(text: &str) -> bool {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let in_path = |byte: u8| byte.is_ascii_graphic() && !b";,?#\"'".contains(&byte);
    scheme.is_none_or(is_scheme) && is_authority(authority) && path.bytes().all(in_path)
}

/// `scheme "://" host [":" port]`, as an origin is written in `Permissions-Policy`.
pub(super) fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, authority)| is_scheme(scheme) && is_authority(authority))
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let in_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_name = |name: &str| name.split('.').all(|label| !label.is_empty() && label.bytes().all(in_label));
    let is_port = |port: &str| port == "*" || port.parse::<u16>().is_ok() && !port.starts_with('+');
    (host == "*" || is_name(host.strip_prefix("*.").unwrap_or(host))) && port.is_none_or(is_port)
}

impl Display for InvalidSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not {}", self.text, self.expected)
    }
}

impl Error for InvalidSource {}
