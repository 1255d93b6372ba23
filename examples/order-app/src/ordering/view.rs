//! An order as its customer sees it.

use serde::Serialize;

use super::status::Status;
use super::store::Order;
use super::{OrderId, line};
use crate::catalog::Sku;
use crate::customers::CustomerId;
use crate::moment::Moment;
use crate::money::Money;

#[derive(Debug, Serialize)]
pub(crate) struct OrderView {
    id: OrderId,
    customer_id: CustomerId,
    status: Status,
    items: Vec<ItemView>,
    total: Money,
    created_at: Moment,
    updated_at: Moment,
}

#[derive(Debug, Serialize)]
struct ItemView {
    sku: Sku,
    quantity: i64,
    unit_price: Money,
}

#[derive(Debug, Serialize)]
pub(crate) struct OrderList {
    pub(crate) orders: Vec<OrderView>,
    pub(crate) next_cursor: Option<OrderId>,
}

impl From<Order> for OrderView {
    fn from(Order { head, lines }: Order) -> Self {
        let item = |line: line::Model| ItemView {
            sku: line.sku,
            quantity: line.quantity,
            unit_price: Money::new(line.unit_price_minor, head.currency),
        };
        Self {
            id: head.id,
            customer_id: head.customer_id,
            status: head.status,
            items: lines.into_iter().map(item).collect(),
            total: head.total(),
            created_at: head.created_at,
            updated_at: head.updated_at,
        }
    }
}
