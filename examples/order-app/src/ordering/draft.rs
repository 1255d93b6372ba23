//! What a customer sends to place an order, and what remains of it once it is parsed.

use std::collections::HashSet;

use serde::Deserialize;

use super::PaymentToken;
use crate::api::FieldErrors;
use crate::catalog::{Quantity, Sku};
use crate::customers::CustomerId;

/// The body of `POST /orders`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an order")]
pub(crate) struct DraftBody {
    customer_id: String,
    items: Vec<ItemBody>,
    payment_token: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an item")]
struct ItemBody {
    sku: String,
    quantity: i64,
}

/// An order as it may be placed, so far as one can tell without the database.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) customer: CustomerId,
    pub(crate) items: Vec<Item>,
    pub(crate) token: PaymentToken,
}

/// So many of a product, no two items of the same one.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) sku: Sku,
    pub(crate) quantity: Quantity,
}

/// An order has 1 to this many items.
const MOST_ITEMS: usize = 50;

impl DraftBody {
    /// Everything that is wrong is reported at once.
    pub(crate) fn parse(&self) -> Result<Draft, FieldErrors> {
        let mut errors = FieldErrors::default();
        let customer = errors.parse("customer_id", &self.customer_id);
        let items = parse_items(&self.items, &mut errors);
        let token = errors.parse("payment_token", &self.payment_token);

        match (customer, token) {
            (Some(customer), Some(token)) if errors.is_empty() => Ok(Draft { customer, items, token }),
            _ => Err(errors),
        }
    }
}

fn parse_items(items: &[ItemBody], errors: &mut FieldErrors) -> Vec<Item> {
    if !(1..=MOST_ITEMS).contains(&items.len()) {
        errors.push("items", format!("{} items, expected 1 to {MOST_ITEMS}", items.len()));
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let mut parsed = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let sku = errors.parse(format!("items[{at}].sku"), &item.sku);
        let quantity = errors.check(format!("items[{at}].quantity"), Quantity::try_from(item.quantity));
        if !seen.insert(&item.sku) {
            errors.push(
                format!("items[{at}].sku"),
                format!("{:?} is listed twice, expected one item a sku", item.sku),
            );
        }
        parsed.extend(sku.zip(quantity).map(|(sku, quantity)| Item { sku, quantity }));
    }
    parsed
}
