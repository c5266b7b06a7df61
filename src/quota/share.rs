//! Who goes first where several want calls of one family: what is sent goes before what is read, and what waits longest
//! behind it has a bounded minimum.

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// An activation's way out.
    Sending,
    /// Reading a source.
    Reading,
}

/// Calls that are sent in a row while somebody waits to read.
const IN_A_ROW: u32 = 9;

/// The turns of one family.
#[derive(Debug, Default)]
pub struct Turns {
    sending: u32,
    reading: u32,
    in_a_row: u32,
}

impl Turns {
    fn waiting(&mut self, who: For) -> &mut u32 {
        match who {
            For::Sending => &mut self.sending,
            For::Reading => &mut self.reading,
        }
    }

    /// Somebody waits from now on.
    pub fn join(&mut self, who: For) {
        *self.waiting(who) += 1;
    }

    /// Somebody waits no more.
    pub fn leave(&mut self, who: For) {
        let waiting = self.waiting(who);
        *waiting = waiting.saturating_sub(1);
    }

    /// Whether it is their turn, of those who wait.
    pub fn is_next(&self, who: For) -> bool {
        match who {
            For::Sending => self.reading == 0 || self.in_a_row < IN_A_ROW,
            For::Reading => self.sending == 0 || self.in_a_row >= IN_A_ROW,
        }
    }

    /// They had it.
    pub fn took(&mut self, who: For) {
        self.in_a_row = match who {
            For::Sending if self.reading > 0 => self.in_a_row.saturating_add(1),
            For::Sending | For::Reading => 0,
        };
    }
}
