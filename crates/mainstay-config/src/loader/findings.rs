//! From what the types refuse to problems that a reader can act on.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use figment::value::Dict;

use super::links::begins;
use crate::code::Code;
use crate::deserialize::{At, Fault, Outline, What};
use crate::layer::{Layer, Merged, Origin, Path, joined};
use crate::problem::{Problem, Spot, closest, list};
use crate::report;

/// The variables of ours that are no settings, without the prefix.
const OWN: [&str; 3] = ["PROFILE", "CONFIG_DIR", "SECRETS_DIR"];

/// What is known when problems are written down.
pub(super) struct View<'a> {
    pub(super) merged: &'a Merged,
    pub(super) outline: &'a Outline,
    pub(super) prefix: &'a str,
}

impl View<'_> {
    /// The problems of what the types refused, as far as nothing else explains them.
    pub(super) fn of_faults(&self, faults: &[Fault], explained: &[Problem]) -> Vec<Problem> {
        let is_explained = |key: &str| {
            explained.iter().any(|problem| {
                problem.code == Code::ScalarAndTable
                    && problem.key().is_some_and(|known| is_within(key, known) || is_within(known, key))
            })
        };
        let is_twin = |key: &str| {
            explained.iter().any(|problem| {
                problem.code == Code::Twice
                    && problem.key().is_some_and(|known| known.to_lowercase() == key.to_lowercase())
            })
        };
        let missing: BTreeSet<Path> =
            faults.iter().filter(|fault| is_missing(fault)).map(Fault::key).collect();
        let mut meant = BTreeSet::new();
        let mut problems = Vec::new();
        for fault in faults.iter().filter(|fault| fault.of_key) {
            let key = fault.key();
            if is_explained(&joined(&key)) || is_twin(&joined(&key)) {
                continue;
            }
            problems.extend(self.unknown(fault, &key, &missing, &mut meant));
        }
        for fault in faults.iter().filter(|fault| !fault.of_key) {
            let key = fault.key();
            match fault.what {
                What::Missing(_) if meant.contains(&key) || is_explained(&joined(&key)) => {}
                What::Missing(_) => problems.push(self.missing(&key)),
                _ if is_explained(&joined(&key)) => {}
                _ => problems.push(self.misfit(fault, None)),
            }
        }
        problems
    }

    /// A value that its type refuses; `layer` is where it comes from, if not from the merged tree.
    pub(super) fn misfit(&self, fault: &Fault, layer: Option<&Layer>) -> Problem {
        let (code, message) = match &fault.what {
            What::Words(words) => (Code::Type, words.clone()),
            What::Type { expected, found } => (Code::Type, format!("expected {expected}, found {found}")),
            What::Value { expected, found } => {
                (Code::Type, format!("expected {expected}, found {found} that is not one"))
            }
            What::Length { expected, found } => {
                (Code::Type, format!("expected {expected}, found {found} items"))
            }
            What::UnknownVariant { known, .. } => {
                (Code::Variant, format!("expected one of {}, found other text", list(known.iter().copied())))
            }
            What::Duplicate => (Code::Twice, "given twice, under two names of the same setting".to_owned()),
            What::UnknownKey(_) | What::Missing(_) => (Code::Type, "not accepted".to_owned()),
        };
        let key = &fault.path;
        let is_secret = self.outline.is_secret(key);
        let mut problem = Problem::of(code, message).about(key);
        if let What::UnknownVariant { meant: Some(meant), .. } = fault.what
            && !is_secret
        {
            problem = problem.help(format!("did you mean `{meant}`?"));
        }
        let leaf = layer.or_else(|| {
            let is_table = self.merged.value(key).is_some_and(|value| value.as_dict().is_some());
            if is_table { None } else { self.merged.layer(fault.tag, key) }
        });
        let Some(layer) = leaf else { return problem.spots(self.sources_below(key)) };
        let repeats = &*problem.message == crate::deserialize::NOT_ACCEPTED;
        // Text where a list or a table belongs may be one of the secrets that belong in there.
        let is_table_wanted = self.outline.fields_of(key).is_some() || self.outline.is_list(key);
        let may_show = !is_secret && !repeats && !is_table_wanted && !layer.origin.is_text();
        problem = problem.spot(Spot::Source(layer.origin.clone(), report::value_place(layer, key)));
        if may_show { problem.line(report::line(layer, key, self.outline)) } else { problem }
    }

    /// Every source that gives this unknown key, each a problem of its own.
    fn unknown(
        &self,
        fault: &Fault,
        key: &[String],
        missing: &BTreeSet<Path>,
        meant: &mut BTreeSet<Path>,
    ) -> Vec<Problem> {
        let (name, parent) = key.split_last().map_or(("", key), |(name, parent)| (name.as_str(), parent));
        let known: &[&str] = match fault.what {
            What::UnknownKey(known) | What::UnknownVariant { known, .. } => known,
            _ => return vec![self.misfit(fault, None)],
        };
        self.unknown_key(parent, name, known, missing, meant)
    }

    fn unknown_key(
        &self,
        parent: &[String],
        name: &str,
        known: &[&str],
        missing: &BTreeSet<Path>,
        meant: &mut BTreeSet<Path>,
    ) -> Vec<Problem> {
        let child = |name: &str| [parent, &[name.to_owned()]].concat();
        let path = child(name);
        let unset =
            known.iter().copied().filter(|name| missing.iter().any(|path| path.starts_with(&child(name))));
        let guess = closest(name, unset).or_else(|| closest(name, known.iter().copied()));
        let explains = guess.map(child).filter(|guess| missing.contains(guess));
        let help = match guess {
            Some(guess) => Some(format!("did you mean `{}`?", joined(&child(guess)))),
            None if known.is_empty() => Some("no key is expected here".to_owned()),
            None => Some(format!("expected one of {}", list(known.iter().copied()))),
        };
        let mut problems = Vec::new();
        for layer in self.merged.layers() {
            if layer.value(&path).is_none() {
                continue;
            }
            let (code, what, place) = if layer.origin.is_text() {
                let what = match layer.origin {
                    Origin::Variable(_) => "the variable names a key that does not exist",
                    _ => "the argument names a key that does not exist",
                };
                (Code::UnknownVariable, what, None)
            } else {
                (Code::UnknownKey, "unknown key", report::key_place(layer, &path))
            };
            let mut problem = Problem::of(code, what).about(&path).help(help.clone());
            problem = problem.spot(Spot::Source(layer.origin.clone(), place));
            if let (Some(guess), Origin::Variable(_)) = (guess, &layer.origin)
                && let Some(leaf) = layer.leaves().into_iter().map(|(path, _)| path).next()
            {
                let mut right = child(guess);
                right.extend(leaf.into_iter().skip(path.len()));
                problem.help = vec![format!("did you mean {}?", self.variable(&right))];
            }
            if let Some(explained) = &explains {
                let key = joined(explained);
                problem =
                    problem.help(format!("`{key}` is required and not set, which this probably explains"));
                meant.insert(explained.clone());
            }
            problems.push(problem);
        }
        problems
    }

    /// Variables and arguments whose key the type does not know, though it does not mind.
    pub(super) fn strays(&self, faults: &[Fault]) -> Vec<Problem> {
        let mut found: BTreeMap<Path, &'static [&'static str]> = BTreeMap::new();
        for layer in self.merged.layers().iter().filter(|layer| layer.origin.is_text()) {
            for (path, _) in layer.leaves() {
                for depth in 0..path.len() {
                    let Some(fields) = self.outline.fields_of(&path[..depth]) else { continue };
                    let known = fields.contains(&path[depth].as_str());
                    let key = &path[..=depth];
                    let reported = faults.iter().any(|fault| fault.of_key && fault.key() == key);
                    if !known && !reported {
                        found.insert(key.to_vec(), fields);
                    }
                    if !known {
                        break;
                    }
                }
            }
        }
        let missing: BTreeSet<Path> =
            faults.iter().filter(|fault| is_missing(fault)).map(Fault::key).collect();
        let mut problems = Vec::new();
        for (path, fields) in found {
            let Some((name, parent)) = path.split_last() else { continue };
            let all = self.unknown_key(parent, name, fields, &missing, &mut BTreeSet::new());
            problems.extend(all.into_iter().filter(|problem| problem.code == Code::UnknownVariable));
        }
        problems
    }

    /// Variables with one underscore behind the prefix, which are not read, and were meant to be.
    pub(super) fn near_misses(&self, environment: &[(OsString, OsString)]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, rest) in self.near(environment) {
            let path: Path = rest.split("__").map(str::to_lowercase).collect();
            let meant = if self.is_known(&path) {
                self.variable(&path)
            } else if let Some(own) = closest(rest, OWN) {
                format!("{}_{own}", self.prefix)
            } else {
                continue;
            };
            let what = "the variable begins like the application's and is not read";
            problems.push(
                Problem::of(Code::UnknownVariable, what)
                    .at(&Origin::Variable(name.to_owned()))
                    .help(format!("did you mean {meant}?")),
            );
        }
        problems
    }

    /// The variables with one underscore behind the prefix, whole and without it, but those that are read.
    fn near<'e>(&self, environment: &'e [(OsString, OsString)]) -> impl Iterator<Item = (&'e str, &'e str)> {
        environment.iter().filter(|(name, _)| begins(name, self.prefix)).filter_map(|(name, _)| {
            let name = name.to_str()?;
            let rest = name.strip_prefix(self.prefix)?.strip_prefix('_')?;
            (!rest.starts_with('_') && !OWN.contains(&rest)).then_some((name, rest))
        })
    }

    /// Whether, the settings having been read, there is nothing that would have to be looked into: no variable that is
    /// nearly one of ours, no value beside a table, and no key that a struct does not have.
    pub(super) fn is_orderly(&self, environment: &[(OsString, OsString)]) -> bool {
        fn knows_all(outline: &Outline, at: At, table: &Dict) -> bool {
            let fields = outline.fields_at(at);
            table.iter().all(|(key, value)| {
                let is_known = fields.is_none_or(|fields| fields.contains(&key.as_str()));
                let below = || Some((outline.below(at, key)?, value.as_dict()?));
                is_known && below().is_none_or(|(at, table)| knows_all(outline, at, table))
            })
        }
        self.near(environment).next().is_none()
            && !self.merged.mixes_values_and_tables()
            && self.merged.tree.as_dict().is_none_or(|tree| knows_all(self.outline, Outline::ROOT, tree))
    }

    /// Whether this is a key of the settings for certain.
    fn is_known(&self, path: &[String]) -> bool {
        (0..path.len()).all(|depth| {
            let fields = self.outline.fields_of(&path[..depth]);
            fields.is_some_and(|fields| fields.contains(&path[depth].as_str()))
        })
    }

    fn missing(&self, key: &[String]) -> Problem {
        let variable = self.variable(key);
        let files: Vec<_> = self.merged.layers().iter().filter(|layer| !layer.origin.is_text()).collect();
        let help = match (files.last(), self.outline.is_secret(key)) {
            (Some(file), false) => format!("set {variable}, or `{}` in {}", joined(key), file.origin),
            _ => format!("set {variable}"),
        };
        let message = match self.outline.fields_of(key) {
            Some(_) => "required, a table, and no source has it",
            None => "required, and no source sets it",
        };
        let mut problem = Problem::of(Code::Missing, message).about(key).help(help);
        problem.looked_in =
            [variable].into_iter().chain(files.iter().rev().map(|file| file.origin.to_string())).collect();
        problem
    }

    /// A single value in one source, and keys of its own in another.
    pub(super) fn clashes(&self) -> Vec<Problem> {
        let layers = self.merged.layers();
        let mut problems: Vec<Problem> = Vec::new();
        for layer in layers {
            for (path, _) in layer.leaves() {
                let other = layers.iter().find(|other| {
                    other.value(&path).is_some_and(|value| value.as_dict().is_some())
                        && !(other.origin.is_text() && layer.origin.is_text())
                });
                let Some(other) = other else { continue };
                // Of an enum, text and table may both be right.
                let is_choice = self.outline.is_choice(&path);
                let is_known = problems.iter().any(|problem| problem.key() == Some(&joined(&path)));
                if is_choice || is_known {
                    continue;
                }
                problems.push(
                    Problem::of(Code::ScalarAndTable, "cannot be a single value and have keys of its own")
                        .about(&path)
                        .spot(Spot::Source(layer.origin.clone(), layer.place(&path)))
                        .spot(Spot::Source(other.origin.clone(), other.place(&path))),
                );
            }
        }
        problems
    }

    /// Keys of a struct that differ in nothing but their case.
    pub(super) fn twins(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (path, fields) in self.outline.structs() {
            let Some(table) = self.merged.value(&path).and_then(|value| value.as_dict()) else { continue };
            let mut names: BTreeMap<String, Vec<&String>> = BTreeMap::new();
            for name in table.keys() {
                names.entry(name.to_lowercase()).or_default().push(name);
            }
            for names in names.into_values().filter(|names| names.len() > 1) {
                if names.iter().all(|name| fields.contains(&name.as_str())) {
                    continue;
                }
                let paths: Vec<Path> =
                    names.iter().map(|name| [path.as_slice(), &[(*name).clone()]].concat()).collect();
                let right = names.iter().find(|name| fields.contains(&name.as_str()));
                let shown = names.iter().map(|name| name.as_str());
                let key = [path.as_slice(), &[(*right.unwrap_or(&names[0])).clone()]].concat();
                let message = format!("given in different case, as {}", list(shown));
                let mut problem = Problem::of(Code::Twice, message).about(&key);
                for path in &paths {
                    for layer in self.merged.layers() {
                        if layer.value(path).is_some() {
                            let place = report::key_place(layer, path);
                            problem = problem.spot(Spot::Source(layer.origin.clone(), place));
                        }
                    }
                }
                problem.help = right.map(|name| format!("only `{name}` is read")).into_iter().collect();
                problems.push(problem);
            }
        }
        problems
    }

    /// "ORDERS__SERVER__PORT"
    pub(super) fn variable(&self, key: &[String]) -> String {
        format!("{}__{}", self.prefix, key.join("__").to_uppercase())
    }

    fn sources_below(&self, key: &[String]) -> Vec<Spot> {
        let mut spots: Vec<Spot> = Vec::new();
        for (path, value) in self.merged.leaves() {
            if !path.starts_with(key) {
                continue;
            }
            let Some(layer) = self.merged.layer(value.tag(), &path) else { continue };
            let spot = Spot::Source(layer.origin.clone(), layer.place(&path));
            if spots.len() < 4 && !spots.iter().any(|known| known.to_string() == spot.to_string()) {
                spots.push(spot);
            }
        }
        spots
    }
}

fn is_missing(fault: &Fault) -> bool {
    matches!(fault.what, What::Missing(_))
}

/// Whether `key` is `of` or lies in it.
fn is_within(key: &str, of: &str) -> bool {
    key.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
