//! `grpc-timeout`: any bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::edge::check_grpc_timeout;

fuzz_target!(|text: &[u8]| check_grpc_timeout(text));
