//! Payment providers that a test holds in its hand.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use order_app::ordering::{Charge, ChargeOutcome, OrderId, Payments, PaymentsAway};
use tokio::sync::Semaphore;

/// Never answers.
#[derive(Debug)]
pub(crate) struct Never;

impl Payments for Never {
    fn charge(&self, _: Charge) -> BoxFuture<'_, ChargeOutcome> {
        future::pending().boxed()
    }

    fn cancel(&self, _: OrderId) -> BoxFuture<'_, Result<(), PaymentsAway>> {
        future::pending().boxed()
    }
}

/// Passes calls on to another; some wait at the gate until a permit is there.
#[derive(Debug)]
pub(crate) struct Gate {
    arrived: Semaphore,
    permits: Semaphore,
    stands: Stands,
    inner: Arc<dyn Payments>,
}

/// What waits: the charge, its answer, or the cancellation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stands {
    BeforeCharge,
    AfterCharge,
    BeforeCancel,
}

impl Gate {
    pub(crate) fn before_charge(inner: Arc<dyn Payments>) -> Arc<Self> {
        Self::new(Stands::BeforeCharge, inner)
    }

    pub(crate) fn after_charge(inner: Arc<dyn Payments>) -> Arc<Self> {
        Self::new(Stands::AfterCharge, inner)
    }

    pub(crate) fn before_cancel(inner: Arc<dyn Payments>) -> Arc<Self> {
        Self::new(Stands::BeforeCancel, inner)
    }

    /// Waits for a call to stand at the gate.
    pub(crate) async fn arrival(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    /// Lets one call through.
    pub(crate) fn open(&self) {
        self.permits.add_permits(1);
    }

    fn new(stands: Stands, inner: Arc<dyn Payments>) -> Arc<Self> {
        Arc::new(Self { arrived: Semaphore::new(0), permits: Semaphore::new(0), stands, inner })
    }

    async fn pass(&self) {
        self.arrived.add_permits(1);
        self.permits.acquire().await.unwrap().forget();
    }
}

impl Payments for Gate {
    fn charge(&self, charge: Charge) -> BoxFuture<'_, ChargeOutcome> {
        async move {
            if self.stands == Stands::BeforeCharge {
                self.pass().await;
            }
            let outcome = self.inner.charge(charge).await;
            if self.stands == Stands::AfterCharge {
                self.pass().await;
            }
            outcome
        }
        .boxed()
    }

    fn cancel(&self, order: OrderId) -> BoxFuture<'_, Result<(), PaymentsAway>> {
        async move {
            if self.stands == Stands::BeforeCancel {
                self.pass().await;
            }
            self.inner.cancel(order).await
        }
        .boxed()
    }
}
