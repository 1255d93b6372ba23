//! The text of `retry-after`: when a service wants to be asked again (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

/// Reads a `retry-after`: a number of seconds, or a date in any of HTTP's three forms, counted from `now`.
///
/// ```
/// # use std::time::{Duration, SystemTime};
/// use mainstay_http::outbound::retry_after::parse;
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
/// assert_eq!(parse(b"120", now), Some(Duration::from_secs(120)));
/// assert_eq!(parse(b"Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(7)));
/// assert_eq!(parse(b"+120", now), None);
/// ```
///
/// Seconds are digits and nothing else, though as many as one likes: a number beyond 64 bits becomes the longest time there
/// is, which is above any cap, rather than none. A date that has passed is zero.
pub fn parse(text: &[u8], now: SystemTime) -> Option<Duration> {
    Some(read(text)?.counted_from(|| now))
}

/// The first `retry-after` of an answer that can be read. A date counts from the answer's own `date` where there is one, so
/// that two clocks need not agree; `now` is asked for only where there is none.
pub fn of(headers: &HeaderMap, now: impl FnOnce() -> SystemTime) -> Option<Duration> {
    let said = headers.get_all(RETRY_AFTER).iter().find_map(|value| read(value.as_bytes()))?;
    let answered = || headers.get(DATE).and_then(|value| date(value.as_bytes()));
    Some(said.counted_from(|| answered().unwrap_or_else(now)))
}

enum Said {
    Seconds(u64),
    Date(SystemTime),
}

fn read(text: &[u8]) -> Option<Said> {
    seconds(text).map(Said::Seconds).or_else(|| date(text).map(Said::Date))
}

fn seconds(text: &[u8]) -> Option<u64> {
    // `u64::from_str` reads "+120" too, and has nothing to say about what is too large.
    let add = |seconds: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(seconds.saturating_mul(10).saturating_add(digit))
    };
    if text.is_empty() { None } else { text.iter().try_fold(0, add) }
}

fn date(text: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(text).ok()?).ok()
}

// === impl Said ===

impl Said {
    fn counted_from(self, now: impl FnOnce() -> SystemTime) -> Duration {
        match self {
            Self::Seconds(seconds) => Duration::from_secs(seconds),
            Self::Date(date) => date.duration_since(now()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::{of, parse};

    /// Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110's examples.
    const EXAMPLE: u64 = 784_111_777;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn seconds_are_digits_and_nothing_else() {
        assert_eq!(parse(b"0", at(0)), Some(Duration::ZERO));
        assert_eq!(parse(b"007", at(0)), Some(Duration::from_secs(7)));
        for bad in [&b""[..], b"+5", b"-5", b" 5", b"5 ", b"5.0", b"5s", b"1e3", b"0x10", b"\xd9\xa5", b"5,6"]
        {
            assert_eq!(parse(bad, at(0)), None, "{bad:?} was read");
        }
    }

    #[test]
    fn a_number_that_no_clock_can_hold_is_the_longest_time_and_not_none() {
        for long in ["18446744073709551615", "18446744073709551616", "99999999999999999999999999999999999999"]
        {
            assert_eq!(parse(long.as_bytes(), at(0)), Some(Duration::from_secs(u64::MAX)), "{long}");
        }
    }

    #[test]
    fn a_date_is_read_in_all_three_forms_and_is_zero_when_it_has_passed() {
        for date in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse(date.as_bytes(), at(EXAMPLE - 90)), Some(Duration::from_secs(90)), "{date}");
            assert_eq!(parse(date.as_bytes(), at(EXAMPLE + 1)), Some(Duration::ZERO), "{date}");
        }
        assert_eq!(parse(b"Sun, 06 Nov 1994 08:49:37 +0000", at(0)), None);
    }

    #[test]
    fn a_date_counts_from_the_answers_own_date_so_that_clocks_need_not_agree() {
        const LATER: (&str, &str) = ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT");
        let now = || at(EXAMPLE - 1);
        let dated = headers(&[LATER, ("date", "Sun, 06 Nov 1994 08:49:00 GMT")]);
        assert_eq!(of(&dated, || unreachable!("no clock is needed")), Some(Duration::from_secs(37)));
        assert_eq!(of(&headers(&[LATER, ("date", "today")]), now), Some(Duration::from_secs(1)));
        assert_eq!(of(&headers(&[LATER]), now), Some(Duration::from_secs(1)));
    }

    #[test]
    fn of_several_lines_the_first_that_can_be_read_counts() {
        let lines = headers(&[
            ("retry-after", "soon"),
            ("retry-after", "+1"),
            ("retry-after", "3"),
            ("retry-after", "9"),
        ]);
        assert_eq!(of(&lines, || at(0)), Some(Duration::from_secs(3)));
        assert_eq!(of(&headers(&[("retry-after", "soon")]), || at(0)), None);
        assert_eq!(of(&headers(&[]), || at(0)), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..40), now: u32) {
            parse(&text, at(now.into()));
        }

        #[test]
        fn any_number_of_seconds_is_read_as_it_was_written(seconds: u64, zeros in 0_usize..30) {
            let text = format!("{}{seconds}", "0".repeat(zeros));
            prop_assert_eq!(parse(text.as_bytes(), at(0)), Some(Duration::from_secs(seconds)));
        }

        #[test]
        fn any_date_is_read_as_it_was_written(date in 0_u64..253_402_300_800, now in 0_u64..253_402_300_800) {
            let text = httpdate::fmt_http_date(at(date));
            prop_assert_eq!(parse(text.as_bytes(), at(now)), Some(Duration::from_secs(date.saturating_sub(now))));
        }
    }
}
