//! The table of order lines: what was ordered, at the price of that moment, in the currency of the order.

use sea_orm::entity::prelude::*;

use super::OrderId;
use crate::catalog::Sku;
use crate::tenant::{Owned, Tenant};

#[derive(Clone, Debug, DeriveEntityModel, Eq, PartialEq)]
#[sea_orm(table_name = "order_lines")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: Tenant,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) order_id: OrderId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) position: i64,
    pub(crate) sku: Sku,
    pub(crate) quantity: i64,
    pub(crate) unit_price_minor: i64,
}

#[derive(Clone, Copy, Debug, DeriveRelation, EnumIter)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Owned for Entity {
    const TENANT: Column = Column::Tenant;
}
