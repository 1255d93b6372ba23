//! The whole stack: any headers, path and body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::stack::{Sent, check};

fuzz_target!(|input: Sent| check(&input));
