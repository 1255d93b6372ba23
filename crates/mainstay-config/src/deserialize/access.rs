//! Walking tables and lists, so that a fault knows its key.

use std::iter::Enumerate;
use std::slice::Iter;

use figment::value::{Dict, Value};
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess};

use super::{Fault, Node};

pub(super) struct Entries<'a> {
    entries: figment::value::Map<&'a str, &'a Value>,
    current: Option<(&'a str, &'a Value)>,
    parent: Node<'a>,
}

pub(super) struct Items<'a> {
    items: Enumerate<Iter<'a, Value>>,
    parent: Node<'a>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(table: &'a Dict, parent: Node<'a>) -> Self {
        let entries = table.iter().map(|(key, value)| (key.as_str(), value)).collect();
        Self { entries, current: None, parent }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((key, value)) = self.entries.pop_first() else { return Ok(None) };
        self.current = Some((key, value));
        let key_reader: StrDeserializer<'_, Fault> = key.into_deserializer();
        seed.deserialize(key_reader).map(Some).map_err(|fault| fault.at(value).within(key))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let (key, value) = self.current.take().expect("serde asks for a value after its key");
        seed.deserialize(self.parent.child(value)).map_err(|fault| fault.at(value).within(key))
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
        let Some((index, value)) = self.items.next() else { return Ok(None) };
        let item = seed.deserialize(self.parent.child(value));
        item.map(Some).map_err(|fault| fault.at(value).within(&format!("[{index}]")))
    }
}
