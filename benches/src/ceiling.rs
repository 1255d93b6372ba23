//! What a variant may cost at most, and the verdict on what it did cost.

use crate::table::thousands;
use crate::valgrind::Cost;

/// The most that one request, or one load, may cost.
///
/// Instructions have a margin of about 5 %, for another libc or compiler; allocations are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ceiling {
    pub(crate) instructions: u64,
    pub(crate) allocations: u64,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All is below the ceiling, but not far.
    Holds,
    /// So far below that the ceiling no longer holds anything: it can be lowered.
    Roomy(String),
    /// Something costs more than it may.
    Exceeded(String),
}

impl Ceiling {
    pub(crate) fn judge(self, name: &str, cost: Cost) -> Verdict {
        let counted = [
            ("instructions", cost.instructions, self.instructions),
            ("allocations", cost.allocations, self.allocations),
        ];
        let told = |which: fn(u64, u64) -> bool, words: &str| {
            let those = counted.iter().filter(|(_, counted, ceiling)| which(*counted, *ceiling));
            let texts = those.map(|(unit, counted, ceiling)| {
                let (counted, ceiling) = (thousands(*counted), thousands(*ceiling));
                format!("{name}: {counted} {unit}, {words} {ceiling}")
            });
            Some(texts.collect::<Vec<_>>().join("\n")).filter(|text| !text.is_empty())
        };
        if let Some(text) = told(|counted, ceiling| counted > ceiling, "more than its ceiling of") {
            return Verdict::Exceeded(text);
        }
        let roomy = told(
            |counted, ceiling| counted * 10 < ceiling * 9,
            "more than 10 % below its ceiling, which can be lowered from",
        );
        roomy.map_or(Verdict::Holds, Verdict::Roomy)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ceiling, Verdict};
    use crate::valgrind::Cost;

    const CEILING: Ceiling = Ceiling { instructions: 10_000, allocations: 10 };

    fn verdict(instructions: u64, allocations: u64) -> Verdict {
        CEILING.judge("whole", Cost { instructions, allocations, bytes: 0 })
    }

    #[test]
    fn the_ceiling_itself_holds_and_so_does_a_little_less() {
        assert_eq!(verdict(10_000, 10), Verdict::Holds);
        assert_eq!(verdict(9_000, 9), Verdict::Holds);
    }

    #[test]
    fn what_is_exceeded_is_named_with_both_numbers() {
        let exceeded = |text: &str| Verdict::Exceeded(text.to_owned());
        assert_eq!(
            verdict(10_001, 10),
            exceeded("whole: 10,001 instructions, more than its ceiling of 10,000")
        );
        // One thing far below does not outweigh another above.
        assert_eq!(verdict(5_000, 11), exceeded("whole: 11 allocations, more than its ceiling of 10"));
    }

    #[test]
    fn a_ceiling_that_is_much_too_high_is_told() {
        let text =
            "whole: 8,999 instructions, more than 10 % below its ceiling, which can be lowered from 10,000";
        assert_eq!(verdict(8_999, 10), Verdict::Roomy(text.to_owned()));
    }
}
