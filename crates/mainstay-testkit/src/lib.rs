//! What tower layers are tested with: strict mocks, adversarial bodies, cancellation at every await.
//!
//! Friendly mocks hide the mistakes that layers make: a clone called that was never polled ready, a permit lost when the
//! caller hangs up, a size hint or a trailer that does not come out. This kit has unfriendly ones, and a contract that
//! puts them to use. A test of your own layer:
//!
//! ```
//! use mainstay_testkit::{
//!     contract::{Laws, http_layer_contract},
//!     probe::Probe,
//! };
//! use tower::{ServiceExt, limit::ConcurrencyLimitLayer};
//! use tower_layer::Layer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // The laws that all layers keep: readiness, errors, cancellation, sixteen awkward response bodies.
//! let request = || http::Request::new(String::new());
//! http_layer_contract(|| ConcurrencyLimitLayer::new(8), request, Laws::default()).await;
//!
//! // And what yours adds to them: here, that the second call waits until the first has left.
//! let probe = Probe::new(|number: u32| Ok(number + 1));
//! let handle = probe.handle();
//! let limited = ConcurrencyLimitLayer::new(1).layer(probe);
//! handle.hold_answers();
//! let first = tokio::spawn(limited.clone().oneshot(1));
//! let second = tokio::spawn(limited.oneshot(2));
//! tokio::task::yield_now().await;
//! assert_eq!((handle.calls(), handle.in_flight()), (1, 1));
//!
//! handle.release_answers();
//! assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok(2), Ok(3)));
//! handle.assert_idle();
//! # }
//! ```
//!
//! | module | what is in it |
//! |---|---|
//! | [`probe`] | [`Probe`](probe::Probe), a service that panics when it is called without having been polled ready, and counts |
//! | [`body`] | [`Adversary`](body::Adversary), awkward response bodies, and [`drain`](body::drain), what was seen of one |
//! | [`cancel`] | [`drop_at_every_await`](cancel::drop_at_every_await), a caller that hangs up at each `Pending` |
//! | [`contract`] | [`layer_contract`](contract::layer_contract) and [`http_layer_contract`](contract::http_layer_contract), the laws of any layer in one call |
//! | [`idempotency`] | [`idempotency_store_contract`](idempotency::idempotency_store_contract), the laws of a store of idempotency keys |
//! | `alloc` | how many allocations a piece of code makes (feature `count-allocations`, which installs a global allocator) |
//! | [`servers`] | [`find`](servers::find), the real server that an integration test needs, or a clear word that there is none |
//!
//! Nothing here belongs to a runtime: futures wake themselves or are waited for by their own wakers. It panics when a
//! test should fail, so it is for dev-dependencies only.

#[cfg(feature = "count-allocations")]
pub mod alloc;
pub mod body;
pub mod cancel;
pub mod contract;
pub mod idempotency;
pub mod probe;
pub mod servers;
