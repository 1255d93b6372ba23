//! `GET /products`: the catalog, by SKU, in pages.

use axum::extract::{FromRef, State};
use axum::routing::get;
use axum::{Json, Router};
use mainstay::Problem;
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;

use super::Sku;
use super::product::{Column, Entity, Model};
use crate::api::{Query, storage_problem};
use crate::database::Database;
use crate::money::Money;
use crate::paging::PageQuery;
use crate::tenant::{Caller, Owned};

pub(crate) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Database: FromRef<S>,
{
    Router::new().route("/products", get(list))
}

#[derive(Debug, Serialize)]
struct ProductList {
    products: Vec<ProductView>,
    next_cursor: Option<Sku>,
}

#[derive(Debug, Serialize)]
struct ProductView {
    price: Money,
    sku: Sku,
    name: String,
    stock: i64,
}

async fn list(
    caller: Caller,
    State(database): State<Database>,
    Query(query): Query<PageQuery>,
) -> Result<Json<ProductList>, Problem> {
    let request = query.parse::<Sku>().map_err(|errors| errors.bad_request())?;

    let mut select = Entity::of(&caller.tenant).order_by_asc(Column::Sku).limit(request.fetch());
    if let Some(after) = &request.after {
        select = select.filter(Column::Sku.gt(after.clone()));
    }
    let rows = select.all(database.reader()).await.map_err(|error| storage_problem(&error))?;

    let page = request.page(rows, |product| product.sku.clone());
    let products = page.rows.into_iter().map(ProductView::from).collect();
    Ok(Json(ProductList { products, next_cursor: page.next }))
}

impl From<Model> for ProductView {
    fn from(product: Model) -> Self {
        Self { price: product.price(), sku: product.sku, name: product.name, stock: product.stock }
    }
}
