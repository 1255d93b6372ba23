//! Prices and stock, for use inside the caller's transaction.

use std::collections::HashMap;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, ExprTrait, QueryFilter, UpdateMany};

use super::product::{Column, Entity};
use super::{Quantity, Sku};
use crate::money::Money;
use crate::tenant::{Owned, Tenant};

/// The prices of those SKUs that exist, in one statement.
pub(crate) async fn prices(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    skus: impl IntoIterator<Item = Sku>,
) -> Result<HashMap<Sku, Money>, DbErr> {
    let products = Entity::of(tenant).filter(Column::Sku.is_in(skus)).all(db).await?;
    Ok(products.into_iter().map(|product| (product.sku.clone(), product.price())).collect())
}

/// Takes pieces out of the stock, unless there are fewer: then nothing changes and the answer is `false`.
pub(crate) async fn take(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    sku: &Sku,
    quantity: Quantity,
) -> Result<bool, DbErr> {
    let pieces = i64::from(quantity.get());
    let taken = product(tenant, sku)
        .col_expr(Column::Stock, Expr::col(Column::Stock).sub(pieces))
        .filter(Column::Stock.gte(pieces))
        .exec(db)
        .await?;
    Ok(taken.rows_affected == 1)
}

/// Puts back pieces that were taken.
pub(crate) async fn put_back(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    sku: &Sku,
    pieces: i64,
) -> Result<(), DbErr> {
    product(tenant, sku).col_expr(Column::Stock, Expr::col(Column::Stock).add(pieces)).exec(db).await?;
    Ok(())
}

fn product(tenant: &Tenant, sku: &Sku) -> UpdateMany<Entity> {
    Entity::change(tenant).filter(Column::Sku.eq(sku.clone()))
}
