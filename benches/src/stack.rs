//! What does each layer of the server stack cost, beside the bare service and beside the same duties from tower-http?
//!
//! ```sh
//! cargo run --release -p mainstay-bench -- stack
//! ```
//!
//! FIGURES

mod peers;
mod proof;
mod variants;

use std::error::Error;
use std::io::{self, Write};

use clap::{Args, Subcommand};

use self::variants::{
    BARE, OURS, OURS_SHIPPED, OURS_SILENT, PEERS, PEERS_DEFAULT, PEERS_SILENT, VARIANTS, Variant,
};
use crate::Outcome;
use crate::ceiling::Verdict;
use crate::table::{Table, difference, thousands};
use crate::time;
use crate::valgrind::{Cost, cost_of};

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    /// Compare what ours costs with its ceilings, and fail when one is exceeded.
    #[arg(long)]
    check: bool,
    /// Measure nanoseconds instead, in interleaved rounds.
    #[arg(long, conflicts_with = "check")]
    time: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What this program starts of itself.
#[derive(Debug, Subcommand)]
enum Part {
    /// Sends requests to one variant and says nothing.
    #[command(hide = true)]
    Count { variant: String, requests: u64 },
    /// Sends requests to one variant and says how many nanoseconds one took.
    #[command(hide = true)]
    Clock { variant: String },
}

/// What is set against what, once the bare service is taken off both.
const PAIRS: [(&str, &str, &str); 3] = [
    ("the same log", OURS, PEERS),
    ("each its own log", OURS_SHIPPED, PEERS_DEFAULT),
    ("no log", OURS_SILENT, PEERS_SILENT),
];

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let mut out = io::stdout().lock();
    match &arguments.part {
        Some(Part::Count { variant, requests }) => {
            let variant = named(variant)?;
            variant.log.install();
            variant.start()(*requests);
            Ok(())
        }
        Some(Part::Clock { variant }) => {
            let variant = named(variant)?;
            variant.log.install();
            Ok(writeln!(out, "{}", time::nanos_per_request(&mut variant.start()))?)
        }
        None => {
            VARIANTS.iter().for_each(prove);
            if arguments.check {
                check(&mut out)
            } else if arguments.time {
                clock(&mut out)
            } else {
                compare(&mut out)
            }
        }
    }
}

fn named(name: &str) -> Result<&'static Variant, Box<dyn Error>> {
    Variant::named(name).ok_or_else(|| format!("no variant is named `{name}`").into())
}

fn prove(variant: &Variant) {
    let (answer, lines) = variant.log.lines_of(|| variant.start()(1));
    proof::prove(variant.name, variant.duties, &answer, &lines);
}

fn cost(variant: &Variant) -> Result<Cost, Box<dyn Error>> {
    Ok(cost_of(&["stack", "count", variant.name])?)
}

fn compare(out: &mut impl Write) -> Outcome {
    let costs = VARIANTS.iter().map(cost).collect::<Result<Vec<_>, _>>()?;
    let of = |name| {
        let position = VARIANTS.iter().position(|variant| variant.name == name);
        costs[position.expect("it is one of the variants")]
    };
    let bare = of(BARE);
    let mut table = Table::new([
        "a request",
        "instructions",
        "this layer",
        "above bare",
        "allocations",
        "above bare",
        "bytes",
    ]);
    let mut above = bare;
    for (variant, cost) in VARIANTS.iter().zip(&costs) {
        let layer = variant.adds_a_layer().then(|| difference(cost.instructions, above.instructions));
        table.row([
            variant.name.to_owned(),
            thousands(cost.instructions),
            layer.unwrap_or_default(),
            difference(cost.instructions, bare.instructions),
            thousands(cost.allocations),
            difference(cost.allocations, bare.allocations),
            thousands(cost.bytes),
        ]);
        above = *cost;
    }
    writeln!(out, "{table}\nours / peers, both above bare:")?;
    for (what, ours, peers) in PAIRS {
        let (ours, peers) = (of(ours), of(peers));
        writeln!(
            out,
            "  {what:<16}  instructions {}, allocations {}, bytes {}",
            ratio(ours.instructions, peers.instructions, bare.instructions),
            ratio(ours.allocations, peers.allocations, bare.allocations),
            ratio(ours.bytes, peers.bytes, bare.bytes),
        )?;
    }
    Ok(())
}

/// What ours adds to the bare service, for each one that the peers add.
#[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
fn ratio(ours: u64, peers: u64, bare: u64) -> String {
    format!("{:.2}", (ours as f64 - bare as f64) / (peers as f64 - bare as f64))
}

fn check(out: &mut impl Write) -> Outcome {
    let mut exceeded = Vec::new();
    for variant in &VARIANTS {
        let Some(ceiling) = variant.ceiling else { continue };
        match ceiling.judge(variant.name, cost(variant)?) {
            Verdict::Holds => writeln!(out, "{}: holds", variant.name)?,
            Verdict::Roomy(text) => writeln!(out, "{text}")?,
            Verdict::Exceeded(text) => {
                writeln!(out, "{text}")?;
                exceeded.push(format!("`{}`", variant.name));
            }
        }
    }
    if exceeded.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the stack costs more than its ceilings in benches/src/stack/variants.rs allow: {}",
        exceeded.join(", ")
    )
    .into())
}

fn clock(out: &mut impl Write) -> Outcome {
    let arguments: Vec<_> = VARIANTS.iter().map(|variant| vec!["stack", "clock", variant.name]).collect();
    let nanos = time::rounds(&arguments)?;
    let bare = nanos[0];
    let mut table = Table::new(["a request", "ns", "above bare"]);
    for (variant, nanos) in VARIANTS.iter().zip(nanos) {
        table.row([variant.name.to_owned(), thousands(nanos), difference(nanos, bare)]);
    }
    Ok(write!(out, "{table}")?)
}
