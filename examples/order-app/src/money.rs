//! Amounts of money: whole minor units of one currency, never floats, never wrapped around.

use std::fmt;
use std::str::FromStr;

use sea_orm::DeriveValueType;
use serde::Serialize;

use crate::text::text_value;

/// So much of a currency, as `{"amount": 1999, "currency": "EUR"}`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Money {
    #[serde(rename = "amount")]
    minor: i64,
    currency: Currency,
}

/// Three capital letters, as in ISO 4217.
#[derive(Clone, Copy, DeriveValueType, Eq, Hash, PartialEq)]
#[sea_orm(value_type = "String")]
pub struct Currency([u8; 3]);

/// Amounts that make no sum.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoSum {
    /// Nobody has that much.
    #[error("amount exceeds {} minor units", i64::MAX)]
    Overflow,
    /// There is no exchange rate here.
    #[error("amounts in {0} and {1} cannot be added")]
    MixedCurrencies(Currency, Currency),
}

/// The text names no currency.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no currency, expected three capital letters like EUR")]
pub struct InvalidCurrency(String);

// === impl Money ===

impl Money {
    /// So many minor units (cents, for EUR).
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// The minor units.
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// This amount, so many times.
    pub fn times(self, count: u16) -> Result<Self, NoSum> {
        let minor = self.minor.checked_mul(count.into()).ok_or(NoSum::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// This amount and the other.
    pub fn plus(self, other: Self) -> Result<Self, NoSum> {
        if self.currency != other.currency {
            return Err(NoSum::MixedCurrencies(self.currency, other.currency));
        }
        let minor = self.minor.checked_add(other.minor).ok_or(NoSum::Overflow)?;
        Ok(Self { minor, ..self })
    }
}

// === impl Currency ===

impl FromStr for Currency {
    type Err = InvalidCurrency;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => Err(InvalidCurrency(text.chars().take(8).collect())),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).expect("a currency is three letters"))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_value!(Currency);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_or_refused() {
        let (eur, usd) = ("EUR".parse().unwrap(), "USD".parse().unwrap());
        let price = Money::new(1999, eur);

        assert_eq!(price.times(3), Ok(Money::new(5997, eur)));
        assert_eq!(price.plus(Money::new(1, eur)), Ok(Money::new(2000, eur)));
        assert_eq!(price.plus(Money::new(1, usd)), Err(NoSum::MixedCurrencies(eur, usd)));
        assert_eq!(Money::new(i64::MAX, eur).plus(price), Err(NoSum::Overflow));
        assert_eq!(Money::new(i64::MAX / 2, eur).times(3), Err(NoSum::Overflow));
    }

    #[test]
    fn money_reads_as_amount_and_currency() {
        let json = serde_json::to_value(Money::new(1999, "EUR".parse().unwrap())).unwrap();
        assert_eq!(json, serde_json::json!({"amount": 1999, "currency": "EUR"}));
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        for wrong in ["", "EU", "EURO", "eur", "E1R", "ÄÖ"] {
            assert!(wrong.parse::<Currency>().is_err(), "{wrong}");
        }
    }
}
