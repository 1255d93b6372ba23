//! Showing a value to people: secrets redacted, names and passwords in URLs masked.

use figment::value::{Dict, Empty, Num, Tag, Value};

use crate::deserialize::{At, ITEM, Outline};
use crate::layer::printable;
use crate::secret::REDACTED;

/// Puts nothing in the place of what was not read by a type that is no secret.
pub(crate) fn withhold_secrets(table: &mut Dict, outline: &Outline, at: Option<At>) {
    for (key, value) in table {
        withhold(value, outline, at.and_then(|at| outline.below(at, key)));
    }
}

fn withhold(value: &mut Value, outline: &Outline, at: Option<At>) {
    let at = at.filter(|at| !outline.is_secret_at(*at));
    let is_plain = || at.is_some_and(|at| outline.is_plain_at(at));
    match value {
        Value::Array(_, items) => {
            let of_items = at.and_then(|at| outline.below(at, ITEM));
            items.iter_mut().for_each(|item| withhold(item, outline, of_items));
        }
        Value::Dict(_, table) => withhold_secrets(table, outline, at),
        Value::String(..) if is_plain() || at.is_some_and(|at| is_plain_list(outline, at)) => {}
        Value::Char(..) | Value::Bool(..) | Value::Num(..) if is_plain() => {}
        secret => *secret = NOTHING,
    }
}

/// Text that a list is read from.
fn is_plain_list(outline: &Outline, at: At) -> bool {
    outline.below(at, ITEM).is_some_and(|item| outline.is_plain_at(item) && !outline.is_secret_at(item))
}

/// In the place of a value that is not shown.
pub(crate) const NOTHING: Value = Value::Empty(Tag::Default, Empty::None);

/// The value in the manner of TOML; `"[redacted]"` where there is nothing.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Array(_, items) => {
            let items: Vec<_> = items.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Dict(_, table) => {
            let entries: Vec<_> =
                table.iter().map(|(key, value)| format!("{} = {}", printable(key), shown(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::String(_, text) => quoted(&masked(text)),
        Value::Char(_, character) => quoted(&character.to_string()),
        Value::Bool(_, boolean) => boolean.to_string(),
        Value::Num(_, number) => number_text(*number),
        Value::Empty(..) => redacted(),
    }
}

/// What is shown instead of a value.
fn redacted() -> String {
    quoted(REDACTED)
}

fn number_text(number: Num) -> String {
    match (number.to_i128(), number.to_u128(), number.to_f64()) {
        (Some(integer), _, _) => integer.to_string(),
        (_, Some(integer), _) => integer.to_string(),
        (_, _, Some(float)) => toml::Value::Float(float).to_string(),
        _ => quoted(REDACTED),
    }
}

fn quoted(text: &str) -> String {
    let is_simple = |byte: u8| byte == b' ' || byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_simple) {
        format!("\"{text}\"")
    } else if text.chars().any(char::is_control) || printable(text) != text {
        format!("{text:?}")
    } else {
        toml::Value::from(text).to_string()
    }
}

/// `text` with the user's name and password of every URL in it masked: `postgres://[redacted]@db/orders`.
///
/// A password that was not encoded may hold `/`, `?` or `#`. So where a colon stands before the first of them, all up
/// to the last `@` of the text is taken for the user's part: rather too much is masked than too little.
pub(crate) fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (scheme, after) = rest.split_at(start + 3);
        shown.push_str(scheme);
        let authority = &after[..after.find(['/', '?', '#']).unwrap_or(after.len())];
        let may_hold = if authority.contains(':') { after } else { authority };
        rest = match may_hold.rfind('@') {
            Some(at) => {
                shown.push_str(REDACTED);
                &after[at..]
            }
            None => after,
        };
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_part_of_a_url_is_masked() {
        for (text, expected) in [
            ("postgres://app:hunter2@db/orders", "postgres://[redacted]@db/orders"),
            ("postgres://app:hun/ter2@db/orders", "postgres://[redacted]@db/orders"),
            ("postgres://app:hun@ter2@db/orders", "postgres://[redacted]@db/orders"),
            ("https://hunter2@example.org", "https://[redacted]@example.org"),
            ("a://hunter2@c/, d://hunter2@e", "a://[redacted]@c/, d://[redacted]@e"),
            ("a://b:hunter2@c, d://hunter2@e", "a://[redacted]@e"),
            ("a://b:hun ter2@c", "a://[redacted]@c"),
            ("https://example.org/@home", "https://example.org/@home"),
            ("https://example.org:80/x", "https://example.org:80/x"),
            ("me@example.org", "me@example.org"),
            ("://", "://"),
        ] {
            assert_eq!(masked(text), expected);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(quoted("a\u{1b}[2J\nb"), r#""a\u{1b}[2J\nb""#);
        assert_eq!(quoted("plain"), r#""plain""#);
    }
}
