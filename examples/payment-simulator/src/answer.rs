//! What the provider says, as status and JSON.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::charge::Charge;
use crate::ledger::Receipt;
use crate::payment::{Amount, Currency};

/// Why a call is not taken at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("header idempotency-key is missing or malformed, expected 1 to 255 visible ASCII characters")]
    NoKey,
    #[error("api key is missing or wrong")]
    Unauthorized,
    #[error("{1}")]
    BadPayload(StatusCode, String),
    #[error("the idempotency key was used before with another payload")]
    OtherPayload,
    #[error("no charge is known under this key")]
    UnknownKey,
    #[error("too many charges are under way")]
    Full,
}

/// A charge as JSON; what is not known is left out.
#[derive(Debug, Serialize)]
struct Body<'a> {
    id: Uuid,
    #[serde(flatten)]
    charge: Charge,
    #[serde(flatten)]
    paid: Option<Paid<'a>>,
}

#[derive(Debug, Serialize)]
struct Paid<'a> {
    amount: Amount,
    currency: &'a Currency,
    reference: &'a str,
}

/// The answer to `POST /charges`.
pub(crate) fn charged(receipt: &Receipt) -> Response {
    let status = match receipt.charge {
        Charge::Succeeded => return (StatusCode::CREATED, Json(Body::from(receipt))).into_response(),
        Charge::Declined { .. } => StatusCode::PAYMENT_REQUIRED,
        Charge::New | Charge::Charging | Charge::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Charge::Refunded | Charge::Cancelled => {
            return (StatusCode::CONFLICT, Json(Charge::Cancelled)).into_response();
        }
    };
    (status, Json(receipt.charge)).into_response()
}

/// The answer to `POST /charges/{key}/cancel`.
pub(crate) fn cancelled(receipt: &Receipt) -> Response {
    let refunded = receipt.charge == Charge::Refunded;
    Json(json!({"status": "cancelled", "refunded": refunded})).into_response()
}

/// The answer to `GET /charges/{key}`.
pub(crate) fn state(receipt: &Receipt) -> Response {
    Json(Body::from(receipt)).into_response()
}

// === impl Body ===

impl<'a> From<&'a Receipt> for Body<'a> {
    fn from(receipt: &'a Receipt) -> Self {
        let paid = receipt.payment.as_ref().map(|payment| Paid {
            amount: payment.amount,
            currency: &payment.currency,
            reference: &payment.reference,
        });
        Self { id: receipt.id, charge: receipt.charge, paid }
    }
}

// === impl Refusal ===

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NoKey => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::BadPayload(status, _) => status,
            Self::OtherPayload => StatusCode::UNPROCESSABLE_ENTITY,
            Self::UnknownKey => StatusCode::NOT_FOUND,
            Self::Full => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(json!({"error": self.to_string()}))).into_response()
    }
}
