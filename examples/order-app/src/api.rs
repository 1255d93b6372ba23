//! What all routes share: how a request is read, and how a refusal is put.

mod body;
mod fields;
mod path;
mod query;

use http::header::RETRY_AFTER;
use http::{HeaderValue, Method, StatusCode, Uri};
use mainstay::Problem;
use sea_orm::DbErr;

pub(crate) use body::JsonBody;
pub(crate) use fields::FieldErrors;
pub(crate) use path::Id;
pub(crate) use query::Query;

/// The database failed: nobody's fault but ours, unless it is merely busy.
pub(crate) fn storage_problem(error: &DbErr) -> Problem {
    tracing::error!(%error, "the database failed");
    match error {
        DbErr::ConnectionAcquire(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE)
            .kind("/problems/busy")
            .title("busy")
            .detail("too many calls wait for the database")
            .header(RETRY_AFTER, HeaderValue::from_static("1")),
        _ => Problem::new(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// There is no such thing, or it is another tenant's, which is not told apart.
pub(crate) fn not_found(what: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND)
        .kind("/problems/not-found")
        .title("not found")
        .detail(format!("there is no such {what}"))
}

/// No route goes there.
pub(crate) async fn no_route(uri: Uri) -> Problem {
    not_found("route").with("path", uri.path())
}

/// The route goes there, but not that way; axum adds `Allow`.
pub(crate) async fn no_method(method: Method) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED)
        .kind("/problems/method-not-allowed")
        .title("method not allowed")
        .detail(format!("{method} is not possible here"))
}
