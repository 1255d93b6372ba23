//! What ordering asks of whoever takes the money.

use std::fmt::Debug;

use futures_util::future::BoxFuture;

use super::{OrderId, PaymentToken};
use crate::money::Money;

/// Takes money for orders, and gives it back. The order's id is the idempotency key of everything about it.
pub trait Payments: Debug + Send + Sync + 'static {
    /// Charges the customer, once, however often it is asked for one order.
    fn charge(&self, charge: Charge) -> BoxFuture<'_, ChargeOutcome>;

    /// Makes sure that the order is not paid: gives the money back, or keeps a charge under way from succeeding.
    fn cancel(&self, order: OrderId) -> BoxFuture<'_, Result<(), PaymentsAway>>;
}

/// What is to be charged.
#[derive(Clone, Debug)]
pub struct Charge {
    /// The order that is paid.
    pub order: OrderId,
    /// How much.
    pub amount: Money,
    /// With what.
    pub token: PaymentToken,
}

/// What became of a charge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ChargeOutcome {
    /// The money is here.
    Succeeded {
        /// How the provider names the payment.
        payment_id: String,
    },
    /// The provider refused.
    Declined {
        /// In its words.
        reason: String,
    },
    /// Nothing was charged, for certain.
    NotCharged {
        /// For the log.
        reason: String,
    },
    /// Nobody knows.
    Unknown {
        /// For the log.
        reason: String,
    },
}

/// The provider cannot be reached, or does not answer as it should.
#[derive(Debug, thiserror::Error)]
#[error("the payment provider is away: {0}")]
pub struct PaymentsAway(pub String);
