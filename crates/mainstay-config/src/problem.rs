//! One thing that is wrong: what, where, and what to do about it. Never a value.

use std::fmt;

use crate::code::Code;
use crate::layer::{Origin, Path, Place, joined, printable};

/// One line of the report: something that is wrong, or, as a [warning](crate::Loaded::warnings), suspicious.
///
/// `Display` is the line without its number, `MC005 port: expected u16, found text (ORDERS__PORT)`.
#[derive(Debug, Clone)]
pub struct Problem {
    pub(crate) code: Code,
    pub(crate) key: Option<Box<str>>,
    /// The key level by level, where it is one of the sources' or the type's.
    pub(crate) path: Option<Box<Levels>>,
    pub(crate) message: Box<str>,
    pub(crate) spots: Vec<Spot>,
    pub(crate) looked_in: Box<[String]>,
    pub(crate) help: Vec<String>,
    pub(crate) line: Option<Box<Line>>,
}

/// A key level by level, behind one pointer: a problem travels in many results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Levels(pub(crate) Path);

/// Where it is.
#[derive(Debug, Clone)]
pub(crate) enum Spot {
    Source(Origin, Option<Place>),
    Words(String),
}

/// The line of a file, and the part of it that is wrong.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) text: String,
    /// From 1, in characters.
    pub(crate) column: usize,
    pub(crate) width: usize,
}

// === impl Problem ===

impl Problem {
    /// The stable code, `MC005`; the [crate's page](crate) lists them.
    pub fn code(&self) -> &'static str {
        self.code.id()
    }

    /// The key it is about, `server.port`; none for a file as a whole.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Whether the settings may be used all the same.
    pub fn is_warning(&self) -> bool {
        self.code.is_warning()
    }

    /// What cannot be read, as long as `code_of` says nothing else.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::of(Code::Unreadable, message)
    }

    pub(crate) fn of(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            key: None,
            path: None,
            message: shortened(&printable(&message.into())).into(),
            spots: Vec::new(),
            looked_in: Box::default(),
            help: Vec::new(),
            line: None,
        }
    }

    pub(crate) fn code_of(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    pub(crate) fn about(mut self, path: &[String]) -> Self {
        self.key = (!path.is_empty()).then(|| shortened(&joined(path)).into());
        self.path = Some(Box::new(Levels(path.to_vec())));
        self
    }

    pub(crate) fn at(self, origin: &Origin) -> Self {
        self.spot(Spot::Source(origin.clone(), None))
    }

    pub(crate) fn place(mut self, place: Place) -> Self {
        if let Some(Spot::Source(_, known)) = self.spots.last_mut() {
            *known = Some(place);
        }
        self
    }

    pub(crate) fn source(self, source: impl Into<Option<String>>) -> Self {
        match source.into() {
            Some(source) => self.spot(Spot::Words(source)),
            None => self,
        }
    }

    pub(crate) fn spot(mut self, spot: Spot) -> Self {
        self.spots.push(spot);
        self
    }

    pub(crate) fn spots(mut self, spots: Vec<Spot>) -> Self {
        self.spots = spots;
        self
    }

    pub(crate) fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help.extend(help.into());
        self
    }

    pub(crate) fn line(mut self, line: Option<Line>) -> Self {
        self.line = line.map(Box::new);
        self
    }

    /// "server.port: expected u16, found text"
    pub(crate) fn statement(&self) -> String {
        match &self.key {
            Some(key) => format!("{key}: {}", self.message),
            None => self.message.to_string(),
        }
    }

    pub(crate) fn where_it_is(&self) -> Option<String> {
        let spots: Vec<_> = self.spots.iter().map(|spot| shortened(&spot.to_string())).collect();
        (!spots.is_empty()).then(|| spots.join(" and "))
    }

    /// Whether there is no value of the right type, so that nothing more can be said of it.
    pub(crate) fn is_misfit(&self) -> bool {
        matches!(self.code, Code::Type | Code::Variant | Code::Missing)
    }

    /// What the report is sorted by: files, then variables, then arguments, then what no source has.
    pub(crate) fn order(&self) -> (u8, String, Place) {
        match self.spots.first() {
            Some(Spot::Words(words)) => (0, words.clone(), (0, 0)),
            Some(Spot::Source(origin, place)) => {
                let rank = match origin {
                    Origin::File(_) | Origin::Embedded(_) => 1,
                    Origin::EnvFile(_) => 2,
                    Origin::SecretFile { .. } => 3,
                    Origin::Variable(_) => 4,
                    Origin::Argument(_) => 5,
                };
                (rank, origin.to_string(), place.unwrap_or_default())
            }
            None if self.key.is_none() => (0, String::new(), (0, 0)),
            None => (6, String::new(), (0, 0)),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code.id(), self.statement())?;
        match self.where_it_is() {
            Some(place) => write!(f, " ({place})"),
            None => Ok(()),
        }
    }
}

// === impl Spot ===

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(origin, Some((line, column))) => write!(f, "{origin}:{line}:{column}"),
            Self::Source(origin, None) => write!(f, "{origin}"),
            Self::Words(words) => f.write_str(&printable(words)),
        }
    }
}

/// Keys and words come from the world, which has long ones.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 500;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The one of `known` that `word` is probably a typo of.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 100;
    let length = word.chars().count();
    if length > LONGEST {
        return None;
    }
    let allowed = (length / 3).max(1);
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&plain(word), &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "`a`, `b`, `c`"
pub(crate) fn list<'a, I: IntoIterator<Item = &'a str>>(names: I) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
