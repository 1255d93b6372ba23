//! What must not be true of a value in production.

use std::fmt;

use figment::value::Value;

use crate::code::Code;
use crate::deserialize::Outline;
use crate::layer::{Merged, Origin, Path};
use crate::problem::{Problem, Spot};

/// Values that are in every list of passwords, whatever the application.
const USUAL: [&str; 14] = [
    "changeme",
    "change-me",
    "change_me",
    "secret",
    "password",
    "passw0rd",
    "development-only",
    "development",
    "default",
    "example",
    "test",
    "admin",
    "root",
    "123456",
];

/// A rule on what sources say, for the profiles in which it counts; see [`Loader::guard`](crate::Loader::guard).
///
/// ```
/// # #[derive(Debug, serde::Deserialize, garde::Validate)]
/// # struct Settings { #[garde(skip)] session: Session }
/// # #[derive(Debug, serde::Deserialize, garde::Validate)]
/// # struct Session { #[garde(skip)] key: mainstay_config::Secret<String> }
/// use mainstay_config::{Guard, Loader};
///
/// let error = Loader::new("orders")
///     .profile(Some("production".to_owned()))
///     .guard(Guard::secret(["session.key"]).at_least(32).never(["orders-development-key"]))
///     .environment([("ORDERS__SESSION__KEY", "hunter2")])
///     .load::<Settings>()
///     .unwrap_err();
/// assert!(error.to_string().contains("session.key: shorter than 32 bytes; refused in production"));
/// ```
///
/// A guard never shows the value. It looks at what the sources say, so a value that is the type's own default is
/// beyond it: [`Guard::given`] insists that there is another. A key that the settings do not have is a problem in
/// every profile, as its guard would guard nothing.
#[derive(Clone)]
pub struct Guard {
    rule: Rule,
    keys: Vec<String>,
    profiles: Option<Vec<String>>,
}

#[derive(Clone)]
enum Rule {
    Secret { least: usize, never: Vec<String> },
    Off,
    Encrypted,
    Given,
}

// === impl Guard ===

impl Guard {
    /// The secrets at these keys are none that everybody knows (`changeme`, `password` and the like), at least 16
    /// bytes long, and not one character over and over.
    pub fn secret<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self::new(Rule::Secret { least: 16, never: Vec::new() }, keys)
    }

    /// The switches at these keys are off.
    pub fn off<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self::new(Rule::Off, keys)
    }

    /// The URLs at these keys are not plain `http`.
    pub fn encrypted<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self::new(Rule::Encrypted, keys)
    }

    /// The values at these keys come from another source than the type's own default and `default.toml`.
    pub fn given<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self::new(Rule::Given, keys)
    }

    /// Another least length for [`Guard::secret`], in bytes; for other guards it says nothing.
    #[must_use]
    pub fn at_least(mut self, bytes: usize) -> Self {
        if let Rule::Secret { least, .. } = &mut self.rule {
            *least = bytes;
        }
        self
    }

    /// More values that [`Guard::secret`] refuses, such as those of the development's own files.
    #[must_use]
    pub fn never<V: Into<String>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        if let Rule::Secret { never, .. } = &mut self.rule {
            never.extend(values.into_iter().map(Into::into));
        }
        self
    }

    /// The profiles in which it counts. Default: all but the first, which is the one of development.
    #[must_use]
    pub fn only_in(mut self, profiles: &[&str]) -> Self {
        self.profiles = Some(profiles.iter().copied().map(str::to_owned).collect());
        self
    }

    fn new<K: Into<String>>(rule: Rule, keys: impl IntoIterator<Item = K>) -> Self {
        Self { rule, keys: keys.into_iter().map(Into::into).collect(), profiles: None }
    }

    /// What it refuses. Without a known profile it only looks whether its keys exist.
    pub(crate) fn refusals(
        &self,
        merged: &Merged,
        outline: &Outline,
        declared: &[String],
        profile: Option<&str>,
    ) -> Vec<Problem> {
        let counts = profile.filter(|profile| match &self.profiles {
            Some(profiles) => profiles.iter().any(|name| name == profile),
            None => declared.first().is_some_and(|first| first != profile),
        });
        let mut problems = Vec::new();
        for key in &self.keys {
            let path: Path = key.split('.').map(str::to_owned).collect();
            if !exists(&path, outline) {
                let what = "a guard names this key, and the settings have none of this name";
                problems.push(Problem::of(Code::Guard, what).about(&path));
                continue;
            }
            let Some(profile) = counts else { continue };
            let value = merged.value(&path);
            let layer = value.and_then(|value| merged.layer(value.tag(), &path));
            let Some(what) = self.refusal(value, layer.map(|layer| &layer.origin)) else { continue };
            let mut problem = Problem::of(Code::Guard, format!("{what}; refused in {profile}")).about(&path);
            if let Some(layer) = layer {
                problem = problem.spot(Spot::Source(layer.origin.clone(), layer.place(&path)));
            }
            problems.push(problem);
        }
        problems
    }

    fn refusal(&self, value: Option<&Value>, origin: Option<&Origin>) -> Option<String> {
        let text = match value {
            Some(Value::String(_, text)) => Some(text.trim()),
            _ => None,
        };
        match &self.rule {
            Rule::Secret { least, never } => weakness(value?, *least, never),
            Rule::Off => {
                let on = match value? {
                    Value::Bool(_, on) => *on,
                    _ => ["true", "yes", "on", "1"].contains(&text?.to_lowercase().as_str()),
                };
                on.then(|| "switched on".to_owned())
            }
            Rule::Encrypted => {
                let scheme = text?.split(':').next().unwrap_or_default().to_lowercase();
                (scheme == "http").then(|| "a plain http URL".to_owned())
            }
            Rule::Given => {
                let is_default = match origin {
                    None => value.is_none(),
                    Some(Origin::File(path)) => path.file_stem().is_some_and(|stem| stem == "default"),
                    Some(Origin::Embedded(name)) => name.starts_with("default."),
                    Some(_) => false,
                };
                is_default.then(|| "still the default".to_owned())
            }
        }
    }
}

/// Says nothing of the values that it refuses: they may be in use elsewhere.
impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("keys", &self.keys).finish_non_exhaustive()
    }
}

fn weakness(value: &Value, least: usize, never: &[String]) -> Option<String> {
    let text = match value {
        Value::String(_, text) => text.clone(),
        Value::Num(_, number) => number.to_u128_lossy()?.to_string(),
        Value::Array(_, items) => return items.iter().find_map(|item| weakness(item, least, never)),
        _ => return None,
    };
    let known = never.contains(&text) || USUAL.contains(&text.trim().to_lowercase().as_str());
    let mut characters = text.chars();
    let first = characters.next();
    let repeats = text.len() > 1 && characters.all(|character| Some(character) == first);
    if known {
        Some("a value that is known to everybody".to_owned())
    } else if text.len() < least {
        Some(format!("shorter than {least} bytes"))
    } else {
        repeats.then(|| "one character over and over".to_owned())
    }
}

/// As far as the types say which keys there are.
fn exists(path: &[String], outline: &Outline) -> bool {
    (0..path.len()).all(|depth| match outline.fields_of(&path[..depth]) {
        Some(fields) => fields.contains(&path[depth].as_str()),
        None => true,
    })
}
