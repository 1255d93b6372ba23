//! Media types as headers state them, and ranges of them as settings name them (RFC 9110, sections 8.3 and 12.5.1).
//!
//! What a request says is read where it lies: nothing is copied, so no input makes this allocate.

mod accept;
mod reader;

pub(crate) use accept::accepts;
use reader::{Parameters, Reader, Value};

/// A media type, or in `Accept` a range of them, as it stands in a header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MediaType<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    // Read to their end once: every one of them is well formed.
    parameters: &'a [u8],
}

/// What settings allow: one type, `type/*`, `type/*+suffix` or `*/*`, with the parameters that it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaRange {
    kind: Part,
    subtype: Part,
    parameters: Vec<Asked>,
}

/// A parameter that a range asks for: its name in lower case, and its value.
type Asked = (Box<[u8]>, Box<[u8]>);

/// One half of a range, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Any,
    Suffix(Box<[u8]>),
    Exactly(Box<[u8]>),
}

// === impl MediaType ===

impl<'a> MediaType<'a> {
    /// The type that this header line states, if it is well formed to its end.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(line);
        reader.skip_space();
        let kind = reader.token()?;
        if !reader.take(b'/') {
            return None;
        }
        let subtype = reader.token()?;
        let parameters = reader.rest();
        Parameters::new(parameters).all(|parameter| parameter.is_ok()).then_some(Self {
            kind,
            subtype,
            parameters,
        })
    }

    /// Whether it names one type, as a content type must, and not a range of them.
    fn is_concrete(&self) -> bool {
        // `*` is a token's character, but no registered name's (RFC 6838, section 4.2).
        !self.kind.contains(&b'*') && !self.subtype.contains(&b'*')
    }

    fn parameters(&self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> + use<'a> {
        Parameters::new(self.parameters).filter_map(Result::ok)
    }

    fn has_parameter(&self, name: &[u8], value: &[u8]) -> bool {
        self.parameters().any(|(its, has)| its.eq_ignore_ascii_case(name) && has.is(value))
    }
}

// === impl MediaRange ===

impl MediaRange {
    /// The range that a setting names, if it is well formed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let stated = MediaType::parse(text.as_bytes())?;
        let kind = Part::parse(stated.kind)?;
        let subtype = Part::parse(stated.subtype)?;
        // `*/json` is no range (RFC 9110, section 12.5.1), and a suffix belongs to a subtype.
        let is_range = match kind {
            Part::Any => !matches!(subtype, Part::Exactly(_)),
            Part::Suffix(_) => false,
            Part::Exactly(_) => true,
        };
        let parameters = stated.parameters().map(|(name, value)| (lower(name), value.unescaped()));
        is_range.then(|| Self { kind, subtype, parameters: parameters.collect() })
    }

    /// Whether it is one type and not a range of several.
    pub(crate) fn is_concrete(&self) -> bool {
        matches!((&self.kind, &self.subtype), (Part::Exactly(_), Part::Exactly(_)))
    }

    /// Whether this type is in the range. Case and parameters that the range does not ask for are not looked at.
    pub(crate) fn includes(&self, stated: &MediaType<'_>) -> bool {
        stated.is_concrete()
            && self.kind.includes(stated.kind)
            && self.subtype.includes(stated.subtype)
            && self.parameters.iter().all(|(name, value)| stated.has_parameter(name, value))
    }

    fn has_parameter(&self, name: &[u8], value: &Value<'_>) -> bool {
        self.parameters.iter().any(|(its, has)| its.eq_ignore_ascii_case(name) && value.is(has))
    }
}

// === impl Part ===

impl Part {
    fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"*" => Some(Self::Any),
            [b'*', suffix @ ..] if suffix.len() > 1 && suffix[0] == b'+' && !suffix.contains(&b'*') => {
                Some(Self::Suffix(lower(suffix)))
            }
            exactly if !exactly.contains(&b'*') => Some(Self::Exactly(lower(exactly))),
            _ => None,
        }
    }

    fn includes(&self, stated: &[u8]) -> bool {
        match self {
            Self::Any => true,
            // `+json` alone has nothing in front of its suffix.
            Self::Suffix(suffix) => stated
                .len()
                .checked_sub(suffix.len())
                .is_some_and(|at| at > 0 && stated[at..].eq_ignore_ascii_case(suffix)),
            Self::Exactly(text) => text.eq_ignore_ascii_case(stated),
        }
    }
}

fn lower(text: &[u8]) -> Box<[u8]> {
    text.to_ascii_lowercase().into()
}

#[cfg(test)]
mod tests;
