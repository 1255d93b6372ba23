//! All layers as one tree, in which every value still knows its layer.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;

use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::{Layer, Path, leaves, value};

/// The tree, and what it was made of.
pub(crate) struct Merged {
    figment: Figment,
    groups: Vec<Group>,
    layers: Vec<Layer>,
    pub(crate) tree: Value,
}

/// Neighbours that set different keys, so that their order says nothing and they are merged as one. Variables, of which
/// each is a layer, mostly are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group(Range<usize>);

/// What figment sees of a group: its number, by which a value's tag leads back to it, and its data, which it takes.
struct Source(usize, Cell<Dict>);

// === impl Merged ===

impl Merged {
    /// Merges the layers, of which the lowest comes first.
    pub(crate) fn new(layers: Vec<Layer>) -> Self {
        let (groups, data): (Vec<_>, Vec<_>) = grouped(&layers).into_iter().unzip();
        let sources = data.into_iter().enumerate().map(|(number, data)| Source(number, Cell::new(data)));
        let figment = sources.fold(Figment::new(), Figment::merge);
        let tree = figment.find_value("").expect("no layer fails, and the empty path is the whole tree");
        Self { figment, groups, layers, tree }
    }

    /// The layer that the value with this tag at this key comes from.
    pub(crate) fn layer(&self, tag: Tag, path: &[String]) -> Option<&Layer> {
        self.layer_of(self.groups.get(self.group(tag)?)?, path)
    }

    /// What was merged, lowest first, as far as something higher has another value for one of its keys.
    pub(crate) fn overridden(&self) -> impl Iterator<Item = (&Group, Cow<'_, Dict>)> {
        self.lower().enumerate().filter_map(|(number, group)| {
            let is_own = |tag| self.group(tag) == Some(number);
            let tree = self.tree.as_dict()?;
            let layers = self.layers.get(group.0.clone())?;
            layers
                .iter()
                .any(|layer| is_beaten(&layer.data, tree, &is_own))
                .then(|| (group, together(layers)))
        })
    }

    /// Every group but the highest, which nothing overrides.
    fn lower(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().take(self.groups.len().saturating_sub(1))
    }

    /// The layer of the group that has a value at this key or around it, unless that is the one in effect.
    pub(crate) fn overridden_layer(&self, group: &Group, path: &[String]) -> Option<&Layer> {
        let layer = self.layer_of(group, path)?;
        let winner = (1..=path.len())
            .find_map(|length| self.value(&path[..length]).filter(|value| value.as_dict().is_none()))?;
        let winner = self.layer(winner.tag(), path)?;
        (winner.origin != layer.origin).then_some(layer)
    }

    fn layer_of(&self, group: &Group, path: &[String]) -> Option<&Layer> {
        self.layers.get(group.0.clone())?.iter().find(|layer| reaches(&layer.data, path))
    }

    /// The number of the group that the value with this tag comes from.
    fn group(&self, tag: Tag) -> Option<usize> {
        self.figment.get_metadata(tag)?.name.parse().ok()
    }

    /// Whether somewhere one layer has a single value and another a table.
    pub(crate) fn mixes_values_and_tables(&self) -> bool {
        let highest = self.groups.last().map_or(0, |group| group.0.start);
        // What the highest has beside something lower is found from there.
        self.tree
            .as_dict()
            .is_some_and(|tree| self.layers[..highest].iter().any(|layer| mixes(&layer.data, tree)))
    }

    /// All layers, lowest first.
    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    pub(crate) fn into_layers(self) -> Vec<Layer> {
        self.layers
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
        self.group(tag)
            .and_then(|number| self.groups.get(number))
            .is_some_and(|group| self.is_text_group(group))
    }

    /// Whether the values of the group are text.
    pub(crate) fn is_text_group(&self, group: &Group) -> bool {
        self.layers.get(group.0.start).is_some_and(|layer| layer.origin.is_text())
    }

    /// Every value that is not a table, with its key.
    pub(crate) fn leaves(&self) -> Vec<(Path, &Value)> {
        self.tree.as_dict().map(leaves).unwrap_or_default()
    }
}

// === impl Source ===

impl Provider for Source {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.0.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.1.take()))
    }
}

/// The groups, and what each says.
fn grouped(layers: &[Layer]) -> Vec<(Group, Dict)> {
    let mut groups: Vec<(Group, Dict)> = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        if let Some((Group(range), data)) = groups.last_mut()
            && layer.origin.is_text()
            && layers[range.start].origin.is_text()
            && are_apart(data, &layer.data)
        {
            graft(data, &layer.data);
            range.end = index + 1;
        } else {
            groups.push((Group(index..index + 1), layer.data.clone()));
        }
    }
    groups
}

fn together(layers: &[Layer]) -> Cow<'_, Dict> {
    if let [layer] = layers {
        return Cow::Borrowed(&layer.data);
    }
    let mut data = Dict::new();
    for layer in layers {
        graft(&mut data, &layer.data);
    }
    Cow::Owned(data)
}

/// Whether the two trees have no key in common but those of tables.
fn are_apart(one: &Dict, other: &Dict) -> bool {
    other.iter().all(|(key, other)| match (one.get(key), other) {
        (None, _) => true,
        (Some(Value::Dict(_, one)), Value::Dict(_, other)) => are_apart(one, other),
        _ => false,
    })
}

/// Adds what `branch` says; of a value for the same key, the branch's counts.
pub(super) fn graft(tree: &mut Dict, branch: &Dict) {
    for (key, value) in branch {
        match (tree.get_mut(key), value) {
            (Some(Value::Dict(_, tree)), Value::Dict(_, branch)) => graft(tree, branch),
            _ => drop(tree.insert(key.clone(), value.clone())),
        }
    }
}

/// Whether there is a value at this key or around it.
fn reaches(tree: &Dict, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    match tree.get(first) {
        Some(Value::Dict(_, table)) => reaches(table, rest),
        value => value.is_some(),
    }
}

/// Whether a single value of `data` is not the one in the merged tree.
fn is_beaten(data: &Dict, tree: &Dict, is_own: &impl Fn(Tag) -> bool) -> bool {
    data.iter().any(|(key, value)| match (value, tree.get(key)) {
        (Value::Dict(_, data), Some(Value::Dict(_, tree))) => is_beaten(data, tree, is_own),
        (Value::Dict(..), _) | (_, Some(Value::Dict(..)) | None) => false,
        (_, Some(winner)) => !is_own(winner.tag()),
    })
}

/// Whether the merged tree has a table where `data` has a single value, or the other way round.
fn mixes(data: &Dict, tree: &Dict) -> bool {
    data.iter().any(|(key, value)| match (value, tree.get(key)) {
        (Value::Dict(_, data), Some(Value::Dict(_, tree))) => mixes(data, tree),
        (Value::Dict(..), other) => other.is_some(),
        (_, other) => matches!(other, Some(Value::Dict(..))),
    })
}
