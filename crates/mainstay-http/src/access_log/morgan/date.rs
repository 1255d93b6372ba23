//! morgan's three ways to write a date, all in UTC.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// How a date is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Date {
    /// `24/Nov/2026:01:38:19 +0000`
    Clf,
    /// `2026-11-24T01:38:19.000Z`
    Iso,
    /// `Tue, 24 Nov 2026 01:38:19 GMT`
    Web,
}

impl Date {
    #[expect(clippy::cast_possible_truncation, reason = "a month and a day of the week are small")]
    pub(super) fn write(self, now: SystemTime, line: &mut String) {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        // A clock that stands before 1970 is not set: its dates say so.
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let (hours, minutes, seconds) = (second / 3_600, second / 60 % 60, second % 60);
        let (year, month, day) = civil(days);
        let (name, weekday) = (MONTHS[month as usize - 1], DAYS[(days % 7) as usize]);
        match self {
            Self::Clf => write!(line, "{day:02}/{name}/{year}:{hours:02}:{minutes:02}:{seconds:02} +0000"),
            Self::Iso => write!(
                line,
                "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z",
                since.subsec_millis()
            ),
            Self::Web => {
                write!(line, "{weekday}, {day:02} {name} {year:04} {hours:02}:{minutes:02}:{seconds:02} GMT")
            }
        }
        .expect("writing to a string does not fail");
    }
}

/// Year, month and day of so many days after 1970-01-01, in eras of 400 years that begin in March (Howard Hinnant's
/// `civil_from_days`).
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + (month <= 2) as u64, month, day)
}
