//! A date and time as it is stored and shown: RFC 3339, UTC, milliseconds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use sea_orm::DeriveValueType;

use crate::text::text_value;

/// A point in time. Its texts are all of one length, so that the database orders them as times.
#[derive(Clone, Copy, Debug, DeriveValueType, Eq, Ord, PartialEq, PartialOrd)]
#[sea_orm(value_type = "String")]
pub struct Moment(Timestamp);

impl Moment {
    /// The moment by the system's clock.
    pub fn now() -> Self {
        Self(Timestamp::now())
    }

    /// The moment this much earlier, or the earliest there is.
    #[must_use]
    pub fn earlier(self, by: Duration) -> Self {
        Self(self.0.checked_sub(by).unwrap_or(Timestamp::MIN))
    }

    /// The moment this much later, or the latest there is.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        Self(self.0.checked_add(by).unwrap_or(Timestamp::MAX))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl FromStr for Moment {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

text_value!(Moment);

#[cfg(test)]
mod tests {
    use super::Moment;

    #[test]
    fn texts_order_like_times() {
        let texts = ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.006Z", "2026-01-02T03:04:05.1Z"];
        let written = texts.map(|text| text.parse::<Moment>().unwrap().to_string());

        assert_eq!(
            written,
            ["2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05.006Z", "2026-01-02T03:04:05.100Z"]
        );
        assert!(written.is_sorted());
    }
}
