//! The header: a structured-field string (RFC 9651, section 3.3.3), or a bare word.

use http::HeaderMap;

use crate::headers::IDEMPOTENCY_KEY;

/// The longest key, in characters.
const MAX_LENGTH: usize = 255;

const REPEATED: &str = "the header idempotency-key was sent more than once";
const MALFORMED: &str =
    "the header idempotency-key is malformed, expected a string of 1 to 255 characters such as \"8e03978e\"";

/// The key as the caller meant it, without quotes and escapes. It prints as nothing: it may be guessable, and lets repeat.
pub(super) struct KeyText(String);

/// The one key in the headers, if there is one, or what is wrong.
pub(super) fn in_headers(headers: &HeaderMap, bare_keys: bool) -> Result<Option<KeyText>, &'static str> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(REPEATED);
    }
    parse(value.as_bytes(), bare_keys).map(Some).ok_or(MALFORMED)
}

fn parse(value: &[u8], bare_keys: bool) -> Option<KeyText> {
    let value = value.trim_ascii();
    let text = match value.strip_prefix(b"\"") {
        Some(quoted) => unquoted(quoted)?,
        None if bare_keys && value.iter().all(is_of_a_word) => String::from_utf8(value.to_vec()).ok()?,
        None => return None,
    };
    (1..=MAX_LENGTH).contains(&text.len()).then_some(KeyText(text))
}

/// The characters up to the closing quote, behind which nothing may stand: parameters mean nothing here.
fn unquoted(quoted: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut bytes = quoted.iter().copied();
    loop {
        match bytes.next()? {
            b'"' => return (bytes.len() == 0).then_some(text),
            b'\\' => match bytes.next()? {
                escaped @ (b'"' | b'\\') => text.push(char::from(escaped)),
                _ => return None,
            },
            plain @ b' '..=b'~' => text.push(char::from(plain)),
            _ => return None,
        }
        if text.len() > MAX_LENGTH {
            return None;
        }
    }
}

/// What clients send without quotes: visible characters, none of which begins or ends anything in a structured field.
fn is_of_a_word(byte: &u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',' | b';')
}

// === impl KeyText ===

impl KeyText {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for KeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyText")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use proptest::{collection::vec, prop_assert};

    use super::parse;

    fn read(value: &str, bare_keys: bool) -> Option<String> {
        parse(value.as_bytes(), bare_keys).map(|key| key.0)
    }

    #[test]
    fn a_key_is_a_string_in_quotes_or_a_word() {
        let longest = "k".repeat(255);
        for (value, key) in [
            (r#""8e03978e-40d5""#, "8e03978e-40d5"),
            (r#" "two words" "#, "two words"),
            (r#""a \"quoted\" \\ key""#, r#"a "quoted" \ key"#),
            (format!("\"{longest}\"").as_str(), longest.as_str()),
        ] {
            assert_eq!(read(value, false).as_deref(), Some(key), "{value}");
        }
        assert_eq!(read("8e03978e-40d5", true).as_deref(), Some("8e03978e-40d5"));
        assert_eq!(read("8e03978e-40d5", false), None);
        let too_long = "k".repeat(256);
        for wrong in [
            "",
            "\"\"",
            "\"open",
            "\"a\" b",
            "\"a\";p=1",
            "\"\\n\"",
            "\"é\"",
            "a b",
            "a,b",
            "a\"b",
            &too_long,
        ] {
            assert_eq!(read(wrong, true), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_a_key_is_short(value in vec(any::<u8>(), 0..600), bare_keys: bool) {
            if let Some(key) = parse(&value, bare_keys) {
                prop_assert!((1..=255).contains(&key.as_bytes().len()));
            }
        }
    }
}
