//! How many extra attempts all calls together may make: a share of the calls, and a few a second besides.
//!
//! ```
//! use mainstay_resilience::budget::{Budget, BudgetConfig};
//! use tokio::time::Instant;
//!
//! let config = BudgetConfig { percent: 20.0, min_per_second: 0, ..BudgetConfig::default() };
//! let budget = Budget::new(&config)?;
//! let now = Instant::now();
//! (0..5).for_each(|_| budget.deposit(now)); // five calls
//! assert!(budget.withdraw(now), "pay for one retry");
//! assert!(!budget.withdraw(now), "and not for a second");
//! # Ok::<(), garde::Report>(())
//! ```
//!
//! Retries multiply the load of a service that is already in trouble. A budget keeps them to a share of the traffic, whatever each call may
//! do for itself: while few calls fail each of them has its retries, while all fail only the share is sent again. The
//! semantics are those of Finagle's `RetryBudget`: every call deposits, every extra attempt withdraws, and both are forgotten after
//! [`ttl`](BudgetConfig::ttl).
//!
//! What holds: within ten tenths of a `ttl` on the budget's own clock, extra attempts ≤ `percent` of the calls + `min_per_second` · `ttl`.
//! A share is exact to six digits (60 % is six of ten). No lock and no allocation: a deposit is two atomic additions, a withdrawal one
//! compare-and-swap and one addition, never below zero however many threads withdraw at once.

use std::sync::Arc;
use std::time::Duration;

use garde::Validate;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::rolling::Rolling;

/// Settings of a [`Budget`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct BudgetConfig {
    /// How many extra attempts a hundred calls pay for: 0 to 1000. 20 by default.
    #[garde(custom(is_share))]
    pub percent: f64,
    /// How many extra attempts a second there may be besides, so that a client with few calls can retry too: 0 to 100 000.
    /// 10 by default.
    #[garde(range(max = 100_000))]
    pub min_per_second: u32,
    /// How long a call pays, and an extra attempt costs: 1 s to 60 s. 10 s by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(is_ttl))]
    pub ttl: Duration,
}

/// The account. Clones share it: give one to everything that calls the same origin.
#[derive(Clone, Debug)]
pub struct Budget {
    shared: Arc<Shared>,
}

/// An extra attempt that is paid for and not sent yet; the price comes back when it is dropped.
#[derive(Debug)]
#[must_use = "dropped, the price comes back"]
pub(crate) struct Reserved(Option<Budget>);

#[derive(Debug)]
struct Shared {
    // What a call pays. An extra attempt costs `COST`.
    deposit: i64,
    // What may be spent without any deposit.
    reserve: i64,
    // Deposits minus withdrawals.
    account: Rolling<1>,
}

const SLOTS: u32 = 10;

/// One extra attempt, in the unit in which a call pays a millionth of one for each 0.0001 %.
const COST: i64 = 1_000_000;

// === impl BudgetConfig ===

impl Default for BudgetConfig {
    fn default() -> Self {
        Self { percent: 20.0, min_per_second: 10, ttl: Duration::from_secs(10) }
    }
}

/// A range of garde's own lets NaN through.
fn is_share(percent: &f64, (): &()) -> garde::Result {
    if (0.0..=1000.0).contains(percent) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{percent} percent: expected 0 to 1000")))
    }
}

fn is_ttl(ttl: &Duration, (): &()) -> garde::Result {
    if (Duration::from_secs(1)..=Duration::from_secs(60)).contains(ttl) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{ttl:?} as the time a budget remembers: expected 1s to 60s")))
    }
}

// === impl Budget ===

impl Budget {
    /// A budget in which nothing was deposited or withdrawn yet. Reads tokio's clock.
    ///
    /// # Errors
    ///
    /// A setting is out of its range.
    pub fn new(config: &BudgetConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        #[expect(clippy::cast_possible_truncation, reason = "0 to 10 000 000 by the settings' range")]
        let deposit = (config.percent * 10_000.0).round() as i64;
        let nanos = i64::try_from(config.ttl.as_nanos()).expect("60 s at most");
        let reserve =
            i128::from(config.min_per_second) * i128::from(nanos) * i128::from(COST) / 1_000_000_000;
        Ok(Self {
            shared: Arc::new(Shared {
                deposit,
                reserve: i64::try_from(reserve).expect("100 000 a second for 60 s at most"),
                account: Rolling::new(config.ttl, SLOTS),
            }),
        })
    }

    /// A call is made: it pays its share.
    pub fn deposit(&self, now: Instant) {
        if self.shared.deposit > 0 {
            self.shared.account.add([self.shared.deposit], now);
        }
    }

    /// An extra attempt is about to be sent: `false` when it is not paid for, and must not be.
    pub fn withdraw(&self, now: Instant) -> bool {
        self.shared.account.take(0, COST, -self.shared.reserve, now)
    }

    /// The same for an attempt that is sent later, or never.
    pub(crate) fn reserve(&self, now: Instant) -> Option<Reserved> {
        self.withdraw(now).then(|| Reserved(Some(self.clone())))
    }

    /// How many extra attempts are paid for right now.
    pub fn balance(&self, now: Instant) -> u64 {
        let left = self.shared.account.sums(now)[0] + self.shared.reserve;
        u64::try_from(left / COST).unwrap_or(0)
    }
}

// === impl Reserved ===

impl Reserved {
    /// The attempt is sent now.
    pub(crate) fn spend(mut self) {
        self.0 = None;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(budget) = self.0.take() {
            budget.shared.account.add([COST], Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
