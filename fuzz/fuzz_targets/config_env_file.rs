//! The `.env` reader: any file, in front of sound ones.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::config::{EnvFile, check_env_file};

fuzz_target!(|input: EnvFile| check_env_file(&input));
