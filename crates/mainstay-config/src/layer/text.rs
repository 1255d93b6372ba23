//! Values given as text: variables, lines of `.env` files, secret files and `key.path=value` arguments.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path as FilePath, PathBuf};

use figment::value::{Dict, Tag, Value};

use super::document::DEPTH;
use super::{Layer, Origin, Path, Place, Places, disk, dotenv, merged, printable};
use crate::code::Code;
use crate::problem::{Problem, Spot};
use crate::shape::{Asked, Known, sibling};

/// One key set to one text, before that text is looked at.
pub(crate) struct Assignment {
    path: Path,
    origin: Origin,
    place: Option<Place>,
    content: Content,
}

enum Content {
    Text(String),
    /// The text is in this file.
    File(PathBuf),
}

/// One key set to one text.
struct Given {
    path: Path,
    origin: Origin,
    place: Option<Place>,
    value: String,
}

/// What ends the name of a variable that names a file.
const FILE: &str = "_file";

/// Mistakes of a `.env` file that are reported one by one.
const MISTAKES: usize = 10;

/// Conflicts that are reported at most.
const CONFLICTS: usize = 100;

/// One assignment for each variable that begins with `prefix` (`ORDERS__`).
pub(crate) fn variables(
    prefix: &str,
    environment: &[(OsString, OsString)],
    known: Asked<'_>,
) -> Vec<Result<Assignment, Problem>> {
    environment
        .iter()
        .filter(|(name, _)| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
        .map(|(name, value)| {
            let wrong = |what: &str| {
                let origin = Origin::Variable(name.to_string_lossy().into_owned());
                Problem::of(Code::Text, what).at(&origin)
            };
            let name = name.to_str().ok_or_else(|| wrong("the variable's name is not UTF-8"))?;
            let value = value.to_str().ok_or_else(|| wrong("the variable's value is not UTF-8"))?;
            variable(&name[prefix.len()..], value, Origin::Variable(name.to_owned()), None, known)
        })
        .collect()
}

/// The assignments of a `.env` file to variables that begin with `prefix`; `None` when there is no such file.
///
/// `elsewhere` are the variables that are read before any `.env` file is, so that it cannot set them; what it says of
/// them has to be what is so already.
pub(crate) fn env_file(
    file: &FilePath,
    prefix: &str,
    elsewhere: &[(String, Option<OsString>)],
    known: Asked<'_>,
) -> Option<Vec<Result<Assignment, Problem>>> {
    if disk::is_absent(file) {
        return None;
    }
    let origin = Origin::EnvFile(file.to_owned());
    let text = match disk::text(file, disk::FILE_LIMIT) {
        Ok(text) => text,
        Err(reason) => return Some(vec![Err(Problem::new(reason).at(&origin))]),
    };
    let (entries, errors) = dotenv::parse(&text);
    let more = errors.len().saturating_sub(MISTAKES);
    let wrong = |message: String, place| Problem::of(Code::Syntax, message).at(&origin).place(place);
    let mut read: Vec<(Place, Result<Assignment, Problem>)> = errors
        .into_iter()
        .take(MISTAKES)
        .map(|error| (error.place, Err(wrong(error.message, error.place))))
        .collect();
    for entry in entries {
        let place = entry.place;
        if let Some(name) = entry.name.strip_prefix(prefix) {
            read.push((place, variable(name, &entry.value, origin.clone(), Some(place), known)));
        } else if let Some((name, in_force)) = elsewhere.iter().find(|(name, _)| name == entry.name)
            && in_force.as_deref() != Some(entry.value.as_ref())
        {
            let message = format!("{name} is needed before this file is read: set it in the environment");
            read.push((place, Err(wrong(message, place))));
        }
    }
    read.sort_by_key(|(place, _)| *place);
    let mut read: Vec<_> = read.into_iter().map(|(_, result)| result).collect();
    if more > 0 {
        read.push(Err(
            Problem::of(Code::Syntax, format!("{more} more lines that cannot be read")).at(&origin)
        ));
    }
    Some(read)
}

/// One assignment for each `key.path=value`.
pub(crate) fn arguments(arguments: &[String]) -> Vec<Result<Assignment, Problem>> {
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
            if path.len() > DEPTH {
                return Err(Problem::of(
                    Code::Text,
                    format!("--set number {number} has more than {DEPTH} levels"),
                ));
            }
            let content = Content::Text(value.to_owned());
            Ok(Assignment { path, origin: Origin::Argument(key.to_owned()), place: None, content })
        })
        .collect()
}

/// Pairs that cannot both hold: the same key twice in one source, or a value where another needs a table.
///
/// `sources` are the texts by source, lowest first: of the same key in two of them, the higher simply wins.
pub(crate) fn conflicts(sources: &[Vec<Assignment>]) -> Vec<Problem> {
    let numbered = sources.iter().enumerate();
    let mut sorted: Vec<(usize, &Assignment)> =
        numbered.flat_map(|(number, source)| source.iter().map(move |one| (number, one))).collect();
    // A key then stands before those that are inside it, with no others between.
    sorted.sort_unstable_by(|(_, a), (_, b)| a.path.cmp(&b.path));
    let mut problems = Vec::new();
    for (index, (source, one)) in sorted.iter().enumerate() {
        let inside = sorted[index + 1..].iter().take_while(|(_, other)| other.path.starts_with(&one.path));
        for (other_source, other) in inside {
            // Arguments have an order that says something.
            let has_order = source != other_source || matches!(one.origin, Origin::Argument(_));
            let (code, what) = match (one.path == other.path, one.names_a_file() != other.names_a_file()) {
                (true, _) if has_order => continue,
                (true, true) => {
                    (Code::Twice, "set by its value and by a file that holds it: one of the two has to go")
                }
                (true, false) => (Code::Twice, "set twice, and the order of variables says nothing"),
                (false, _) => (Code::ScalarAndTable, "cannot be a single value and have keys of its own"),
            };
            problems.push(Problem::of(code, what).about(&one.path).spot(one.spot()).spot(other.spot()));
            if problems.len() == CONFLICTS {
                return problems;
            }
        }
    }
    problems
}

/// The layers of one source. What cannot be read is a problem and no layer.
pub(crate) fn layers(source: Vec<Assignment>, problems: &mut Vec<Problem>) -> Vec<Layer> {
    let mut layers = Vec::with_capacity(source.len());
    let mut lines = Vec::new();
    for assignment in source {
        match assignment.read() {
            // One layer a file, as places tell its values apart.
            Ok(line) if matches!(line.origin, Origin::EnvFile(_)) => lines.push(line),
            Ok(one) => layers.push(one.layer()),
            Err(problem) => problems.push(problem),
        }
    }
    layers.extend(file_layer(lines));
    layers
}

/// The layer of a `.env` file's lines.
fn file_layer(lines: Vec<Given>) -> Option<Layer> {
    let origin = lines.first()?.origin.clone();
    let mut data = Dict::new();
    let mut places: BTreeMap<Path, Place> = BTreeMap::new();
    for Given { path, place, value, .. } in lines {
        let place = place.unwrap_or_default();
        for length in 1..path.len() {
            places.entry(path[..length].to_vec()).or_insert(place);
        }
        merged::graft(&mut data, &nested(path.clone(), value));
        places.insert(path, place);
    }
    // Of a key that is set twice, once as a value and once as a table, only the later is in the tree.
    places.retain(|path, _| super::value(&data, path).is_some());
    Some(Layer { origin, data, places: Places::sorted(places.into_iter().collect()), text: None })
}

/// The tree that has nothing but this value.
fn nested(mut path: Path, value: String) -> Dict {
    let last = path.pop().expect("no key is empty");
    let innermost = Dict::from([(last, Value::from(value))]);
    path.into_iter().rev().fold(innermost, |inner, key| Dict::from([(key, Value::Dict(Tag::Default, inner))]))
}

/// What a variable says; `name` is without the prefix.
///
/// A name whose last level ends in `_FILE` names a file that holds the value, unless the type has a key of just this
/// name: `TLS__CERT_FILE` is `tls.cert_file` where there is such a key, and else the file with the value of `tls.cert`.
fn variable(
    name: &str,
    value: &str,
    origin: Origin,
    place: Option<Place>,
    known: Asked<'_>,
) -> Result<Assignment, Problem> {
    let wrong = |what: &str| {
        let problem = Problem::of(Code::Text, what).at(&origin);
        match place {
            Some(place) => problem.place(place),
            None => problem,
        }
    };
    let path: Path = name.split("__").map(lowercase).collect();
    if path.iter().any(String::is_empty) {
        return Err(wrong("the variable's name has an empty level between double underscores"));
    }
    if path.len() > DEPTH {
        // Such a name fills the screen, so the report does without.
        return Err(Problem::of(Code::Text, format!("a variable's name has more than {DEPTH} levels")));
    }
    let last = path.last().and_then(|last| last.strip_suffix(FILE)).filter(|last| !last.is_empty());
    let (path, content) = match last {
        Some(last) if known(&path) != Known::Yes => {
            if value.is_empty() {
                return Err(wrong("expected the path of a file that holds the value, found nothing"));
            }
            (sibling(&path, last), Content::File(value.into()))
        }
        _ => (path, Content::Text(value.to_owned())),
    };
    Ok(Assignment { path, origin, place, content })
}

/// Without a look into Unicode's tables where there is nothing to find.
fn lowercase(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.to_lowercase() }
}

/// The text of a file that holds one value: all of it but one line's end at its end.
pub(super) fn secret(file: &FilePath) -> Result<String, String> {
    let mut text = disk::text(file, disk::SECRET_LIMIT)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

// === impl Assignment ===

impl Assignment {
    /// The text of a file, found in a folder of secrets.
    pub(super) fn secret(path: Path, file: PathBuf, text: String) -> Self {
        let origin = Origin::SecretFile { file, named_by: None };
        Self { path, origin, place: None, content: Content::Text(text) }
    }

    /// Reads the file, if the text is in one.
    fn read(self) -> Result<Given, Problem> {
        let Self { path, origin, place, content } = self;
        match content {
            Content::Text(value) => Ok(Given { path, origin, place, value }),
            Content::File(file) => {
                let named_by = named(&origin, place);
                // What is not the path of anything may be the secret itself, so it is not shown.
                let exists = file.symlink_metadata().is_ok();
                let origin = Origin::SecretFile { file: file.clone(), named_by: Some(named_by.clone()) };
                let value = secret(&file).map_err(|reason| {
                    let problem = Problem::new(format!("the file with its value {reason}")).about(&path);
                    if exists { problem.at(&origin) } else { problem.source(named_by) }
                })?;
                Ok(Given { path, origin, place: None, value })
            }
        }
    }

    fn names_a_file(&self) -> bool {
        matches!(self.content, Content::File(_))
    }

    fn spot(&self) -> Spot {
        Spot::Source(self.origin.clone(), self.place)
    }
}

// === impl Given ===

impl Given {
    fn layer(self) -> Layer {
        let data = nested(self.path, self.value);
        Layer { origin: self.origin, data, places: Places::default(), text: None }
    }
}

fn named(origin: &Origin, place: Option<Place>) -> String {
    match place {
        Some((line, column)) => format!("{origin}:{line}:{column}"),
        None => origin.to_string(),
    }
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
