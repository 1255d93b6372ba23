//! Orders: placed, paid, cancelled, and settled when an outcome was lost on the way.

mod cancel;
mod draft;
mod http;
mod line;
mod order;
mod payments;
mod place;
mod problems;
mod reconcile;
mod status;
mod store;
mod token;
mod view;

use std::sync::Arc;

use crate::database::Database;

pub(crate) use http::routes;
pub use payments::{Charge, ChargeOutcome, Payments, PaymentsAway};
pub use reconcile::{Reconciler, Report};
pub use token::{InvalidToken, PaymentToken};

crate::id::id! {
    /// Names an order.
    OrderId
}

/// The slice: its database and whoever takes the money. Clones share both.
#[derive(Clone, Debug)]
pub(crate) struct Ordering {
    database: Database,
    payments: Arc<dyn Payments>,
}

impl Ordering {
    pub(crate) fn new(database: Database, payments: Arc<dyn Payments>) -> Self {
        Self { database, payments }
    }
}

impl OrderId {
    /// A new id, later than all before it.
    fn new() -> Self {
        Self(uuid::Uuid::now_v7())
    }
}
