//! What the settings' own rules object to, with the sources of the values concerned.

use std::collections::BTreeSet;

use crate::code::Code;
use crate::deserialize::{NOT_ACCEPTED, Outline, withheld};
use crate::layer::{Merged, Path, joined};
use crate::problem::{Problem, Spot};
use crate::report;

/// garde names Rust fields, so keys are compared without regard to case, `-` and `_`; list items are looked up as
/// their list, which is the unit that has a source. Findings that touch an invented value are dropped: above one, too,
/// as a rule of a whole struct looks at all of it.
pub(super) fn broken(
    report: &garde::Report,
    merged: &Merged,
    outline: &Outline,
    invented: &BTreeSet<Path>,
) -> Vec<Problem> {
    let invented: Vec<_> = invented.iter().map(|path| plain(&joined(path))).collect();
    let leaves = merged.leaves();
    let mut problems = Vec::new();
    for (path, error) in report.iter() {
        let named = path.to_string();
        let field = plain(&named);
        if invented.iter().any(|path| is_within(path, &field) || is_within(&field, path)) {
            continue;
        }
        let whole = field.split('[').next().unwrap_or_default();
        let mut found: Vec<_> =
            leaves.iter().filter(|(path, _)| is_within(&plain(&joined(path)), whole)).collect();
        let exact = named.split('[').next().unwrap_or_default();
        if found.iter().any(|(path, _)| joined(path) == exact) {
            found.retain(|(path, _)| joined(path) == exact);
        }
        let is_secret = found.iter().any(|(path, _)| outline.is_secret(path));
        let repeats = found.iter().any(|(_, value)| withheld(error.message(), value));
        let message = if repeats { NOT_ACCEPTED } else { error.message() };
        let mut problem = Problem::of(Code::Rule, message);
        problem.key = Some(named.as_str().into());
        if let [(path, value)] = found.as_slice()
            && plain(&joined(path)) == whole
        {
            let item = named.find('[').map_or("", |start| &named[start..]);
            problem.key = Some(format!("{}{item}", joined(path)).into());
            if !is_secret
                && !repeats
                && let Some(layer) = merged.layer(value.tag(), path)
            {
                problem = problem.line(report::line(layer, &with_item(path, item), outline));
            }
        }
        let mut spots: Vec<Spot> = Vec::new();
        for (path, value) in &found {
            let Some(layer) = merged.layer(value.tag(), path) else { continue };
            let spot = Spot::Source(layer.origin.clone(), layer.place(path));
            if !spots.iter().any(|known| known.to_string() == spot.to_string()) {
                spots.push(spot);
            }
        }
        if spots.is_empty() {
            spots.push(Spot::Words("a default, as no source sets it".to_owned()));
        }
        problem.spots = spots;
        problems.push(problem);
    }
    problems
}

fn plain(key: &str) -> String {
    key.replace(['-', '_'], "").to_lowercase()
}

/// Whether `key` is `of` or lies in it.
fn is_within(key: &str, of: &str) -> bool {
    of.is_empty() || key.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The path of a list's item, `[1]`; of a part of an item only that of the list, whose line is then not shown.
fn with_item(path: &[String], item: &str) -> Path {
    let mut path = path.to_vec();
    if !item.is_empty() {
        path.extend(item.split_inclusive(']').map(str::to_owned));
    }
    path
}
