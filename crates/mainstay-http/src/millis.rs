//! A length of time in an HTTP header: whole milliseconds, as Connect and Envoy write it.

use std::time::Duration;

/// One to ten digits, not zero: Connect's grammar, and Envoy's number. For Envoy zero means no limit and for others none
/// left, so it is not believed.
pub(crate) fn parse(text: &[u8]) -> Option<Duration> {
    if !(1..=10).contains(&text.len()) || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = text.iter().fold(0, |count, digit| count * 10 + u64::from(digit - b'0'));
    (count > 0).then(|| Duration::from_millis(count))
}

/// Rounded down, so that nobody works for us longer than our own caller waits; but at least 1, and at most what ten digits
/// hold. One allocation.
pub(crate) fn format(remaining: Duration) -> String {
    remaining.as_millis().clamp(1, 9_999_999_999).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{format, parse};

    #[test]
    fn what_is_written_is_never_more_than_what_is_left_unless_that_is_less_than_the_shortest() {
        assert_eq!(format(Duration::from_micros(1_999)), "1");
        assert_eq!(format(Duration::ZERO), "1");
        assert_eq!(parse(format(Duration::MAX).as_bytes()), Some(Duration::from_millis(9_999_999_999)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..16)) {
            if let Some(length) = parse(&text) {
                prop_assert_eq!(std::str::from_utf8(&text).unwrap().parse(), Ok(length.as_millis()));
            }
        }
    }
}
