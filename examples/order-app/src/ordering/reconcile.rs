//! Settling orders whose payment ended without an answer, and cancellations that found the provider away.
//!
//! An order that was left pending is not confirmed later: its customer was told that nobody knows, and may have ordered
//! again. Its payment is undone, and its stock put back.

use std::time::Duration;

use sea_orm::DbErr;

use super::payments::PaymentsAway;
use super::status::{Event, Status};
use super::store::{self, NotAdvanced};
use super::{Ordering, order};
use crate::moment::Moment;
use crate::tenant::{Tenant, Tenants};

/// The worker; [`Reconciler::run`] it beside the service.
#[derive(Clone, Debug)]
pub struct Reconciler {
    ordering: Ordering,
    tenants: Tenants,
}

/// What one run did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// Orders that are settled now.
    pub settled: u64,
    /// Orders that are not, and wait for the next run.
    pub left: u64,
}

#[derive(Debug, thiserror::Error)]
enum NotSettled {
    #[error(transparent)]
    Away(#[from] PaymentsAway),
    #[error(transparent)]
    NotAdvanced(#[from] NotAdvanced),
}

/// How long a payment may take before it is undone: far longer than the service waits for the provider.
const PATIENCE: Duration = Duration::from_secs(60);

/// Orders read at a time.
const BATCH: u64 = 100;

impl Reconciler {
    pub(crate) fn new(ordering: Ordering, tenants: Tenants) -> Self {
        Self { ordering, tenants }
    }

    /// Runs at once and then at this interval, which is asked for after each run, until the future is dropped. Dropping it
    /// loses nothing: every step is recorded, and the next run goes on from there.
    pub async fn run(self, interval: impl Fn() -> Duration) {
        loop {
            let begun = tokio::time::Instant::now();
            let report = self.run_once(Moment::now()).await;
            if report != Report::default() {
                tracing::info!(report.settled, report.left, "orders reconciled");
            }
            tokio::time::sleep_until(begun + interval()).await;
        }
    }

    /// Tries every order that waits, once. What fails is logged, and left for the next run.
    pub async fn run_once(&self, now: Moment) -> Report {
        let mut report = Report::default();
        for tenant in self.tenants.served().iter() {
            for (status, since) in
                [(Status::PendingPayment, now.earlier(PATIENCE)), (Status::Cancelling, now)]
            {
                if let Err(error) = self.settle_all(tenant, status, since, now, &mut report).await {
                    tracing::error!(%tenant, %status, %error, "the orders to reconcile cannot be read");
                }
            }
        }
        report
    }

    async fn settle_all(
        &self,
        tenant: &Tenant,
        status: Status,
        since: Moment,
        now: Moment,
        report: &mut Report,
    ) -> Result<(), DbErr> {
        let reader = self.ordering.database.reader();
        let mut after = None;
        loop {
            let batch = store::waiting(reader, tenant, status, since, after, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(()) };
            after = Some(last.id);
            for order in batch {
                let id = order.id;
                match self.settle(order, now).await {
                    Ok(()) => report.settled += 1,
                    Err(error) => {
                        tracing::warn!(order = %id, %error, "an order is left for the next run");
                        report.left += 1;
                    }
                }
            }
        }
    }

    async fn settle(&self, order: order::Model, now: Moment) -> Result<(), NotSettled> {
        // Undoing a payment and confirming its order must not cross: from here on the order's version is ours.
        let (order, end) = match order.status {
            Status::PendingPayment => (self.ordering.step(order, Event::Doubted, now).await?, Event::NotPaid),
            _ => (order, Event::Refunded),
        };
        self.ordering.payments.cancel(order.id).await?;
        self.ordering.step(order, end, now).await?;
        Ok(())
    }
}
