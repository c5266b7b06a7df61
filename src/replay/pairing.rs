//! Which fires of one version of a rule the other has too.
//!
//! Of one person and key, fires at the same instant are the same fire. Of what is left, in order of time, each is paired
//! with the other version's earliest that is left on the same day (UTC).

use std::collections::BTreeMap;

use super::days::Day;
use crate::model::Timestamp;

/// Fires of one person: key and edge.
pub type Fires<'f> = Vec<(&'f str, Timestamp)>;

/// How many fires one person has in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paired {
    /// In the old version alone.
    pub only_old: u64,
    /// In the new one alone.
    pub only_new: u64,
    /// In both.
    pub both: u64,
}

/// Pairs the fires of one person.
pub fn pair(old: &Fires<'_>, new: &Fires<'_>) -> Paired {
    let mut keys: BTreeMap<&str, [Vec<Timestamp>; 2]> = BTreeMap::new();
    for (place, fires) in [old, new].into_iter().enumerate() {
        for (key, at) in fires {
            keys.entry(key).or_default()[place].push(*at);
        }
    }
    let mut paired = Paired::default();
    for [mut old, mut new] in keys.into_values() {
        old.sort_unstable();
        new.sort_unstable();
        paired.both += strike(&mut old, &mut new, |at| at.as_millis());
        paired.both += strike(&mut old, &mut new, |at| Day::of(*at).0);
        paired.only_old += old.len() as u64;
        paired.only_new += new.len() as u64;
    }
    paired
}

/// Takes out of both, in order, what has the same mark; returns how many pairs there were.
fn strike(old: &mut Vec<Timestamp>, new: &mut Vec<Timestamp>, mark: impl Fn(&Timestamp) -> i64) -> u64 {
    let mut pairs = 0;
    let mut left = Vec::new();
    let mut rest = std::mem::take(new).into_iter().peekable();
    old.retain(|one| {
        while let Some(other) = rest.next_if(|other| mark(other) < mark(one)) {
            left.push(other);
        }
        let is_paired = rest.next_if(|other| mark(other) == mark(one)).is_some();
        pairs += u64::from(is_paired);
        !is_paired
    });
    left.extend(rest);
    *new = left;
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;

    /// Fires as `KEY HOURS`, counted from a midnight.
    #[track_caller]
    fn check(old: &[(&'static str, i64)], new: &[(&'static str, i64)], counts: (u64, u64, u64)) {
        let at = |(key, hours): &(&'static str, i64)| (*key, Timestamp::default() + Span::from_hours(*hours));
        let paired = pair(&old.iter().map(at).collect(), &new.iter().map(at).collect());
        assert_eq!((paired.only_old, paired.only_new, paired.both), counts);
    }

    #[test]
    fn the_same_instant_is_the_same_fire() {
        check(&[("a", 1), ("a", 30)], &[("a", 1), ("a", 30)], (0, 0, 2));
        check(&[("a", 1)], &[("b", 1)], (1, 1, 0));
    }

    #[test]
    fn the_same_day_will_do_but_only_once() {
        check(&[("a", 1)], &[("a", 23)], (0, 0, 1));
        check(&[("a", 23)], &[("a", 24)], (1, 1, 0));
        check(&[("a", 1)], &[("a", 2), ("a", 3)], (0, 1, 1));
        check(&[("a", 1), ("a", 2), ("a", 49)], &[("a", 3), ("a", 26), ("a", 48)], (1, 1, 2));
    }

    #[test]
    fn an_exact_pair_goes_before_one_of_the_day() {
        check(&[("a", 1), ("a", 5)], &[("a", 5)], (1, 0, 1));
        check(&[("a", 5)], &[("a", 1), ("a", 5), ("a", 9)], (0, 2, 1));
    }
}
