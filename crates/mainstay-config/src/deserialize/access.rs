//! Walking tables and lists, so that a fault knows its key.

use std::collections::btree_map;
use std::iter::Enumerate;
use std::slice::Iter;
use std::vec;

use figment::value::{Dict, Tag, Value};
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess};

use super::stand_in::StandIn;
use super::watch::{Watch, item};
use super::{Fault, Node};

pub(super) struct Entries<'a> {
    entries: Order<'a>,
    current: Option<(&'a str, Option<&'a Value>)>,
    instead: Option<&'a Dict>,
    is_text: &'a dyn Fn(Tag) -> bool,
    watch: &'a Watch,
}

pub(super) struct Items<'a> {
    items: Enumerate<Iter<'a, Value>>,
    parent: Node<'a>,
}

/// The entries of a table as they are, or as a collecting run wants them.
enum Order<'a> {
    Given(btree_map::Iter<'a, String, Value>),
    Changed(vec::IntoIter<(&'a str, Option<&'a Value>)>),
}

impl<'a> Iterator for Order<'a> {
    type Item = (&'a str, Option<&'a Value>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Given(entries) => entries.next().map(|(key, value)| (key.as_str(), Some(value))),
            Self::Changed(entries) => entries.next(),
        }
    }
}

impl<'a> Entries<'a> {
    /// The entries of a table; in a collecting run without those that are passed over, and with stand-ins for those
    /// that no source has.
    pub(super) fn new(
        table: Option<&'a Dict>,
        instead: Option<&'a Dict>,
        is_text: &'a dyn Fn(Tag) -> bool,
        watch: &'a Watch,
    ) -> Self {
        let mut entries = Order::Given(table.map(Dict::iter).unwrap_or_default());
        if !watch.is_plain() {
            let mut changed: Vec<_> = entries.collect();
            let here = watch.path();
            let child = |key: &str| [here.as_slice(), &[key.to_owned()]].concat();
            changed.retain(|(key, _)| !watch.removed.contains(&child(key)));
            for path in watch.stand_ins.keys() {
                if let [parent @ .., key] = path.as_slice()
                    && parent == here.as_slice()
                    && !changed.iter().any(|(name, _)| name == key)
                    && !key.starts_with('[')
                {
                    changed.push((key, None));
                }
            }
            changed.sort_by_key(|(key, _)| watch.last.contains(&child(key)));
            entries = Order::Changed(changed.into_iter());
        }
        Self { entries, current: None, instead, is_text, watch }
    }

    /// The value to be read: single values of `instead` come first, tables are gone through together.
    fn node(&self, key: &str, value: &'a Value) -> Node<'a> {
        let (value, instead) = match (value, self.instead.and_then(|instead| instead.get(key))) {
            (Value::Dict(..), Some(Value::Dict(_, table))) => (value, Some(table)),
            (Value::Dict(..), _) | (_, Some(Value::Dict(..)) | None) => (value, None),
            (_, Some(single)) => (single, None),
        };
        Node { value, instead, is_text: self.is_text, watch: self.watch }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.current = Some((key, value));
        self.watch.saw_key(key);
        let key_reader: StrDeserializer<'_, Fault> = key.into_deserializer();
        let read = seed.deserialize(key_reader);
        read.map(Some).map_err(|fault| fault.maybe_at(value).of_key(key))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let (key, value) = self.current.take().expect("serde asks for a value after its key");
        self.watch.enter(key);
        let node = value.map(|value| self.node(key, value));
        let read = match (self.watch.stand_in_here(), node) {
            (None, Some(node)) => seed.deserialize(node),
            (state, _) => seed.deserialize(StandIn::new(state, self.watch)),
        };
        self.watch.leave();
        read.map_err(|fault| fault.maybe_at(node.map(|node| node.value)).within(key))
    }
}

impl<'a> Items<'a> {
    pub(super) fn new(items: &'a [Value], parent: Node<'a>) -> Self {
        Self { items: items.iter().enumerate(), parent }
    }
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let watch = self.parent.watch;
        for (index, value) in self.items.by_ref() {
            watch.enter_item(index);
            if watch.is_last_here() {
                watch.leave();
                continue;
            }
            let read = match watch.stand_in_here() {
                None => seed.deserialize(self.parent.item(value)),
                state => seed.deserialize(StandIn::new(state, watch)),
            };
            watch.leave();
            return read.map(Some).map_err(|fault| fault.at(value).within(&item(index)));
        }
        Ok(None)
    }
}
