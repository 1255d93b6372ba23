//! Holds nothing of its own: the README's example is a test of this crate's documentation.
#![doc = include_str!("../README.md")]
