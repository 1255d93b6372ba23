//! The order service as its customers see it: a real database file, a real provider on loopback.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod cancelling;
mod database;
mod paging;
mod paying;
mod placing;
mod process;
mod reading;
mod reconciling;
mod refusals;
mod seams;
mod support;
mod tenants;
