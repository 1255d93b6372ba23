//! The paths that a route's settings are for.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A pattern of paths, written as axum writes its routes.
///
/// ```
/// use mainstay_http::deadline::PathPattern;
///
/// let pattern: PathPattern = "/orders/{id}".parse()?;
/// assert!(pattern.matches("/orders/7"));
/// assert!(!pattern.matches("/orders") && !pattern.matches("/orders/7/lines"));
///
/// let files: PathPattern = "/files/{*rest}".parse()?;
/// assert!(files.matches("/files/2026/a.csv") && !files.matches("/files/"));
/// # Ok::<(), mainstay_http::deadline::InvalidPathPattern>(())
/// ```
///
/// A segment is a text, compared byte by byte with the path as it was sent, or `{name}`, which stands for one segment
/// that is not empty; `{*name}` at the end stands for all the rest, which is not empty either. Nothing is decoded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern {
    text: String,
}

/// The text is no pattern of paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPathPattern {
    text: String,
    fault: &'static str,
}

// === impl PathPattern ===

impl PathPattern {
    /// Whether the path is one of them. Takes one pass over both, and allocates nothing.
    pub fn matches(&self, path: &str) -> bool {
        let mut path = Some(path);
        for segment in self.text.split('/') {
            let Some(left) = path else { return false };
            if segment.starts_with("{*") {
                return !left.is_empty();
            }
            let (first, rest) =
                left.split_once('/').map_or((left, None), |(first, rest)| (first, Some(rest)));
            let fits = if segment.starts_with('{') { !first.is_empty() } else { first == segment };
            if !fits {
                return false;
            }
            path = rest;
        }
        path.is_none()
    }
}

impl FromStr for PathPattern {
    type Err = InvalidPathPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPathPattern> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for PathPattern {
    type Error = InvalidPathPattern;

    fn try_from(text: String) -> Result<Self, InvalidPathPattern> {
        match fault(&text) {
            None => Ok(Self { text }),
            Some(fault) => Err(InvalidPathPattern { text, fault }),
        }
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> Self {
        pattern.text
    }
}

fn fault(text: &str) -> Option<&'static str> {
    if !text.starts_with('/') {
        return Some("a path begins with a slash");
    }
    if text.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'?' | b'#')) {
        return Some("a path as it is sent is visible ASCII without ? and #");
    }
    let mut segments = text.split('/').peekable();
    while let Some(segment) = segments.next() {
        if !segment.contains(['{', '}']) {
            continue;
        }
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let Some(name) = name else { return Some("{name} is a whole segment") };
        let name = match name.strip_prefix('*') {
            Some(_) if segments.peek().is_some() => return Some("{*name} is the last segment"),
            rest => rest.unwrap_or(name),
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Some("a name is letters, digits and underscores");
        }
    }
    None
}

impl Display for PathPattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Display for InvalidPathPattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "no pattern of paths: {:?}: {}", self.text, self.fault)
    }
}

impl Error for InvalidPathPattern {}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for PathPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PathPattern".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^/" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::PathPattern;

    #[test]
    fn what_is_no_pattern_is_refused_with_its_fault() {
        for (text, fault) in [
            ("", "a path begins with a slash"),
            ("orders", "a path begins with a slash"),
            ("/a b", "a path as it is sent is visible ASCII without ? and #"),
            ("/a?b", "a path as it is sent is visible ASCII without ? and #"),
            ("/{id", "{name} is a whole segment"),
            ("/a{id}", "{name} is a whole segment"),
            ("/{*rest}/a", "{*name} is the last segment"),
            ("/{}", "a name is letters, digits and underscores"),
            ("/{*}", "a name is letters, digits and underscores"),
            ("/{a{b}", "a name is letters, digits and underscores"),
        ] {
            let error = text.parse::<PathPattern>().unwrap_err();
            assert_eq!(error.to_string(), format!("no pattern of paths: {text:?}: {fault}"));
        }
    }

    #[test]
    fn a_slash_more_or_less_is_another_path() {
        let matches = |pattern: &str, path: &str| pattern.parse::<PathPattern>().unwrap().matches(path);
        assert!(matches("/", "/") && !matches("/", "") && !matches("/", "//"));
        assert!(matches("/a", "/a") && !matches("/a", "/a/") && !matches("/a/", "/a"));
        assert!(!matches("/{id}", "/") && !matches("/{id}", "/a/b") && !matches("/{id}", "*"));
        assert!(matches("/{*all}", "/a/b") && !matches("/{*all}", "/"));
    }

    proptest! {
        #[test]
        fn a_path_without_braces_matches_itself_and_its_prefixs_rest(
            path in "(/[a-z0-9.%-]{1,4}){1,4}", more in "[a-z/]{1,6}",
        ) {
            prop_assert!(path.parse::<PathPattern>().unwrap().matches(&path));
            let rest: PathPattern = format!("{path}/{{*rest}}").parse().unwrap();
            let longer = format!("{path}/{more}");
            prop_assert!(rest.matches(&longer));
            prop_assert!(!rest.matches(&path));
        }

        #[test]
        fn any_text_is_read_and_matched_without_a_panic(text in any::<String>(), path in any::<String>()) {
            if let Ok(pattern) = text.parse::<PathPattern>() {
                pattern.matches(&path);
            }
        }
    }
}
