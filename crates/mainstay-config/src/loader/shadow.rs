//! Values that are overridden and wrong: nobody notices them until whatever overrides them goes away.

use std::collections::BTreeMap;

use figment::value::{Dict, Value};
use serde::de::DeserializeOwned;

use super::findings::View;
use crate::code::Code;
use crate::deserialize::{Node, Watch, collect};
use crate::layer::{Layer, Path};
use crate::problem::Problem;

/// Warnings for overridden values that their type refuses.
///
/// The tree is read again with the overridden values in place; what comes of it is dropped.
pub(super) fn warnings<T: DeserializeOwned>(view: &View<'_>) -> Vec<Problem> {
    let merged = view.merged;
    let mut given: BTreeMap<Path, Vec<&Layer>> = BTreeMap::new();
    for layer in merged.in_order() {
        for (path, _) in layer.leaves() {
            given.entry(path).or_default().push(layer);
        }
    }
    given.retain(|path, layers| {
        let wins = merged.value(path).is_some_and(|value| value.as_dict().is_none());
        layers.pop();
        wins && !layers.is_empty()
    });
    let depth = given.values().map(Vec::len).max().unwrap_or_default();
    let mut problems = Vec::new();
    for level in 0..depth {
        let mut tree = merged.tree.clone();
        let mut watch = Watch::default();
        let mut replaced: BTreeMap<&Path, &Layer> = BTreeMap::new();
        for (path, layers) in &given {
            let Some(layer) = layers.get(level) else { continue };
            let Some(value) = layer.value(path) else { continue };
            put(&mut tree, path, value.clone());
            replaced.insert(path, layer);
            if layer.origin.is_text() {
                watch.texts.insert(path.clone());
            }
        }
        let is_text = |tag| merged.is_text(tag);
        let root = Node { value: &tree, is_text: &is_text, watch: &watch };
        if T::deserialize(root).is_ok() {
            continue;
        }
        let mut again = Watch::default();
        again.texts.clone_from(&watch.texts);
        let found = collect::<T>(root, again);
        let mut seen = found.seen;
        seen.secrets.extend(view.seen.secrets.iter().cloned());
        let view = View { seen: &seen, ..*view };
        for fault in found.faults {
            let key = fault.key();
            let Some((_, layer)) = replaced.iter().find(|(path, _)| key.starts_with(path)) else { continue };
            if !fault.of_key {
                problems.push(view.misfit(&fault, Some(layer)).code_of(Code::Shadowed));
            }
        }
    }
    for problem in &mut problems {
        problem.message = format!("overridden, and wrong all the same: {}", problem.message).into();
    }
    problems
}

fn put(tree: &mut Value, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *tree = value;
        return;
    };
    if let Value::Dict(_, table) = tree {
        let table: &mut Dict = table;
        if let Some(child) = table.get_mut(first) {
            put(child, rest, value);
        }
    }
}
