//! Whether a type has a key, asked of the type itself and without a value.

use std::cell::Cell;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};

use crate::layer::Path;

/// What a type says to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It has a field of this name.
    Yes,
    /// It has others, these.
    No(&'static [&'static str]),
    /// It does not say: a map takes any key, and behind `flatten`, tags and hand-written readers nothing is seen.
    Open,
}

/// Whether `T` has this key.
///
/// `T` is made to read a table that has nothing but this key, until it asks for what is inside: then the answer is
/// known, and the reading is given up. So `T`'s own readers run, but never to their end.
pub(crate) fn known<T: DeserializeOwned>(path: &[String]) -> Known {
    let found = Cell::new(Known::Open);
    match T::deserialize(Probe { path, found: &found }) {
        Ok(_) | Err(Stop) => found.get(),
    }
}

#[derive(Clone, Copy)]
struct Probe<'a> {
    path: &'a [String],
    found: &'a Cell<Known>,
}

/// The table with one key.
struct Only<'a> {
    probe: Probe<'a>,
    key: Option<&'a str>,
}

/// The only error, and the usual end.
#[derive(Debug)]
struct Stop;

// === impl Probe ===

impl Probe<'_> {
    fn answer<V>(self, known: Known) -> Result<V, Stop> {
        self.found.set(known);
        Err(Stop)
    }

    /// Goes one level down, where any key may be.
    fn descend<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let (key, rest) = self.path.split_first().ok_or(Stop)?;
        visitor.visit_map(Only { probe: Probe { path: rest, ..self }, key: Some(key) })
    }

    /// One of these, or none.
    fn among(self, names: &'static [&'static str]) -> Result<(), Stop> {
        let key = self.path.first().ok_or(Stop)?;
        if !names.contains(&key.as_str()) {
            return self.answer(Known::No(names));
        }
        if self.path.len() == 1 { self.answer(Known::Yes) } else { Ok(()) }
    }
}

/// A type that is no table has no keys.
macro_rules! no_table {
    ($($method:ident($($argument:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $argument,)* _: V) -> Result<V::Value, Stop> {
            if self.path.is_empty() { Err(Stop) } else { self.answer(Known::No(&[])) }
        }
    )*};
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Stop;

    no_table! {
        deserialize_bool() deserialize_char() deserialize_str() deserialize_string()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_bytes() deserialize_byte_buf()
        deserialize_unit() deserialize_unit_struct(&'static str)
        deserialize_seq() deserialize_tuple(usize) deserialize_tuple_struct(&'static str, usize)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.among(fields)?;
        self.descend(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Stop> {
        self.among(variants)?;
        self.answer(Known::Open)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.descend(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.descend(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(Stop)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(Stop)
    }
}

// === impl Only ===

impl<'de> MapAccess<'de> for Only<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        let Some(key) = self.key.take() else { return Ok(None) };
        let reader: StrDeserializer<'_, Stop> = key.into_deserializer();
        seed.deserialize(reader).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Stop> {
        seed.deserialize(self.probe)
    }
}

// === impl Stop ===

impl serde::de::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what was asked is known")
    }
}

impl std::error::Error for Stop {}

/// The answer by type, handed to those who do not know the type.
pub(crate) type Asked<'a> = &'a dyn Fn(&[String]) -> Known;

/// `path` with another last level.
pub(crate) fn sibling(path: &[String], last: &str) -> Path {
    let mut path = path.to_vec();
    if let Some(level) = path.last_mut() {
        last.clone_into(level);
    }
    path
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;

    use serde::Deserialize;

    use super::*;
    use crate::Secret;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        _server: Option<Server>,
        #[serde(rename = "log-level", alias = "level")]
        _log: String,
        _any: BTreeMap<String, Server>,
        _store: Store,
        _tail: Tail,
        _token: Secret<String>,
    }

    #[derive(Deserialize)]
    struct Server {
        _listen: SocketAddr,
        _tls_file: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Store {
        Memory,
        File { _path: String },
    }

    #[derive(Deserialize)]
    struct Tail {
        #[serde(flatten)]
        _rest: BTreeMap<String, String>,
    }

    #[test]
    fn a_type_tells_which_keys_it_has() {
        let ask = |key: &str| known::<Settings>(&key.split('.').map(str::to_owned).collect::<Path>());
        for key in
            ["_server", "_server._tls_file", "log-level", "level", "_any.x._listen", "_store.file", "_token"]
        {
            assert_eq!(ask(key), Known::Yes, "{key}");
        }
        for key in [
            "server",
            "_server.tls",
            "_any.x.tls",
            "_store.disk",
            "_token.x",
            "log-level.x",
            "_server._listen.x",
        ] {
            assert!(matches!(ask(key), Known::No(_)), "{key}: {:?}", ask(key));
        }
        for key in ["_any.x", "_tail.x", "_store.file._path"] {
            assert_eq!(ask(key), Known::Open, "{key}");
        }
        assert_eq!(ask("_server.x"), Known::No(&["_listen", "_tls_file"]));
    }
}
