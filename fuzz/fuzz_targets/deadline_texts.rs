//! Deadlines: any route pattern, any path, any timeout header.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::deadline::{Texts, check};

fuzz_target!(|input: Texts| check(&input));
