//! The table of customers.

use sea_orm::entity::prelude::*;

use super::CustomerId;
use crate::tenant::{Owned, Tenant};

#[derive(Clone, Debug, DeriveEntityModel, Eq, PartialEq)]
#[sea_orm(table_name = "customers")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: Tenant,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: CustomerId,
    pub(crate) name: String,
    pub(crate) email: String,
}

#[derive(Clone, Copy, Debug, DeriveRelation, EnumIter)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Owned for Entity {
    const TENANT: Column = Column::Tenant;
}
