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

/// Passes calls on to another, the charges not before a permit is there.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) arrived: Semaphore,
    pub(crate) permits: Semaphore,
    inner: Arc<dyn Payments>,
}

impl Gate {
    pub(crate) fn before(inner: Arc<dyn Payments>) -> Arc<Self> {
        Arc::new(Self { arrived: Semaphore::new(0), permits: Semaphore::new(0), inner })
    }
}

impl Payments for Gate {
    fn charge(&self, charge: Charge) -> BoxFuture<'_, ChargeOutcome> {
        async move {
            self.arrived.add_permits(1);
            self.permits.acquire().await.unwrap().forget();
            self.inner.charge(charge).await
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
