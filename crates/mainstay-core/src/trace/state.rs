//! The vendors' `tracestate`: read strictly, cut to what is passed on.

use std::str;
use std::sync::Arc;

/// The longest `tracestate` that is passed on, in bytes; the specification asks for at least that much.
const MAX_LENGTH: usize = 512;
/// Members longer than this are the first to go.
const MAX_MODEST_LENGTH: usize = 128;
const MAX_MEMBERS: usize = 32;
/// The longest key and the longest value, in bytes.
const MAX_PART_LENGTH: usize = 256;

/// What of it is passed on: all, whole members of it, or nothing where one is malformed. One allocation where it fits, and
/// one more where members are left out.
pub(super) fn clean(text: &[u8]) -> Option<Arc<str>> {
    let text = str::from_utf8(text).ok()?.trim_matches([' ', '\t', ',']);
    let mut count = 0;
    for member in members(text) {
        count += 1;
        if count > MAX_MEMBERS || !is_member(member) {
            return None;
        }
    }
    match text.len() {
        0 => None,
        1..=MAX_LENGTH => Some(Arc::from(text)),
        _ => Some(shortened(text)).filter(|kept| !kept.is_empty()).map(Arc::from),
    }
}

/// The members between the commas, without the white space around them; there may be nothing between two commas.
fn members(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty())
}

fn shortened(text: &str) -> String {
    let modest = members(text).filter(|member| member.len() <= MAX_MODEST_LENGTH);
    let mut kept = String::with_capacity(MAX_LENGTH);
    for member in modest {
        if kept.len() + 1 + member.len() > MAX_LENGTH {
            break;
        }
        if !kept.is_empty() {
            kept.push(',');
        }
        kept.push_str(member);
    }
    kept
}

/// `key=value`, by the grammar of level 2, which allows all that level 1 does.
fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let is_key_byte = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let key_begins_well =
        key.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    key_begins_well
        && key.len() <= MAX_PART_LENGTH
        && key.bytes().all(is_key_byte)
        && (1..=MAX_PART_LENGTH).contains(&value.len())
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::clean;

    fn cleaned(text: &str) -> Option<String> {
        clean(text.as_bytes()).map(|state| state.to_string())
    }

    #[test]
    fn sound_members_are_passed_on_as_they_came() {
        for good in
            ["congo=t61rcWkgMzE,rojo=00f0", "a=1,,b=2", "a=1 ,\tb=2", "tenant@system=x y", "0a_-*/=!~"]
        {
            assert_eq!(cleaned(good).as_deref(), Some(good));
        }
        assert_eq!(cleaned(" ,a=1, \t").as_deref(), Some("a=1"));
    }

    #[test]
    fn one_malformed_member_spoils_the_whole() {
        for bad in [
            "",
            ",",
            "a",
            "a=",
            "=1",
            "A=1",
            "a=1,B=2",
            "a b=1",
            "_a=1",
            "a=b=c",
            "a=caf\u{e9}",
            "a=\x7f",
            "a=1\t2",
        ] {
            assert_eq!(cleaned(bad), None, "{bad:?} was passed on");
        }
        assert_eq!(cleaned(&format!("{}=1", "a".repeat(257))), None);
        assert_eq!(cleaned(&format!("a={}", "1".repeat(257))), None);
        assert_eq!(clean(b"a=\xff"), None);
    }

    #[test]
    fn at_most_32_members_are_allowed() {
        assert!(cleaned(&"a=1,".repeat(32)).is_some());
        assert_eq!(cleaned(&"a=1,".repeat(33)), None);
    }

    #[test]
    fn from_what_is_too_long_large_members_go_first_and_then_those_at_the_end() {
        let (large, modest) =
            (format!("large={}", "x".repeat(200)), |key: char| format!("{key}={}", "x".repeat(98)));
        let five: Vec<String> = ['a', 'b', 'c', 'd', 'e'].map(modest).to_vec();
        assert_eq!(
            cleaned(&format!("{large},{}", five.join(","))),
            Some(five.join(",")),
            "504 characters fit"
        );
        assert_eq!(cleaned(&format!("{},{}", five.join(","), modest('f'))), Some(five.join(",")));
        assert_eq!(cleaned(&format!("{large},{large},{large}")), None);
    }

    proptest! {
        #[test]
        fn what_is_passed_on_fits_and_would_be_passed_on_again(text in "([a-z]{1,9}=[ -~]{0,200},?){0,40}") {
            if let Some(state) = cleaned(&text) {
                prop_assert!(state.len() <= 512);
                prop_assert_eq!(cleaned(&state), Some(state));
            }
        }
    }
}
