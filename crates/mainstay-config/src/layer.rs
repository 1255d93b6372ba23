//! One source, read: where it comes from, its tree of values, and the place of each value.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};

mod disk;
mod document;
mod dotenv;
mod file;
mod secrets;
mod text;

pub(crate) use self::file::{Folder, embedded};
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
    pub(crate) places: HashMap<Path, Place>,
    /// The text of a file, for the report to show a line of.
    pub(crate) text: Option<Arc<str>>,
}

/// All layers as one tree, in which every value still knows its layer.
pub(crate) struct Merged {
    figment: Figment,
    layers: HashMap<String, (usize, Layer)>,
    pub(crate) tree: Value,
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
    /// Takes in what another layer of the same origin says.
    fn absorb(&mut self, other: Self) {
        fn graft(tree: &mut Dict, branch: Dict) {
            for (key, value) in branch {
                match (tree.get_mut(&key), value) {
                    (Some(Value::Dict(_, tree)), Value::Dict(_, branch)) => graft(tree, branch),
                    (_, value) => drop(tree.insert(key, value)),
                }
            }
        }
        graft(&mut self.data, other.data);
        self.places.extend(other.places);
    }

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
        self.places.get(&path[..whole]).copied()
    }

    /// How many values begin on this line.
    pub(crate) fn values_on_line(&self, line: usize) -> usize {
        let leaves = self.leaves();
        leaves.iter().filter(|(path, _)| self.places.get(path).is_some_and(|place| place.0 == line)).count()
    }
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.data.clone()))
    }
}

// === impl Merged ===

impl Merged {
    pub(crate) fn new(layers: Vec<Layer>) -> Self {
        let figment = layers.iter().fold(Figment::new(), Figment::merge);
        let tree = figment.find_value("").expect("no layer fails, and the empty path is the whole tree");
        let layers = layers.into_iter().enumerate();
        let layers = layers.map(|(rank, layer)| (layer.origin.to_string(), (rank, layer))).collect();
        Self { figment, layers, tree }
    }

    /// The layer that the value with this tag comes from.
    pub(crate) fn layer(&self, tag: Tag) -> Option<&Layer> {
        self.layers.get(&*self.figment.get_metadata(tag)?.name).map(|(_, layer)| layer)
    }

    /// All layers, lowest first.
    pub(crate) fn in_order(&self) -> Vec<&Layer> {
        let mut layers: Vec<_> = self.layers.values().collect();
        layers.sort_by_key(|(rank, _)| *rank);
        layers.into_iter().map(|(_, layer)| layer).collect()
    }

    /// The value at this key, a table or not.
    pub(crate) fn value(&self, path: &[String]) -> Option<&Value> {
        match path {
            [] => Some(&self.tree),
            path => value(self.tree.as_dict()?, path),
        }
    }

    /// Whether the value with this tag is text, as that of a variable is.
    pub(crate) fn is_text(&self, tag: Tag) -> bool {
        self.layer(tag).is_some_and(|layer| layer.origin.is_text())
    }

    /// The exact source of the value with this tag at this key: `default.toml:3:8`, `ORDERS__SERVER__PORT`.
    pub(crate) fn source(&self, tag: Tag, path: &[String]) -> Option<String> {
        let layer = self.layer(tag)?;
        Some(match layer.places.get(path) {
            Some((line, column)) => format!("{}:{line}:{column}", layer.origin),
            None => layer.origin.to_string(),
        })
    }

    /// Every value that is not a table, with its key.
    pub(crate) fn leaves(&self) -> Vec<(Path, &Value)> {
        self.tree.as_dict().map(leaves).unwrap_or_default()
    }
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
