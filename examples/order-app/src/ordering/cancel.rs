//! Cancelling an order: give the stock back at once, and the money as soon as the provider can be reached.

use sea_orm::DbErr;

use super::status::{Event, Status};
use super::store::{self, NotAdvanced, Order};
use super::{OrderId, Ordering, order};
use crate::moment::Moment;
use crate::tenant::{Caller, Tenant};

/// An order is not cancelled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotCancelled {
    #[error("there is no such order")]
    Unknown,
    #[error("an order that is {0} cannot be cancelled, expected one that is confirmed")]
    Never(Status),
    #[error(transparent)]
    NotAdvanced(#[from] NotAdvanced),
}

impl Ordering {
    /// Cancels the order. What comes back is cancelled, or still cancelling where the provider is away: then the
    /// reconciler goes on. Asking again is harmless, and tries again.
    pub(crate) async fn cancel(&self, caller: &Caller, id: OrderId) -> Result<Order, NotCancelled> {
        let order = self.begin_cancelling(&caller.tenant, id, Moment::now()).await?;
        let order = match order.status {
            Status::Cancelling => self.refund(order).await?,
            _ => order,
        };
        self.complete(&caller.tenant, order).await
    }

    async fn begin_cancelling(
        &self,
        tenant: &Tenant,
        id: OrderId,
        now: Moment,
    ) -> Result<order::Model, NotCancelled> {
        let transaction = self.database.begin().await?;
        let order = store::head(&transaction, tenant, id).await?.ok_or(NotCancelled::Unknown)?;
        let order = match order.status {
            Status::Confirmed => store::advance(&transaction, order, Event::CancelRequested, now).await?,
            Status::Cancelling | Status::Cancelled => order,
            status => return Err(NotCancelled::Never(status)),
        };
        transaction.commit().await?;
        Ok(order)
    }

    async fn refund(&self, order: order::Model) -> Result<order::Model, NotCancelled> {
        if let Err(error) = self.payments.cancel(order.id).await {
            tracing::warn!(order = %order.id, %error, "the money is not given back yet; the reconciler goes on");
            return Ok(order);
        }
        match self.step(order.clone(), Event::Refunded, Moment::now()).await {
            // Two asked at once, and the other one recorded it.
            Err(NotAdvanced::Stale(id)) => {
                let current = store::head(self.database.reader(), &order.tenant, id).await?;
                current.ok_or(NotCancelled::Unknown)
            }
            advanced => Ok(advanced?),
        }
    }

    async fn complete(&self, tenant: &Tenant, head: order::Model) -> Result<Order, NotCancelled> {
        let orders = store::with_lines(self.database.reader(), tenant, vec![head]).await?;
        orders.into_iter().next().ok_or(NotCancelled::Unknown)
    }
}

impl From<DbErr> for NotCancelled {
    fn from(error: DbErr) -> Self {
        Self::NotAdvanced(NotAdvanced::Database(error))
    }
}
