//! `GET /customers`, newest first, in pages, and `GET /customers/{id}`.

use axum::extract::{FromRef, State};
use axum::routing::get;
use axum::{Json, Router};
use mainstay::Problem;
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;

use super::CustomerId;
use super::customer::{Column, Entity, Model};
use crate::api::{Id, Query, not_found, storage_problem};
use crate::database::Database;
use crate::paging::PageQuery;
use crate::tenant::{Caller, Owned};

pub(crate) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Database: FromRef<S>,
{
    Router::new().route("/customers", get(list)).route("/customers/{id}", get(show))
}

#[derive(Debug, Serialize)]
struct CustomerList {
    customers: Vec<CustomerView>,
    next_cursor: Option<CustomerId>,
}

#[derive(Debug, Serialize)]
struct CustomerView {
    id: CustomerId,
    name: String,
    email: String,
}

async fn list(
    caller: Caller,
    State(database): State<Database>,
    Query(query): Query<PageQuery>,
) -> Result<Json<CustomerList>, Problem> {
    let request = query.parse::<CustomerId>().map_err(|errors| errors.bad_request())?;

    let mut select = Entity::of(&caller.tenant).order_by_desc(Column::Id).limit(request.fetch());
    if let Some(after) = request.after {
        select = select.filter(Column::Id.lt(after));
    }
    let rows = select.all(database.reader()).await.map_err(|error| storage_problem(&error))?;

    let page = request.page(rows, |customer| customer.id);
    let customers = page.rows.into_iter().map(CustomerView::from).collect();
    Ok(Json(CustomerList { customers, next_cursor: page.next }))
}

async fn show(
    caller: Caller,
    State(database): State<Database>,
    Id(id): Id<CustomerId>,
) -> Result<Json<CustomerView>, Problem> {
    let customer = Entity::of(&caller.tenant).filter(Column::Id.eq(id)).one(database.reader()).await;
    let customer = customer.map_err(|error| storage_problem(&error))?;
    customer.map(|customer| Json(customer.into())).ok_or_else(|| not_found("customer"))
}

impl From<Model> for CustomerView {
    fn from(customer: Model) -> Self {
        Self { id: customer.id, name: customer.name, email: customer.email }
    }
}
