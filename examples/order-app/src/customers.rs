//! Who buys.

pub(crate) mod customer;
mod http;

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryFilter, SelectExt};

use crate::tenant::{Owned, Tenant};

pub(crate) use http::routes;

crate::id::id! {
    /// Names a customer.
    CustomerId
}

/// Says whether the tenant has such a customer; for use inside the caller's transaction.
pub(crate) async fn exists(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    id: CustomerId,
) -> Result<bool, DbErr> {
    customer::Entity::of(tenant).filter(customer::Column::Id.eq(id)).exists(db).await
}
