//! A value that no source gives: it answers whatever the type asks, so that the run goes on behind a mistake.
//!
//! What is made of it is checked and dropped. It never reaches the application.

use figment::value::Tag;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::access::Entries;
use super::watch::{StandInState, Watch};
use super::{Fault, SECRET};

/// Texts of which most types accept one.
const TEXTS: [&str; 20] = [
    "",
    "127.0.0.1:1",
    "http://localhost/",
    "1s",
    "127.0.0.1",
    "1",
    "a",
    "00000000-0000-0000-0000-000000000001",
    "2000-01-01",
    "2000-01-01T00:00:00Z",
    "00:00:00",
    "nobody@example.com",
    "/",
    "10.0.0.0/8",
    "info",
    "UTC",
    "1KB",
    "1.0.0",
    "true",
    "PT1S",
];
const NUMBERS: [u64; 6] = [1, 0, 10, 100, 1000, 2];

/// How many different answers there are.
pub(super) const ATTEMPTS: usize = TEXTS.len();

#[derive(Clone, Copy)]
pub(super) struct StandIn<'a> {
    attempt: usize,
    hint: Option<&'static str>,
    watch: &'a Watch,
}

/// `length` stand-ins, as a tuple asks for them.
struct Several<'a> {
    left: usize,
    item: StandIn<'a>,
}

struct Choice<'a> {
    variant: &'static str,
    content: StandIn<'a>,
}

impl<'a> StandIn<'a> {
    pub(super) fn new(state: Option<StandInState>, watch: &'a Watch) -> Self {
        Self {
            attempt: state.map_or(0, |state| state.attempt),
            hint: state.and_then(|state| state.hint),
            watch,
        }
    }

    fn text(self) -> &'static str {
        self.hint.unwrap_or(TEXTS[self.attempt % TEXTS.len()])
    }

    fn number(self) -> u64 {
        NUMBERS[self.attempt % NUMBERS.len()]
    }

    fn entries(self) -> Entries<'a> {
        const NOTHING: &dyn Fn(Tag) -> bool = &|_| false;
        Entries::new(None, None, NOTHING, self.watch)
    }

    fn several(self, length: usize) -> Several<'a> {
        Several { left: length, item: self }
    }
}

macro_rules! answer {
    ($($ask:ident => $visit:ident($self:ident: $value:expr),)*) => {$(
        fn $ask<V: Visitor<'de>>($self, visitor: V) -> Result<V::Value, Fault> {
            visitor.$visit($value)
        }
    )*};
}

#[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
impl<'de> Deserializer<'de> for StandIn<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.watch.saw_anything();
        if let Some(hint) = self.hint {
            return visitor.visit_str(hint);
        }
        match self.attempt {
            1 => visitor.visit_u64(1),
            2 => visitor.visit_bool(false),
            3 => visitor.visit_f64(1.0),
            4 => visitor.visit_map(self.entries()),
            5 => visitor.visit_seq(self.several(0)),
            6 => visitor.visit_unit(),
            attempt => visitor.visit_str(TEXTS[attempt.saturating_sub(6) % TEXTS.len()]),
        }
    }

    answer! {
        deserialize_bool => visit_bool(self: self.attempt % 2 == 1),
        deserialize_i8 => visit_u64(self: self.number()),
        deserialize_i16 => visit_u64(self: self.number()),
        deserialize_i32 => visit_u64(self: self.number()),
        deserialize_i64 => visit_u64(self: self.number()),
        deserialize_i128 => visit_u64(self: self.number()),
        deserialize_u8 => visit_u64(self: self.number()),
        deserialize_u16 => visit_u64(self: self.number()),
        deserialize_u32 => visit_u64(self: self.number()),
        deserialize_u64 => visit_u64(self: self.number()),
        deserialize_u128 => visit_u64(self: self.number()),
        deserialize_f32 => visit_f64(self: self.number() as f64),
        deserialize_f64 => visit_f64(self: self.number() as f64),
        deserialize_char => visit_char(self: 'a'),
        deserialize_str => visit_str(self: self.text()),
        deserialize_string => visit_str(self: self.text()),
        deserialize_identifier => visit_str(self: self.text()),
        deserialize_bytes => visit_bytes(self: self.text().as_bytes()),
        deserialize_byte_buf => visit_bytes(self: self.text().as_bytes()),
        deserialize_seq => visit_seq(self: self.several(usize::from(self.attempt % 2 == 1))),
        deserialize_map => visit_map(self: self.entries()),
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == SECRET {
            self.watch.saw_secret();
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(self.several(length))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_seq(self.several(length))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.watch.saw_struct(fields);
        visitor.visit_map(self.entries())
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.watch.saw_choice();
        match variants.get(self.attempt % variants.len().max(1)) {
            Some(variant) => visitor.visit_enum(Choice { variant, content: self }),
            None => visitor.visit_unit(),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { unit_struct ignored_any }
}

impl<'de, 'a> EnumAccess<'de> for Choice<'a> {
    type Error = Fault;
    type Variant = StandIn<'a>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, StandIn<'a>), Fault> {
        let name: StrDeserializer<'_, Fault> = self.variant.into_deserializer();
        Ok((seed.deserialize(name)?, self.content))
    }
}

impl<'de> VariantAccess<'de> for StandIn<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(self.several(length))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_map(self.entries())
    }
}

impl<'de> SeqAccess<'de> for Several<'_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(self.item).map(Some)
    }
}
