//! Watching a type read itself: which keys it reads as plain values, and which as secrets.
//!
//! A plain type says with every call what it wants, and [`Secret`](crate::Secret) says its name. What is read without
//! saying (`#[serde(flatten)]`, untagged enums) is neither, and has to be treated as if it were a secret.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use crate::layer::Path;
use crate::secret::MARKER;

/// An item of a list, in a path: what holds for one item holds for all.
pub(crate) const ITEM: &str = "[]";

/// What a type asked for, by key.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    plain: BTreeSet<Path>,
    secret: BTreeSet<Path>,
}

/// A deserializer that notes what is asked of it and changes nothing.
pub(crate) struct Watched<'a, D> {
    inner: D,
    at: At<'a>,
}

/// Where in the tree, as a list that lives on the stack.
enum Link<'a> {
    Root,
    Below(&'a Link<'a>, &'a str),
}

#[derive(Clone, Copy)]
enum At<'a> {
    Value(&'a Link<'a>, &'a RefCell<Seen>),
    /// A key of a table, kept until its value comes.
    Key(&'a RefCell<String>),
}

// === impl Seen ===

impl Seen {
    /// Whether the value at this key was read by a type that is no secret.
    pub(crate) fn is_plain(&self, path: &[String]) -> bool {
        self.plain.contains(path) && !self.is_secret(path)
    }

    /// Whether the value at this key, or a table around it, is a secret.
    pub(crate) fn is_secret(&self, path: &[String]) -> bool {
        (0..=path.len()).any(|length| self.secret.contains(&path[..length]))
    }
}

// === impl Watched ===

/// Lets `read` read through a watched deserializer, and says what it asked for.
pub(crate) fn watch<D, T>(inner: D, read: impl FnOnce(Watched<'_, D>) -> T) -> (T, Seen) {
    let seen = RefCell::default();
    let result = read(Watched { inner, at: At::Value(&Link::Root, &seen) });
    (result, seen.into_inner())
}

impl Link<'_> {
    fn path(&self) -> Path {
        match self {
            Self::Root => Path::new(),
            Self::Below(parent, name) => {
                let mut path = parent.path();
                path.push((*name).to_owned());
                path
            }
        }
    }
}

impl At<'_> {
    fn plain(self) {
        if let Self::Value(link, seen) = self {
            seen.borrow_mut().plain.insert(link.path());
        }
    }

    fn secret(self) {
        if let Self::Value(link, seen) = self {
            seen.borrow_mut().secret.insert(link.path());
        }
    }
}

/// `deserialize_x(visitor)`, noted as a plain value or not noted.
macro_rules! forward {
    ($($note:ident: $($name:ident)*;)*) => { $($(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            forward!(@$note self);
            self.inner.$name(Reader { inner: visitor, at: self.at })
        }
    )*)* };
    (@plain $self:ident) => { $self.at.plain() };
    (@silent $self:ident) => {};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Watched<'_, D> {
    type Error = D::Error;

    forward! {
        silent: deserialize_any deserialize_ignored_any deserialize_option deserialize_seq deserialize_map;
        plain: deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
            deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32
            deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
            deserialize_byte_buf deserialize_unit deserialize_identifier;
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.at.plain();
        self.inner.deserialize_unit_struct(name, Reader { inner: visitor, at: self.at })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        if name == MARKER {
            self.at.secret();
        }
        self.inner.deserialize_newtype_struct(name, Reader { inner: visitor, at: self.at })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_tuple(length, Reader { inner: visitor, at: self.at })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_tuple_struct(name, length, Reader { inner: visitor, at: self.at })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_struct(name, fields, Reader { inner: visitor, at: self.at })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.at.plain();
        self.inner.deserialize_enum(name, variants, Reader { inner: visitor, at: self.at })
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

// === visiting ===

/// A visitor whose nested reading is watched too.
struct Reader<'a, V> {
    inner: V,
    at: At<'a>,
}

macro_rules! visit {
    ($($name:ident: $kind:ty,)*) => { $(
        fn $name<E: Error>(self, value: $kind) -> Result<V::Value, E> {
            self.inner.$name(value)
        }
    )* };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Reader<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visit! {
        visit_bool: bool, visit_i8: i8, visit_i16: i16, visit_i32: i32, visit_i64: i64, visit_i128: i128,
        visit_u8: u8, visit_u16: u16, visit_u32: u32, visit_u64: u64, visit_u128: u128, visit_f32: f32,
        visit_f64: f64, visit_char: char, visit_bytes: &[u8], visit_borrowed_bytes: &'de [u8],
        visit_byte_buf: Vec<u8>,
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<V::Value, E> {
        self.note(text);
        self.inner.visit_str(text)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<V::Value, E> {
        self.note(text);
        self.inner.visit_borrowed_str(text)
    }

    fn visit_string<E: Error>(self, text: String) -> Result<V::Value, E> {
        self.note(&text);
        self.inner.visit_string(text)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Watched { inner, at: self.at })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Watched { inner, at: self.at })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Access { inner, at: self.at, key: RefCell::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Access { inner, at: self.at, key: RefCell::default() })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(Access { inner, at: self.at, key: RefCell::default() })
    }
}

impl<V> Reader<'_, V> {
    fn note(&self, text: &str) {
        if let At::Key(slot) = self.at {
            text.clone_into(&mut slot.borrow_mut());
        }
    }
}

/// The entries of a table or a list, or the variant of an enum.
struct Access<'a, A> {
    inner: A,
    at: At<'a>,
    key: RefCell<String>,
}

struct Seed<'a, S> {
    inner: S,
    at: At<'a>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Watched { inner, at: self.at })
    }
}

/// Calls `read` with the place one level below.
fn below<T>(at: At<'_>, name: &str, read: impl FnOnce(At<'_>) -> T) -> T {
    match at {
        At::Value(link, seen) => read(At::Value(&Link::Below(link, name), seen)),
        At::Key(_) => read(at),
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Access<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.inner.next_key_seed(Seed { inner: seed, at: At::Key(&self.key) })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let key = self.key.take();
        below(self.at, &key, |at| self.inner.next_value_seed(Seed { inner: seed, at }))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Access<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        below(self.at, ITEM, |at| self.inner.next_element_seed(Seed { inner: seed, at }))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, 'a, A: EnumAccess<'de>> EnumAccess<'de> for Access<'a, A> {
    type Error = A::Error;
    type Variant = Access<'a, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, inner) = self.inner.variant_seed(Seed { inner: seed, at: At::Key(&self.key) })?;
        Ok((value, Access { inner, at: self.at, key: self.key }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Access<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let key = self.key.take();
        below(self.at, &key, |at| self.inner.newtype_variant_seed(Seed { inner: seed, at }))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, A::Error> {
        let key = self.key.take();
        below(self.at, &key, |at| self.inner.tuple_variant(length, Reader { inner: visitor, at }))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let key = self.key.take();
        below(self.at, &key, |at| self.inner.struct_variant(fields, Reader { inner: visitor, at }))
    }
}
