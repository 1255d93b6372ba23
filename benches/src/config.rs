//! What does loading settings cost, beside figment's and config-rs's own loading of the same input?
//!
//! ```sh
//! cargo run --release -p mainstay-bench -- config
//! ```
//!
//! The input is two files and 30 variables for 40 fields in 8 sections. Each loader reads the files and the process's
//! variables itself, and all give the same settings, which is proved before anything is counted. Ours also knows the
//! source of each value afterwards, and has checked the settings' rules.

mod settings;
mod variables;
mod variants;

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, Subcommand};
use tempfile::TempDir;

use self::settings::Settings;
use self::variables::VARIABLES;
use self::variants::{FIGMENT, LIVE, OURS, VARIANTS, Variant, live};
use crate::Outcome;
use crate::ceiling::Verdict;
use crate::table::{Table, thousands};
use crate::time;
use crate::valgrind::{Cost, cost_with, this_program};

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    /// Compare what ours costs with its ceilings and with figment, and fail when it costs more.
    #[arg(long)]
    check: bool,
    /// Measure nanoseconds instead, in interleaved rounds.
    #[arg(long, conflicts_with = "check")]
    time: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What this program starts of itself, with the variables.
#[derive(Debug, Subcommand)]
enum Part {
    /// Loads with one variant and says nothing.
    #[command(hide = true)]
    Count { variant: String, folder: PathBuf, loads: u64 },
    /// Loads with one variant and says how many nanoseconds one load took.
    #[command(hide = true)]
    Clock { variant: String, folder: PathBuf },
    /// Loads with one variant and says what came out.
    #[command(hide = true)]
    Show { variant: String, folder: PathBuf },
}

/// The name that stands for reading a live value.
const READ: &str = "a live value, read";
/// So many loads in the short run and in the long one.
const LOADS: (u64, u64) = (20, 120);
/// So many reads.
const READS: (u64, u64) = (1_000, 11_000);
/// So many loads in one batch of the clock, and so many reads.
const BATCH: u64 = 50;
const BATCH_OF_READS: u64 = 100_000;

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let mut out = io::stdout().lock();
    match &arguments.part {
        Some(Part::Count { variant, folder, loads }) if variant == READ => {
            live(folder)(*loads);
            Ok(())
        }
        Some(Part::Count { variant, folder, loads }) => {
            many(named(variant)?, folder)(*loads);
            Ok(())
        }
        Some(Part::Clock { variant, folder }) => {
            let nanos = if variant == READ {
                time::nanos_each(BATCH_OF_READS, live(folder))
            } else {
                time::nanos_each(BATCH, many(named(variant)?, folder))
            };
            Ok(writeln!(out, "{nanos}")?)
        }
        Some(Part::Show { variant, folder }) => {
            let settings: Settings = named(variant)?.load(folder);
            Ok(writeln!(out, "{}", serde_json::to_string_pretty(&settings)?)?)
        }
        None => {
            let folder = files()?;
            prove(folder.path())?;
            if arguments.check {
                check(folder.path(), &mut out)
            } else if arguments.time {
                clock(folder.path(), &mut out)
            } else {
                compare(folder.path(), &mut out)
            }
        }
    }
}

fn named(name: &str) -> Result<&'static Variant, Box<dyn Error>> {
    Variant::named(name).ok_or_else(|| format!("no variant is named `{name}`").into())
}

fn many(variant: &'static Variant, folder: &Path) -> impl FnMut(u64) {
    move |loads| {
        for _ in 0..loads {
            black_box(variant.load(folder));
        }
    }
}

fn files() -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("default.toml"), include_str!("config/default.toml"))?;
    fs::write(folder.path().join("production.toml"), include_str!("config/production.toml"))?;
    Ok(folder)
}

/// An error unless every variant loads the same settings, with values of all sources in them.
fn prove(folder: &Path) -> Outcome {
    let ours = show(OURS, folder)?;
    // The type's default, the first file, the second file, a variable.
    for value in ["\"lifetime_s\": 600", "\"method\",", "\"body_limit\": 65532", "\"host\": \"10.0.0.3\""] {
        if !ours.contains(value) {
            return Err(format!("not loaded by ours: {value}\n{ours}").into());
        }
    }
    for variant in &VARIANTS {
        let theirs = show(variant.name, folder)?;
        if theirs != ours {
            return Err(format!("{} loads other settings:\n{theirs}\nours:\n{ours}", variant.name).into());
        }
    }
    Ok(())
}

fn show(variant: &str, folder: &Path) -> Result<String, Box<dyn Error>> {
    let mut command = Command::new(this_program()?);
    let output = command.args(["config", "show", variant]).arg(folder).envs(VARIABLES).output()?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        Err(format!("{variant}: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

fn cost(variant: &str, folder: &Path) -> Result<Cost, Box<dyn Error>> {
    let folder = folder.to_str().ok_or("the temporary folder's name is not UTF-8")?;
    let times = if variant == READ { READS } else { LOADS };
    Ok(cost_with(&["config", "count", variant, folder], times, &VARIABLES)?)
}

fn compare(folder: &Path, out: &mut impl Write) -> Outcome {
    let mut table = Table::new(["a load", "instructions", "allocations", "bytes", "ours / it"]);
    let ours = cost(OURS, folder)?;
    for variant in &VARIANTS {
        let cost = cost(variant.name, folder)?;
        table.row([
            variant.name.to_owned(),
            thousands(cost.instructions),
            thousands(cost.allocations),
            thousands(cost.bytes),
            ratio(ours.instructions, cost.instructions),
        ]);
    }
    let read = cost(READ, folder)?;
    let (instructions, allocations, bytes) = (read.instructions, read.allocations, read.bytes);
    let row = [instructions, allocations, bytes].map(thousands);
    let [instructions, allocations, bytes] = row;
    table.row([READ.to_owned(), instructions, allocations, bytes, String::new()]);
    Ok(write!(out, "{table}")?)
}

#[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
fn ratio(ours: u64, theirs: u64) -> String {
    format!("{:.2}", ours as f64 / theirs as f64)
}

fn check(folder: &Path, out: &mut impl Write) -> Outcome {
    let mut exceeded = Vec::new();
    let held = VARIANTS.iter().filter_map(|variant| Some((variant.name, variant.ceiling?)));
    for (name, ceiling) in held.chain([(READ, LIVE)]) {
        match ceiling.judge(name, cost(name, folder)?) {
            Verdict::Holds => writeln!(out, "{name}: holds")?,
            Verdict::Roomy(text) => writeln!(out, "{text}")?,
            Verdict::Exceeded(text) => {
                writeln!(out, "{text}")?;
                exceeded.push(format!("`{name}`"));
            }
        }
    }
    let (ours, figment) = (cost(OURS, folder)?, cost(FIGMENT, folder)?);
    if ours.instructions > figment.instructions {
        return Err("a load costs more than figment's own".into());
    }
    if exceeded.is_empty() {
        return Ok(());
    }
    let exceeded = exceeded.join(", ");
    Err(format!("more than the ceilings in benches/src/config/variants.rs allow: {exceeded}").into())
}

fn clock(folder: &Path, out: &mut impl Write) -> Outcome {
    let folder = folder.to_str().ok_or("the temporary folder's name is not UTF-8")?;
    let names: Vec<_> = VARIANTS.iter().map(|variant| variant.name).chain([READ]).collect();
    let arguments: Vec<_> = names.iter().map(|name| vec!["config", "clock", name, folder]).collect();
    let mut table = Table::new(["a load", "ns"]);
    for (name, nanos) in names.iter().zip(time::rounds(&arguments, &VARIABLES)?) {
        table.row([(*name).to_owned(), thousands(nanos)]);
    }
    Ok(write!(out, "{table}")?)
}
