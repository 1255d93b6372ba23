//! The text of a configuration file as a tree of values, with the line and column of each.

use figment::value::Dict;

use super::{Path, Place, Places};

mod json;
mod toml;
#[cfg(feature = "yaml")]
mod yaml;

pub(super) struct Document {
    pub(super) data: Dict,
    pub(super) places: Places,
}

/// How a file is written, known by the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Toml,
    Yaml,
    Json,
}

/// Where the text stops being what it should be, and why. The message never quotes the text.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) place: Place,
    pub(super) message: String,
}

/// Turns offsets into lines and columns.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

/// Tables and lists in one another, at most. The readers call themselves for each; the hungriest, YAML's, then takes
/// half of a thread's usual stack in a debug build.
pub(super) const DEPTH: usize = 32;

// === impl Document ===

impl Document {
    #[cfg(test)]
    fn place(&self, path: &[&str]) -> Place {
        let path: Path = path.iter().map(|key| (*key).to_owned()).collect();
        self.places.of(&self.data, &path).expect("the key is there")
    }

    /// Reads `text`; a byte order mark at its beginning is skipped.
    pub(super) fn parse(format: Format, text: &str) -> Result<Self, SyntaxError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match format {
            Format::Toml => toml::parse(text),
            Format::Json => json::parse(text),
            #[cfg(feature = "yaml")]
            Format::Yaml => yaml::parse(text),
            #[cfg(not(feature = "yaml"))]
            Format::Yaml => Err(SyntaxError {
                place: (1, 1),
                message: "YAML is not read: this program was built without the feature `yaml`".to_owned(),
            }),
        }
    }
}

// === impl Format ===

impl Format {
    /// The ends of names that are looked for, in the order in which they are tried.
    pub(super) const ENDINGS: [(&'static str, Self); 4] =
        [("toml", Self::Toml), ("yaml", Self::Yaml), ("yml", Self::Yaml), ("json", Self::Json)];
}

// === impl SyntaxError ===

impl SyntaxError {
    fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into() }
    }

    fn too_deep(place: Place) -> Self {
        Self::new(place, format!("more than {DEPTH} tables or lists in one another"))
    }
}

// === impl Lines ===

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut starts = Vec::with_capacity(text.len() / 16 + 1);
        starts.push(0);
        starts.extend(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1));
        Self { text, starts }
    }

    /// The line and, counted in characters, the column of a byte.
    pub(super) fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        let before = self.text.get(self.starts[line - 1]..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}
