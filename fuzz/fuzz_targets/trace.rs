//! `traceparent` and `tracestate`: changed and random ones.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::edge::{Trace, check_trace};

fuzz_target!(|input: Trace| check_trace(&input));
