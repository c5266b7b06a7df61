//! The night: what by day may have been lost is asked for again, and everything that was counted is held against what it
//! was counted from.
//!
//! Each list is read anew since its last good night, and what is missing goes into the journal; each lane's books are
//! added up, and the vendor is asked for some of what it took; the store is made small; and a report says what differed. What it finds is decided as everything else is,
//! so nothing older than a trigger's `expires` is sent. A night is taken up again after a crash, is never under way
//! twice, and one that was missed is made up for.
//!
//! It leaves sending to the lanes, and never removes anything that a source does not have.

mod lanes;
mod looks;
mod night;
mod parts;
mod profiles;
mod report;
mod settings;
mod targets;

pub use lanes::LaneReport;
pub use looks::{Absent, LookReport};
pub use night::{Busy, NightState, Nightly, Nights, Running, Wanted};
pub use profiles::{Differs, Row, Sample, VendorProfiles};
pub use report::{ListReport, ProgramReport, Report, Why, recent};
pub use settings::Settings;
