//! Why a value does not fit its type, without the value.

use std::fmt;

use figment::value::{Tag, Value};
use serde::de::{Expected, Unexpected};

use crate::error::{Problem, closest, list};
use crate::layer::{Merged, Path};

/// One misfit: what was expected and what kind of thing was there, with the key and the tag of its source.
#[derive(Debug)]
pub(crate) struct Fault {
    path: Path,
    tag: Tag,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
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
    UnknownVariant(&'static [&'static str]),
    UnknownKey(&'static [&'static str]),
    Missing(&'static str),
    Duplicate,
}

/// Said instead of words that repeat the value.
pub(crate) const NOT_ACCEPTED: &str = "not accepted (the reason is withheld, as it repeats the value)";

// === impl Fault ===

impl Fault {
    fn new(kind: Kind) -> Self {
        Self { path: Path::new(), tag: Tag::Default, kind }
    }

    /// Remembers whose value it is, and drops words that repeat that value.
    pub(super) fn at(mut self, value: &Value) -> Self {
        if !self.tag.is_default() {
            return self;
        }
        self.tag = value.tag();
        match &mut self.kind {
            Kind::Words(words) if withheld(words, value) => NOT_ACCEPTED.clone_into(words),
            Kind::Type { expected, .. } | Kind::Value { expected, .. } | Kind::Length { expected, .. }
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

    /// The key, including that of a missing value.
    pub(crate) fn key(&self) -> Path {
        let mut path = self.path.clone();
        path.extend(self.is_missing());
        path
    }

    /// The last level of the key, when no source sets it.
    pub(crate) fn is_missing(&self) -> Option<String> {
        if let Kind::Missing(name) = self.kind { Some(name.to_owned()) } else { None }
    }

    pub(crate) fn is_unknown_key(&self) -> bool {
        matches!(self.kind, Kind::UnknownKey(_))
    }

    /// The texts that would have fitted, where the type lists them.
    pub(crate) fn variants(&self) -> &'static [&'static str] {
        if let Kind::UnknownVariant(names) = self.kind { names } else { &[] }
    }

    /// The line of the report. `looked_in` says for a missing key where it could be set.
    pub(crate) fn problem(mut self, merged: &Merged, looked_in: impl Fn(&[String]) -> String) -> Problem {
        let mut source = merged.source(self.tag, &self.path);
        let message = match &self.kind {
            Kind::Words(words) => words.clone(),
            Kind::Type { expected, found } => format!("expected {expected}, found {found}"),
            Kind::Value { expected, found } => format!("expected {expected}, found {found} that is not one"),
            Kind::Length { expected, found } => format!("expected {expected}, found {found} items"),
            Kind::UnknownVariant(known) => {
                format!("expected one of {}, found other text", list(known.iter().copied()))
            }
            Kind::UnknownKey(known) => unknown_key(self.path.last().map_or("", String::as_str), known),
            Kind::Duplicate => "given twice".to_owned(),
            Kind::Missing(name) => {
                self.path.push((*name).to_owned());
                source = None;
                format!("required, and no source sets it; {}", looked_in(&self.path))
            }
        };
        Problem::new(message).key(&self.path).source(source)
    }
}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(words: T) -> Self {
        Self::new(Kind::Words(words.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Kind::Type { expected: expected.to_string(), found: kind_of(found) })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Kind::Value { expected: expected.to_string(), found: kind_of(found) })
    }

    fn invalid_length(found: usize, expected: &dyn Expected) -> Self {
        Self::new(Kind::Length { expected: expected.to_string(), found })
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownVariant(expected))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownKey(expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Kind::Missing(field))
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self::new(Kind::Duplicate)
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

fn unknown_key(key: &str, known: &'static [&'static str]) -> String {
    match closest(key, known.iter().copied()) {
        Some(meant) => format!("unknown key, did you mean `{meant}`?"),
        None if known.is_empty() => "unknown key, none is expected here".to_owned(),
        None => format!("unknown key, expected one of {}", list(known.iter().copied())),
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
