//! What goes over the wire.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::money::Currency;

/// Names one payment for ever: 1 to 64 letters, digits or `-`, so that it is safe in a header and in a path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdempotencyKey(String);

/// The text is no key.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no idempotency key, expected 1 to 64 letters, digits or '-'")]
pub struct InvalidKey(String);

/// What is to be paid.
#[derive(Clone, Debug, Serialize)]
pub struct Payment {
    /// Minor units.
    pub amount: i64,
    /// Of this currency.
    pub currency: Currency,
    /// What the customer pays with.
    pub token: String,
    /// What it is for.
    pub reference: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Charged {
    pub(super) id: String,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Refused {
    pub(super) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Cancelled {
    pub(super) status: String,
}

impl FromStr for IdempotencyKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if matches!(text.len(), 1..=64) && text.bytes().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidKey(text.chars().take(70).collect()))
        }
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
