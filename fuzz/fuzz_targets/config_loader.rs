//! The whole loader: files, variables and arguments of any shape.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::config::{Sources, check_loader};

fuzz_target!(|input: Sources| check_loader(&input));
