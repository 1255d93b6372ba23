//! The routes of orders.

use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use http::header::LOCATION;
use mainstay::Problem;
use sea_orm::DbErr;
use serde::Deserialize;

use super::draft::DraftBody;
use super::problems::{location, unpaid};
use super::status::Status;
use super::view::{OrderList, OrderView};
use super::{OrderId, Ordering, store};
use crate::api::{FieldErrors, Id, JsonBody, Query, not_found, storage_problem};
use crate::customers::CustomerId;
use crate::paging::PageRequest;
use crate::tenant::Caller;

pub(crate) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Ordering: FromRef<S>,
{
    Router::new()
        .route("/orders", post(place).get(list))
        .route("/orders/{id}", get(show))
        .route("/orders/{id}/cancel", post(cancel))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    customer_id: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

async fn place(
    caller: Caller,
    State(ordering): State<Ordering>,
    JsonBody(body): JsonBody<DraftBody>,
) -> Result<Response, Problem> {
    let draft = body.parse().map_err(|errors| errors.unprocessable())?;
    let order = ordering.place(caller, draft).await?;
    if order.head.status != Status::Confirmed {
        return Err(unpaid(&order.head));
    }
    let location = location(order.head.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(OrderView::from(order))).into_response())
}

async fn cancel(
    caller: Caller,
    State(ordering): State<Ordering>,
    Id(id): Id<OrderId>,
) -> Result<Response, Problem> {
    let order = ordering.cancel(&caller, id).await?;
    let status = match order.head.status {
        Status::Cancelled => StatusCode::OK,
        _ => StatusCode::ACCEPTED,
    };
    Ok((status, Json(OrderView::from(order))).into_response())
}

async fn show(
    caller: Caller,
    State(ordering): State<Ordering>,
    Id(id): Id<OrderId>,
) -> Result<Json<OrderView>, Problem> {
    let order = ordering.find(&caller, id).await.map_err(|error| storage_problem(&error))?;
    order.map(Json).ok_or_else(|| not_found("order"))
}

async fn list(
    caller: Caller,
    State(ordering): State<Ordering>,
    Query(query): Query<ListQuery>,
) -> Result<Json<OrderList>, Problem> {
    let (customer, page) = query.parse().map_err(|errors| errors.bad_request())?;
    let orders = ordering.list(&caller, customer, &page).await;
    orders.map(Json).map_err(|error| storage_problem(&error))
}

impl ListQuery {
    fn parse(&self) -> Result<(Option<CustomerId>, PageRequest<OrderId>), FieldErrors> {
        let mut errors = FieldErrors::default();
        let customer = errors.parse_optional("customer_id", self.customer_id.as_deref());
        let page = PageRequest::parse(self.limit.as_deref(), self.cursor.as_deref(), &mut errors);
        if errors.is_empty() { Ok((customer, page)) } else { Err(errors) }
    }
}

impl Ordering {
    async fn find(&self, caller: &Caller, id: OrderId) -> Result<Option<OrderView>, DbErr> {
        let reader = self.database.reader();
        let head = store::head(reader, &caller.tenant, id).await?;
        let orders = store::with_lines(reader, &caller.tenant, head.into_iter().collect()).await?;
        Ok(orders.into_iter().next().map(OrderView::from))
    }

    async fn list(
        &self,
        caller: &Caller,
        customer: Option<CustomerId>,
        request: &PageRequest<OrderId>,
    ) -> Result<OrderList, DbErr> {
        let reader = self.database.reader();
        let heads = store::newest(reader, &caller.tenant, customer, request).await?;
        let page = request.page(heads, |head| head.id);
        let orders = store::with_lines(reader, &caller.tenant, page.rows).await?;
        Ok(OrderList { orders: orders.into_iter().map(OrderView::from).collect(), next_cursor: page.next })
    }
}
