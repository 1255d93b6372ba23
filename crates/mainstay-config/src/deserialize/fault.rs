//! Why a value does not fit its type, without the value.

use std::fmt;

use figment::value::{Tag, Value};
use serde::de::{Expected, Unexpected};

use crate::layer::Path;
use crate::problem::closest;

/// One misfit: what was expected and what kind of thing was there, with the key and the tag of its source.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) path: Path,
    pub(crate) tag: Tag,
    pub(crate) what: What,
    /// Whether it is the key that does not fit, not its value.
    pub(crate) of_key: bool,
}

/// What does not fit.
#[derive(Debug)]
pub(crate) enum What {
    /// The type's own words. They may quote the value, see [`Fault::at`].
    Words(String),
    Type {
        expected: String,
        found: &'static str,
    },
    Value {
        expected: String,
        found: &'static str,
    },
    Length {
        expected: String,
        found: usize,
    },
    UnknownVariant {
        known: &'static [&'static str],
        meant: Option<&'static str>,
    },
    UnknownKey(&'static [&'static str]),
    Missing(&'static str),
    Duplicate,
}

/// Said instead of words that repeat the value.
pub(crate) const NOT_ACCEPTED: &str = "not accepted (the reason is withheld, as it repeats the value)";

// === impl Fault ===

impl Fault {
    fn new(what: What) -> Self {
        Self { path: Path::new(), tag: Tag::Default, what, of_key: false }
    }

    /// Remembers whose value it is, and drops words that repeat that value.
    pub(super) fn at(mut self, value: &Value) -> Self {
        if !self.tag.is_default() {
            return self;
        }
        self.tag = value.tag();
        match &mut self.what {
            What::Words(words) if withheld(words, value) => NOT_ACCEPTED.clone_into(words),
            What::Type { expected, .. } | What::Value { expected, .. } | What::Length { expected, .. }
                if withheld(expected, value) =>
            {
                "something else (it is withheld, as it repeats the value)".clone_into(expected);
            }
            _ => {}
        }
        self
    }

    pub(super) fn within(mut self, key: &str) -> Self {
        self.path.insert(0, key.to_owned());
        self
    }

    /// Like [`Fault::at`], for a value that may be a stand-in.
    pub(super) fn maybe_at(self, value: Option<&Value>) -> Self {
        match value {
            Some(value) => self.at(value),
            None => self,
        }
    }

    pub(super) fn of_key(mut self, key: &str) -> Self {
        self.of_key = true;
        self.within(key)
    }

    /// Says of a secret only what was expected.
    pub(super) fn of_secret(mut self, expected: Option<String>) -> Self {
        self.what = match expected {
            Some(expected) => What::Type { expected, found: "[redacted]" },
            None => What::Words("not a valid secret of the expected type".to_owned()),
        };
        self.path.clear();
        self
    }

    pub(super) fn expected(&self) -> Option<&str> {
        match &self.what {
            What::Type { expected, .. } | What::Value { expected, .. } => Some(expected),
            _ => None,
        }
    }

    /// The key that this is about, which for a missing one is the key of what is missing.
    pub(crate) fn key(&self) -> Path {
        let mut path = self.path.clone();
        if let What::Missing(name) = self.what {
            path.push(name.to_owned());
        }
        path
    }
}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(words: T) -> Self {
        Self::new(What::Words(words.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(What::Type { expected: expected.to_string(), found: kind_of(found) })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(What::Value { expected: expected.to_string(), found: kind_of(found) })
    }

    fn invalid_length(found: usize, expected: &dyn Expected) -> Self {
        Self::new(What::Length { expected: expected.to_string(), found })
    }

    fn unknown_variant(given: &str, expected: &'static [&'static str]) -> Self {
        let meant = closest(given, expected.iter().copied());
        Self::new(What::UnknownVariant { known: expected, meant })
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(What::UnknownKey(expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(What::Missing(field))
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self::new(What::Duplicate)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that does not fit its type")
    }
}

impl std::error::Error for Fault {}

/// Whether `words` repeat the value, or a part of it that is long enough to be telling.
pub(crate) fn withheld(words: &str, value: &Value) -> bool {
    match value {
        Value::Dict(_, table) => table.values().any(|value| withheld(words, value)),
        Value::Array(_, items) => items.iter().any(|value| withheld(words, value)),
        Value::String(_, text) => repeats(words, text),
        Value::Char(_, character) => repeats(words, &character.to_string()),
        Value::Num(_, number) => match (number.to_u128_lossy(), number.to_i128(), number.to_f64()) {
            (Some(number), _, _) => repeats(words, &number.to_string()),
            (_, Some(number), _) => repeats(words, &number.to_string()),
            (_, _, Some(number)) => repeats(words, &number.to_string()),
            _ => true,
        },
        // Two values at most: neither is a secret.
        Value::Bool(..) | Value::Empty(..) => false,
    }
}

fn repeats(words: &str, text: &str) -> bool {
    let (words, text) = (words.to_lowercase(), text.to_lowercase());
    let word_of = |words: &str| -> Vec<String> {
        words.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect()
    };
    let parts = word_of(&text);
    parts.iter().any(|part| part.chars().count() >= 4 && words.contains(part.as_str()))
        || parts.len() == 1 && !text.is_empty() && word_of(&words).contains(&text)
}

fn kind_of(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a float",
        Unexpected::Char(_) | Unexpected::Str(_) => "text",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a table",
        Unexpected::Unit | Unexpected::Option => "nothing",
        // Integers that serde has no `Unexpected` of their own for come as `Other`, with the number in it.
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_repeat_the_value_are_withheld() {
        for (words, value) in [
            ("bad password: hunter2", "hunter2"),
            ("bad password: HUNTER2", "hunter2"),
            ("cannot parse \"postgres://app:hunter2@db\"", "postgres://app:hunter2@db"),
            ("no user hunter2", "postgres://app:hunter2@db"),
            ("7 is out of range", "7"),
        ] {
            assert!(withheld(words, &Value::from(value)), "{words} / {value}");
        }
        assert!(withheld("4711 is too weak", &Value::from(4711_i64)));
        assert!(withheld("-4711 is too weak", &Value::from(-4711_i64)));
    }

    #[test]
    fn words_of_their_own_are_shown() {
        for (words, value) in [
            ("invalid socket address syntax", "0.0.0.0:eighty"),
            ("lower than 1", "0"),
            ("expected a URL", ""),
        ] {
            assert!(!withheld(words, &Value::from(value)), "{words} / {value}");
        }
    }
}
