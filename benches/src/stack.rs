//! What does each layer of the server stack cost, beside the bare service and beside the same duties from tower-http?
//!
//! ```sh
//! cargo run --release -p mainstay-bench -- stack
//! ```
//!
//! The rows with a `+` stand on each other, so that each shows its own price; the last of them is the whole
//! [`server::stack`](mainstay::server::stack). The peers set the same headers, each with a layer of its own, log one
//! line with the request's id at INFO, and guard against panics and time. `same log` writes both lines through
//! tracing-subscriber's cheapest JSON; `its own` is what one gets without looking further.
//!
//! 2026-11-27, 2 vCPU AMD EPYC, Rust 1.95, valgrind 3.19:
//!
//! ```text
//! | a request            | instructions | this layer | above bare | allocations | above bare | bytes |
//! |----------------------|-------------:|-----------:|-----------:|------------:|-----------:|------:|
//! | bare service         |        4,552 |            |         +0 |           4 |         +0 | 1,968 |
//! | + peer's address     |        5,220 |       +668 |       +668 |           7 |         +3 | 2,184 |
//! | + context            |       13,711 |     +8,491 |     +9,159 |          12 |         +8 | 3,008 |
//! | + access log         |       49,395 |    +35,684 |    +44,843 |          15 |        +11 | 3,064 |
//! | + security headers   |       55,124 |     +5,729 |    +50,572 |          17 |        +13 | 5,688 |
//! | + problems           |       55,285 |       +161 |    +50,733 |          17 |        +13 | 5,688 |
//! | + panic guard        |       55,607 |       +322 |    +51,055 |          17 |        +13 | 5,688 |
//! | + deadline           |       62,877 |     +7,270 |    +58,325 |          17 |        +13 | 5,688 |
//! | ours, mainstay's log |       39,297 |            |    +34,745 |          14 |        +10 | 5,632 |
//! | ours, no log         |       26,958 |            |    +22,406 |          14 |        +10 | 5,632 |
//! | peers                |       59,251 |            |    +54,699 |          41 |        +37 | 8,134 |
//! | peers, default JSON  |       72,941 |            |    +68,389 |          51 |        +47 | 9,012 |
//! | peers, no log        |       21,467 |            |    +16,915 |          18 |        +14 | 6,472 |
//!
//! ours / peers, both above bare:
//!   same log  instructions 1.07, allocations 0.35, bytes 0.60
//!   its own   instructions 0.51, allocations 0.21, bytes 0.52
//!   no log    instructions 1.32, allocations 0.71, bytes 0.81
//! ```
//!
//! The row `+ deadline` is the whole stack, with the layers for which there is no row: shape, tenant, limits, idempotency.
//!
//! Two runs of one build agree to 0.1 %; a new build has moved a row by 2 % without a change to its code. In time
//! (`--time`, on 2026-11-24, before the log had its own writer): bare 477 ns, ours 4,481 (1,616 without a log), peers 6,087
//! (2,823).

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
    ("same log", OURS, PEERS),
    ("its own", OURS_SHIPPED, PEERS_DEFAULT),
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
            "  {what:<8}  instructions {}, allocations {}, bytes {}",
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
    let nanos = time::rounds(&arguments, &[])?;
    let bare = nanos[0];
    let mut table = Table::new(["a request", "ns", "above bare"]);
    for (variant, nanos) in VARIANTS.iter().zip(nanos) {
        table.row([variant.name.to_owned(), thousands(nanos), difference(nanos, bare)]);
    }
    Ok(write!(out, "{table}")?)
}

#[cfg(test)]
mod tests {
    use super::variants::VARIANTS;
    use super::{proof, prove, ratio};

    #[test]
    fn every_variant_does_what_it_is_counted_for() {
        VARIANTS.iter().for_each(prove);
    }

    #[test]
    #[should_panic(expected = "bare service: not the security headers")]
    fn what_does_less_is_not_counted() {
        let ([bare, ..], [.., all, _, _]) = (&VARIANTS, &VARIANTS);
        let (answer, lines) = bare.log.lines_of(|| bare.start()(1));
        proof::prove(bare.name, all.duties, &answer, &lines);
    }

    #[test]
    fn the_ratio_is_of_what_is_added() {
        assert_eq!(ratio(1_500, 3_000, 1_000), "0.25");
        assert_eq!(ratio(900, 3_000, 1_000), "-0.05");
    }
}
