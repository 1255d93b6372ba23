//! Characters that must not reach a terminal or a log as they are.

use std::borrow::Cow;

/// The text without characters that steer terminals or turn the direction of writing. Line ends and tabs stay: they are
/// part of a text, and every writer of fields and of JSON escapes them.
pub(crate) fn without_steering(text: &str) -> Cow<'_, str> {
    if text.contains(is_steering) {
        Cow::Owned(text.replace(is_steering, "\u{FFFD}"))
    } else {
        Cow::Borrowed(text)
    }
}

fn is_steering(character: char) -> bool {
    match character {
        '\n' | '\r' | '\t' => false,
        '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => true,
        _ => character.is_control(),
    }
}
