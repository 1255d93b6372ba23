//! How ordering says no.

use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use mainstay::Problem;

use super::OrderId;
use super::cancel::NotCancelled;
use super::order;
use super::place::NotPlaced;
use super::status::Status;
use super::store::NotAdvanced;
use crate::api::{FieldErrors, not_found, storage_problem};
use crate::money::NoSum;

/// Where an order is found.
pub(crate) fn location(id: OrderId) -> HeaderValue {
    HeaderValue::try_from(format!("/orders/{id}")).expect("an id is visible ASCII")
}

/// An order that exists and is not paid. The order is named, so that its end can be looked up.
pub(crate) fn unpaid(order: &order::Model) -> Problem {
    let problem = match order.status {
        Status::Declined => Problem::new(StatusCode::PAYMENT_REQUIRED)
            .kind("/problems/payment-declined")
            .title("payment declined")
            .detail("the payment was declined; nothing was charged"),
        Status::PendingPayment => Problem::new(StatusCode::GATEWAY_TIMEOUT)
            .kind("/problems/payment-outcome-unknown")
            .title("payment outcome unknown")
            .detail("the payment provider did not answer in time; the order will be settled, look it up at its location"),
        _ => Problem::new(StatusCode::SERVICE_UNAVAILABLE)
            .kind("/problems/payment-unavailable")
            .title("payment unavailable")
            .detail("the payment provider is away; nothing was charged")
            .header(RETRY_AFTER, HeaderValue::from_static("5")),
    };
    problem.with("order_id", order.id).header(LOCATION, location(order.id))
}

impl From<NotPlaced> for Problem {
    fn from(refusal: NotPlaced) -> Self {
        let detail = refusal.to_string();
        match refusal {
            // The customer is part of what was sent, not of the address it was sent to: 422, not 404.
            NotPlaced::UnknownCustomer(_) => FieldErrors::one("customer_id", detail).unprocessable(),
            NotPlaced::UnknownProduct { at, .. } => {
                FieldErrors::one(format!("items[{at}].sku"), detail).unprocessable()
            }
            NotPlaced::NoTotal(NoSum::Overflow | NoSum::MixedCurrencies(..)) => {
                FieldErrors::one("items", detail).unprocessable()
            }
            NotPlaced::OutOfStock { sku, .. } => Self::new(StatusCode::CONFLICT)
                .kind("/problems/out-of-stock")
                .title("out of stock")
                .detail(detail)
                .with("sku", sku),
            NotPlaced::Database(error) => storage_problem(&error),
        }
    }
}

impl From<NotCancelled> for Problem {
    fn from(refusal: NotCancelled) -> Self {
        let detail = refusal.to_string();
        match refusal {
            NotCancelled::Unknown => not_found("order"),
            NotCancelled::NotAdvanced(NotAdvanced::Database(error)) => storage_problem(&error),
            NotCancelled::Never(_) | NotCancelled::NotAdvanced(_) => Self::new(StatusCode::CONFLICT)
                .kind("/problems/not-cancellable")
                .title("not cancellable")
                .detail(detail),
        }
    }
}
