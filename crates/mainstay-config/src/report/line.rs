//! The line of a file that a problem is in, where showing it is safe.

use std::ops::Range;

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

/// The line with the value at this key, up to the value's end. `None` when the value is secret or may be one, when it
/// is not a plain value on a line of its own, and when the file is not TOML.
pub(crate) fn line(layer: &Layer, path: &[String], outline: &Outline) -> Option<Line> {
    let whole = path.iter().position(|level| level.starts_with('[')).unwrap_or(path.len());
    let is_item_of_item = path.len() > whole + 1;
    if is_item_of_item || outline.is_secret(&path[..whole]) || path.iter().any(|level| is_telling(level)) {
        return None;
    }
    let text = layer.text.as_deref()?;
    let (number, _) = layer.place(path)?;
    if layer.values_on_line(number) != 1 {
        return None;
    }
    let document = DeTable::parse(text).ok()?;
    let Span { value: Range { start, end }, is_plain, .. } = find(document.get_ref(), path)?;
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
    let text = layer.text.as_deref()?;
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
