//! Dates as RFC 3339 has them, in UTC, to the microsecond.

use std::time::{SystemTime, UNIX_EPOCH};

/// Since 1970; a clock that stands before is taken to stand there.
pub(super) fn epoch_millis(now: SystemTime) -> u128 {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

/// Writes `2026-11-24T09:00:00.000000Z`.
pub(super) fn push(line: &mut Vec<u8>, now: SystemTime) {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let of_day = seconds % 86_400;
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    write_digits(&mut text[..4], year);
    write_digits(&mut text[5..7], month);
    write_digits(&mut text[8..10], day);
    write_digits(&mut text[11..13], of_day / 3_600);
    write_digits(&mut text[14..16], of_day / 60 % 60);
    write_digits(&mut text[17..19], of_day % 60);
    write_digits(&mut text[20..26], since.subsec_micros().into());
    line.extend_from_slice(&text);
}

/// Year, month and day of a day since 1970, by Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>): years begin in March, so that the leap day is the last.
const fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

fn write_digits(to: &mut [u8], mut number: u64) {
    for digit in to.iter_mut().rev() {
        // A remainder of ten fits.
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    fn text(seconds: u64, micros: u32) -> String {
        let mut line = Vec::new();
        super::push(&mut line, UNIX_EPOCH + Duration::new(seconds, micros * 1_000));
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn leap_days_and_turns_of_years_are_where_they_are() {
        assert_eq!(text(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(text(951_782_399, 999_999), "2000-02-28T23:59:59.999999Z");
        assert_eq!(text(951_782_400, 0), "2000-02-29T00:00:00.000000Z");
        assert_eq!(text(1_798_761_599, 1), "2026-12-31T23:59:59.000001Z");
        assert_eq!(text(4_107_542_400, 0), "2100-03-01T00:00:00.000000Z");
    }

    proptest! {
        #[test]
        fn it_is_the_date_that_a_calendar_has(seconds in 0_u64..253_402_300_800, micros in 0_u32..1_000_000) {
            let calendar = jiff::Timestamp::new(i64::try_from(seconds).unwrap(), i32::try_from(micros * 1_000).unwrap());
            let calendar = calendar.unwrap().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
            prop_assert_eq!(text(seconds, micros), calendar);
        }
    }
}
