//! An answer to a call of ours: any status, headers and trailers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::outbound::{Answer, check_answer};

fuzz_target!(|answer: Answer| check_answer(&answer));
