//! The merged tree as a serde deserializer: text becomes what the target's type asks for, and errors hold no values.

use figment::value::{Num, Tag, Value};
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

mod access;
mod collect;
mod fault;
mod stand_in;
mod watch;

use self::access::{Entries, Items};
pub(crate) use self::collect::{Collected, collect};
pub(crate) use self::fault::{Fault, NOT_ACCEPTED, What, withheld};
pub(crate) use self::watch::{Seen, Watch};

pub(crate) use crate::secret::MARKER as SECRET;

const BOOLEANS: &str = "a boolean (true, false, yes, no, on, off, 1, 0)";

/// A value, and whether the value with a given tag is text from a variable.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    pub(crate) value: &'a Value,
    pub(crate) is_text: &'a dyn Fn(Tag) -> bool,
    pub(crate) watch: &'a Watch,
}

// === impl Node ===

impl<'a> Node<'a> {
    fn child(self, value: &'a Value) -> Self {
        Self { value, ..self }
    }

    /// The text, when this is a string that came from a variable.
    fn text(self) -> Option<&'a str> {
        let text = self.value.as_str()?;
        ((self.is_text)(self.value.tag()) || self.watch.is_text_here()).then_some(text)
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
            Value::Dict(_, table) => visitor.visit_map(Entries::new(Some(table), self.is_text, self.watch)),
            Value::Array(_, items) => visitor.visit_seq(Items::new(items, self)),
        }
        .map_err(|fault: Fault| self.blame(fault))
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
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

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.watch.saw_choice();
        self.read(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Some(text) = self.text() else { return self.read(visitor) };
        match text.trim().to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => visitor.visit_bool(true),
            "false" | "no" | "off" | "0" => visitor.visit_bool(false),
            _ => Err(serde::de::Error::invalid_type(Unexpected::Str(text), &BOOLEANS)),
        }
        .map_err(|fault: Fault| self.blame(fault))
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.number(visitor)
    }
    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.number(visitor)
    }
    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.number(visitor)
    }
    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.number(visitor)
    }
    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.number(visitor)
    }
    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.number(visitor)
    }
    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.number(visitor)
    }
    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.number(visitor)
    }
    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.number(visitor)
    }
    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.number(visitor)
    }
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.float(visitor)
    }
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.float(visitor)
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
        match self.value {
            Value::String(_, text) => visitor.visit_enum(variant(text)),
            Value::Dict(_, table) => visitor.visit_enum(MapAccessDeserializer::new(Entries::new(
                Some(table),
                self.is_text,
                self.watch,
            ))),
            _ => return self.read(visitor),
        }
        .map_err(|fault: Fault| self.blame(fault))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.read(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.read(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct identifier
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
