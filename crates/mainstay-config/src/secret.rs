//! A value that never shows itself.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize;

use crate::deserialize::SECRET;

const REDACTED: &str = "[redacted]";

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
        // The name tells the loader that a secret is read; other formats pay no attention to it.
        deserializer.deserialize_newtype_struct(SECRET, Wrapping(PhantomData)).map(Self)
    }
}

struct Wrapping<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Wrapping<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        // The inner error is dropped: it may quote the value.
        T::deserialize(deserializer).map_err(|_| D::Error::custom("not a valid secret of the expected type"))
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
