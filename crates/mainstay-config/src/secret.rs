//! A value that never shows itself.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize;

pub(crate) const REDACTED: &str = "[redacted]";

/// The name under which a secret asks for its value, by which the loader knows it for one.
pub(crate) const MARKER: &str = "$mainstay::Secret";

/// A value that is never shown: not by `Debug`, not by `Display`, not when it is serialised, not in an error.
///
/// ```
/// use mainstay_config::Secret;
///
/// #[derive(serde::Deserialize, garde::Validate)]
/// struct Settings {
///     #[garde(skip)]
///     password: Secret<String>,
/// }
///
/// let settings: Settings = serde_json::from_str(r#"{ "password": "hunter2" }"#).unwrap();
/// assert_eq!(format!("{:?}", settings.password), "[redacted]");
/// assert_eq!(settings.password.expose(), "hunter2");
/// ```
///
/// It reads as the plain `T`. When reading fails, the error does not repeat what `T`'s own error said. Comparing two
/// secrets with `==` is left out on purpose: it would leak by timing.
///
/// The memory of the value is overwritten when it is dropped. Copies made on the way here (the text of a file, the
/// process environment) are not: they live as long as their owners keep them.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself; where this is called is where it may leak.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T: Zeroize> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T: Zeroize> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de, T: Zeroize + Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(MARKER, Reader(PhantomData))
    }
}

/// Reads the plain value and drops what it says when it cannot: that may quote the value.
struct Reader<T>(PhantomData<T>);

fn read<'de, T: Zeroize + Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Secret<T>, D::Error> {
    T::deserialize(from).map(Secret).map_err(|_| D::Error::custom("not a valid secret of the expected type"))
}

/// Formats without newtypes give the value itself.
macro_rules! visit {
    ($($name:ident: $kind:ty,)*) => { $(
        fn $name<E: Error>(self, value: $kind) -> Result<Secret<T>, E> {
            read(value.into_deserializer())
        }
    )* };
}

impl<'de, T: Zeroize + Deserialize<'de>> Visitor<'de> for Reader<T> {
    type Value = Secret<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Secret<T>, D::Error> {
        read(inner)
    }

    visit! {
        visit_bool: bool, visit_i64: i64, visit_i128: i128, visit_u64: u64, visit_u128: u128, visit_f64: f64,
        visit_char: char, visit_str: &str, visit_string: String, visit_bytes: &[u8],
    }

    fn visit_unit<E: Error>(self) -> Result<Secret<T>, E> {
        read(().into_deserializer())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Secret<T>, A::Error> {
        read(SeqAccessDeserializer::new(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Secret<T>, A::Error> {
        read(MapAccessDeserializer::new(table))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_secret_is_shown_nowhere() {
        let secret = Secret::new("hunter2".to_owned());
        let shown = format!("{secret:?} {secret} {}", serde_json::to_string(&secret).unwrap());
        assert_eq!(shown, r#"[redacted] [redacted] "[redacted]""#);
    }

    #[test]
    fn an_error_does_not_repeat_the_value() {
        let error = serde_json::from_str::<Secret<u16>>(r#""hunter2""#).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_dropped_secret_is_wiped() {
        struct Canary(Rc<Cell<bool>>);
        impl Zeroize for Canary {
            fn zeroize(&mut self) {
                self.0.set(true);
            }
        }
        let wiped = Rc::new(Cell::new(false));
        drop(Secret::new(Canary(Rc::clone(&wiped))));
        assert!(wiped.get());
    }
}
