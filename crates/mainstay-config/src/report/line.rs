//! The line of a file that a problem is in, where showing it is safe.

use std::ops::Range;

use figment::value::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::deserialize::Outline;
use crate::layer::{Layer, Place, printable};
use crate::problem::Line;

/// Words in a key or a line that make it one that is not shown.
const TELLING: [&str; 14] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "credential",
    "private",
    "apikey",
    "api_key",
    "api-key",
    "auth",
    "dsn",
    "cookie",
    "salt",
    "signature",
];
const LONGEST: usize = 100;

/// The line with the value at this key, up to the value's end. `None` when the value is secret or may be one, and when
/// it is not a plain value on a line of its own. Of lists in JSON and YAML the items' places are not known.
pub(crate) fn line(layer: &Layer, path: &[String], outline: &Outline) -> Option<Line> {
    let whole = path.iter().position(|level| level.starts_with('[')).unwrap_or(path.len());
    let is_item_of_item = path.len() > whole + 1;
    if is_item_of_item || outline.is_secret(&path[..whole]) || path.iter().any(|level| is_telling(level)) {
        return None;
    }
    let text = layer.text.as_deref()?.trim_start_matches('\u{feff}');
    let (number, _) = layer.place(path)?;
    if layer.values_on_line(number) != 1 {
        return None;
    }
    let (Range { start, end }, is_plain) = match DeTable::parse(text) {
        Ok(document) => {
            let span = find(document.get_ref(), path)?;
            (span.value, span.is_plain)
        }
        // What was read and is not TOML is JSON or YAML, whose readers know only where a value begins.
        Err(_) => (scalar_at(text, layer.value(path)?, layer.place(path)?)?, true),
    };
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let (before, marked) = (&text[line_start..start], &text[start..end]);
    let shown = &text[line_start..end];
    let width = marked.chars().count();
    let is_safe = is_plain
        && printable(shown).len() == shown.len()
        && shown.chars().count() <= LONGEST
        && !is_telling(shown)
        && !has_user(shown);
    is_safe.then(|| Line {
        number: text[..start].matches('\n').count() + 1,
        text: shown.to_owned(),
        column: before.chars().count() + 1,
        width: width.max(1),
    })
}

/// The value of JSON or YAML that begins at this place, where it is a single one that ends on its line.
fn scalar_at(text: &str, value: &Value, (line, column): Place) -> Option<Range<usize>> {
    if matches!(value, Value::Dict(..) | Value::Array(..)) {
        return None;
    }
    let text_line = text.split_inclusive('\n').nth(line - 1)?;
    let before: usize = text_line.chars().take(column - 1).map(char::len_utf8).sum();
    let line_start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = text_line[before..].trim_end();
    let length = match rest.chars().next()? {
        quote @ ('"' | '\'') => {
            let mut is_escaped = false;
            let end = rest[1..].find(|character| {
                let ends = character == quote && !is_escaped;
                is_escaped = character == '\\' && quote == '"' && !is_escaped;
                ends
            });
            end? + 2
        }
        // A block of lines, an anchor, an alias, a tag: not what stands there.
        '|' | '>' | '&' | '*' | '!' | '{' | '[' => return None,
        _ => rest.find([',', '}', ']']).into_iter().chain(rest.find(" #")).min().unwrap_or(rest.len()),
    };
    let marked = rest[..length].trim_end();
    // A value of several lines is not what stands on its first one.
    let is_whole = rest.starts_with(['"', '\'']) || value.as_str().is_none_or(|value| value == marked);
    let start = line_start + before;
    is_whole.then(|| start..start + marked.len())
}

/// Where the key itself begins.
pub(crate) fn key_place(layer: &Layer, path: &[String]) -> Option<Place> {
    place_in_text(layer, path, |span| span.key.start).or_else(|| layer.place(path))
}

/// Where the value begins, of a list's item as well.
pub(crate) fn value_place(layer: &Layer, path: &[String]) -> Option<Place> {
    if !path.iter().any(|level| level.starts_with('[')) {
        return layer.place(path);
    }
    place_in_text(layer, path, |span| span.value.start).or_else(|| layer.place(path))
}

fn place_in_text(layer: &Layer, path: &[String], of: impl Fn(&Span) -> usize) -> Option<Place> {
    let text = layer.text.as_deref()?.trim_start_matches('\u{feff}');
    let document = DeTable::parse(text).ok()?;
    let start = of(&find(document.get_ref(), path)?);
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    Some((text[..start].matches('\n').count() + 1, text[line_start..start].chars().count() + 1))
}

struct Span {
    key: Range<usize>,
    value: Range<usize>,
    is_plain: bool,
}

fn find(table: &DeTable<'_>, path: &[String]) -> Option<Span> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first.as_str())?;
    below(key.span(), value, rest)
}

fn below(key: Range<usize>, value: &Spanned<DeValue<'_>>, path: &[String]) -> Option<Span> {
    match (value.get_ref(), path) {
        (plain, []) => {
            let is_plain = !matches!(plain, DeValue::Table(_) | DeValue::Array(_));
            Some(Span { key, value: value.span(), is_plain })
        }
        (DeValue::Table(table), path) => find(table, path),
        (DeValue::Array(items), [index, rest @ ..]) => {
            let index: usize = index.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
            below(key, items.get(index)?, rest)
        }
        _ => None,
    }
}

pub(crate) fn is_telling(text: &str) -> bool {
    let text = text.to_lowercase();
    let words = || text.split(|c: char| !c.is_alphanumeric());
    TELLING.iter().any(|word| text.contains(word)) || words().any(|word| word == "key" || word == "pin")
}

/// Whether there is a URL with a user's name or password in it.
fn has_user(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| rest.contains('@'))
}
