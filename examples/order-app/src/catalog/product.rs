//! The table of products.

use sea_orm::entity::prelude::*;

use super::Sku;
use crate::money::{Currency, Money};
use crate::tenant::{Owned, Tenant};

#[derive(Clone, Debug, DeriveEntityModel, Eq, PartialEq)]
#[sea_orm(table_name = "products")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: Tenant,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) sku: Sku,
    pub(crate) name: String,
    pub(crate) price_minor: i64,
    pub(crate) currency: Currency,
    pub(crate) stock: i64,
}

#[derive(Clone, Copy, Debug, DeriveRelation, EnumIter)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Owned for Entity {
    const TENANT: Column = Column::Tenant;
}

impl Model {
    pub(crate) fn price(&self) -> Money {
        Money::new(self.price_minor, self.currency)
    }
}
