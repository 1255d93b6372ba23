//! What things cost here, beside their peers: one case for one question, each in its own file.
//!
//! ```sh
//! cargo run --release -p mainstay-bench -- stack            # instructions and allocations a request, as a table
//! cargo run --release -p mainstay-bench -- stack --check    # fails when a ceiling is exceeded
//! cargo run --release -p mainstay-bench -- stack --time     # nanoseconds: to look at, never to compare with a ceiling
//! cargo run -p mainstay-bench -- storm                      # a picture, in virtual time
//! ```
//!
//! A regression is held by counts, which are the same on every run, and never by times, which are not. The counts come
//! from valgrind, which runs this very program once with few requests and once with many; the difference, divided by the
//! requests between, is free of everything that happens only once. Nothing is built into the program for it, so what is
//! counted is what ships.
//!
//! | file | question |
//! |---|---|
//! | `stack.rs` | what does each layer of the server stack cost, beside the bare service and beside tower-http? |
//! | `config.rs` | what does loading settings cost, beside figment's, config-rs's and confique's own loading? |
//! | `storm.rs` | what does a provider see that fails half of its calls, with plain retries and with the client stack? |
//!
//! A new case is a file with its question, its variants and its ceilings, and an arm in [`run`]; `exchange.rs` has the
//! request and the bare service, `valgrind.rs` and `time.rs` measure, `ceiling.rs` judges, `table.rs` prints.

mod ceiling;
mod config;
mod exchange;
mod log;
mod stack;
mod storm;
mod table;
mod time;
mod valgrind;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What things cost in mainstay, beside their peers.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    case: Case,
}

#[derive(Debug, Subcommand)]
enum Case {
    /// What does each layer of the server stack cost?
    Stack(stack::Arguments),
    /// What does loading settings cost, beside other loaders?
    Config(config::Arguments),
    /// What does a provider see that fails, and what do its callers? Draws a picture.
    Storm(storm::Arguments),
}

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    match run(&Arguments::parse().case) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where even standard error is gone, the code still says it.
            let _written: io::Result<()> = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(case: &Case) -> Outcome {
    // Virtual time is the same in every build.
    if let Case::Storm(arguments) = case {
        return storm::run(arguments);
    }
    if cfg!(debug_assertions) {
        return Err("a debug build measures nothing that ships: use `cargo run --release`".into());
    }
    match case {
        Case::Stack(arguments) => stack::run(arguments),
        Case::Config(arguments) => config::run(arguments),
        Case::Storm(arguments) => storm::run(arguments),
    }
}
