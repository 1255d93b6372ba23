//! Stacks in words: layers in their order, each with its settings.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

/// A layer's name and its settings.
pub(crate) type Described = (&'static str, Vec<(String, Value)>);

/// The layers, numbered from the outside in, around what they stand around.
pub(crate) fn written(title: &str, layers: &[Described], inside: &str) -> String {
    let mut text = format!("{title}\n");
    for (place, (name, settings)) in (1..).zip(layers) {
        writeln!(text, "{place}. {name}").expect("writing to a string does not fail");
        for (key, value) in settings {
            // A layer that the settings leave out has no keys.
            let written = if key.is_empty() && value.is_null() {
                writeln!(text, "     off")
            } else {
                writeln!(text, "     {key} = {value}")
            };
            written.expect("writing to a string does not fail");
        }
    }
    writeln!(text, "   {inside}").expect("writing to a string does not fail");
    text
}

/// The settings' leaves with their dotted keys, in the order of the struct.
pub(crate) fn settings(config: &impl Serialize) -> Vec<(String, Value)> {
    let mut leaves = Vec::new();
    collect("", serde_json::to_value(config).unwrap_or(Value::Null), &mut leaves);
    leaves
}

fn collect(key: &str, value: Value, leaves: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                collect(&key, value, leaves);
            }
        }
        leaf => leaves.push((key.to_owned(), leaf)),
    }
}
