//! A query string: 400 for a parameter that is unknown, repeated or no text.

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use mainstay::Problem;
use serde::de::DeserializeOwned;

/// Extracts the parameters.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => Err(Problem::new(StatusCode::BAD_REQUEST)
                .kind("/problems/invalid-request")
                .title("invalid request")
                .detail(rejection.body_text())),
        }
    }
}
