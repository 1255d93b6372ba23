//! `retry-after`: any bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::outbound::check_retry_after;

fuzz_target!(|text: &[u8]| check_retry_after(text));
