//! What the customer pays with, as the provider names it.

use std::fmt;
use std::str::FromStr;

use sea_orm::DeriveValueType;

use crate::text::text_value;

/// A payment token: 1 to 64 visible ASCII characters.
#[derive(Clone, DeriveValueType, Eq, PartialEq)]
#[sea_orm(value_type = "String")]
pub struct PaymentToken(String);

/// The text is no token. It is not repeated: a token may be worth money.
#[derive(Debug, thiserror::Error)]
#[error("expected a token of 1 to 64 visible ASCII characters")]
pub struct InvalidToken(());

impl PaymentToken {
    /// The token, for the provider.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PaymentToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if matches!(text.len(), 1..=64) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidToken(()))
        }
    }
}

impl fmt::Display for PaymentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PaymentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentToken(..)")
    }
}

text_value!(PaymentToken);
