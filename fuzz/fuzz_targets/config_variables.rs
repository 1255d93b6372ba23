//! The variable reader: any names and values, in front of sound files.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::config::{Variables, check_variables};

fuzz_target!(|input: Variables| check_variables(&input));
