//! A share of people who get nothing, so that the worth of what the others get can be told.
//!
//! Whether somebody is in it follows from the person's own id, which a merge leaves the one who stays, and the trigger's
//! name: each trigger has its own group, and `[gates]` has one for all.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::model::{Gate, PersonId};
use crate::rules::written::{Reading, Table};

use super::{Dropped, Edge};

/// A share of people in hundredths of a percent. Written `"10%"`, `"2.5%"`, or as a number of percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share(u16);

/// All of them.
const WHOLE: u16 = 10_000;
/// What else could have been written.
const WRONG: &str = "is a share from 0% to 100% with at most two decimals, like \"10%\"";

/// What a trigger's file says of its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Group {
    /// Nothing: only that of `[gates]` is held out.
    #[default]
    Common,
    /// One of its own, beside that of `[gates]`.
    Own(Share),
    /// Nobody is held out from it.
    Nobody,
}

impl Share {
    /// Nobody.
    pub const NONE: Self = Self(0);

    fn of_percent(percent: f64) -> Option<Self> {
        let hundredths = percent * 100.0;
        let rounded = hundredths.round();
        let is_exact = (hundredths - rounded).abs() < 1e-6;
        // Checked just before, so that nothing is cut off.
        (is_exact && (0.0..=f64::from(WHOLE)).contains(&rounded)).then_some(Self(rounded as u16))
    }

    /// True for the same people each time; `of` makes one group independent of another.
    pub fn holds(self, of: &str, person: PersonId) -> bool {
        let mut hash = blake3::Hasher::new();
        hash.update(of.as_bytes());
        hash.update(&[0]);
        hash.update(&person.0);
        let mut first = [0; 8];
        first.copy_from_slice(&hash.finalize().as_bytes()[..8]);
        u64::from_be_bytes(first) % u64::from(WHOLE) < u64::from(self.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 100.0)
    }
}

impl FromStr for Share {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let percent = text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        percent.and_then(Self::of_percent).ok_or_else(|| format!("`{text}` {WRONG}").replace("` is a", "` is not a"))
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
        }
        match Written::deserialize(d)? {
            Written::Number(percent) => Self::of_percent(percent).ok_or_else(|| serde::de::Error::custom(WRONG)),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

impl schemars::JsonSchema for Share {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Share".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "number"],
            "format": "share",
            "minimum": 0,
            "maximum": 100,
            "description": "A share of people: \"10%\", or 10."
        })
    }
}

impl Group {
    /// Reads `holdout`.
    pub fn read(top: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Self {
        let Some(value) = top.get("holdout") else { return Self::Common };
        if value.is_no() {
            return Self::Nobody;
        }
        let share = match value.as_text() {
            Some(text) => text.parse(),
            None => value.as_number().and_then(Share::of_percent).ok_or_else(|| WRONG.to_owned()),
        };
        match share {
            Ok(share) => Self::Own(share),
            Err(words) => {
                reading.mistake(value.span(), value.path().to_owned(), words).suggestion =
                    Some("`false`: nobody is held out".into());
                Self::Common
            }
        }
    }
}

pub fn dropped(edge: &Edge<'_>) -> Option<Dropped> {
    let common = edge.program.settings().gates.holdout;
    let words = match edge.trigger.gating.holdout {
        Group::Nobody => return None,
        Group::Own(own) if own.holds(&edge.trigger.name, edge.person.id) => {
            format!("held out: one of the {own} who get nothing of `{}`", edge.trigger.name)
        }
        _ if common.holds("", edge.person.id) => format!("held out: one of the {common} who get nothing at all"),
        _ => return None,
    };
    Some((Gate::Holdout, words.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(n: u64) -> PersonId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        PersonId(id)
    }

    #[test]
    fn shares_are_written_as_percent() {
        for (text, hundredths) in [
            ("10%", Some(1_000)),
            ("2.5 %", Some(250)),
            ("0.01%", Some(1)),
            ("0%", Some(0)),
            ("100%", Some(10_000)),
            ("100.01%", None),
            ("-1%", None),
            ("0.001%", None),
            ("10", None),
            ("a tenth", None),
            ("NaN%", None),
            ("inf%", None),
        ] {
            assert_eq!(text.parse::<Share>().ok(), hundredths.map(Share), "{text}");
        }
        assert_eq!("7".parse::<Share>().expect_err("no percent").find("`7` is not a share"), Some(0));
    }

    #[test]
    fn the_share_is_met_and_one_group_is_independent_of_another() {
        let tenth: Share = "10%".parse().expect("a share");
        let in_both =
            |a: &str, b: &str| (0..20_000).filter(|n| tenth.holds(a, person(*n)) && tenth.holds(b, person(*n))).count();
        for name in ["", "cart-abandoned", "form"] {
            assert!((1_850..2_150).contains(&in_both(name, name)), "{}", in_both(name, name));
        }
        assert!((140..260).contains(&in_both("form", "cart-abandoned")));
        assert!(!(0..1_000).any(|n| Share::NONE.holds("form", person(n))));
        let all: Share = "100%".parse().expect("a share");
        assert!((0..1_000).all(|n| all.holds("form", person(n))));
    }

    /// A larger share keeps those who are in the smaller one.
    #[test]
    fn a_share_that_grows_keeps_its_people() {
        let [small, large]: [Share; 2] = ["5%", "20%"].map(|text| text.parse().expect("a share"));
        assert!((0..5_000).all(|n| !small.holds("form", person(n)) || large.holds("form", person(n))));
    }
}
