//! Behaviour across crates, one module a subject.

#![allow(clippy::unwrap_used, reason = "this binary is nothing but tests")]

mod architecture;
mod clients;
mod deadlines;
mod faulty;
mod hosts;
mod matrix;
mod peers;
mod seams;
mod upgrades;
