//! The id in a path: what is no id names nothing, so it is not found.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use mainstay::Problem;

use super::not_found;

/// Extracts the `{id}` of the path.
#[derive(Debug)]
pub(crate) struct Id<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let nothing = || not_found("id");
        let parameters = RawPathParams::from_request_parts(parts, state).await.map_err(|_| nothing())?;
        let (_, id) = parameters.iter().find(|(name, _)| *name == "id").ok_or_else(nothing)?;
        id.parse().map(Self).map_err(|_| nothing())
    }
}
