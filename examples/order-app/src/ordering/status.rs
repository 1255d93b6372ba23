//! The life of an order: a pure table of which event leads where.

use std::fmt;
use std::str::FromStr;

use sea_orm::DeriveValueType;

use crate::text::text_value;

/// Where an order stands.
#[derive(Clone, Copy, Debug, DeriveValueType, Eq, PartialEq)]
#[sea_orm(value_type = "String")]
pub(crate) enum Status {
    /// The stock is taken; the payment is under way, or its outcome is not known.
    PendingPayment,
    /// Paid.
    Confirmed,
    /// The provider refused to charge.
    Declined,
    /// Nothing was charged, or it was given back.
    PaymentFailed,
    /// The stock is given back; the money is not, as far as we know.
    Cancelling,
    /// The money is given back.
    Cancelled,
}

/// What happens to an order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// The provider charged.
    Paid,
    /// The provider refused.
    Declined,
    /// It is certain that nothing was charged, or that it was given back.
    NotPaid,
    /// Nobody knows, and it was long enough ago that the payment is now to be undone. The order stays where it is,
    /// but under a new version: an answer that arrives after all can no longer confirm it.
    Doubted,
    /// The customer wants out.
    CancelRequested,
    /// The provider gave the money back.
    Refunded,
}

/// The event cannot happen to an order that stands there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an order that is {status} cannot be {event:?}")]
pub(crate) struct NoTransition {
    status: Status,
    event: Event,
}

/// Where the event leads.
pub(crate) fn transition(status: Status, event: Event) -> Result<Status, NoTransition> {
    match (status, event) {
        (Status::PendingPayment, Event::Paid) => Ok(Status::Confirmed),
        (Status::PendingPayment, Event::Declined) => Ok(Status::Declined),
        (Status::PendingPayment, Event::NotPaid) => Ok(Status::PaymentFailed),
        (Status::PendingPayment, Event::Doubted) => Ok(Status::PendingPayment),
        (Status::Confirmed, Event::CancelRequested) => Ok(Status::Cancelling),
        (Status::Cancelling, Event::Refunded) => Ok(Status::Cancelled),
        (status, event) => Err(NoTransition { status, event }),
    }
}

impl Status {
    const ALL: [Self; 6] = [
        Self::PendingPayment,
        Self::Confirmed,
        Self::Declined,
        Self::PaymentFailed,
        Self::Cancelling,
        Self::Cancelled,
    ];

    /// Whether the ordered pieces are out of the stock.
    pub(crate) fn holds_stock(self) -> bool {
        matches!(self, Self::PendingPayment | Self::Confirmed)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::PendingPayment => "pending_payment",
            Self::Confirmed => "confirmed",
            Self::Declined => "declined",
            Self::PaymentFailed => "payment_failed",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The text is no status.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no status of an order")]
pub(crate) struct InvalidStatus(String);

impl FromStr for Status {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let status = Self::ALL.into_iter().find(|status| status.as_str() == text);
        status.ok_or_else(|| InvalidStatus(text.to_owned()))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

text_value!(Status);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table() {
        use Status::{Cancelled, Cancelling, Confirmed, Declined, PaymentFailed, PendingPayment};
        let events = [
            Event::Paid,
            Event::Declined,
            Event::NotPaid,
            Event::Doubted,
            Event::CancelRequested,
            Event::Refunded,
        ];
        #[rustfmt::skip]
        let table = [
            (PendingPayment, [Some(Confirmed), Some(Declined), Some(PaymentFailed), Some(PendingPayment), None, None]),
            (Confirmed, [None, None, None, None, Some(Cancelling), None]),
            (Declined, [None; 6]),
            (PaymentFailed, [None; 6]),
            (Cancelling, [None, None, None, None, None, Some(Cancelled)]),
            (Cancelled, [None; 6]),
        ];

        assert_eq!(table.map(|(status, _)| status), Status::ALL);
        for (status, expected) in table {
            assert_eq!(events.map(|event| transition(status, event).ok()), expected, "{status}");
        }
    }

    #[test]
    fn stock_is_given_back_once_on_every_way_out() {
        for status in Status::ALL.into_iter().filter(|status| !status.holds_stock()) {
            for event in [Event::Paid, Event::Doubted, Event::CancelRequested] {
                assert!(transition(status, event).is_err(), "{status} would hold stock again by {event:?}");
            }
        }
    }

    #[test]
    fn every_status_has_a_name_of_its_own() {
        for status in Status::ALL {
            assert_eq!(status.to_string().parse::<Status>().unwrap(), status);
        }
    }
}
