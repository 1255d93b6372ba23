//! The text of `grpc-timeout`: how long a gRPC caller waits.

use std::time::Duration;

/// Reads a `grpc-timeout`: one to eight digits and a unit, nothing else (gRPC over HTTP/2, "Timeout").
///
/// ```
/// # use std::time::Duration;
/// use mainstay_http::grpc_timeout::parse;
///
/// assert_eq!(parse(b"250m"), Some(Duration::from_millis(250)));
/// assert_eq!(parse(b"+5S"), None);
/// ```
///
/// The units are `H`, `M`, `S` (hours, minutes, seconds), `m`, `u`, `n` (milli-, micro-, nanoseconds). The longest value,
/// `99999999H`, is about 11,000 years and does not overflow.
pub fn parse(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if !(1..=8).contains(&digits.len()) {
        return None;
    }
    let mut count = 0_u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        count = count * 10 + u64::from(digit - b'0');
    }
    match unit {
        b'H' => Some(Duration::from_secs(count * 3_600)),
        b'M' => Some(Duration::from_secs(count * 60)),
        b'S' => Some(Duration::from_secs(count)),
        b'm' => Some(Duration::from_millis(count)),
        b'u' => Some(Duration::from_micros(count)),
        b'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// Writes a `grpc-timeout`: rounded down, so that nobody works for us longer than our own caller waits; at least `1n`,
/// because the grammar has no zero. One allocation.
pub fn format(remaining: Duration) -> String {
    const MOST: u128 = 99_999_999;
    let remaining = remaining.max(Duration::from_nanos(1));
    let units: [(u128, char); 6] = [
        (remaining.as_nanos(), 'n'),
        (remaining.as_micros(), 'u'),
        (remaining.as_millis(), 'm'),
        (u128::from(remaining.as_secs()), 'S'),
        (u128::from(remaining.as_secs() / 60), 'M'),
        (u128::from(remaining.as_secs() / 3_600), 'H'),
    ];
    let (count, unit) = units.into_iter().find(|(count, _)| *count <= MOST).unwrap_or((MOST, 'H'));
    format!("{count}{unit}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{format, parse};

    #[test]
    fn only_the_specified_form_is_read() {
        assert_eq!(parse(b"0n"), Some(Duration::ZERO));
        assert_eq!(parse(b"99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        for bad in
            [&b""[..], b"1", b"S", b"+1S", b" 1S", b"1s", b"1S ", b"-1S", b"1.5S", b"123456789S", b"1\xffS"]
        {
            assert_eq!(parse(bad), None, "{bad:?} was read");
        }
    }

    #[test]
    fn a_time_that_is_over_is_still_written_as_a_positive_number() {
        assert_eq!(format(Duration::ZERO), "1n");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_and_never_longer(nanos in 1..=u64::MAX) {
            let remaining = Duration::from_nanos(nanos);
            let read = parse(format(remaining).as_bytes()).unwrap();
            prop_assert!(read <= remaining);
            prop_assert!(remaining - read <= remaining / 1_000 + Duration::from_nanos(1));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..16)) {
            parse(&text);
        }
    }
}
