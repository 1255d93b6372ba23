//! What each layer costs, beside its peers.
fn main() {}
