//! What a trigger's own file says of its gates.

use crate::model::Channel;
use crate::model::mistake::instead;
use crate::rules::written::{Reading, Table};

use super::guard;
use super::holdout::Group;
use super::quiet_hours::Own;
use super::settings::Policy;

/// The keys of a trigger, or a segment, that are about gates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gating {
    /// The way by which the flow reaches the person.
    pub channel: Channel,
    /// Whose consent is asked for; `None` leaves it to `[gates]`.
    pub consent: Option<Policy>,
    /// Who gets nothing, to compare the others with.
    pub holdout: Group,
    /// When nothing of it leaves.
    pub quiet_hours: Own,
    /// How often it may fire.
    pub guard: guard::Own,
    /// `cap = false`: caps neither count nor stop it.
    pub is_exempt_from_caps: bool,
}

impl Gating {
    /// Reads those keys.
    pub fn read(top: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Self {
        let channels = Channel::ALL.map(|channel| (channel.word(), channel));
        Self {
            channel: one_of("channel", &channels, top, reading).unwrap_or_default(),
            consent: one_of("consent", &Policy::WORDS, top, reading),
            holdout: Group::read(top, reading),
            quiet_hours: Own::read(top, reading),
            guard: guard::Own::read(top, reading),
            is_exempt_from_caps: top.get("cap").and_then(|value| value.yes_or_no(reading)) == Some(false),
        }
    }
}

/// A text that is one of these words.
fn one_of<T: Copy>(
    key: &'static str,
    words: &[(&'static str, T)],
    top: &mut Table<'_, '_>,
    reading: &mut Reading<'_>,
) -> Option<T> {
    let value = top.get(key)?;
    let text = value.text(reading)?;
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meant)| *meant);
    if found.is_none() {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let way = instead(&text, &known, "one of");
        reading
            .mistake(value.span(), value.path().to_owned(), format!("`{text}` is not one of its values"))
            .suggestion = Some(way);
    }
    found
}
