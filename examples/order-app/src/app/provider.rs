//! The payment slice in the place that ordering keeps for it.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::ordering::{Charge, ChargeOutcome, OrderId, Payments, PaymentsAway};
use crate::payment::{IdempotencyKey, Payment, PaymentClient, Verdict};

#[derive(Debug)]
pub(super) struct Provider {
    client: PaymentClient,
}

impl Provider {
    pub(super) fn new(client: PaymentClient) -> Self {
        Self { client }
    }
}

impl Payments for Provider {
    fn charge(&self, charge: Charge) -> BoxFuture<'_, ChargeOutcome> {
        let payment = Payment {
            amount: charge.amount.minor(),
            currency: charge.amount.currency(),
            token: charge.token.as_str().to_owned(),
            reference: charge.order.to_string(),
        };
        async move {
            match self.client.charge(&key(charge.order), &payment).await {
                Verdict::Charged(payment_id) => ChargeOutcome::Succeeded { payment_id },
                Verdict::Declined(reason) => ChargeOutcome::Declined { reason },
                Verdict::NotCharged(reason) => ChargeOutcome::NotCharged { reason },
                Verdict::Unknown(reason) => ChargeOutcome::Unknown { reason },
            }
        }
        .boxed()
    }

    fn cancel(&self, order: OrderId) -> BoxFuture<'_, Result<(), PaymentsAway>> {
        async move { self.client.cancel(&key(order)).await.map_err(PaymentsAway) }.boxed()
    }
}

fn key(order: OrderId) -> IdempotencyKey {
    order.to_string().parse().expect("an order's id has the form of a key")
}
