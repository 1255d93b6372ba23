//! What is wrong with settings, in helmet's words where helmet has them.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

use http::HeaderName;

/// The settings do not make headers.
///
/// The texts are helmet 8.3.0's for all that helmet refuses too. What helmet refuses and no settings of ours can say has no
/// variant: a `maxAge` that is negative, infinite or not a number; `maxage` and `includeSubdomains`; both names of one option;
/// a directive that is neither a text nor a list; `dangerouslyDisableDefaultSrc` for another directive. Of these, serde
/// refuses what can be written down at all.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidSecurityHeaders {
    /// The policy is on and has no directive.
    NoDirectives,
    /// The policy has no `default-src`.
    NoDefaultSrc,
    /// `default-src` is taken out of the policy like any other directive.
    DefaultSrcRemoved,
    /// Not a directive's name.
    DirectiveName(String),
    /// A directive is there twice, perhaps as `script-src` and `scriptSrc`.
    DuplicateDirective(String),
    /// A source of this directive holds `;` or `,`, which would begin another directive or policy.
    DirectiveValue(String),
    /// A keyword, nonce or hash without its quotes, which would be a host of that name.
    Unquoted {
        /// The directive that it is in.
        directive: String,
        /// The source without its quotes.
        source: String,
    },
    /// Not a policy of `Cross-Origin-Embedder-Policy`.
    CrossOriginEmbedderPolicy(String),
    /// Not a policy of `Cross-Origin-Opener-Policy`.
    CrossOriginOpenerPolicy(String),
    /// Not a policy of `Cross-Origin-Resource-Policy`.
    CrossOriginResourcePolicy(String),
    /// `Referrer-Policy` is on and has no policy.
    NoReferrerPolicy,
    /// Not a policy of `Referrer-Policy`.
    ReferrerPolicy(String),
    /// The same policy twice in `Referrer-Policy`.
    DuplicateReferrerPolicy(String),
    /// Neither `on`, `off` nor `disabled`. (helmet takes anything here.)
    DnsPrefetchControl(String),
    /// Not an action of `X-Frame-Options`.
    FrameOptions(String),
    /// Not a policy of `X-Permitted-Cross-Domain-Policies`.
    PermittedCrossDomainPolicies(String),
    /// Not a feature's name, as `Permissions-Policy` writes them.
    PermissionsFeature(String),
    /// Not something that a feature can be allowed to.
    PermissionsMember(String),
    /// Not a name of a reporting endpoint.
    EndpointName(String),
    /// Not a place that reports can be sent to.
    EndpointUrl(String),
    /// The value holds a character that no header may hold. (helmet notices at the first request.)
    Character(HeaderName),
}

/// JavaScript's `JSON.stringify`.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Display for InvalidSecurityHeaders {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const DISABLE: &str = "If you really want to disable it, set it to \
            `contentSecurityPolicy.dangerouslyDisableDefaultSrc`.";
        match self {
            Self::NoDirectives => {
                write!(f, "Content-Security-Policy has no directives. Either set some or disable the header")
            }
            Self::NoDefaultSrc => {
                write!(f, "Content-Security-Policy needs a default-src but none was provided. {DISABLE}")
            }
            Self::DefaultSrcRemoved => {
                write!(f, "Content-Security-Policy needs a default-src but it was set to `null`. {DISABLE}")
            }
            Self::DirectiveName(name) => {
                write!(f, "Content-Security-Policy received an invalid directive name {}", quoted(name))
            }
            Self::DuplicateDirective(name) => {
                write!(f, "Content-Security-Policy received a duplicate directive {}", quoted(name))
            }
            Self::DirectiveValue(name) => {
                write!(f, "Content-Security-Policy received an invalid directive value for {}", quoted(name))
            }
            Self::Unquoted { directive, source } => write!(
                f,
                "Content-Security-Policy received an invalid directive value for {}. {} should be quoted",
                quoted(directive),
                quoted(source)
            ),
            Self::CrossOriginEmbedderPolicy(policy) => {
                write!(f, "Cross-Origin-Embedder-Policy does not support the {} policy", quoted(policy))
            }
            Self::CrossOriginOpenerPolicy(policy) => {
                write!(f, "Cross-Origin-Opener-Policy does not support the {} policy", quoted(policy))
            }
            Self::CrossOriginResourcePolicy(policy) => {
                write!(f, "Cross-Origin-Resource-Policy does not support the {} policy", quoted(policy))
            }
            Self::NoReferrerPolicy => write!(f, "Referrer-Policy received no policy tokens"),
            Self::ReferrerPolicy(token) => {
                write!(f, "Referrer-Policy received an unexpected policy token {}", quoted(token))
            }
            Self::DuplicateReferrerPolicy(token) => {
                write!(f, "Referrer-Policy received a duplicate policy token {}", quoted(token))
            }
            Self::DnsPrefetchControl(word) => {
                write!(f, "X-DNS-Prefetch-Control is \"on\", \"off\" or \"disabled\", not {}", quoted(word))
            }
            Self::FrameOptions(action) => {
                write!(f, "X-Frame-Options received an invalid action {}", quoted(action))
            }
            Self::PermittedCrossDomainPolicies(policy) => {
                write!(f, "X-Permitted-Cross-Domain-Policies does not support {}", quoted(policy))
            }
            Self::PermissionsFeature(name) => write!(
                f,
                "{} is not a feature's name: expected lower-case letters, digits and hyphens, a letter first",
                quoted(name)
            ),
            Self::PermissionsMember(member) => write!(
                f,
                "{} cannot be allowed a feature: expected \"self\", \"src\", \"*\" or an origin like https://example.com",
                quoted(member)
            ),
            Self::EndpointName(name) => write!(
                f,
                "{} is not a reporting endpoint's name: expected lower-case letters, digits, `_`, `-` and `.`, a letter first",
                quoted(name)
            ),
            Self::EndpointUrl(url) => write!(
                f,
                "{} is not a reporting endpoint: expected an https:// URL or a path that begins with /",
                quoted(url)
            ),
            Self::Character(header) => write!(
                f,
                "the value for {header} holds a line break or another character that no header may hold"
            ),
        }
    }
}

impl Error for InvalidSecurityHeaders {}
