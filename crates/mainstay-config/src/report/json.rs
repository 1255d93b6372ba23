//! The report for machines. So little is written that it needs no library.

use std::fmt::Write;

use crate::error::ConfigError;
use crate::layer::Origin;
use crate::problem::{Problem, Spot};

pub(crate) fn json(error: &ConfigError) -> String {
    let named_by = error.profile.as_ref().and_then(|profile| profile.named_by.as_deref());
    object(&[
        ("app", string(&error.app)),
        ("profile", error.profile.as_ref().map_or_else(null, |profile| string(&profile.name))),
        ("profile_from", named_by.map_or_else(null, string)),
        ("problems", list(error.problems.iter().map(problem))),
        ("notes", list(error.notes.iter().map(|note| string(note)))),
    ])
}

fn problem(problem: &Problem) -> String {
    let several = if problem.spots.len() > 1 { problem.spots.as_slice() } else { &[] };
    object(&[
        ("code", string(problem.code())),
        ("severity", string(if problem.is_warning() { "warning" } else { "error" })),
        ("key", problem.key().map_or_else(null, string)),
        ("message", string(&problem.message)),
        ("source", problem.spots.first().map_or_else(null, source)),
        ("sources", list(several.iter().map(source))),
        ("help", list(problem.help.iter().map(|help| string(help)))),
    ])
}

fn source(spot: &Spot) -> String {
    let named =
        |kind: &str, name: &str, value: String| object(&[("kind", string(kind)), (name, string(&value))]);
    match spot {
        Spot::Words(words) => named("other", "name", words.clone()),
        Spot::Source(Origin::Variable(_), _) => named("variable", "variable", spot.to_string()),
        Spot::Source(Origin::Argument(_), _) => named("argument", "argument", spot.to_string()),
        Spot::Source(origin, place) => {
            let kind = match origin {
                Origin::Embedded(_) => "embedded",
                Origin::EnvFile(_) => "env_file",
                Origin::SecretFile { .. } => "secret_file",
                _ => "file",
            };
            let mut fields = vec![("kind", string(kind)), ("file", string(&origin.to_string()))];
            if let Some((line, column)) = place {
                fields.extend([("line", line.to_string()), ("column", column.to_string())]);
            }
            object(&fields)
        }
    }
}

fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{}:{value}", string(name))).collect();
    format!("{{{}}}", fields.join(","))
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn null() -> String {
    "null".to_owned()
}

fn string(text: &str) -> String {
    let mut written = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => written.extend(['\\', character]),
            '\u{20}'..='\u{7e}' | '\u{a0}'.. => written.push(character),
            other => write!(written, "\\u{:04x}", u32::from(other)).expect("a string takes everything"),
        }
    }
    written.push('"');
    written
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_character_survives() {
        let text = "a\"b\\c\n\u{1b}\u{7f}\u{9b}ü\u{1f600}";
        assert_eq!(serde_json::from_str::<String>(&super::string(text)).unwrap(), text);
    }
}
