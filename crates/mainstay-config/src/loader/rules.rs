//! What the settings' own rules object to, with the sources of the values concerned.

use crate::deserialize::{NOT_ACCEPTED, withheld};
use crate::error::Problem;
use crate::layer::{Merged, joined};

/// garde names Rust fields, so keys are compared without regard to case, `-` and `_`; list items are looked up as
/// their list, which is the unit that has a source.
pub(super) fn broken(report: &garde::Report, merged: &Merged) -> Vec<Problem> {
    let plain = |key: &str| key.replace(['-', '_'], "").to_lowercase();
    let leaves = merged.leaves();
    let problem = |(path, error): &(garde::Path, garde::Error)| {
        let key = path.to_string();
        let field = plain(key.split('[').next().unwrap_or_default());
        let found: Vec<_> = leaves
            .iter()
            .filter(|(path, _)| {
                let leaf = plain(&joined(path));
                leaf == field || field.is_empty() || leaf.starts_with(&format!("{field}."))
            })
            .collect();
        let repeats = found.iter().any(|(_, value)| withheld(error.message(), value));
        let mut sources: Vec<_> =
            found.iter().filter_map(|(path, value)| merged.source(value.tag(), path)).collect();
        sources.dedup();
        if sources.is_empty() {
            sources.push("a default, as no source sets it".to_owned());
        }
        let message = if repeats { NOT_ACCEPTED } else { error.message() };
        Problem::new(message).key(&[key]).source(sources.join(", "))
    };
    report.iter().map(problem).collect()
}
