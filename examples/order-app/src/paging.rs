//! Keyset pages: the cursor is the key of the last row seen, so a page costs the same wherever it begins.

use std::fmt::Display;
use std::str::FromStr;

use serde::Deserialize;

use crate::api::FieldErrors;

/// The parameters of a list that takes no others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

/// So many rows, after this one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageRequest<K> {
    pub(crate) after: Option<K>,
    limit: Limit,
}

/// Some rows, and where the next page begins.
#[derive(Debug)]
pub(crate) struct Page<T, K> {
    pub(crate) rows: Vec<T>,
    pub(crate) next: Option<K>,
}

#[derive(Clone, Copy, Debug)]
struct Limit(u8);

#[derive(Debug, thiserror::Error)]
#[error("limit {given:?}, expected 1 to {}", Limit::MOST)]
struct InvalidLimit {
    given: String,
}

// === impl PageQuery ===

impl PageQuery {
    pub(crate) fn parse<K: FromStr<Err: Display>>(&self) -> Result<PageRequest<K>, FieldErrors> {
        let mut errors = FieldErrors::default();
        let page = PageRequest::parse(self.limit.as_deref(), self.cursor.as_deref(), &mut errors);
        if errors.is_empty() { Ok(page) } else { Err(errors) }
    }
}

// === impl PageRequest ===

impl<K> PageRequest<K> {
    /// Notes what is wrong in `errors`; the request is of use only when nothing is.
    pub(crate) fn parse(limit: Option<&str>, cursor: Option<&str>, errors: &mut FieldErrors) -> Self
    where
        K: FromStr<Err: Display>,
    {
        Self {
            after: errors.parse_optional("cursor", cursor),
            limit: errors.parse_optional("limit", limit).unwrap_or(Limit::DEFAULT),
        }
    }

    /// How many rows to fetch: one more than are shown tells whether there is a next page.
    pub(crate) fn fetch(&self) -> u64 {
        u64::from(self.limit.0) + 1
    }

    /// Makes the page of what was fetched.
    pub(crate) fn page<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> K) -> Page<T, K> {
        let limit = usize::from(self.limit.0);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(key);
        Page { rows, next }
    }
}

// === impl Limit ===

impl Limit {
    const MOST: u8 = 100;
    const DEFAULT: Self = Self(20);
}

impl FromStr for Limit {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(limit @ 1..=Self::MOST) => Ok(Self(limit)),
            _ => Err(InvalidLimit { given: text.chars().take(20).collect() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_knows_whether_another_follows() {
        let request = PageRequest::<u32>::parse(Some("2"), None, &mut FieldErrors::default());
        assert_eq!(request.fetch(), 3);

        let full = request.page(vec![9, 8, 7], |row| *row);
        assert_eq!((full.rows, full.next), (vec![9, 8], Some(8)));

        let last = request.page(vec![9, 8], |row| *row);
        assert_eq!((last.rows, last.next), (vec![9, 8], None));
    }

    #[test]
    fn limits_outside_the_range_are_refused() {
        for wrong in ["0", "101", "256", "-1", "1.5", "", "many"] {
            assert!(wrong.parse::<Limit>().is_err(), "{wrong}");
        }
        assert_eq!("100".parse::<Limit>().unwrap().0, 100);
    }
}
