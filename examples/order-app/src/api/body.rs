//! A JSON body: 413 beyond the limit, 400 for what is no JSON, 422 for wrong content. Other content types end in the
//! stack, with 415: `server.shape.content_types`.

use std::borrow::Cow;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::StatusCode;
use mainstay::Problem;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::FieldErrors;

/// Extracts the body.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes =
            Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => Problem::new(StatusCode::PAYLOAD_TOO_LARGE)
                    .kind("/problems/body-too-large")
                    .title("body too large")
                    .detail("the body is larger than this service reads"),
                _ => broken("the body ended early"),
            })?;
        parse(&bytes).map(Self)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (field, error) = (field(error.path()), error.into_inner());
        // A wrong type is met before what is broken behind it.
        match serde_json::from_slice::<IgnoredAny>(bytes) {
            Ok(_) if error.is_data() => FieldErrors::one(field, without_position(&error)).unprocessable(),
            Ok(_) => broken(error.to_string()),
            Err(error) => broken(error.to_string()),
        }
    })?;
    json.end().map_err(|error| broken(error.to_string()))?;
    Ok(value)
}

/// `items[0].quantity`, or `body` where all of it is meant.
fn field(path: &serde_path_to_error::Path) -> String {
    if path.iter().next().is_none() { "body".to_owned() } else { path.to_string() }
}

fn broken(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST).kind("/problems/broken-json").title("broken JSON").detail(detail)
}

/// The field says where; line and column would repeat it.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&position).map_or_else(|| text.clone(), str::to_owned)
}
