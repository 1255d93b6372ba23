//! Orders in the database. What is read or changed here belongs to the tenant that is named.

use std::collections::HashMap;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};

use super::status::{Event, NoTransition, Status, transition};
use super::{OrderId, line, order};
use crate::catalog;
use crate::customers::CustomerId;
use crate::moment::Moment;
use crate::paging::PageRequest;
use crate::tenant::{Owned, Tenant};

/// An order with its lines.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) head: order::Model,
    pub(crate) lines: Vec<line::Model>,
}

/// An order does not move on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAdvanced {
    #[error(transparent)]
    NoTransition(#[from] NoTransition),
    #[error("order {0} was changed by somebody else")]
    Stale(OrderId),
    #[error(transparent)]
    Database(#[from] DbErr),
}

pub(crate) async fn insert(db: &impl ConnectionTrait, order: &Order) -> Result<(), DbErr> {
    let lines = order.lines.iter().cloned().map(IntoActiveModel::into_active_model);
    order::Entity::insert(order.head.clone().into_active_model()).exec_without_returning(db).await?;
    line::Entity::insert_many(lines).exec_without_returning(db).await?;
    Ok(())
}

pub(crate) async fn head(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    id: OrderId,
) -> Result<Option<order::Model>, DbErr> {
    order::Entity::of(tenant).filter(order::Column::Id.eq(id)).one(db).await
}

/// One page of a tenant's orders, or of one of its customers, newest first.
pub(crate) async fn newest(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    customer: Option<CustomerId>,
    page: &PageRequest<OrderId>,
) -> Result<Vec<order::Model>, DbErr> {
    let mut select = order::Entity::of(tenant).order_by_desc(order::Column::Id).limit(page.fetch());
    if let Some(customer) = customer {
        select = select.filter(order::Column::CustomerId.eq(customer));
    }
    if let Some(after) = page.after {
        select = select.filter(order::Column::Id.lt(after));
    }
    select.all(db).await
}

/// Orders that stand there since before that moment, oldest first.
pub(crate) async fn waiting(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    status: Status,
    since: Moment,
    after: Option<OrderId>,
    limit: u64,
) -> Result<Vec<order::Model>, DbErr> {
    let mut select = order::Entity::of(tenant)
        .filter(order::Column::Status.eq(status))
        .filter(order::Column::CreatedAt.lte(since))
        .order_by_asc(order::Column::Id)
        .limit(limit);
    if let Some(after) = after {
        select = select.filter(order::Column::Id.gt(after));
    }
    select.all(db).await
}

/// Adds their lines to orders of one tenant: one statement, however many orders, and none for none.
pub(crate) async fn with_lines(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    heads: Vec<order::Model>,
) -> Result<Vec<Order>, DbErr> {
    if heads.is_empty() {
        return Ok(Vec::new());
    }
    let lines = line::Entity::of(tenant)
        .filter(line::Column::OrderId.is_in(heads.iter().map(|head| head.id)))
        .order_by_asc(line::Column::Position)
        .all(db)
        .await?;

    let mut by_order: HashMap<OrderId, Vec<line::Model>> = HashMap::new();
    for line in lines {
        by_order.entry(line.order_id).or_default().push(line);
    }
    let with_lines =
        |head: order::Model| Order { lines: by_order.remove(&head.id).unwrap_or_default(), head };
    Ok(heads.into_iter().map(with_lines).collect())
}

/// Moves an order on, within the caller's transaction, unless somebody else moved it since it was read. Where the order
/// lets go of its stock, the stock is put back.
pub(crate) async fn advance(
    db: &impl ConnectionTrait,
    read: order::Model,
    event: Event,
    now: Moment,
) -> Result<order::Model, NotAdvanced> {
    let next = order::Model {
        status: transition(read.status, event)?,
        version: read.version + 1,
        updated_at: now,
        ..read.clone()
    };
    let updated = order::Entity::change(&read.tenant)
        .filter(order::Column::Id.eq(read.id))
        .filter(order::Column::Status.eq(read.status))
        .filter(order::Column::Version.eq(read.version))
        .col_expr(order::Column::Status, Expr::value(next.status))
        .col_expr(order::Column::Version, Expr::value(next.version))
        .col_expr(order::Column::PaymentId, Expr::value(next.payment_id.clone()))
        .col_expr(order::Column::UpdatedAt, Expr::value(next.updated_at))
        .exec(db)
        .await?;
    if updated.rows_affected != 1 {
        return Err(NotAdvanced::Stale(read.id));
    }
    if read.status.holds_stock() && !next.status.holds_stock() {
        put_back_stock(db, &next).await?;
    }
    Ok(next)
}

async fn put_back_stock(db: &impl ConnectionTrait, order: &order::Model) -> Result<(), DbErr> {
    let lines = line::Entity::of(&order.tenant).filter(line::Column::OrderId.eq(order.id)).all(db).await?;
    for line in lines {
        catalog::put_back(db, &order.tenant, &line.sku, line.quantity).await?;
    }
    Ok(())
}
