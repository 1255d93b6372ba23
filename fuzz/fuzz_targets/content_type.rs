//! The content type: header lines of any bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::http::{Lines, check_content_type};

fuzz_target!(|input: Lines| check_content_type(&input));
