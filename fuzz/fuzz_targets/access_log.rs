//! The access log: any format string, for any request.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::access_log::{Exchange, check_access_log};

fuzz_target!(|input: Exchange| check_access_log(&input));
