//! Payment providers that a test holds in its hand.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use mainstay::RequestContext;
use order_app::ordering::{Charge, ChargeOutcome, OrderId, Payments, PaymentsAway};
use tokio::sync::Semaphore;

/// Never answers.
#[derive(Debug)]
pub(crate) struct Never;

impl Payments for Never {
    fn charge(&self, _: Charge) -> BoxFuture<'_, ChargeOutcome> {
        future::pending().boxed()
    }

    fn cancel(&self, _: OrderId, _: Option<RequestContext>) -> BoxFuture<'_, Result<(), PaymentsAway>> {
        future::pending().boxed()
    }
}

/// Passes calls on to another; a charge waits at the gate until a permit is there.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) arrived: Semaphore,
    pub(crate) permits: Semaphore,
    stands: Stands,
    inner: Arc<dyn Payments>,
}

/// Where the gate stands: on the charge's way to the provider, or on its answer's way back.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stands {
    Before,
    After,
}

impl Gate {
    pub(crate) fn before(inner: Arc<dyn Payments>) -> Arc<Self> {
        Self::new(Stands::Before, inner)
    }

    pub(crate) fn after(inner: Arc<dyn Payments>) -> Arc<Self> {
        Self::new(Stands::After, inner)
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
            if self.stands == Stands::Before {
                self.pass().await;
            }
            let outcome = self.inner.charge(charge).await;
            if self.stands == Stands::After {
                self.pass().await;
            }
            outcome
        }
        .boxed()
    }

    fn cancel(
        &self,
        order: OrderId,
        context: Option<RequestContext>,
    ) -> BoxFuture<'_, Result<(), PaymentsAway>> {
        self.inner.cancel(order, context)
    }
}
