//! Values given as text: environment variables and `key.path=value` arguments.

use std::collections::HashMap;
use std::ffi::OsString;

use figment::value::{Dict, Value};

use super::{Layer, Origin, Path, printable};
use crate::code::Code;
use crate::problem::{Problem, Spot};

/// One layer for each variable that begins with `prefix` (`ORDERS__`).
pub(crate) fn variables(
    prefix: &str,
    environment: &[(OsString, OsString)],
) -> Vec<Result<(Path, Layer), Problem>> {
    environment
        .iter()
        .filter(|(name, _)| name.to_string_lossy().starts_with(prefix))
        .map(|(name, value)| {
            let origin = Origin::Variable(name.to_string_lossy().into_owned());
            let wrong = |what: &str| Problem::of(Code::Text, what).at(&origin);
            let name = name.to_str().ok_or_else(|| wrong("the variable's name is not UTF-8"))?;
            let value = value.to_str().ok_or_else(|| wrong("the variable's value is not UTF-8"))?;
            let path: Path = name[prefix.len()..].split("__").map(str::to_lowercase).collect();
            if path.iter().any(String::is_empty) {
                return Err(wrong("the variable's name has an empty level between double underscores"));
            }
            Ok(layer(path, value, origin.clone()))
        })
        .collect()
}

/// One layer for each `key.path=value`.
pub(crate) fn arguments(arguments: &[String]) -> Vec<Result<(Path, Layer), Problem>> {
    arguments
        .iter()
        .zip(1..)
        .map(|(argument, number)| {
            // Without a `=` nothing says which part is the value, so nothing is shown.
            let (key, value) = argument.split_once('=').ok_or_else(|| {
                Problem::of(Code::Text, format!("--set number {number} is not of the form key.path=value"))
            })?;
            let path: Path = key.split('.').map(str::to_owned).collect();
            if path.iter().any(String::is_empty) {
                let what = format!("--set number {number} has an empty level in its key");
                return Err(Problem::of(Code::Text, what));
            }
            Ok(layer(path, value, Origin::Argument(key.to_owned())))
        })
        .collect()
}

/// Pairs that cannot both hold: the same key from two variables, or a value where another needs a table.
pub(crate) fn conflicts(texts: &[(Path, Layer)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, (path, layer)) in texts.iter().enumerate() {
        for (other_path, other) in &texts[index + 1..] {
            let both_variables =
                matches!((&layer.origin, &other.origin), (Origin::Variable(_), Origin::Variable(_)));
            let (code, what) = if path == other_path && both_variables {
                (Code::Twice, "set twice, and the order of variables says nothing")
            } else if path != other_path && (path.starts_with(other_path) || other_path.starts_with(path)) {
                (Code::ScalarAndTable, "cannot be a single value and have keys of its own")
            } else {
                continue;
            };
            let shorter = if path.len() <= other_path.len() { path } else { other_path };
            let spot = |layer: &Layer| Spot::Source(layer.origin.clone(), None);
            problems.push(Problem::of(code, what).about(shorter).spot(spot(layer)).spot(spot(other)));
        }
    }
    problems
}

fn layer(path: Path, value: &str, origin: Origin) -> (Path, Layer) {
    let mut levels = path.iter().rev();
    let last = levels.next().expect("splitting gives at least one part").clone();
    let innermost = Dict::from([(last, Value::from(value))]);
    let data = levels.fold(innermost, |inner, key| Dict::from([(key.clone(), inner.into())]));
    (path, Layer { origin, data, places: HashMap::new(), text: None })
}

/// The key as the report shows it: `server.listen`.
pub(crate) fn joined(path: &[String]) -> String {
    let mut shown = String::new();
    for level in path {
        if !shown.is_empty() && !level.starts_with('[') {
            shown.push('.');
        }
        shown.push_str(&printable(level));
    }
    shown
}
