//! The payment provider, as this service sees it: charge once under a key, or cancel.

mod client;
mod verdict;
mod wire;

pub use client::{ApiKey, InvalidApiKey, InvalidPaymentUrl, PaymentClient, PaymentConfig};
pub use verdict::Verdict;
pub use wire::{IdempotencyKey, InvalidKey, Payment};
