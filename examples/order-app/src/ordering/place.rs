//! Placing an order: take the stock, take the money, record what came of it.

use std::collections::HashMap;

use mainstay::ambient;
use sea_orm::DbErr;
use tracing::Instrument;

use super::draft::{Draft, Item};
use super::payments::{Charge, ChargeOutcome};
use super::status::{Event, Status};
use super::store::{self, NotAdvanced, Order};
use super::{OrderId, Ordering, line, order};
use crate::catalog::{self, Sku};
use crate::customers::{self, CustomerId};
use crate::moment::Moment;
use crate::money::{Money, NoSum};
use crate::tenant::{Caller, Tenant};

/// An order is not taken. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPlaced {
    #[error("there is no customer {0}")]
    UnknownCustomer(CustomerId),
    #[error("there is no product {sku}")]
    UnknownProduct { at: usize, sku: Sku },
    #[error("{sku} is out of stock: {ordered} ordered, fewer left")]
    OutOfStock { sku: Sku, ordered: u16 },
    #[error("the order has no total: {0}")]
    NoTotal(#[from] NoSum),
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl Ordering {
    /// Places the order and pays it. What comes back may be confirmed, declined, failed, or still pending where nobody
    /// knows whether the customer was charged.
    ///
    /// The payment and its recording run in a task of their own: dropping this future, because the caller left or the
    /// deadline passed, does not stop them.
    pub(crate) async fn place(&self, caller: Caller, draft: Draft) -> Result<Order, NotPlaced> {
        let Order { head, lines } = self.reserve(&caller.tenant, draft, Moment::now()).await?;

        let (ordering, pending) = (self.clone(), head.clone());
        let pay = async move { ordering.pay(pending).await };
        // The provider learns for which request it is paid, and when nobody waits for it any more.
        let head = tokio::spawn(ambient::inherit(pay.in_current_span())).await.unwrap_or_else(|error| {
            tracing::error!(order = %head.id, %error, "the payment's task failed; the order is left to the reconciler");
            head
        });
        Ok(Order { head, lines })
    }

    /// All that can refuse an order, in one transaction.
    async fn reserve(&self, tenant: &Tenant, draft: Draft, now: Moment) -> Result<Order, NotPlaced> {
        let transaction = self.database.begin().await?;
        if !customers::exists(&transaction, tenant, draft.customer).await? {
            return Err(NotPlaced::UnknownCustomer(draft.customer));
        }
        let prices =
            catalog::prices(&transaction, tenant, draft.items.iter().map(|item| item.sku.clone())).await?;
        let order = priced(tenant, &draft, &prices, now)?;
        for Item { sku, quantity } in draft.items {
            if !catalog::take(&transaction, tenant, &sku, quantity).await? {
                return Err(NotPlaced::OutOfStock { sku, ordered: quantity.get() });
            }
        }
        store::insert(&transaction, &order).await?;
        transaction.commit().await?;
        Ok(order)
    }

    async fn pay(&self, order: order::Model) -> order::Model {
        let outcome = self.payments.charge(Charge {
            order: order.id,
            amount: order.total(),
            token: order.payment_token.clone(),
        });
        match self.record(order.clone(), outcome.await).await {
            Ok(settled) => settled,
            Err(error) => {
                tracing::error!(order = %order.id, %error, "the payment's outcome was not recorded");
                // The reconciler may have been faster: then its word counts.
                let current = store::head(self.database.reader(), &order.tenant, order.id).await;
                current.ok().flatten().unwrap_or(order)
            }
        }
    }

    async fn record(
        &self,
        mut order: order::Model,
        outcome: ChargeOutcome,
    ) -> Result<order::Model, NotAdvanced> {
        let event = match outcome {
            ChargeOutcome::Succeeded { payment_id } => {
                order.payment_id = Some(payment_id);
                Event::Paid
            }
            ChargeOutcome::Declined { reason } => {
                tracing::info!(order = %order.id, reason, "the payment was declined");
                Event::Declined
            }
            ChargeOutcome::NotCharged { reason } => {
                tracing::warn!(order = %order.id, reason, "nothing was charged");
                Event::NotPaid
            }
            ChargeOutcome::Unknown { reason } => {
                tracing::warn!(order = %order.id, reason, "the payment's outcome is unknown; the reconciler settles it");
                return Ok(order);
            }
        };
        self.step(order, event, Moment::now()).await
    }

    /// Moves an order on, in a transaction of its own.
    pub(super) async fn step(
        &self,
        order: order::Model,
        event: Event,
        now: Moment,
    ) -> Result<order::Model, NotAdvanced> {
        let transaction = self.database.begin().await?;
        let order = store::advance(&transaction, order, event, now).await?;
        transaction.commit().await?;
        Ok(order)
    }
}

/// Puts the catalog's prices on the draft; the customer names none.
fn priced(
    tenant: &Tenant,
    draft: &Draft,
    prices: &HashMap<Sku, Money>,
    now: Moment,
) -> Result<Order, NotPlaced> {
    let id = OrderId::new();
    let mut lines = Vec::with_capacity(draft.items.len());
    let mut total: Option<Money> = None;
    for (at, (position, Item { sku, quantity })) in (0..).zip(&draft.items).enumerate() {
        let price = *prices.get(sku).ok_or_else(|| NotPlaced::UnknownProduct { at, sku: sku.clone() })?;
        let amount = price.times(quantity.get())?;
        total = Some(total.map_or(Ok(amount), |sum| sum.plus(amount))?);
        lines.push(line::Model {
            tenant: tenant.clone(),
            order_id: id,
            position,
            sku: sku.clone(),
            quantity: quantity.get().into(),
            unit_price_minor: price.minor(),
        });
    }
    let total = total.expect("a draft has at least one item");
    let head = order::Model {
        tenant: tenant.clone(),
        id,
        customer_id: draft.customer,
        status: Status::PendingPayment,
        version: 1,
        total_minor: total.minor(),
        currency: total.currency(),
        payment_token: draft.token.clone(),
        payment_id: None,
        created_at: now,
        updated_at: now,
    };
    Ok(Order { head, lines })
}
