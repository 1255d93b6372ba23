//! What tower layers are tested with: strict mocks, adversarial bodies, cancellation at every await.

#[cfg(feature = "count-allocations")]
pub mod alloc;
pub mod body;
pub mod cancel;
pub mod contract;
pub mod probe;
pub mod servers;
