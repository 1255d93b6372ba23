//! `Content-Security-Policy` as settings, and what is to be sent of it.

use std::borrow::Cow;
use std::fmt::{self, Formatter};

use serde::de::{MapAccess, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::InvalidSecurityHeaders;
use super::source::{Directive, Source, should_be_quoted};

const UPGRADE: &str = Directive::UpgradeInsecureRequests.as_str();
const DEFAULT_SRC: &str = Directive::DefaultSrc.as_str();

/// helmet's directives in helmet's order.
const DEFAULTS: [(&str, &[&str]); 11] = [
    (DEFAULT_SRC, &["'self'"]),
    ("base-uri", &["'self'"]),
    ("font-src", &["'self'", "https:", "data:"]),
    ("form-action", &["'self'"]),
    ("frame-ancestors", &["'self'"]),
    ("img-src", &["'self'", "data:"]),
    ("object-src", &["'none'"]),
    ("script-src", &["'self'"]),
    ("script-src-attr", &["'none'"]),
    ("style-src", &["'self'", "https:", "'unsafe-inline'"]),
    (UPGRADE, &[]),
];

/// A policy of what a page may load and do (CSP level 3).
///
/// ```
/// use mainstay_http::security_headers::{ContentSecurityPolicy, Directive, Keyword, Source};
///
/// let policy = ContentSecurityPolicy::default()
///     .with(Directive::ScriptSrc, [Source::NONCE, Keyword::StrictDynamic.into()])
///     .with(Directive::ConnectSrc, [Source::host("https://api.example.com")?])
///     .without(Directive::StyleSrc);
/// # let _: ContentSecurityPolicy = policy;
/// # Ok::<(), mainstay_http::security_headers::InvalidSource>(())
/// ```
///
/// The same as settings:
///
/// ```toml
/// [security_headers.content_security_policy.directives]
/// script-src = ["'nonce'", "'strict-dynamic'"]
/// connect-src = ["https://api.example.com"]
/// style-src = false
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ContentSecurityPolicy {
    /// Whether the header is sent. True by default; false for the report-only one.
    pub enabled: bool,
    /// Whether it begins with helmet's eleven directives. True by default.
    pub use_defaults: bool,
    /// The directives: those of the same name replace a default in its place, new ones come after. None by default.
    pub directives: Directives,
    /// Whether the policy may do without `default-src`: helmet's is taken out. False by default.
    pub dangerously_disable_default_src: bool,
}

/// The directives of a [`ContentSecurityPolicy`] in their order, by name: `script-src`, or `scriptSrc` as helmet has it too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directives(pub Vec<(Cow<'static, str>, DirectiveValue)>);

/// What a directive says.
#[derive(Clone, Debug, PartialEq)]
pub enum DirectiveValue {
    /// These, which may be none. In settings: a list, or one text.
    Sources(Vec<Source>),
    /// The default of this name is taken out. In settings: `false`.
    Removed,
}

/// A checked policy, ready to be written.
#[derive(Debug)]
pub(super) struct Policy(Vec<(String, Vec<Source>)>);

// === impl ContentSecurityPolicy ===

impl Default for ContentSecurityPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            use_defaults: true,
            directives: Directives::default(),
            dangerously_disable_default_src: false,
        }
    }
}

impl ContentSecurityPolicy {
    /// Sets a directive, instead of what it was. No source at all leaves its bare name.
    #[must_use]
    pub fn with<S: Into<Source>>(
        self,
        directive: impl Into<Cow<'static, str>>,
        sources: impl IntoIterator<Item = S>,
    ) -> Self {
        self.set(directive.into(), DirectiveValue::Sources(sources.into_iter().map(Into::into).collect()))
    }

    /// Leaves a directive out, a default one too.
    #[must_use]
    pub fn without(self, directive: impl Into<Cow<'static, str>>) -> Self {
        self.set(directive.into(), DirectiveValue::Removed)
    }

    fn set(mut self, name: Cow<'static, str>, value: DirectiveValue) -> Self {
        match self.directives.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, place)) => *place = value,
            None => self.directives.0.push((name, value)),
        }
        self
    }

    /// What the settings come to, checked as helmet checks it and in its order.
    pub(super) fn policy(&self) -> Result<Policy, InvalidSecurityHeaders> {
        let mut policy = Vec::new();
        if self.use_defaults {
            policy.extend(DEFAULTS.map(|(name, sources)| {
                (name.to_owned(), sources.iter().copied().map(Source::text).collect::<Vec<_>>())
            }));
        }
        if self.dangerously_disable_default_src {
            policy.retain(|(name, _)| name != DEFAULT_SRC);
        }
        let mut seen = Vec::new();
        for (name, value) in &self.directives.0 {
            let name = directive_name(name)?;
            if seen.contains(&name) {
                return Err(InvalidSecurityHeaders::DuplicateDirective(name));
            }
            seen.push(name.clone());
            match value {
                DirectiveValue::Removed if name == DEFAULT_SRC => {
                    return Err(InvalidSecurityHeaders::DefaultSrcRemoved);
                }
                DirectiveValue::Removed => policy.retain(|(known, _)| *known != name),
                DirectiveValue::Sources(sources) => {
                    sources.iter().try_for_each(|source| check(&name, source))?;
                    match policy.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, place)) => place.clone_from(sources),
                        None => policy.push((name, sources.clone())),
                    }
                }
            }
        }
        if policy.is_empty() {
            return Err(InvalidSecurityHeaders::NoDirectives);
        }
        if !self.dangerously_disable_default_src && policy.iter().all(|(name, _)| name != DEFAULT_SRC) {
            return Err(InvalidSecurityHeaders::NoDefaultSrc);
        }
        Ok(Policy(policy))
    }
}

/// `scriptSrc` and `script-src` alike as the latter.
fn directive_name(name: &str) -> Result<String, InvalidSecurityHeaders> {
    let is_allowed = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !name.ends_with('-');
    if !is_allowed {
        return Err(InvalidSecurityHeaders::DirectiveName(name.to_owned()));
    }
    let mut dashed = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            dashed.push('-');
        }
        dashed.push(letter.to_ascii_lowercase());
    }
    Ok(dashed)
}

fn check(directive: &str, source: &Source) -> Result<(), InvalidSecurityHeaders> {
    let (directive, source) = (directive.to_owned(), source.as_str());
    if source.contains([';', ',']) {
        return Err(InvalidSecurityHeaders::DirectiveValue(directive));
    }
    if should_be_quoted(source) {
        return Err(InvalidSecurityHeaders::Unquoted { directive, source: source.to_owned() });
    }
    Ok(())
}

// === impl Policy ===

impl Policy {
    /// The policy without what asks for https.
    pub(super) fn without_upgrade(&self) -> Self {
        Self(self.0.iter().filter(|(name, _)| name != UPGRADE).cloned().collect())
    }

    pub(super) fn asks_for_nonce(&self) -> bool {
        self.text().split([' ', ';']).any(is_nonce)
    }

    /// The text, cut where the nonces belong: one piece more than there are nonces.
    pub(super) fn pieces(&self) -> Vec<String> {
        let mut pieces = vec![String::new()];
        for entry in self.text().split_inclusive([' ', ';']) {
            let word = entry.trim_end_matches([' ', ';']);
            let last = pieces.last_mut().expect("it begins with one");
            if is_nonce(word) {
                last.push_str("'nonce-");
                pieces.push(format!("'{}", &entry[word.len()..]));
            } else {
                last.push_str(entry);
            }
        }
        pieces
    }

    /// The text for answers that no nonce is made for; what a nonce alone would have allowed is not.
    pub(super) fn without_nonce(&self) -> String {
        let text = self.text();
        let directives = text.split(';').map(|directive| {
            directive.split(' ').filter(|word| !is_nonce(word)).collect::<Vec<_>>().join(" ")
        });
        directives.collect::<Vec<_>>().join(";")
    }

    fn text(&self) -> String {
        let directives = self.0.iter().map(|(name, sources)| {
            let sources = sources.iter().map(Source::as_str).collect::<Vec<_>>().join(" ");
            if sources.is_empty() { name.clone() } else { format!("{name} {sources}") }
        });
        directives.collect::<Vec<_>>().join(";")
    }
}

/// Also in a text of several sources, which helmet takes for one.
fn is_nonce(word: &str) -> bool {
    word == Source::NONCE.as_str()
}

// === as settings ===

impl<'de> Deserialize<'de> for Directives {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Directives;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("directives by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Directives, A::Error> {
                let mut directives = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, DirectiveValue>()? {
                    directives.push((Cow::Owned(name), value));
                }
                Ok(Directives(directives))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

impl Serialize for Directives {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for DirectiveValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl<'de> Visitor<'de> for Value {
            type Value = DirectiveValue;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("a list of sources, one source, or false to leave the directive out")
            }

            fn visit_str<E: serde::de::Error>(self, source: &str) -> Result<DirectiveValue, E> {
                Ok(DirectiveValue::Sources(vec![Source::text(source.to_owned())]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, sources: A) -> Result<DirectiveValue, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(sources)).map(DirectiveValue::Sources)
            }

            fn visit_bool<E: serde::de::Error>(self, kept: bool) -> Result<DirectiveValue, E> {
                if kept {
                    Err(E::invalid_value(serde::de::Unexpected::Bool(true), &self))
                } else {
                    Ok(DirectiveValue::Removed)
                }
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<DirectiveValue, E> {
                Ok(DirectiveValue::Removed)
            }
        }

        deserializer.deserialize_any(Value)
    }
}

impl Serialize for DirectiveValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sources(sources) => sources.serialize(serializer),
            Self::Removed => serializer.serialize_bool(false),
        }
    }
}

#[cfg(feature = "schema")]
mod schema {
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    use super::{DirectiveValue, Directives};

    impl JsonSchema for Directives {
        fn schema_name() -> Cow<'static, str> {
            "Directives".into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            BTreeMap::<String, DirectiveValue>::json_schema(generator)
        }
    }

    impl JsonSchema for DirectiveValue {
        fn schema_name() -> Cow<'static, str> {
            "DirectiveValue".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "oneOf": [
                { "type": "array", "items": { "type": "string" } },
                { "type": "string" },
                { "const": false },
            ] })
        }
    }
}
