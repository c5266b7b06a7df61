//! Amounts that are added up and compared: decimals, exact to six places, so that sums of money do not drift.

use std::fmt;
use std::iter::Sum;

use serde_json::Value;

use super::predicate::as_number;

/// Parts of one.
const PARTS: i128 = 1_000_000;
/// What is larger than this, either way, is no amount.
const LARGEST: f64 = 1e15;

/// A number of millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i128);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The nearest amount; `None` for what is no number, or too large.
    pub fn new(number: f64) -> Option<Self> {
        (number.abs() <= LARGEST).then(|| Self((number * PARTS as f64).round() as i128))
    }

    /// A number, or a text that is one.
    pub fn of(value: &Value) -> Option<Self> {
        as_number(value).and_then(Self::new)
    }

    /// The nearest number.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / PARTS as f64
    }

    /// True when `part` of `whole` are at least this share, compared without dividing.
    pub fn is_reached_by(self, part: u64, whole: u64) -> bool {
        i128::from(part) * PARTS >= self.0 * i128::from(whole)
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        Self(amounts.fold(0, |sum, amount| sum.saturating_add(amount.0)))
    }
}

impl std::ops::Sub for Amount {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// As people write it: `19.9`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0.unsigned_abs() / PARTS as u128, self.0.unsigned_abs() % PARTS as u128);
        let sign = if self.0 < 0 { "-" } else { "" };
        match format!("{part:06}").trim_end_matches('0') {
            "" => write!(f, "{sign}{whole}"),
            part => write!(f, "{sign}{whole}.{part}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_times_ten_cents_is_one() {
        let cents = Amount::of(&"0.10".into()).expect("an amount");
        let sum: Amount = [cents; 10].into_iter().sum();
        assert_eq!(Some(sum), Amount::new(1.0));
        assert_eq!((cents.to_string(), sum.to_string()), ("0.1".into(), "1".into()));
    }

    #[test]
    fn what_is_no_number_is_no_amount() {
        let cases = ["ten", "", "NaN", "inf", "1e16", "1,50"];
        assert!(cases.iter().all(|text| Amount::of(&(*text).into()).is_none()));
        assert!(Amount::of(&true.into()).is_none());
        assert_eq!(Amount::of(&" -2.5 ".into()).map(|a| a.to_string()), Some("-2.5".into()));
    }

    #[test]
    fn a_share_is_compared_without_dividing() {
        let fifth = Amount::new(0.2).expect("an amount");
        assert!(fifth.is_reached_by(1, 5) && !fifth.is_reached_by(199_999, 1_000_000));
    }
}
