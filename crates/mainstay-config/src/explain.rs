//! Why one setting has the value that it has: every source that sets it, and which one won.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::Loaded;
use crate::deserialize::Outline;
use crate::layer::{Layer, Origin, Path, joined};
use crate::problem::{Levels, Problem, closest};
use crate::redact::{NOTHING, shown, withhold_secrets};

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

/// What [`Explanation`]s are made of: every layer without its text and without what is or may be a secret.
#[derive(Clone)]
pub(crate) struct Trail {
    /// Lowest first.
    layers: Vec<Layer>,
}

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
        let candidates = self.trail.candidates(&key);
        if !candidates.is_empty() {
            return Some(Explanation { key, candidates, default: None });
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
        keys.extend(self.trail.keys());
        keys.sort();
        keys.dedup();
        keys
    }
}

// === impl Trail ===

impl Trail {
    /// Keeps of the layers what may be kept.
    ///
    /// What a type refuses may be anything, also a secret in the wrong place: a value with a warning is not kept.
    pub(crate) fn new(mut layers: Vec<Layer>, outline: &Outline, warnings: &[Problem]) -> Self {
        for layer in &mut layers {
            for warning in warnings {
                let Some(Levels(path)) = warning.path.as_deref() else { continue };
                let is_here = warning.where_it_is().is_some_and(|place| place == layer.source(path));
                if let Some(value) = layer.single_mut(path).filter(|_| is_here) {
                    *value = NOTHING;
                }
            }
            withhold_secrets(&mut layer.data, outline, Some(Outline::ROOT));
            layer.text = None;
        }
        Self { layers }
    }

    /// What was read, lowest first.
    pub(crate) fn sources(&self) -> Vec<String> {
        self.layers.iter().map(|layer| layer.origin.to_string()).collect()
    }

    /// The source of the value in effect.
    pub(crate) fn source_of(&self, key: &str) -> Option<String> {
        let winner = self.candidates(key).pop()?;
        matches!(winner.standing, Standing::Wins(_)).then_some(winner.source)
    }

    /// What each source says of the key, lowest first. None for a table.
    fn candidates(&self, key: &str) -> Vec<Candidate> {
        let Some(path) = self.paths().find(|path| joined(path) == key) else { return Vec::new() };
        let says = |layer: &&Layer| layer.value(&path).is_some_and(|value| value.as_dict().is_none());
        let layers: Vec<_> = self.layers.iter().filter(says).collect();
        let highest = layers.len() - 1;
        let candidate = |(rank, layer): (usize, &&Layer)| Candidate {
            source: layer.source(&path),
            value: layer.value(&path).map(shown).unwrap_or_default(),
            standing: if rank < highest {
                Standing::Beaten
            } else if self.is_replaced(&path) {
                Standing::Replaced
            } else {
                Standing::Wins(highest.checked_sub(1).map(|next| beats(&layer.origin, &layers[next].origin)))
            },
        };
        layers.iter().enumerate().map(candidate).collect()
    }

    /// Whether the highest layer that says anything of this key, or of a table around it, has another kind of thing there.
    fn is_replaced(&self, path: &[String]) -> bool {
        self.layers.iter().rev().find_map(|layer| layer.settles(path)) == Some(false)
    }

    /// The keys of all values, joined.
    fn keys(&self) -> BTreeSet<String> {
        self.paths().map(|path| joined(&path)).collect()
    }

    fn paths(&self) -> impl Iterator<Item = Path> {
        self.layers.iter().flat_map(|layer| layer.leaves().into_iter().map(|(path, _)| path))
    }
}

/// Says no values: of those that are no secrets some may still be known to few.
impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.layers.iter().map(|layer| layer.origin.to_string())).finish()
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
