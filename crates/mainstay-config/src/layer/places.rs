//! Where each value of a layer begins.

use figment::value::{Dict, Value};

use super::{Path, Place};

/// The places of a tree's keys in the tree's order: each table before what is in it, keys sorted. An item of a list has
/// none, as a list comes from one source as a whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Vec<Place>);

impl Places {
    /// The next key's, in the order of the tree.
    pub(super) fn push(&mut self, place: Place) {
        self.0.push(place);
    }

    /// Those of keys that came in the order of the text.
    pub(super) fn sorted(mut places: Vec<(Path, Place)>) -> Self {
        places.sort();
        Self(places.into_iter().map(|(_, place)| place).collect())
    }

    /// The place of this key of `tree`, the tree that these places are of.
    pub(super) fn of(&self, tree: &Dict, path: &[String]) -> Option<Place> {
        self.0.get(index(tree, path)?).copied()
    }
}

/// How many keys come before this one.
fn index(tree: &Dict, path: &[String]) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    let before: usize = tree.range::<String, _>(..first).map(|(_, value)| 1 + keys(value)).sum();
    match (tree.get(first)?, rest) {
        (_, []) => Some(before),
        (Value::Dict(_, table), rest) => Some(before + 1 + index(table, rest)?),
        _ => None,
    }
}

/// How many keys are in this value.
fn keys(value: &Value) -> usize {
    match value {
        Value::Dict(_, table) => table.values().map(|value| 1 + keys(value)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(key: &str) -> Path {
        key.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn every_key_has_its_own_place_whatever_the_order_of_the_text() {
        let b = Dict::from([("x".to_owned(), 1.into()), ("y".to_owned(), Dict::new().into())]);
        let tree =
            Dict::from([("a".to_owned(), 1.into()), ("b".to_owned(), b.into()), ("c".to_owned(), 1.into())]);
        let keys = ["c", "b", "b.y", "b.x", "a"];
        let places =
            Places::sorted(keys.into_iter().zip(1..).map(|(key, line)| (path(key), (line, 1))).collect());
        for (key, line) in keys.into_iter().zip(1..) {
            assert_eq!(places.of(&tree, &path(key)), Some((line, 1)), "{key}");
        }
        assert_eq!(places.of(&tree, &path("a.x")), None);
        assert_eq!(places.of(&tree, &path("d")), None);
        assert_eq!(Places::default().of(&tree, &path("a")), None);
    }
}
