//! The headers whose value is one of a few words: a type for each, which reads no other.

use super::error::InvalidSecurityHeaders;

/// An enum whose variants are words.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word itself.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

/// The same, read from settings and written into them; anything else is the error.
macro_rules! settings_words {
    ($(#[$meta:meta])* $name:ident, $error:ident { $($variants:tt)* }) => {
        words! {
            $(#[$meta])*
            #[derive(Default)]
            $name { $($variants)* }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidSecurityHeaders;

            fn from_str(text: &str) -> Result<Self, InvalidSecurityHeaders> {
                let known = Self::ALL.iter().copied().find(|word| word.is_written(text));
                known.ok_or_else(|| InvalidSecurityHeaders::$error(text.to_owned()))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let words: Vec<&str> = Self::ALL.iter().map(|word| word.as_str()).collect();
                schemars::json_schema!({ "type": "string", "enum": words })
            }
        }
    };
}

/// For a header that has a word for being left out, and whose other words are read exactly as they are sent.
macro_rules! sent_unless_disabled {
    ($($name:ident)*) => {$(
        impl $name {
            fn is_written(self, text: &str) -> bool {
                self.as_str() == text
            }

            /// What is sent, if anything is.
            pub(super) fn sent(self) -> Option<&'static str> {
                (self != Self::Disabled).then(|| self.as_str())
            }
        }
    )*};
}

settings_words! {
    /// `Cross-Origin-Embedder-Policy`: whether the document may load what did not agree to it.
    CrossOriginEmbedderPolicy, CrossOriginEmbedderPolicy {
        /// Only what agreed by CORS or `Cross-Origin-Resource-Policy`.
        RequireCorp = "require-corp",
        /// Anything, but without credentials.
        Credentialless = "credentialless",
        /// Anything.
        UnsafeNone = "unsafe-none",
        /// Not sent. The default, as it breaks pages that embed others' media.
        #[default]
        Disabled = "disabled",
    }
}

settings_words! {
    /// `Cross-Origin-Opener-Policy`: whether windows of other origins can hold on to this one.
    CrossOriginOpenerPolicy, CrossOriginOpenerPolicy {
        /// Only windows of the same origin. The default.
        #[default]
        SameOrigin = "same-origin",
        /// The same, but for popups that this one opens.
        SameOriginAllowPopups = "same-origin-allow-popups",
        /// Never its opener, unless navigated from the same origin; its own popups may.
        NoopenerAllowPopups = "noopener-allow-popups",
        /// Any window.
        UnsafeNone = "unsafe-none",
        /// Not sent.
        Disabled = "disabled",
    }
}

settings_words! {
    /// `Cross-Origin-Resource-Policy`: who may load this answer without CORS. Public assets need `cross-origin`.
    CrossOriginResourcePolicy, CrossOriginResourcePolicy {
        /// The same origin. The default.
        #[default]
        SameOrigin = "same-origin",
        /// The same site, with its subdomains.
        SameSite = "same-site",
        /// Anybody.
        CrossOrigin = "cross-origin",
        /// Not sent.
        Disabled = "disabled",
    }
}

settings_words! {
    /// `X-DNS-Prefetch-Control`: whether browsers may resolve the names in links ahead.
    DnsPrefetchControl, DnsPrefetchControl {
        /// They may not. The default.
        #[default]
        Off = "off",
        /// They may.
        On = "on",
        /// Not sent.
        Disabled = "disabled",
    }
}

settings_words! {
    /// `X-Frame-Options`: who may frame the page, for browsers that do not know `frame-ancestors`.
    ///
    /// Read in upper and lower case, and `same-origin` for `SAMEORIGIN`.
    FrameOptions, FrameOptions {
        /// The same origin. The default.
        #[default]
        SameOrigin = "SAMEORIGIN",
        /// Nobody.
        Deny = "DENY",
        /// Not sent.
        Disabled = "disabled",
    }
}

settings_words! {
    /// `X-Permitted-Cross-Domain-Policies`: which policy files Adobe's clients may follow.
    PermittedCrossDomainPolicies, PermittedCrossDomainPolicies {
        /// None. The default.
        #[default]
        None = "none",
        /// The one in the root.
        MasterOnly = "master-only",
        /// Those with the policy files' content type.
        ByContentType = "by-content-type",
        /// All.
        All = "all",
        /// Not sent.
        Disabled = "disabled",
    }
}

settings_words! {
    /// One policy in `Referrer-Policy`: how much of the page's address is told where a link leads.
    ReferrerToken, ReferrerPolicy {
        /// Nothing. The default.
        #[default]
        NoReferrer = "no-referrer",
        /// All of it, but not from https to http.
        NoReferrerWhenDowngrade = "no-referrer-when-downgrade",
        /// All of it, to the same origin only.
        SameOrigin = "same-origin",
        /// Its origin.
        Origin = "origin",
        /// Its origin, but not from https to http.
        StrictOrigin = "strict-origin",
        /// All of it to the same origin, its origin to others.
        OriginWhenCrossOrigin = "origin-when-cross-origin",
        /// The same, but nothing from https to http.
        StrictOriginWhenCrossOrigin = "strict-origin-when-cross-origin",
        /// All of it to everybody.
        UnsafeUrl = "unsafe-url",
        /// An empty value: the browser's own default.
        BrowserDefault = "",
    }
}

sent_unless_disabled! {
    CrossOriginEmbedderPolicy CrossOriginOpenerPolicy CrossOriginResourcePolicy DnsPrefetchControl
    PermittedCrossDomainPolicies
}

impl FrameOptions {
    fn is_written(self, text: &str) -> bool {
        let text = text.to_uppercase();
        text == self.as_str().to_uppercase() || (self == Self::SameOrigin && text == "SAME-ORIGIN")
    }

    pub(super) fn sent(self) -> Option<&'static str> {
        (self != Self::Disabled).then(|| self.as_str())
    }
}

impl ReferrerToken {
    fn is_written(self, text: &str) -> bool {
        self.as_str() == text
    }
}
