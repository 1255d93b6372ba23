//! The table of orders.

use sea_orm::entity::prelude::*;

use super::status::Status;
use super::{OrderId, PaymentToken};
use crate::customers::CustomerId;
use crate::moment::Moment;
use crate::money::{Currency, Money};
use crate::tenant::{Owned, Tenant};

#[derive(Clone, Debug, DeriveEntityModel, Eq, PartialEq)]
#[sea_orm(table_name = "orders")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: Tenant,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: OrderId,
    pub(crate) customer_id: CustomerId,
    pub(crate) status: Status,
    pub(crate) version: i64,
    pub(crate) total_minor: i64,
    pub(crate) currency: Currency,
    pub(crate) payment_token: PaymentToken,
    pub(crate) payment_id: Option<String>,
    pub(crate) created_at: Moment,
    pub(crate) updated_at: Moment,
}

#[derive(Clone, Copy, Debug, DeriveRelation, EnumIter)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Owned for Entity {
    const TENANT: Column = Column::Tenant;
}

impl Model {
    pub(crate) fn total(&self) -> Money {
        Money::new(self.total_minor, self.currency)
    }
}
