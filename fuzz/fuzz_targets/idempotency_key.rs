//! The idempotency key: any bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::http::check_idempotency_key;

fuzz_target!(|input: &[u8]| check_idempotency_key(input));
