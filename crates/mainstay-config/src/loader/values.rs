//! What a loader that loads again and again has to know of its sources.

use std::collections::BTreeMap;
use std::env;
use std::hash::{BuildHasher, Hash, Hasher};
use std::path::PathBuf;

use figment::value::Value;
use serde::de::DeserializeOwned;

use super::Loader;
use crate::layer::{Merged, joined};
use crate::shape;

/// What each key's value hashes to: enough to see that a secret has changed, and nothing to read it from.
pub(crate) type Digests = BTreeMap<String, u64>;

impl Loader {
    /// With the environment as it is now, which then counts for every load: variables do not change at run time.
    pub(crate) fn with_environment_of_now(mut self) -> Self {
        self.environment.get_or_insert_with(|| env::vars_os().collect());
        self
    }

    /// The folder of the files, if there is one.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        let environment = self.environment.as_deref().unwrap_or_default();
        self.named_directory(environment).map(|(path, _)| path)
    }

    /// Reads the sources and hashes each value in them. What cannot be read is left out: loading reports it.
    pub(crate) fn digests<T: DeserializeOwned>(&self, hasher: &impl BuildHasher) -> Digests {
        let environment = self.environment.as_deref().unwrap_or_default();
        let mut problems = Vec::new();
        let profile = self.choose_profile(environment).ok();
        let profile = profile.as_ref().map(|profile| profile.name.as_str());
        let layers = self.read(profile, environment, &shape::known::<T>, &mut problems);
        let merged = Merged::new(layers);
        let digest = |value: &Value| {
            let mut state = hasher.build_hasher();
            hash(value, &mut state);
            state.finish()
        };
        merged.leaves().into_iter().map(|(path, value)| (joined(&path), digest(value))).collect()
    }
}

/// Without a copy of any text in between: it may be a secret.
fn hash(value: &Value, state: &mut impl Hasher) {
    match value {
        Value::String(_, text) => (0, text).hash(state),
        Value::Char(_, character) => (1, character).hash(state),
        Value::Bool(_, boolean) => (2, boolean).hash(state),
        Value::Num(_, number) => {
            let float = number.to_f64().map(f64::to_bits);
            (3, number.to_i128(), number.to_u128(), float).hash(state);
        }
        Value::Empty(..) => 4.hash(state),
        Value::Dict(_, table) => {
            (5, table.len()).hash(state);
            for (key, value) in table {
                key.hash(state);
                hash(value, state);
            }
        }
        Value::Array(_, items) => {
            (6, items.len()).hash(state);
            items.iter().for_each(|item| hash(item, state));
        }
    }
}
