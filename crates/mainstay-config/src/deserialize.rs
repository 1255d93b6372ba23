//! The merged tree as a serde deserializer: text becomes what the target's type asks for, and errors hold no values.

use figment::value::{Dict, Num, Tag, Value};
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, IntoDeserializer, Unexpected, Visitor};

mod access;
mod collect;
mod fault;
mod outline;
mod stand_in;
mod watch;

use self::access::{Entries, Items};
pub(crate) use self::collect::{Collected, collect};
pub(crate) use self::fault::{Fault, NOT_ACCEPTED, What, withheld};
pub(crate) use self::outline::{At, ITEM, Outline};
pub(crate) use self::watch::Watch;

pub(crate) use crate::secret::MARKER as SECRET;

const BOOLEANS: &str = "a boolean (true, false, yes, no, on, off, 1, 0)";

/// A value, and whether the value with a given tag is text from a variable.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    pub(crate) value: &'a Value,
    /// A table whose single values are read in the place of those in `value`.
    pub(crate) instead: Option<&'a Dict>,
    pub(crate) is_text: &'a dyn Fn(Tag) -> bool,
    pub(crate) watch: &'a Watch,
}

// === impl Node ===

impl<'a> Node<'a> {
    fn item(self, value: &'a Value) -> Self {
        Self { value, instead: None, ..self }
    }

    fn entries(self, table: &'a Dict) -> Entries<'a> {
        Entries::new(Some(table), self.instead, self.is_text, self.watch)
    }

    /// The text, when this is a string that came from a variable.
    fn text(self) -> Option<&'a str> {
        let text = self.value.as_str()?;
        (self.is_text)(self.value.tag()).then_some(text)
    }

    /// The fault, which now knows whose it is; what was expected is kept for the case that this is a secret.
    fn blame(self, fault: Fault) -> Fault {
        let fault = fault.at(self.value);
        self.watch.expects(fault.expected());
        fault
    }

    /// The value as the kind of thing that it is.
    fn read<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::String(_, text) => visitor.visit_str(text),
            Value::Char(_, character) => visitor.visit_char(*character),
            Value::Bool(_, boolean) => visitor.visit_bool(*boolean),
            Value::Num(_, number) => visit_number(*number, visitor),
            Value::Empty(..) => visitor.visit_unit(),
            Value::Dict(_, table) => visitor.visit_map(self.entries(table)),
            Value::Array(_, items) => visitor.visit_seq(Items::new(items, self)),
        }
        .map_err(|fault: Fault| self.blame(fault))
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.watch.saw_plain();
        let Some(text) = self.text().map(str::trim) else { return self.read(visitor) };
        // From the narrow to the wide, as visitors of small types do not all know the wide ones.
        let result = if let Ok(number) = text.parse() {
            visitor.visit_i64(number)
        } else if let Ok(number) = text.parse() {
            visitor.visit_u64(number)
        } else if let Ok(number) = text.parse() {
            visitor.visit_i128(number)
        } else if let Ok(number) = text.parse() {
            visitor.visit_u128(number)
        } else {
            visitor.visit_str(text)
        };
        result.map_err(|fault: Fault| self.blame(fault))
    }

    fn float<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.watch.saw_plain();
        let Some(text) = self.text().map(str::trim) else { return self.read(visitor) };
        let result = match text.parse() {
            Ok(number) => visitor.visit_f64(number),
            Err(_) => visitor.visit_str(text),
        };
        result.map_err(|fault: Fault| self.blame(fault))
    }

    /// A list; text is split at commas.
    fn list<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.watch.saw_list();
        let Some(text) = self.text() else { return self.read(visitor) };
        let items: Vec<Value> = match text.trim() {
            "" => Vec::new(),
            text => {
                text.split(',').map(|item| Value::String(self.value.tag(), item.trim().to_owned())).collect()
            }
        };
        visitor.visit_seq(Items::new(&items, self)).map_err(|fault: Fault| self.blame(fault))
    }
}

macro_rules! read_by {
    ($($read:ident: $($method:ident)*;)*) => {$($(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.$read(visitor)
        }
    )*)*};
}

/// A single value that is read as the kind of thing that it is.
macro_rules! single_values {
    ($($method:ident($($argument:ty)?))*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $argument,)? visitor: V) -> Result<V::Value, Fault> {
            self.watch.saw_plain();
            self.read(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.watch.saw_choice();
        self.read(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.watch.saw_plain();
        let Some(text) = self.text() else { return self.read(visitor) };
        match text.trim().to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => visitor.visit_bool(true),
            "false" | "no" | "off" | "0" => visitor.visit_bool(false),
            _ => Err(serde::de::Error::invalid_type(Unexpected::Str(text), &BOOLEANS)),
        }
        .map_err(|fault: Fault| self.blame(fault))
    }

    read_by! {
        number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
            deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128;
        float: deserialize_f32 deserialize_f64;
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.list(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        // `null` in JSON and YAML.
        if let Value::Empty(..) = self.value { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name != SECRET {
            return visitor.visit_newtype_struct(self).map_err(|fault: Fault| self.blame(fault));
        }
        self.watch.saw_secret();
        visitor
            .visit_newtype_struct(self)
            .map_err(|fault: Fault| fault.at(self.value).of_secret(self.watch.expected()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.watch.saw_struct(fields);
        self.read(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.watch.saw_list();
        self.read(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.watch.saw_choice();
        self.watch.saw_plain();
        match self.value {
            Value::String(_, text) => visitor.visit_enum(variant(text)),
            Value::Dict(_, table) => visitor.visit_enum(MapAccessDeserializer::new(self.entries(table))),
            _ => return self.read(visitor),
        }
        .map_err(|fault: Fault| self.blame(fault))
    }

    single_values! {
        deserialize_char() deserialize_str() deserialize_string() deserialize_bytes() deserialize_byte_buf()
        deserialize_unit() deserialize_unit_struct(&'static str) deserialize_identifier()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
}

fn variant(text: &str) -> StrDeserializer<'_, Fault> {
    text.into_deserializer()
}

fn visit_number<'de, V: Visitor<'de>>(number: Num, visitor: V) -> Result<V::Value, Fault> {
    match number {
        Num::I64(number) => visitor.visit_i64(number),
        Num::U64(number) => visitor.visit_u64(number),
        Num::F64(number) => visitor.visit_f64(number),
        other => unreachable!("documents give i64, u64 and f64, not {:?}", other.to_actual()),
    }
}
