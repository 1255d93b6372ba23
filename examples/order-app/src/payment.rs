//! The payment provider, as this service sees it: charge once under a key, or cancel.

mod api_key;
mod client;
mod verdict;
mod wire;

pub use api_key::{ApiKey, InvalidApiKey};
pub use client::{InvalidPaymentConfig, PaymentClient, PaymentConfig};
pub use verdict::Verdict;
pub use wire::{IdempotencyKey, InvalidKey, Payment};
