//! What a caller accepts: header lines of any bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::http::{Lines, check_accept};

fuzz_target!(|input: Lines| check_accept(&input));
