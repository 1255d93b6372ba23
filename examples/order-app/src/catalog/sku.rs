//! The name of a product.

use std::fmt;
use std::str::FromStr;

use sea_orm::DeriveValueType;

use crate::text::text_value;

/// A stock keeping unit: 1 to 64 letters, digits, `-`, `_` or `.`.
#[derive(Clone, Debug, DeriveValueType, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[sea_orm(value_type = "String")]
pub struct Sku(String);

/// The text is no SKU.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no sku, expected 1 to 64 letters, digits, '-', '_' or '.'")]
pub struct InvalidSku(String);

impl FromStr for Sku {
    type Err = InvalidSku;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if matches!(text.len(), 1..=64) && text.bytes().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSku(text.chars().take(70).collect()))
        }
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(Sku);
