//! The life of one charge: a pure state machine, stepped by attempts, by time and by cancellation.
//!
//! ```text
//! New ──attempt──▶ Succeeded ──cancel──▶ Refunded
//!  │                  ▲   ▲
//!  ├──slow───▶ Charging   │             (finish)
//!  ├──flaky, down─▶ Unavailable          (attempt again)
//!  ├──declined──▶ Declined
//!  └──cancel──▶ Cancelled ◀── every state that has not charged
//! ```

use serde::Serialize;

use crate::payment::{Behaviour, Reason};

/// Where a charge stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "status")]
pub(crate) enum Charge {
    /// Never attempted.
    New,
    /// Under way: its caller waits for the answer, and nothing is charged yet.
    Charging,
    /// The last attempt failed before anything was charged, and may be repeated.
    Unavailable,
    /// Charged.
    Succeeded,
    /// Refused, for good.
    Declined { reason: Reason },
    /// Charged, and given back.
    Refunded,
    /// The tombstone: never charged, and never to be.
    Cancelled,
}

impl Charge {
    /// The caller asks to be paid, for the first time or again.
    pub(crate) fn attempted(self, behaviour: Behaviour) -> Self {
        match (self, behaviour) {
            (Self::New, Behaviour::Charge) => Self::Succeeded,
            (Self::New, Behaviour::ChargeSlowly) => Self::Charging,
            (Self::New, Behaviour::FailOnce | Behaviour::Fail) => Self::Unavailable,
            (Self::New, Behaviour::Decline(reason)) => Self::Declined { reason },
            (Self::Unavailable, Behaviour::FailOnce) => Self::Succeeded,
            (settled, _) => settled,
        }
    }

    /// The slow charge comes to its end, unless it was cancelled on the way.
    pub(crate) fn finished(self) -> Self {
        match self {
            Self::Charging => Self::Succeeded,
            settled => settled,
        }
    }

    /// The caller wants the money back, or to be sure that it never leaves.
    pub(crate) fn cancelled(self) -> Self {
        match self {
            Self::Succeeded | Self::Refunded => Self::Refunded,
            Self::New | Self::Charging | Self::Unavailable | Self::Declined { .. } | Self::Cancelled => {
                Self::Cancelled
            }
        }
    }

    /// Whether somebody still waits for an answer.
    pub(crate) fn is_in_flight(self) -> bool {
        self == Self::Charging
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::Reason::{CardDeclined, UnknownToken};

    const DECLINED: Charge = Charge::Declined { reason: CardDeclined };
    const STATES: [Charge; 7] = [
        Charge::New,
        Charge::Charging,
        Charge::Unavailable,
        Charge::Succeeded,
        DECLINED,
        Charge::Refunded,
        Charge::Cancelled,
    ];

    #[test]
    fn the_first_attempt_follows_the_token() {
        let first = |behaviour| Charge::New.attempted(behaviour);

        assert_eq!(first(Behaviour::Charge), Charge::Succeeded);
        assert_eq!(first(Behaviour::ChargeSlowly), Charge::Charging);
        assert_eq!(first(Behaviour::FailOnce), Charge::Unavailable);
        assert_eq!(first(Behaviour::Fail), Charge::Unavailable);
        assert_eq!(first(Behaviour::Decline(UnknownToken)), Charge::Declined { reason: UnknownToken });
    }

    #[test]
    fn a_failed_attempt_can_be_repeated_and_nothing_else_can() {
        assert_eq!(Charge::Unavailable.attempted(Behaviour::FailOnce), Charge::Succeeded);
        assert_eq!(Charge::Unavailable.attempted(Behaviour::Fail), Charge::Unavailable);

        for settled in STATES.into_iter().filter(|state| !matches!(state, Charge::New | Charge::Unavailable))
        {
            for behaviour in
                [Behaviour::Charge, Behaviour::ChargeSlowly, Behaviour::FailOnce, Behaviour::Fail]
            {
                assert_eq!(settled.attempted(behaviour), settled);
            }
        }
    }

    #[test]
    fn only_a_charge_under_way_finishes() {
        for state in STATES {
            let expected = if state == Charge::Charging { Charge::Succeeded } else { state };
            assert_eq!(state.finished(), expected);
        }
    }

    #[test]
    fn cancelling_refunds_what_was_charged_and_bars_the_rest() {
        for state in STATES {
            let charged = matches!(state, Charge::Succeeded | Charge::Refunded);
            let expected = if charged { Charge::Refunded } else { Charge::Cancelled };

            assert_eq!(state.cancelled(), expected);
            assert_eq!(state.cancelled().cancelled(), expected, "a second time changes nothing");
            assert_eq!(state.cancelled().finished(), expected, "a late end charges nothing");
        }
    }
}
