//! What a handler adds to its request's one log line.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The most fields that one call may add.
const MOST_FIELDS: usize = 32;

/// The longest text of one field, in bytes.
const LONGEST_TEXT: usize = 1_024;

/// A value of a field that was added to the log.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FieldValue {
    /// A text; what is beyond 1 KiB is cut off.
    Text(Cow<'static, str>),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// Yes or no.
    Boolean(bool),
}

/// The fields of one call: nothing until the first is added.
#[derive(Debug, Default)]
pub(crate) struct Fields(OnceLock<Mutex<Vec<(&'static str, FieldValue)>>>);

// === impl Fields ===

impl Fields {
    pub(crate) fn add(&self, name: &'static str, mut value: FieldValue) -> bool {
        if let FieldValue::Text(text) = &mut value {
            shorten(text);
        }
        // A panic elsewhere while the list was held leaves it whole: each change is one assignment or one push.
        let mut fields = self.0.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        let known = fields.iter().position(|(known, _)| *known == name);
        match known {
            Some(at) => fields[at].1 = value,
            None if fields.len() < MOST_FIELDS => fields.push((name, value)),
            None => return false,
        }
        true
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&[(&'static str, FieldValue)]) -> T) -> T {
        match self.0.get() {
            None => read(&[]),
            Some(fields) => read(&fields.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

fn shorten(text: &mut Cow<'static, str>) {
    if text.len() > LONGEST_TEXT {
        let mut end = LONGEST_TEXT;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        match text {
            Cow::Borrowed(text) => *text = &text[..end],
            Cow::Owned(text) => text.truncate(end),
        }
    }
}

// === impl FieldValue ===

impl From<&'static str> for FieldValue {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for FieldValue {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for FieldValue {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<i32> for FieldValue {
    fn from(number: i32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u32> for FieldValue {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<f64> for FieldValue {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for FieldValue {
    fn from(yes: bool) -> Self {
        Self::Boolean(yes)
    }
}

impl Display for FieldValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.pad(text),
            Self::Integer(number) => number.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Boolean(yes) => yes.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FieldValue, Fields, LONGEST_TEXT, MOST_FIELDS};

    #[test]
    fn the_last_value_of_a_name_counts_and_neither_number_nor_length_grows_without_bound() {
        let fields = Fields::default();
        assert!(fields.read(<[_]>::is_empty));
        assert!(fields.add("sku", "COFFEE".into()) && fields.add("sku", 7.into()));
        assert!(fields.read(|fields| fields == [("sku", FieldValue::Integer(7))]));

        assert!(fields.add("long", "\u{e9}".repeat(LONGEST_TEXT).into()));
        let length = fields.read(|fields| fields[1].1.to_string().len());
        assert_eq!(length, LONGEST_TEXT);
        assert!(fields.add("odd", ("a".to_owned() + &"\u{e9}".repeat(LONGEST_TEXT)).into()));
        assert_eq!(fields.read(|fields| fields[2].1.to_string().len()), LONGEST_TEXT - 1);

        let names: Vec<&'static str> = (0..MOST_FIELDS).map(|at| &*at.to_string().leak()).collect();
        let taken = names.into_iter().filter(|name| fields.add(name, true.into())).count();
        assert_eq!(taken, MOST_FIELDS - 3);
        assert_eq!(fields.read(<[_]>::len), MOST_FIELDS);
    }
}
