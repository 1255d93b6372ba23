//! A payment provider for development: idempotent charges, and tokens that choose how it misbehaves.
//!
//! ```
//! use payment_simulator::{Simulator, SimulatorConfig};
//!
//! # async fn run() -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! Simulator::new(SimulatorConfig::default()).serve(listener).await
//! # }
//! ```
//!
//! A charge is `POST /charges` with an `Idempotency-Key`; `POST /charges/{key}/cancel` takes it back, and, for a key
//! that was never charged, makes sure that it never will be. `GET /charges/{key}` shows one charge, `GET /figures`
//! the totals as JSON and `GET /` the same as a page. The token of a charge chooses what happens:
//!
//! | token          | what happens                                                               |
//! |----------------|----------------------------------------------------------------------------|
//! | `tok_ok`       | charged: 201                                                               |
//! | `tok_declined` | 402, nothing is charged                                                    |
//! | `tok_flaky`    | the first attempt under a key is answered 503, the next one charges        |
//! | `tok_slow`     | charged after three seconds, whether or not the caller still waits         |
//! | `tok_down`     | always 503, never charged                                                  |
//! | anything else  | 402 with the reason `unknown_token`                                        |
//!
//! Everything is kept in memory and is bounded: see [`SimulatorConfig::capacity`].

mod answer;
mod charge;
mod figures;
mod ledger;
mod page;
mod payment;
mod simulator;

pub use figures::Figures;
pub use simulator::{Simulator, SimulatorConfig};
