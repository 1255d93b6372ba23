//! The contract lets good layers pass, and names the law that a broken one breaks.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests too")]

mod broken_bodies;
mod broken_services;
mod good_layers;

use mainstay_testkit::probe::Probe;

/// The inner service of the layers that know nothing of HTTP.
type Inner = Probe<&'static str, &'static str>;

/// What the contract panics with, run as a task of its own.
async fn breach(contract: impl Future<Output = ()> + Send + 'static) -> String {
    let panic = tokio::spawn(contract).await.expect_err("the contract should find a broken law").into_panic();
    *panic.downcast::<String>().expect("the contract panics with a formatted message")
}
