//! Showing a value to people: secrets redacted, names and passwords in URLs masked.

use figment::value::{Num, Value};

use crate::layer::{Path, printable};
use crate::secret::REDACTED;
use crate::watch::{ITEM, Seen};

/// The value in the manner of TOML. What was not read by a type that is no secret is `"[redacted]"`.
pub(crate) fn shown(value: &Value, path: &Path, seen: &Seen) -> String {
    let below = |name: &str| [path.as_slice(), &[name.to_owned()]].concat();
    match value {
        Value::Array(_, items) => {
            let items: Vec<_> = items.iter().map(|item| shown(item, &below(ITEM), seen)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Dict(_, table) => {
            let entries: Vec<_> = table
                .iter()
                .map(|(key, value)| format!("{} = {}", printable(key), shown(value, &below(key), seen)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::String(_, text) if seen.is_plain(path) || is_plain_list(path, seen) => quoted(&masked(text)),
        Value::Char(_, character) if seen.is_plain(path) => quoted(&character.to_string()),
        Value::Bool(_, boolean) if seen.is_plain(path) => boolean.to_string(),
        Value::Num(_, number) if seen.is_plain(path) => number_text(*number),
        _ => redacted(),
    }
}

/// What is shown instead of a value.
pub(crate) fn redacted() -> String {
    quoted(REDACTED)
}

/// Text that a list is read from.
fn is_plain_list(path: &Path, seen: &Seen) -> bool {
    seen.is_plain(&[path.as_slice(), &[ITEM.to_owned()]].concat())
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
