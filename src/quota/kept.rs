//! What of a ledger outlives a restart: the day's calls, written ahead and at a bounded rate, and, of a run that ended
//! well, the calls of the last windows.

use serde::{Deserialize, Serialize};

use super::counting::Counting;
use super::proven::Slot;
use crate::model::{Span, Timestamp};

/// A ledger, as it is kept in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// True when the run that wrote it ended well: then it is exact.
    pub is_exact: bool,
    windows: Vec<KeptWindow>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeptWindow {
    family: String,
    span: Span,
    day: Option<(i64, u32)>,
    answered: Vec<Slot>,
}

impl Kept {
    /// Of these windows: as they are, or as they may be before they are written again.
    pub fn of<'a>(windows: impl Iterator<Item = &'a Counting>, is_exact: bool) -> Self {
        let windows = windows.map(|one| KeptWindow {
            family: one.window.family.to_string(),
            span: one.window.span,
            day: one.day.as_ref().map(|day| if is_exact { day.exact() } else { day.ahead(one.ours()) }),
            answered: one.proven.as_ref().filter(|_| is_exact).map(|proven| proven.slots()).unwrap_or_default(),
        });
        Self { is_exact, windows: windows.filter(|one| one.day.is_some() || is_exact).collect() }
    }

    /// Where nobody keeps it, all of a day may leave.
    pub fn unbounded<'a>(windows: impl Iterator<Item = &'a Counting>) -> Self {
        let mut kept = Self::of(windows, false);
        for one in &mut kept.windows {
            one.day = one.day.map(|(day, _)| (day, u32::MAX));
        }
        kept
    }

    /// It is on disk.
    pub fn is_kept<'a>(&self, windows: impl Iterator<Item = &'a mut Counting>) {
        for one in windows {
            if let (Some(day), Some(kept)) = (&mut one.day, find(&self.windows, &one.window).and_then(|kept| kept.day))
            {
                day.is_kept(kept);
            }
        }
    }

    /// Brings an earlier run's calls into these windows. Where it did not end well, half of each window is taken for spent
    /// at its end: how much it was, nobody knows. All of it, where another daemon may have had it until just now
    /// (`is_shared`).
    pub fn take_over<'a>(self, windows: impl Iterator<Item = &'a mut Counting>, is_shared: bool, now: Timestamp) {
        for one in windows {
            let kept = find(&self.windows, &one.window);
            if let (Some(day), Some(kept)) = (&mut one.day, kept.and_then(|kept| kept.day)) {
                day.take_over(kept);
            }
            if !self.is_exact && is_shared {
                one.is_spent(now);
                continue;
            }
            let (ours, span) = (one.ours(), one.window.span);
            match (&mut one.proven, kept) {
                (Some(proven), Some(kept)) if self.is_exact => proven.take_over(kept.answered.clone()),
                (Some(proven), _) if !self.is_exact => proven.count(now, span, ours / 2),
                _ => {}
            }
        }
    }
}

fn find<'a>(windows: &'a [KeptWindow], of: &crate::model::http::Window) -> Option<&'a KeptWindow> {
    windows.iter().find(|kept| kept.family == of.family && kept.span == of.span)
}
