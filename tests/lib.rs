//! Behaviour across crates.
