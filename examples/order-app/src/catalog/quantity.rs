//! How many of a product.

use serde::Serialize;

/// 1 to 1000 pieces.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Quantity(u16);

/// The number is no quantity.
#[derive(Debug, thiserror::Error)]
#[error("quantity {0}, expected 1 to {most}", most = Quantity::MOST)]
pub struct InvalidQuantity(i64);

impl Quantity {
    /// The most that one line may hold.
    pub const MOST: u16 = 1000;

    /// The number of pieces.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<i64> for Quantity {
    type Error = InvalidQuantity;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        match u16::try_from(number) {
            Ok(pieces @ 1..=Self::MOST) => Ok(Self(pieces)),
            _ => Err(InvalidQuantity(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_one_to_a_thousand() {
        assert_eq!(Quantity::try_from(1000).unwrap().get(), 1000);
        for wrong in [0, -1, 1001, 65_537, 1 << 40, i64::MIN] {
            assert!(Quantity::try_from(wrong).is_err(), "{wrong}");
        }
    }
}
