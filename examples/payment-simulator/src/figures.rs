//! What happened since the start, in numbers.

use serde::Serialize;

use crate::charge::Charge;

/// The totals since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Figures {
    /// Calls that asked to be paid.
    pub calls: u64,
    /// Calls among them that came under a key seen before.
    pub retries_seen: u64,
    /// Charges that succeeded, refunded later or not.
    pub succeeded: u64,
    /// Charges that were declined.
    pub declined: u64,
    /// Charges that were given back.
    pub refunds: u64,
    /// Keys cancelled before anything was charged under them.
    pub cancelled_before_charge: u64,
    /// Charges that stand beside another one for the same reference. Anything but 0 is a fault of the caller.
    pub double_charges: u64,
}

impl Figures {
    /// Counts one step of a charge.
    pub(crate) fn record(&mut self, before: Charge, after: Charge) {
        if before == after {
            return;
        }
        match after {
            Charge::Succeeded => self.succeeded += 1,
            Charge::Declined { .. } => self.declined += 1,
            Charge::Refunded => self.refunds += 1,
            Charge::Cancelled => self.cancelled_before_charge += 1,
            Charge::New | Charge::Charging | Charge::Unavailable => {}
        }
    }
}
