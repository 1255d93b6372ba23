//! The service: routes, and the clock that lets slow charges finish.

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, header};
use tokio::net::TcpListener;

use crate::answer::{self, Refusal};
use crate::figures::Figures;
use crate::ledger::{Attempt, Ledger, Receipt, Settlement};
use crate::page;
use crate::payment::{IdempotencyKey, Payment};

/// How the simulator is set up.
#[derive(Clone, Debug)]
pub struct SimulatorConfig {
    /// The key that callers must send as `Authorization: Bearer <key>`; `None` takes every caller.
    pub api_key: Option<String>,
    /// How long a charge with `tok_slow` takes.
    pub slow: Duration,
    /// How many keys are remembered. Beyond it the oldest finished charge is forgotten: its key could charge again,
    /// and it is no longer counted among the double charges.
    pub capacity: NonZeroUsize,
}

/// The payment provider. Clones share one ledger.
#[derive(Clone, Debug)]
pub struct Simulator {
    config: Arc<SimulatorConfig>,
    ledger: Arc<Mutex<Ledger>>,
}

/// A charge is small; a body that is not is no charge.
const BODY_LIMIT: usize = 4096;

// === impl SimulatorConfig ===

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self { api_key: None, slow: Duration::from_secs(3), capacity: DEFAULT_CAPACITY }
    }
}

const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).expect("100 000 is more than none");

// === impl Simulator ===

impl Simulator {
    /// A provider that has charged nothing yet.
    pub fn new(config: SimulatorConfig) -> Self {
        let ledger = Ledger::new(config.capacity);
        Self { config: Arc::new(config), ledger: Arc::new(Mutex::new(ledger)) }
    }

    /// Its routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", get(show_page))
            .route("/figures", get(show_figures))
            .route("/charges", post(charge))
            .route("/charges/{key}", get(show_charge))
            .route("/charges/{key}/cancel", post(cancel))
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .with_state(self.clone())
    }

    /// Answers on the listener until the future is dropped.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        axum::serve(listener, self.router()).await
    }

    /// The totals so far.
    pub fn figures(&self) -> Figures {
        self.ledger().figures()
    }

    async fn charge(&self, key: IdempotencyKey, payment: Payment) -> Result<Receipt, Refusal> {
        let attempt = self.ledger().charge(&key, payment);
        match attempt {
            Attempt::Settled(receipt) => Ok(receipt),
            Attempt::Started(settlement) => {
                self.finish_later(key);
                settled(settlement).await
            }
            Attempt::Joined(settlement) => settled(settlement).await,
            Attempt::OtherPayload => Err(Refusal::OtherPayload),
            Attempt::Full => Err(Refusal::Full),
        }
    }

    /// The charge goes through even when its caller has gone: that is the outcome nobody was told of.
    fn finish_later(&self, key: IdempotencyKey) {
        let simulator = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(simulator.config.slow).await;
            simulator.ledger().finish(&key);
        });
    }

    fn authorize(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(expected) = &self.config.api_key else { return Ok(()) };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match given.and_then(|value| value.strip_prefix("Bearer ")) {
            Some(given) if given == expected => Ok(()),
            _ => Err(Refusal::Unauthorized),
        }
    }

    /// The ledger is changed in steps that cannot panic half-way, so a poisoned lock holds a sound one.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn settled(mut settlement: Settlement) -> Result<Receipt, Refusal> {
    let receipt = settlement.wait_for(Option::is_some).await;
    receipt.ok().and_then(|receipt| receipt.clone()).ok_or(Refusal::UnknownKey)
}

// === routes ===

async fn charge(
    State(simulator): State<Simulator>,
    headers: HeaderMap,
    payment: Result<Json<Payment>, JsonRejection>,
) -> Result<Response, Refusal> {
    simulator.authorize(&headers)?;
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    let key = key.and_then(IdempotencyKey::parse).ok_or(Refusal::NoKey)?;
    let Json(payment) = payment.map_err(|error| Refusal::BadPayload(error.status(), error.body_text()))?;

    Ok(answer::charged(&simulator.charge(key, payment).await?))
}

async fn cancel(
    State(simulator): State<Simulator>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    simulator.authorize(&headers)?;
    let key = IdempotencyKey::parse(&key).ok_or(Refusal::UnknownKey)?;
    let receipt = simulator.ledger().cancel(&key).ok_or(Refusal::Full)?;
    Ok(answer::cancelled(&receipt))
}

async fn show_charge(
    State(simulator): State<Simulator>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    simulator.authorize(&headers)?;
    let key = IdempotencyKey::parse(&key).ok_or(Refusal::UnknownKey)?;
    simulator.ledger().receipt(&key).map(answer::state).ok_or(Refusal::UnknownKey)
}

async fn show_figures(State(simulator): State<Simulator>) -> Json<Figures> {
    Json(simulator.figures())
}

async fn show_page(State(simulator): State<Simulator>) -> impl IntoResponse {
    Html(page::render(&simulator.figures()))
}
