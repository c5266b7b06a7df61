//! `last = E`, `over = D`, `under = D`: E exists, and its latest is so long ago.

use crate::model::{Entry, Span, Timestamp};
use crate::rules::answer::Answer;
use crate::rules::view::{Keyless, Reads, View};
use crate::rules::written::{Reading, Table};

/// How long ago something was last done.
#[derive(Clone, Debug, PartialEq)]
pub struct Last {
    /// Which events count.
    pub reads: Reads,
    /// At least so long ago.
    pub over: Option<Span>,
    /// Less long ago than this.
    pub under: Option<Span>,
}

impl Last {
    pub fn read(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let reads = Reads::read("last", table, reading);
        let (over, under) = (table.get("over"), table.get("under"));
        if over.is_none() && under.is_none() {
            reading.mistake(table.span(), table.path().to_owned(), "needs `over`, `under` or both").suggestion =
                Some("over = \"30m\": at least half an hour ago".into());
        }
        let over = over.map(|v| v.length(reading));
        let under = under.map(|v| v.length(reading));
        if let (Some(Some(o)), Some(Some(u))) = (over, under)
            && o >= u
        {
            reading.mistake(table.span(), table.path().to_owned(), format!("can never be: over {o} and under {u}"));
        }
        // A span that could not be read was reported already.
        Some(Self { reads: reads?, over: over.flatten(), under: under.flatten() })
    }

    fn latest(&self, view: &View<'_>) -> Option<Timestamp> {
        view.latest(&self.reads, Keyless::Ignored)
    }

    pub fn answer(&self, view: &View<'_>) -> Answer {
        let Some(latest) = self.latest(view) else { return Answer::settled(false) };
        let begins = self.over.map_or(Timestamp::MIN, |over| latest + over);
        let ends = self.under.map(|under| latest + under);
        if view.now < begins {
            return Answer::until(false, begins);
        }
        match ends {
            Some(ends) if view.now < ends => Answer::until(true, ends),
            Some(_) => Answer::settled(false),
            None => Answer::settled(true),
        }
    }

    pub fn evidence<'a>(&self, view: &View<'a>) -> Option<&'a Entry> {
        view.matching(&self.reads, Keyless::Ignored).next_back()
    }

    pub fn words(&self) -> String {
        let when = match (self.over, self.under) {
            (Some(over), Some(under)) => format!("at least {over} and less than {under} ago"),
            (Some(over), None) => format!("at least {over} ago"),
            (None, Some(under)) => format!("less than {under} ago"),
            (None, None) => "ever".into(),
        };
        format!("last {} {when}", self.reads.words())
    }

    pub fn finding(&self, view: &View<'_>) -> String {
        self.latest(view).map_or("never".into(), |at| format!("last at {at}"))
    }
}
