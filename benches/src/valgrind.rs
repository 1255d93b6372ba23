//! Counts what one request costs by running this program under valgrind, which sees every instruction and allocation.
//!
//! Only what happens in user space is counted: a system call costs its few instructions of preparation here, and the
//! clock's fast path is not the real one.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

/// So many requests in the short run and in the long one. The first are enough to fill every cache and buffer.
const REQUESTS: (u64, u64) = (500, 4_500);

/// What one request costs, rounded to whole numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Instructions, as callgrind counts them.
    pub(crate) instructions: u64,
    /// Allocations; a reallocation counts as one.
    pub(crate) allocations: u64,
    /// The sizes that were asked for, in sum.
    pub(crate) bytes: u64,
}

/// Why nothing was counted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ValgrindError {
    #[error(
        "valgrind is not installed, and without it nothing can be counted: \
        install it with `apt install valgrind` or `dnf install valgrind`"
    )]
    Missing,
    #[error("could not run {what}: {error}")]
    Start { what: String, error: io::Error },
    #[error("{what} failed with {status}:\n{stderr}")]
    Failed { what: String, status: String, stderr: String },
    #[error("{what} did not say what it counted:\n{output}")]
    Unreadable { what: String, output: String },
}

/// Runs this program with `arguments` and a number of requests, as often as it takes, and says what one request costs.
pub(crate) fn cost_of(arguments: &[&str]) -> Result<Cost, ValgrindError> {
    cost_with(arguments, REQUESTS, &[])
}

/// As [`cost_of`], with these numbers in the short run and in the long one, and with these variables.
pub(crate) fn cost_with(
    arguments: &[&str],
    (short, long): (u64, u64),
    variables: &[(&str, &str)],
) -> Result<Cost, ValgrindError> {
    let (few, many) = (Counts::of(arguments, short, variables)?, Counts::of(arguments, long, variables)?);
    Ok(many.per_request(few, long - short))
}

/// What a whole run cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    instructions: u64,
    heap: Heap,
}

/// What a whole run took from the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heap {
    allocations: u64,
    bytes: u64,
}

// === impl Counts ===

impl Counts {
    fn of(arguments: &[&str], requests: u64, variables: &[(&str, &str)]) -> Result<Self, ValgrindError> {
        let requests = requests.to_string();
        let program = [arguments, &[requests.as_str()]].concat();
        Ok(Self { instructions: instructions_of(&program, variables)?, heap: heap_of(&program, variables)? })
    }

    fn per_request(self, less: Self, requests: u64) -> Cost {
        let rounded = |more: u64, less: u64| (more.saturating_sub(less) + requests / 2) / requests;
        Cost {
            instructions: rounded(self.instructions, less.instructions),
            allocations: rounded(self.heap.allocations, less.heap.allocations),
            bytes: rounded(self.heap.bytes, less.heap.bytes),
        }
    }
}

fn instructions_of(program: &[&str], variables: &[(&str, &str)]) -> Result<u64, ValgrindError> {
    let what = || format!("callgrind on `{}`", program.join(" "));
    let start = |error| ValgrindError::Start { what: what(), error };
    let directory = tempfile::tempdir().map_err(start)?;
    let file = directory.path().join("callgrind.out");
    let mut option = OsString::from("--callgrind-out-file=");
    option.push(&file);
    valgrind(&["--tool=callgrind".into(), option], program, variables, what)?;
    let output = fs::read_to_string(&file).map_err(start)?;
    parse_totals(&output).ok_or_else(|| ValgrindError::Unreadable { what: what(), output: ending(&output) })
}

/// memcheck, for the sake of its summary: all its checks are off.
fn heap_of(program: &[&str], variables: &[(&str, &str)]) -> Result<Heap, ValgrindError> {
    let what = || format!("memcheck on `{}`", program.join(" "));
    let options = ["--tool=memcheck", "--leak-check=no", "--undef-value-errors=no"];
    let output = valgrind(&options.map(OsString::from), program, variables, what)?;
    parse_heap(&output).ok_or_else(|| ValgrindError::Unreadable { what: what(), output: ending(&output) })
}

/// Runs this program under valgrind and hands back what valgrind said.
fn valgrind(
    options: &[OsString],
    program: &[&str],
    variables: &[(&str, &str)],
    what: impl Fn() -> String,
) -> Result<String, ValgrindError> {
    let this = this_program().map_err(|error| ValgrindError::Start { what: what(), error })?;
    let mut command = Command::new("valgrind");
    // What other variables there are must not move the counts.
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
    command.envs(variables.iter().copied()).args(options).arg(this).args(program);
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ValgrindError::Missing,
        _ => ValgrindError::Start { what: what(), error },
    })?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(stderr)
    } else {
        let status = output.status.to_string();
        Err(ValgrindError::Failed { what: what(), status, stderr: ending(&stderr) })
    }
}

/// This program's own path.
pub(crate) fn this_program() -> io::Result<PathBuf> {
    env::current_exe()
}

/// The total in callgrind's file: `totals: 123456`, the first of its events being the instructions.
fn parse_totals(file: &str) -> Option<u64> {
    let line = file.lines().rev().find_map(|line| line.strip_prefix("totals:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// memcheck's summary: `total heap usage: 1,234 allocs, 1,230 frees, 56,789 bytes allocated`.
fn parse_heap(summary: &str) -> Option<Heap> {
    let (_, usage) = summary.split_once("total heap usage: ")?;
    let mut parts = usage.lines().next()?.split(", ");
    let mut number = |unit| parts.next()?.strip_suffix(unit)?.replace(',', "").parse().ok();
    let (allocations, _frees) = (number(" allocs")?, number(" frees")?);
    Some(Heap { allocations, bytes: number(" bytes allocated")? })
}

/// The last lines, which say what went wrong.
fn ending(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::{Cost, Counts, Heap, parse_heap, parse_totals};

    #[test]
    fn callgrinds_total_is_read_from_the_end_of_its_file() {
        let file = "version: 1\ncreator: callgrind-3.19.0\npid: 7\nevents: Ir\nsummary: 17\n\nfn=(1) main\n3 12\n\ntotals: 123456\n";
        assert_eq!(parse_totals(file), Some(123_456));
        assert_eq!(parse_totals("events: Ir Dr\ntotals: 9 4\n"), Some(9));
        assert_eq!(parse_totals("events: Ir\nfn=(1) totals: 9\n"), None);
        assert_eq!(parse_totals("totals:\n"), None);
    }

    #[test]
    fn memchecks_summary_is_read_with_its_thousands() {
        let summary = "==7== HEAP SUMMARY:\n==7==     in use at exit: 1,044 bytes in 12 blocks\n\
            ==7==   total heap usage: 1,234,567 allocs, 1,234,555 frees, 8,901,234 bytes allocated\n==7== \n";
        assert_eq!(parse_heap(summary), Some(Heap { allocations: 1_234_567, bytes: 8_901_234 }));
        assert_eq!(parse_heap("==7== total heap usage: many allocs, 1 frees, 2 bytes allocated"), None);
        assert_eq!(parse_heap("==7== LEAK SUMMARY:\n"), None);
    }

    #[test]
    fn what_happens_once_is_in_no_request() {
        let run = |requests: u64| Counts {
            instructions: 1_000_000 + 25_000 * requests + requests / 2,
            heap: Heap { allocations: 300 + 12 * requests, bytes: 70_000 + 4_000 * requests },
        };
        let cost = run(4_500).per_request(run(500), 4_000);
        // 25,000.5 is rounded up.
        assert_eq!(cost, Cost { instructions: 25_001, allocations: 12, bytes: 4_000 });
    }
}
