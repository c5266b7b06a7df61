//! How far a list is read, as it is kept in the store.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::http::Response;
use crate::model::{Span, Timestamp};

/// A vendor's clock that is off by less than this is taken to be right: answers take their time.
const EVEN: Span = Span::from_secs(5);
/// A vendor's clock is not believed to be further off than this.
const FURTHEST: Span = Span::from_hours(1);
/// A window is not halved below this.
const NARROWEST: Span = Span::from_millis(1);

/// How far a list is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Everything that changed before this is read.
    pub read: Timestamp,
    /// The window that is being read.
    pub open: Option<Open>,
    /// What was there before the list was begun: it has yet to be given to who reads the past.
    #[serde(default)]
    pub owes: Option<(Timestamp, Timestamp)>,
    /// The vendor's own token, where the list has one that outlives the page.
    pub token: Option<String>,
    /// Everything was read when the list was read up to here: what is made once for an object and came to hold before
    /// was made then.
    pub whole: Timestamp,
    /// Not before this a new window is opened.
    pub rest: Timestamp,
    /// Pages read, ever.
    pub pages: u64,
    /// How many milliseconds the vendor's clock is behind ours; negative when it is ahead.
    pub skew: i64,
    /// Windows begun again in a row.
    pub restarts: u32,
}

/// A window that is being read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Its beginning, with the overlap.
    pub from: Timestamp,
    /// Its end; not in it.
    pub until: Timestamp,
    /// The end that it had before it was cut, where it was: it goes on until there.
    #[serde(default)]
    whole: Option<Timestamp>,
    /// Pages read of it.
    pub pages: u64,
    /// Records read of it.
    pub records: u64,
    /// The next page's token.
    pub token: Option<String>,
    /// The next page's address, beneath the account's.
    pub url: Option<String>,
    /// Hash of the newest page.
    page: u64,
    /// Hash of the newest mark.
    mark: u64,
    /// An older mark to compare with; it is replaced at powers of two (Brent), so that a circle of any length is met.
    slow: u64,
}

impl Place {
    /// Where a list is begun of which everything before `read` does not matter.
    pub fn at(read: Timestamp) -> Self {
        Self { read, whole: read, ..Self::default() }
    }

    /// How far the vendor's clock is behind ours.
    pub fn behind(&self) -> Span {
        let furthest = FURTHEST.as_millis();
        Span::from_millis(self.skew.clamp(-furthest, furthest))
    }

    /// True where a page was read of the window that is open.
    pub(super) fn is_amid(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.pages > 0)
    }

    /// Learns from the `Date` of an answer.
    pub fn heed(&mut self, response: &Response, now: Timestamp) {
        let Some(date) = response.header("date").and_then(super::super::mapping::time) else { return };
        let skew = now.as_millis() - date.as_millis();
        // Its seconds are whole: up to one more than it seems.
        self.skew = if skew.abs() <= EVEN.as_millis() { 0 } else { skew };
    }
}

impl Open {
    /// At its beginning.
    pub fn new(from: Timestamp, until: Timestamp) -> Self {
        Self { from, until, ..Self::default() }
    }

    /// The same window from its beginning, and from so long before it.
    pub(super) fn begun_again(&self, late: Span) -> Self {
        Self { whole: self.whole, ..Self::new(self.from - late, self.until) }
    }

    /// Its first half, after which the rest of it follows; none where it is as short as can be.
    pub(super) fn halved(&self) -> Option<Self> {
        let half = Span::from_millis(self.until.since(self.from).as_millis() / 2);
        let whole = Some(self.whole.unwrap_or(self.until));
        (half >= NARROWEST).then(|| Self { whole, ..Self::new(self.from, self.from + half) })
    }

    /// What follows a window that was cut. Not with an overlap, which may hold more than can be listed by itself.
    pub(super) fn rest_of_cut(&self) -> Option<Self> {
        let whole = self.whole.filter(|whole| *whole > self.until)?;
        Some(Self { whole: Some(whole), ..Self::new(self.until, whole) })
    }

    /// True for the same records as those of the page before.
    pub(super) fn is_repeated(&mut self, records: &[Value]) -> bool {
        if records.is_empty() {
            return false;
        }
        let mut hash = blake3::Hasher::new();
        hash.update(&serde_json::to_vec(records).unwrap_or_default());
        let before = std::mem::replace(&mut self.page, first_eight(&hash));
        before == self.page
    }

    /// Notes where the next page is.
    pub(super) fn mark(&mut self, text: &str) {
        let mut hash = blake3::Hasher::new();
        hash.update(text.as_bytes());
        self.mark = first_eight(&hash);
    }

    /// True when the next page is one that was read before.
    pub(super) fn turns_in_circles(&mut self) -> bool {
        if self.mark == 0 {
            return false;
        }
        if self.mark == self.slow {
            return true;
        }
        if self.pages.is_power_of_two() {
            self.slow = self.mark;
        }
        false
    }
}

fn first_eight(hash: &blake3::Hasher) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&hash.finalize().as_bytes()[..8]);
    u64::from_le_bytes(eight)
}
