//! Whether a failed attempt is followed by another one, and when: a plain function of what is known then.

use std::time::Duration;

use mainstay_core::Deadline;
use mainstay_core::call::Hint;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::config::{LongerHint, RetryConfig};
use super::event::Because;

/// One part in ten of a hint, and at most this, is added to it, so that all who were told the same do not come back together.
const MOST_SPREAD: Duration = Duration::from_secs(1);

/// How long to wait before the next attempt, or why there is none. The budget is not asked: it comes last.
///
/// Draws two random numbers at most, the second only for a hint.
pub(super) fn decide(
    config: &RetryConfig,
    attempt: u32,
    hint: Hint,
    backoff: &mut Backoff,
    deadline: Option<Deadline>,
    now: Instant,
    mut random: impl FnMut() -> u64,
) -> Result<Duration, Because> {
    if attempt >= config.max_attempts {
        return Err(Because::Attempts);
    }
    let wait = match hint {
        Hint::None => backoff.next(random()),
        Hint::AtLeast(asked) => {
            let asked = bounded(config, asked)?;
            backoff.next(random()).max(asked) + spread(asked, random())
        }
        Hint::Exactly(asked) => {
            backoff.reset();
            bounded(config, asked)?
        }
    };
    let left = deadline.map(|deadline| deadline.remaining(now.into_std()));
    if left.is_some_and(|left| wait.saturating_add(config.min_attempt_time) > left) {
        return Err(Because::Deadline);
    }
    Ok(wait)
}

fn bounded(config: &RetryConfig, asked: Duration) -> Result<Duration, Because> {
    match config.longer_hint {
        _ if asked <= config.max_hint => Ok(asked),
        LongerHint::Cap => Ok(config.max_hint),
        LongerHint::GiveUp => Err(Because::Hint),
    }
}

fn spread(asked: Duration, random: u64) -> Duration {
    let most = (asked / 10).min(MOST_SPREAD).as_nanos();
    Duration::from_nanos(u64::try_from((u128::from(random) * most) >> 64).expect("a second at most"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mainstay_core::Deadline;
    use mainstay_core::call::Hint;
    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::{Because, decide};
    use crate::retry::{Backoff, BackoffConfig, Jitter, LongerHint, RetryConfig};

    const SECOND: Duration = Duration::from_secs(1);

    fn config() -> RetryConfig {
        let backoff = BackoffConfig { jitter: Jitter::None, base: SECOND, ..BackoffConfig::default() };
        RetryConfig { backoff, min_attempt_time: Duration::ZERO, ..RetryConfig::default() }
    }

    fn decided(config: &RetryConfig, hint: Hint, left: Option<Duration>) -> Result<Duration, Because> {
        let now = Instant::now();
        let deadline = left.map(|left| Deadline::after(now.into_std(), left));
        decide(config, 1, hint, &mut Backoff::new(&config.backoff), deadline, now, || 0)
    }

    #[test]
    fn a_hint_is_waited_for_and_a_longer_back_off_too() {
        assert_eq!(decided(&config(), Hint::AtLeast(3 * SECOND), None), Ok(3 * SECOND));
        assert_eq!(decided(&config(), Hint::AtLeast(SECOND / 2), None), Ok(SECOND));
        assert_eq!(decided(&config(), Hint::Exactly(SECOND / 2), None), Ok(SECOND / 2));
        let spread = decide(
            &config(),
            1,
            Hint::AtLeast(5 * SECOND),
            &mut Backoff::new(&config().backoff),
            None,
            Instant::now(),
            || u64::MAX,
        );
        let spread = spread.unwrap();
        assert!(spread > 5 * SECOND && spread <= 5 * SECOND + SECOND / 2, "{spread:?}");
    }

    #[test]
    fn a_hint_beyond_the_longest_ends_the_call_or_is_cut() {
        assert_eq!(decided(&config(), Hint::AtLeast(11 * SECOND), None), Err(Because::Hint));
        assert_eq!(decided(&config(), Hint::Exactly(Duration::MAX), None), Err(Because::Hint));
        let cut = RetryConfig { longer_hint: LongerHint::Cap, ..config() };
        assert_eq!(decided(&cut, Hint::Exactly(Duration::MAX), None), Ok(10 * SECOND));
    }

    #[test]
    fn an_exact_hint_lets_the_back_off_begin_anew() {
        let config = RetryConfig { max_attempts: 10, ..config() };
        let mut backoff = Backoff::new(&config.backoff);
        let mut wait = |hint| decide(&config, 1, hint, &mut backoff, None, Instant::now(), || 0);
        assert_eq!(wait(Hint::None), Ok(SECOND));
        assert_eq!(wait(Hint::None), Ok(2 * SECOND));
        assert_eq!(wait(Hint::Exactly(Duration::ZERO)), Ok(Duration::ZERO));
        assert_eq!(wait(Hint::None), Ok(SECOND));
    }

    proptest! {
        #[test]
        fn no_wait_ends_after_the_deadline(left in 0_u64..10_000, asked in 0_u64..12_000, least in 0_u64..1_000, random: u64) {
            let [left, asked, least] = [left, asked, least].map(Duration::from_millis);
            let config = RetryConfig { min_attempt_time: least, ..RetryConfig::default() };
            let now = Instant::now();
            let deadline = Some(Deadline::after(now.into_std(), left));
            let mut backoff = Backoff::new(&config.backoff);
            for hint in [Hint::None, Hint::AtLeast(asked), Hint::Exactly(asked)] {
                if let Ok(wait) = decide(&config, 1, hint, &mut backoff, deadline, now, || random) {
                    prop_assert!(wait + least <= left);
                }
            }
        }
    }
}
