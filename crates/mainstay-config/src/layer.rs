//! One source, read: where it comes from, its tree of values, and the place of each value.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use figment::value::{Dict, Value};

mod disk;
mod document;
mod dotenv;
mod file;
mod merged;
mod places;
mod secrets;
mod text;

pub(crate) use self::file::{Folder, embedded};
pub(crate) use self::merged::Merged;
use self::places::Places;
pub(crate) use self::secrets::Secrets;
pub(crate) use self::text::{Assignment, arguments, conflicts, env_file, joined, layers, variables};

/// A key, level by level. Never joined with dots while it is worked on: a TOML key may contain one.
pub(crate) type Path = Vec<String>;

/// Where a value begins: line and column, from 1.
pub(crate) type Place = (usize, usize);

/// What a layer was read from, in the words of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    File(PathBuf),
    Embedded(&'static str),
    EnvFile(PathBuf),
    /// A file that holds one value; `named_by` is the variable that names it, if one does.
    SecretFile {
        file: PathBuf,
        named_by: Option<String>,
    },
    Variable(String),
    Argument(String),
}

/// One source. Every variable and every secret file is a layer of its own, so that each value knows its own.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) origin: Origin,
    pub(crate) data: Dict,
    places: Places,
    /// The text of a file, for the report to show a line of.
    pub(crate) text: Option<Cow<'static, str>>,
}

// === impl Origin ===

impl Origin {
    /// Whether values are text that the target's type converts, as opposed to typed values of a file.
    pub(crate) fn is_text(&self) -> bool {
        !matches!(self, Self::File(_) | Self::Embedded(_))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::EnvFile(path) => f.write_str(&printable(&path.to_string_lossy())),
            Self::Embedded(name) => write!(f, "built-in {name}"),
            Self::SecretFile { file, named_by } => {
                f.write_str(&printable(&file.to_string_lossy()))?;
                named_by.as_ref().map_or(Ok(()), |name| write!(f, " from {}", printable(name)))
            }
            Self::Variable(name) => f.write_str(&printable(name)),
            Self::Argument(key) => write!(f, "--set {}", printable(key)),
        }
    }
}

// === impl Layer ===

impl Layer {
    /// The value at this key, a table or not.
    pub(crate) fn value(&self, path: &[String]) -> Option<&Value> {
        value(&self.data, path)
    }

    /// Every value that is not a table, with its key.
    pub(crate) fn leaves(&self) -> Vec<(Path, &Value)> {
        leaves(&self.data)
    }

    /// Where the value at this key begins; of an item of a list, where the list does.
    pub(crate) fn place(&self, path: &[String]) -> Option<Place> {
        let whole = path.iter().position(|level| level.starts_with('[')).unwrap_or(path.len());
        self.places.of(&self.data, &path[..whole])
    }

    /// What this layer decides about a value at this key: that there is one (true), or something else, a table at the key
    /// or a single value around it (false). `None` when it leaves that to lower ones.
    pub(crate) fn settles(&self, path: &[String]) -> Option<bool> {
        let around = (1..path.len()).any(|length| self.value(&path[..length]).is_some_and(is_single));
        match self.value(path) {
            Some(value) => Some(is_single(value)),
            None => around.then_some(false),
        }
    }

    /// The single value at this key, to be changed.
    pub(crate) fn single_mut(&mut self, path: &[String]) -> Option<&mut Value> {
        let (last, levels) = path.split_last()?;
        let table = levels.iter().try_fold(&mut self.data, |table, key| match table.get_mut(key)? {
            Value::Dict(_, table) => Some(table),
            _ => None,
        });
        table?.get_mut(last).filter(|value| is_single(value))
    }

    /// How many values begin on this line.
    pub(crate) fn values_on_line(&self, line: usize) -> usize {
        let leaves = self.leaves();
        leaves.iter().filter(|(path, _)| self.place(path).is_some_and(|place| place.0 == line)).count()
    }

    /// The exact source of the value at this key: `default.toml:3:8`, `ORDERS__SERVER__PORT`.
    pub(crate) fn source(&self, path: &[String]) -> String {
        match self.place(path) {
            Some((line, column)) => format!("{}:{line}:{column}", self.origin),
            None => self.origin.to_string(),
        }
    }
}

fn is_single(value: &Value) -> bool {
    value.as_dict().is_none()
}

fn value<'a>(table: &'a Dict, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let child = table.get(first)?;
    if rest.is_empty() { Some(child) } else { value(child.as_dict()?, rest) }
}

fn leaves(table: &Dict) -> Vec<(Path, &Value)> {
    fn walk<'a>(path: &[String], table: &'a Dict, found: &mut Vec<(Path, &'a Value)>) {
        for (key, value) in table {
            let path = [path, std::slice::from_ref(key)].concat();
            match value {
                Value::Dict(_, table) => walk(&path, table, found),
                leaf => found.push((path, leaf)),
            }
        }
    }
    let mut found = Vec::new();
    walk(&[], table, &mut found);
    found
}

/// `text` on one line and without anything that a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
