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
    /// One.
    pub const ONE: Self = Self(PARTS);

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

    /// So many times as much, to six decimals, rounded half up; `None` where that is too large to be told.
    pub fn times(self, factor: Self) -> Option<Self> {
        let exact = self.0.checked_mul(factor.0)?;
        let half = if exact < 0 { -PARTS / 2 } else { PARTS / 2 };
        Some(Self(exact.checked_add(half)? / PARTS))
    }

    /// With so many decimals, at most six, rounded half up: `19.90`.
    pub fn to_decimals(self, decimals: u32) -> String {
        let decimals = decimals.min(6);
        let step = 10_u128.pow(6 - decimals);
        let rounded = self.0.unsigned_abs().saturating_add(step / 2) / step;
        let one = 10_u128.pow(decimals);
        let sign = if self.0 < 0 && rounded > 0 { "-" } else { "" };
        match decimals {
            0 => format!("{sign}{rounded}"),
            _ => format!("{sign}{}.{:0width$}", rounded / one, rounded % one, width = decimals as usize),
        }
    }

    /// As JSON: whole numbers without a point. For counts, and not for money.
    pub fn to_number(self) -> Value {
        if self.0 % PARTS == 0
            && let Ok(whole) = i64::try_from(self.0 / PARTS)
        {
            return whole.into();
        }
        self.as_f64().into()
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

impl std::ops::Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
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
    fn amounts_are_multiplied_and_rounded_without_drifting() {
        let amount = |text: &str| Amount::of(&text.into()).expect("an amount");
        assert_eq!(amount("19.99").times(amount("3")), Some(amount("59.97")));
        assert_eq!(amount("-0.000001").times(amount("0.5")), Some(amount("-0.000001")));
        assert_eq!(amount("1e15").times(amount("1e15")), None);
        for (text, decimals, wanted) in
            [("19.9", 2, "19.90"), ("0.005", 2, "0.01"), ("-0.004", 2, "0.00"), ("1.5", 0, "2"), ("7", 9, "7.000000")]
        {
            assert_eq!(amount(text).to_decimals(decimals), wanted, "{text}");
        }
        assert_eq!((amount("3").to_number(), amount("0.5").to_number()), (3.into(), 0.5.into()));
    }

    #[test]
    fn a_share_is_compared_without_dividing() {
        let fifth = Amount::new(0.2).expect("an amount");
        assert!(fifth.is_reached_by(1, 5) && !fifth.is_reached_by(199_999, 1_000_000));
    }
}
