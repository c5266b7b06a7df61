//! What of a ledger outlives a restart: the day's calls, written ahead and at a bounded rate; of a run that ended well, the
//! calls of the last windows; and the same, written ahead, where another daemon may take the account over.

use serde::{Deserialize, Serialize};

use super::counting::Counting;
use super::proven::{Proven, Slot};
use crate::model::{Span, Timestamp};

/// The clocks of two daemons on one database are no further apart, and what a daemon that died had sent has arrived.
const APART: Span = Span::from_millis(500);

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
    /// Calls that had no answer, and those that may have left before it was written again; none where nobody counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unanswered: Option<u32>,
    /// Once this is on disk so many may have left.
    #[serde(skip)]
    until: u64,
}

impl Kept {
    /// Of these windows: as they are, or as they may be before they are written again.
    pub fn of<'a>(windows: impl Iterator<Item = &'a Counting>, is_exact: bool) -> Self {
        let windows = windows.map(|one| KeptWindow::of(one, is_exact));
        let is_told = |one: &KeptWindow| one.day.is_some() || one.unanswered.is_some() || is_exact;
        Self { is_exact, windows: windows.filter(is_told).collect() }
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
            let Some(kept) = find(&self.windows, &one.window) else { continue };
            if let (Some(day), Some(kept)) = (&mut one.day, kept.day) {
                day.is_kept(kept);
            }
            if let Some(ahead) = &mut one.ahead {
                ahead.is_kept(kept.until);
            }
        }
    }

    /// Brings an earlier run's calls into these windows. Where it did not end well, what it may have sent without telling is
    /// taken for spent just now, where another daemon may have had the account (`is_shared`); all of a window of which
    /// nothing is told. Alone on a store, half of each window: how much it was, nobody knows.
    pub fn take_over<'a>(self, windows: impl Iterator<Item = &'a mut Counting>, is_shared: bool, now: Timestamp) {
        for one in windows {
            let kept = find(&self.windows, &one.window);
            if let (Some(day), Some(kept)) = (&mut one.day, kept.and_then(|kept| kept.day)) {
                day.take_over(kept);
            }
            let (ours, span) = (one.ours(), one.window.span);
            match (&mut one.proven, kept, kept.and_then(|kept| kept.unanswered)) {
                (Some(proven), Some(kept), Some(unanswered)) if is_shared => {
                    proven.take_over(kept.answered.iter().map(|slot| slot.later(APART, now)).collect());
                    proven.count(now + APART, span, unanswered);
                }
                (Some(proven), Some(kept), _) if self.is_exact => proven.take_over(kept.answered.clone()),
                _ if self.is_exact => {}
                _ if is_shared => one.is_spent(now),
                (Some(proven), ..) => proven.count(now, span, ours / 2),
                (None, ..) => {}
            }
        }
    }
}

impl KeptWindow {
    fn of(one: &Counting, is_exact: bool) -> Self {
        let span = one.window.span;
        let (bought, until) = match one.ahead {
            Some(ahead) if !is_exact => ahead.bought(one.slice()),
            _ => (0, 0),
        };
        let answered = |proven: &Proven| match one.ahead {
            _ if is_exact => proven.slots(),
            Some(_) => proven.few_slots(span),
            None => Vec::new(),
        };
        Self {
            family: one.window.family.to_string(),
            span,
            day: one.day.as_ref().map(|day| if is_exact { day.exact() } else { day.ahead(one.ours()) }),
            answered: one.proven.as_ref().map(answered).unwrap_or_default(),
            unanswered: one
                .proven
                .as_ref()
                .filter(|_| one.ahead.is_some())
                .map(|proven| proven.pending().saturating_add(bought)),
            until,
        }
    }
}

fn find<'a>(windows: &'a [KeptWindow], of: &crate::model::http::Window) -> Option<&'a KeptWindow> {
    windows.iter().find(|kept| kept.family == of.family && kept.span == of.span)
}
