//! What a caller asks to be paid: the key, the payload, and the behaviour that its token chooses.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Names one charge for ever: the same key never charges twice.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct IdempotencyKey(String);

/// The payload of a charge. Two charges under one key must carry equal ones.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Payment {
    pub(crate) amount: Amount,
    pub(crate) currency: Currency,
    pub(crate) token: String,
    pub(crate) reference: String,
}

/// Minor units, more than none.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "i64")]
pub(crate) struct Amount(i64);

/// Three capital letters.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub(crate) struct Currency(String);

/// What the provider does with a payment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Behaviour {
    Charge,
    ChargeSlowly,
    FailOnce,
    Fail,
    Decline(Reason),
}

/// Why a payment was declined.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    CardDeclined,
    UnknownToken,
}

// === impl IdempotencyKey ===

impl IdempotencyKey {
    /// The longest key that is kept, so that a caller cannot fill the memory with one.
    const LONGEST: usize = 255;

    pub(crate) fn parse(key: &str) -> Option<Self> {
        let fits = !key.is_empty() && key.len() <= Self::LONGEST;
        (fits && key.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(key.to_owned()))
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Payment ===

impl Payment {
    pub(crate) fn behaviour(&self) -> Behaviour {
        match self.token.as_str() {
            "tok_ok" => Behaviour::Charge,
            "tok_slow" => Behaviour::ChargeSlowly,
            "tok_flaky" => Behaviour::FailOnce,
            "tok_down" => Behaviour::Fail,
            "tok_declined" => Behaviour::Decline(Reason::CardDeclined),
            _ => Behaviour::Decline(Reason::UnknownToken),
        }
    }
}

// === impl Amount ===

impl TryFrom<i64> for Amount {
    type Error = String;

    fn try_from(minor: i64) -> Result<Self, String> {
        if minor > 0 { Ok(Self(minor)) } else { Err(format!("amount {minor}, expected minor units above 0")) }
    }
}

// === impl Currency ===

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(code: String) -> Result<Self, String> {
        if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            Ok(Self(code))
        } else {
            Err(format!("currency {code:?}, expected three capital letters"))
        }
    }
}
