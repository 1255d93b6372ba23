//! The process: reads the command line and does what it says.

use std::process::ExitCode;

use clap::Parser;
use order_app::cli::Cli;

fn main() -> ExitCode {
    mainstay::run(Cli::parse().run())
}
