//! Checking every profile where its secrets are not at hand, as in CI.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use figment::value::{Dict, Tag, Value};
use garde::Validate;
use serde::de::DeserializeOwned;

use super::Loader;
use crate::deserialize::Node;
use crate::error::ConfigError;
use crate::layer::{Layer, Merged, Origin, Path, joined};
use crate::shape;
use crate::watch::watch;

/// What [`Loader::check_profiles`] found. `Display` is a report of all profiles.
///
/// As an error it stands for "at least one profile is not valid".
#[derive(Debug)]
#[non_exhaustive]
pub struct ProfilesReport {
    /// One for each declared profile, in that order.
    pub profiles: Vec<ProfileCheck>,
}

/// What was found of one profile.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProfileCheck {
    /// Its name.
    pub profile: String,
    /// The keys without a value that were taken as supplied later, sorted.
    pub supplied: Vec<String>,
    /// What is wrong with everything else.
    pub result: Result<(), ConfigError>,
}

/// Texts of which most types take one. No stand-in leaves this file.
const STAND_INS: [&str; 11] = [
    "supplied-later",
    "1",
    "true",
    "127.0.0.1:1",
    "127.0.0.1",
    "10.0.0.0/8",
    "https://supplied.invalid/",
    "1s",
    "2000-01-01T00:00:00Z",
    "00000000-0000-4000-8000-000000000000",
    "",
];

/// Misfits that the search steps over before it gives up.
const MOST_STEPS: usize = 200;

impl Loader {
    /// Keys (`payment.url`) that only the place of deployment knows, so that [`check_profiles`](Self::check_profiles)
    /// does not ask for them. Every [`Secret`](crate::Secret) is one without being named.
    pub fn supplied_later(mut self, keys: &[&str]) -> Self {
        self.supplied = keys.iter().copied().map(str::to_owned).collect();
        self
    }

    /// Checks every declared profile as [`load`](Self::load) would, as far as that goes without its secrets.
    ///
    /// A missing value that is a [`Secret`](crate::Secret), or that [`supplied_later`](Self::supplied_later) names, is
    /// taken as given; what is given is checked. The process environment is not read, as that of a CI runner says
    /// nothing of production: only what [`environment`](Self::environment), [`directory`](Self::directory) and
    /// [`set`](Self::set) gave counts, and of these the same for every profile.
    ///
    /// To find out which missing values are secrets, the settings are read several times with made-up values, which
    /// are never handed out. So `Deserialize` and rules of your own should do nothing but look at their argument. A
    /// rule that looks at a made-up value, or at a table with one in it, is not reported.
    ///
    /// # Errors
    ///
    /// The same report, when a profile is not valid.
    pub fn check_profiles<T>(&self) -> Result<ProfilesReport, ProfilesReport>
    where
        T: DeserializeOwned + Validate<Context = ()>,
    {
        let profiles = self.profiles.iter().map(|profile| self.check_profile::<T>(profile)).collect();
        let report = ProfilesReport { profiles };
        if report.is_valid() { Ok(report) } else { Err(report) }
    }

    fn check_profile<T>(&self, profile: &str) -> ProfileCheck
    where
        T: DeserializeOwned + Validate<Context = ()>,
    {
        let environment = self.environment.clone().unwrap_or_default();
        let mut problems = Vec::new();
        let mut layers = self.read(Some(profile), &environment, &shape::known::<T>, &mut problems);
        let mut supplied = Vec::new();
        if problems.is_empty() {
            let absent = self.absent::<T>(&layers);
            supplied.extend(absent.iter().map(|(path, _)| joined(path)));
            layers.extend(absent.into_iter().map(|(path, value)| stand_in(&path, value)));
            problems = self.check::<T>(layers).err().unwrap_or_default();
            problems.retain(|problem| !supplied.iter().any(|key| problem.touches(key)));
        }
        supplied.sort();
        let profile = profile.to_owned();
        let result = if problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError { app: self.app.clone(), profile: Some(profile.clone()), problems })
        };
        ProfileCheck { profile, supplied, result }
    }

    /// The missing values that are to be supplied, each with one that its type takes.
    ///
    /// Reads the settings again and again; each time, whatever it stumbled over gets a stand-in.
    fn absent<T: DeserializeOwned>(&self, layers: &[Layer]) -> Vec<(Path, Value)> {
        let merged = Merged::new(layers.to_vec());
        let is_text = |tag: Tag| tag.is_default() || merged.is_text(tag);
        let mut tree = merged.tree.clone();
        let mut untried: BTreeMap<Path, Vec<Value>> = BTreeMap::new();
        for _ in 0..MOST_STEPS {
            let root = Node { value: &tree, is_text: &is_text };
            let (read, seen) = watch(root, |root| T::deserialize(root));
            let Some(fault) = read.err() else {
                return untried
                    .into_keys()
                    .filter(|path| is_free(&merged.tree, path))
                    .filter(|path| seen.is_secret(path) || self.is_supplied_later(path))
                    .filter_map(|path| Some((path.clone(), at(&tree, &path)?.clone())))
                    .collect();
            };
            let path = fault.key();
            if fault.is_unknown_key() {
                put(&mut tree, &path, None);
                continue;
            }
            let left = untried.entry(path.clone()).or_insert_with(|| {
                let texts = STAND_INS.iter().chain(fault.variants()).map(|text| Value::from(*text));
                let table = Value::from(Dict::new());
                texts.chain([table]).rev().collect()
            });
            let Some(value) = left.pop() else { break };
            put(&mut tree, &path, Some(value));
        }
        Vec::new()
    }

    fn is_supplied_later(&self, path: &[String]) -> bool {
        (1..=path.len()).any(|length| self.supplied.contains(&joined(&path[..length])))
    }
}

/// Whether no source says anything at this key, or a single value where the table around it belongs.
fn is_free(tree: &Value, path: &[String]) -> bool {
    match (tree, path) {
        (Value::Dict(_, table), [key, inner @ ..]) => {
            table.get(key).is_none_or(|value| is_free(value, inner))
        }
        _ => false,
    }
}

fn at<'a>(tree: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(tree, |value, key| value.as_dict()?.get(key))
}

/// Sets or removes the value. A part of a list is set as the whole list.
fn put(tree: &mut Value, path: &[String], value: Option<Value>) {
    let Value::Dict(_, table) = tree else { return };
    match (path, value) {
        ([key], None) => drop(table.remove(key)),
        ([key], Some(value)) => drop(table.insert(key.clone(), value)),
        ([key, inner @ ..], value) => {
            let child = table.entry(key.clone()).or_insert_with(|| Dict::new().into());
            match (&*child, value) {
                (Value::Dict(..), value) => put(child, inner, value),
                (_, Some(value)) => *child = value,
                (_, None) => drop(table.remove(key)),
            }
        }
        ([], _) => {}
    }
}

fn stand_in(path: &[String], value: Value) -> Layer {
    let tree = path.iter().rev().fold(value, |inner, key| Dict::from([(key.clone(), inner)]).into());
    Layer {
        origin: Origin::Argument(joined(path)),
        data: tree.into_dict().unwrap_or_default(),
        places: HashMap::new(),
    }
}

// === impl ProfilesReport ===

impl ProfilesReport {
    /// Whether every profile is valid.
    pub fn is_valid(&self) -> bool {
        self.profiles.iter().all(|check| check.result.is_ok())
    }

    /// The exit code for a process that ends because of this: 78, `EX_CONFIG` of sysexits.h.
    pub fn exit_code(&self) -> u8 {
        78
    }
}

impl fmt::Display for ProfilesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, check) in self.profiles.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            match &check.result {
                Ok(()) => write!(f, "{}: valid", check.profile)?,
                Err(error) => write!(f, "{}: {error}", check.profile)?,
            }
            if !check.supplied.is_empty() {
                write!(f, "\n  to be supplied: {}", check.supplied.join(", "))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ProfilesReport {}
