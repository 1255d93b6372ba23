//! What no input may bring about: the targets as plain functions, for libFuzzer and for the stable compiler alike.
//!
//! With coverage, which finds the most (a nightly compiler, a C++ compiler and `cargo install cargo-fuzz`):
//!
//! ```sh
//! cargo +nightly fuzz run access_log -- -max_total_time=300 -max_len=4096
//! cargo +nightly fuzz run config_loader -- -max_total_time=300 -max_len=4096
//! cargo +nightly fuzz run config_env_file -- -max_total_time=300 -max_len=4096
//! cargo +nightly fuzz run config_variables -- -max_total_time=300 -max_len=4096
//! ```
//!
//! Without any of these, blindly but with the same checks:
//!
//! ```sh
//! cargo run --release --no-default-features --bin blind --manifest-path fuzz/Cargo.toml -- config_loader 300
//! ```
//!
//! A new target is an input with `Arbitrary`, a function that panics when the input brought about what it may not, a
//! file in `fuzz_targets` and a line in [`target`].

use arbitrary::Unstructured;

pub mod access_log;
pub mod config;
pub mod deadline;
pub mod edge;
pub mod http;
pub mod outbound;
pub mod stack;

/// The target of this name, on plain bytes. Too few of them are no input.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    match name {
        "access_log" => Some(|bytes| on(bytes, access_log::check_access_log)),
        "config_loader" => Some(|bytes| on(bytes, config::check_loader)),
        "config_env_file" => Some(|bytes| on(bytes, config::check_env_file)),
        "config_variables" => Some(|bytes| on(bytes, config::check_variables)),
        "forwarded" => Some(|bytes| on(bytes, edge::check_forwarded)),
        "grpc_timeout" => Some(edge::check_grpc_timeout),
        "trace" => Some(|bytes| on(bytes, edge::check_trace)),
        "deadline_texts" => Some(|bytes| on(bytes, deadline::check)),
        "content_type" => Some(|bytes| on(bytes, http::check_content_type)),
        "accept" => Some(|bytes| on(bytes, http::check_accept)),
        "idempotency_key" => Some(http::check_idempotency_key),
        "retry_after" => Some(outbound::check_retry_after),
        "outbound_answer" => Some(|bytes| on(bytes, outbound::check_answer)),
        "server_stack" => Some(|bytes| on(bytes, stack::check)),
        _ => None,
    }
}

fn on<'a, I: arbitrary::Arbitrary<'a>>(bytes: &'a [u8], check: fn(&I)) {
    if let Ok(input) = I::arbitrary_take_rest(Unstructured::new(bytes)) {
        check(&input);
    }
}
