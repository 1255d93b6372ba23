//! Why one setting has the value that it has: every source that sets it, and which one won.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use figment::value::{Dict, Value};
use serde::Serialize;

use crate::Loaded;
use crate::layer::{Layer, Merged, Origin, Path, joined};
use crate::problem::{Problem, closest};
use crate::redact::{redacted, shown};
use crate::watch::Seen;

/// What every source says of one setting. `Display` gives a line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The key, `server.listen`.
    pub key: String,
    /// Every source that sets it, lowest first. Empty when none does, so that the type's default is in effect.
    pub candidates: Vec<Candidate>,
    /// The type's default, when it is in effect.
    pub default: Option<String>,
}

/// What one source says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// The file with line and column, the variable or the argument.
    pub source: String,
    /// What it says, in the manner of TOML; what a variable says is text. `"[redacted]"` where the setting is a
    /// [`Secret`](crate::Secret), and where it cannot be known that it is none.
    pub value: String,
    /// What became of it.
    pub standing: Standing,
}

/// What became of a [`Candidate`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// Its value is in effect. The text says what it beats: "the environment beats development.toml".
    Wins(Option<String>),
    /// A higher source has another value for the key.
    Beaten,
    /// A higher source has a table for the key, or a single value for a table around it.
    Replaced,
}

/// What [`Explanation`]s are made of: for every key that a source sets, what each said. Holds no secret.
pub(crate) type Trail = BTreeMap<String, Vec<Candidate>>;

/// The candidates with their values, for as long as it is not known which of them are secrets.
pub(crate) struct Candidates(Vec<(Path, Origin, String, Value)>);

impl<T: Serialize> Loaded<T> {
    /// Every source that sets this key (`server.listen`), and why one of them won.
    ///
    /// `None` when no source sets it and it has no value in effect: an option that is not set, a table, or no key.
    ///
    /// ```
    /// # use mainstay_config::Loader;
    /// # #[derive(serde::Deserialize, serde::Serialize, garde::Validate)]
    /// # struct Settings { #[garde(skip)] copies: u8 }
    /// # fn main() -> Result<(), mainstay_config::ConfigError> {
    /// let loaded = Loader::new("demo")
    ///     .embedded(&[("default.toml", "copies = 1"), ("development.toml", "copies = 2")])
    ///     .environment([("DEMO__COPIES", "3")])
    ///     .load::<Settings>()?;
    ///
    /// assert_eq!(
    ///     loaded.explain("copies").unwrap().to_string(),
    ///     "copies, lowest source first:\n  \
    ///        1    built-in default.toml:1:10      beaten\n  \
    ///        2    built-in development.toml:1:10  beaten\n  \
    ///        \"3\"  DEMO__COPIES                    wins: the environment beats built-in development.toml\n"
    /// );
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A key that a source spells by an `#[serde(alias)]` is explained under that spelling.
    ///
    /// # Panics
    ///
    /// As [`effective`](Self::effective).
    pub fn explain(&self, key: &str) -> Option<Explanation> {
        let key = key.to_owned();
        if let Some(candidates) = self.trail.get(&key) {
            return Some(Explanation { key, candidates: candidates.clone(), default: None });
        }
        let default = self.effective().into_iter().find(|setting| setting.key == key)?;
        Some(Explanation { key, candidates: Vec::new(), default: Some(default.value) })
    }

    /// The key itself if it has an explanation, else those below it, if it is a table.
    pub fn keys_of(&self, key: &str) -> Vec<String> {
        if self.explain(key).is_some() {
            return vec![key.to_owned()];
        }
        let below = format!("{key}.");
        self.keys().into_iter().filter(|key| key.starts_with(&below)).collect()
    }

    /// The key that was probably meant by one without explanation.
    #[cfg_attr(not(feature = "clap"), expect(dead_code, reason = "only the command has a person to ask"))]
    pub(crate) fn meant(&self, key: &str) -> Option<String> {
        let keys = self.keys();
        closest(key, keys.iter().map(String::as_str)).map(str::to_owned)
    }

    fn keys(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.effective().into_iter().map(|setting| setting.key).collect();
        keys.extend(self.trail.keys().cloned());
        keys.sort();
        keys.dedup();
        keys
    }
}

// === impl Candidates ===

impl Candidates {
    /// All values of all layers.
    pub(crate) fn of(layers: &[Layer]) -> Self {
        fn walk(layer: &Layer, path: &Path, table: &Dict, found: &mut Vec<(Path, Origin, String, Value)>) {
            for (key, value) in table {
                let path = [path.as_slice(), std::slice::from_ref(key)].concat();
                match value {
                    Value::Dict(_, table) => walk(layer, &path, table, found),
                    value => {
                        let origin = layer.origin.clone();
                        let source = match layer.places.get(&path) {
                            Some((line, column)) => format!("{origin}:{line}:{column}"),
                            None => origin.to_string(),
                        };
                        found.push((path, origin, source, value.clone()));
                    }
                }
            }
        }
        let mut found = Vec::new();
        for layer in layers {
            walk(layer, &Path::new(), &layer.data, &mut found);
        }
        Self(found)
    }

    /// What may be kept of them.
    ///
    /// What a type refuses may be anything, also a secret in the wrong place: a value with a warning is not shown.
    pub(crate) fn redacted(self, merged: &Merged, seen: &Seen, warnings: &[Problem]) -> Trail {
        let is_refused = |path: &Path, source: &str| {
            let mut about = warnings
                .iter()
                .filter(|warning| warning.path.as_ref().is_some_and(|levels| levels.0 == *path));
            about.any(|warning| warning.where_it_is().as_deref() == Some(source))
        };
        let in_effect: BTreeSet<Path> = merged.leaves().into_iter().map(|(path, _)| path).collect();
        let mut trail: BTreeMap<String, (Origin, Vec<Candidate>)> = BTreeMap::new();
        for (path, origin, source, value) in self.0 {
            let value = if is_refused(&path, &source) { redacted() } else { shown(&value, &path, seen) };
            let is_in_effect = in_effect.contains(&path);
            let standing = |beats| if is_in_effect { Standing::Wins(beats) } else { Standing::Replaced };
            match trail.entry(joined(&path)) {
                Entry::Vacant(entry) => {
                    entry.insert((origin, vec![Candidate { source, value, standing: standing(None) }]));
                }
                Entry::Occupied(mut entry) => {
                    let (highest, candidates) = entry.get_mut();
                    for lower in candidates.iter_mut() {
                        lower.standing = Standing::Beaten;
                    }
                    let standing = standing(Some(beats(&origin, highest)));
                    candidates.push(Candidate { source, value, standing });
                    *highest = origin;
                }
            }
        }
        trail.into_iter().map(|(key, (_, candidates))| (key, candidates)).collect()
    }
}

fn beats(winner: &Origin, lower: &Origin) -> String {
    match (winner, lower) {
        (Origin::Argument(_), Origin::Argument(_)) => "the later argument beats the earlier".to_owned(),
        _ => format!("{} beats {}", kind(winner), kind(lower)),
    }
}

fn kind(origin: &Origin) -> String {
    match origin {
        Origin::Variable(_) => "the environment".to_owned(),
        Origin::Argument(_) => "the command line".to_owned(),
        other => other.to_string(),
    }
}

// === showing ===

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(default) = &self.default {
            return writeln!(f, "{}, set by no source:\n  {default}  default of the type", self.key);
        }
        writeln!(f, "{}, lowest source first:", self.key)?;
        let widest = |text: fn(&Candidate) -> &str| {
            self.candidates.iter().map(|candidate| text(candidate).chars().count()).max().unwrap_or_default()
        };
        let (values, sources) = (widest(|candidate| &candidate.value), widest(|candidate| &candidate.source));
        for Candidate { source, value, standing } in &self.candidates {
            writeln!(f, "  {value:values$}  {source:sources$}  {standing}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wins(None) => f.write_str("wins: the only source of this key"),
            Self::Wins(Some(why)) => write!(f, "wins: {why}"),
            Self::Beaten => f.write_str("beaten"),
            Self::Replaced => f.write_str("replaced as a whole by a higher source"),
        }
    }
}
