//! The ground a Rust service stands on: one configuration, one request context, one stack of tower layers.
