//! Forwarding headers: anything left of what a proxy of ours wrote.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::edge::{Forwarded, check_forwarded};

fuzz_target!(|input: Forwarded| check_forwarded(&input));
