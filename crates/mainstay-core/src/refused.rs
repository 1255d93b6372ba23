//! An id that a caller asked for in vain, kept for the log.

use std::fmt::{self, Display, Formatter};

/// How much of the text is kept, in bytes: as much as the longest id that could have been adopted.
const MAX_LENGTH: usize = 128;

/// A request id that was sent and not adopted, as a log line may show it.
///
/// The log keeps it, so that a caller who only knows its own id can still be helped. It decides nothing.
///
/// ```
/// use mainstay_core::RefusedId;
///
/// assert_eq!(RefusedId::escape(b"red\x1b[31m \"quoted\"").as_str(), r#"red\x1b[31m \"quoted\""#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedId(Box<str>);

impl RefusedId {
    /// Keeps the first 128 bytes; whatever is no printable ASCII, and `\`, `"` and `'`, is escaped as in Rust. What was
    /// longer ends in `...`. One allocation.
    pub fn escape(text: &[u8]) -> Self {
        let (kept, ending) = text
            .split_at_checked(MAX_LENGTH)
            .map_or((text, ""), |(kept, rest)| (kept, if rest.is_empty() { "" } else { "..." }));
        let mut escaped = String::with_capacity(kept.escape_ascii().count() + ending.len());
        escaped.extend(kept.escape_ascii().map(char::from));
        escaped.push_str(ending);
        Self(escaped.into_boxed_str())
    }

    /// The escaped text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for RefusedId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::RefusedId;

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        assert_eq!(RefusedId::escape(&[b'a'; 128]).as_str(), "a".repeat(128));
        assert_eq!(RefusedId::escape(&[b'a'; 16_384]).to_string(), format!("{}...", "a".repeat(128)));
        assert_eq!(RefusedId::escape(b"").as_str(), "");
    }

    proptest! {
        #[test]
        fn any_bytes_become_one_short_printable_line(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let escaped = RefusedId::escape(&text);
            prop_assert!(escaped.as_str().bytes().all(|byte| matches!(byte, b' '..=b'~')));
            prop_assert!(escaped.as_str().len() <= 4 * 128 + 3);
        }
    }
}
