//! What an event says about consent: acts of the person by their names, and what a sync says in traits.
//!
//! Whatever comes from outside and does not fit says nothing. docs/triggers.md has the tables.

use serde_json::Value;

use super::consent::{Act, Channel, Mark};
use super::{Event, EventKind, Position, Timestamp};

/// Names that begin with a channel's, or with nothing where a property `channel` says which.
const ACTS: [(&str, Act); 4] = [
    ("Subscribed", Act::Given),
    ("Unsubscribed", Act::Withdrawn),
    ("Suppressed", Act::Suppressed),
    ("Suppression Lifted", Act::Lifted),
];
/// Names of a complaint about e-mail.
const COMPLAINTS: [&str; 3] = ["Email Marked as Spam", "Email Marked Spam", "Spam Complaint"];
/// Properties of `Email Bounced` that say of which sort it was.
const BOUNCE: [&str; 4] = ["bounce_type", "bounceType", "Bounce Type", "type"];
/// What they say of an address that will never work.
const HARD: [&str; 3] = ["hard", "permanent", "hard bounce"];
/// Words for consent.
const YES: [&str; 6] = ["subscribed", "opted_in", "granted", "given", "yes", "true"];
/// Words for none. What never was (`not_subscribed`, `pending`) is not among them: it says nothing.
const NO: [&str; 8] = ["unsubscribed", "opted_out", "denied", "withdrawn", "redacted", "invalid", "no", "false"];

/// Everything that the event says about consent, for the ledger of whose it is.
pub fn statements(event: &Event, position: Position) -> Vec<Mark> {
    let mut said = Saying { event, position, marks: Vec::new() };
    if event.kind == EventKind::Did {
        said.by_name();
        said.by_property();
    }
    said.by_trait();
    said.marks
}

struct Saying<'e> {
    event: &'e Event,
    position: Position,
    marks: Vec<Mark>,
}

impl Saying<'_> {
    fn mark(&mut self, channel: Channel, act: Act, at: Timestamp, because: &str) {
        let (position, source) = (self.position, self.event.source.clone());
        self.marks.push(Mark { at, position, channel, act, source, because: because.into() });
    }

    /// `Unsubscribed`, `SMS Subscribed`, `Email Bounced` ...
    fn by_name(&mut self) {
        let event = self.event;
        let (name, at) = (&*event.name, event.at);
        if COMPLAINTS.contains(&name) {
            self.mark(Channel::Email, Act::Suppressed, at, name);
        } else if name == "Email Bounced" {
            let fields = event.properties.to_value();
            let sort = BOUNCE.iter().find_map(|key| fields.get(*key)?.as_str());
            if sort.is_some_and(|sort| HARD.iter().any(|hard| hard.eq_ignore_ascii_case(sort.trim()))) {
                self.mark(Channel::Email, Act::Suppressed, at, name);
            }
        } else if let Some((act, channels)) = act_of(event) {
            for channel in channels {
                self.mark(channel, act, at, name);
            }
        }
    }

    /// A property `email_consent` of something the person did: the box was ticked there and then.
    fn by_property(&mut self) {
        if !self.event.properties.get().contains("_consent\"") {
            return;
        }
        let fields = self.event.properties.to_value();
        for channel in Channel::ALL {
            match fields.get(format!("{channel}_consent")).and_then(yes_or_no) {
                Some(true) => self.mark(channel, Act::Given, self.event.at, &self.event.name),
                Some(false) => self.mark(channel, Act::Withdrawn, self.event.at, &self.event.name),
                None => {}
            }
        }
    }

    /// Traits: they lower. They raise only with the date of the act, which is then as good as the act itself.
    fn by_trait(&mut self) {
        let text = self.event.traits.get();
        if !text.contains("_consent\"") && !text.contains("_suppressed\"") {
            return;
        }
        let traits = self.event.traits.to_value();
        for channel in Channel::ALL {
            let name = format!("{channel}_consent");
            let dated = traits.get(format!("{name}_at")).and_then(Value::as_str).and_then(Timestamp::parse);
            // An act that is claimed to lie ahead is no later than the message that tells of it.
            let dated = dated.map(|at| at.min(self.event.at));
            match (traits.get(&name).and_then(yes_or_no), dated) {
                (Some(false), at) => self.mark(channel, Act::Withdrawn, at.unwrap_or(self.event.at), &name),
                (Some(true), Some(at)) => self.mark(channel, Act::Given, at, &name),
                (Some(true), None) | (None, _) => {}
            }
            let name = format!("{channel}_suppressed");
            if traits.get(&name).and_then(yes_or_no) == Some(true) {
                self.mark(channel, Act::Suppressed, self.event.at, &name);
            }
        }
    }
}

/// The act that an event's name is, and for which channels.
fn act_of(event: &Event) -> Option<(Act, Vec<Channel>)> {
    let name = &*event.name;
    if let Some((_, act)) = ACTS.iter().find(|(act, _)| *act == name) {
        let fields = event.properties.to_value();
        let channels = match fields.get("channel") {
            None | Some(Value::Null) => vec![Channel::Email],
            Some(Value::String(all)) if all.trim().eq_ignore_ascii_case("all") => Channel::ALL.to_vec(),
            Some(Value::String(one)) => Channel::parse(one).into_iter().collect(),
            Some(_) => Vec::new(),
        };
        return Some((*act, channels));
    }
    let (first, rest) = name.split_once(' ')?;
    let (_, act) = ACTS.iter().find(|(act, _)| *act == rest)?;
    Some((*act, vec![Channel::parse(first)?]))
}

fn yes_or_no(value: &Value) -> Option<bool> {
    let text = match value {
        Value::Bool(yes) => return Some(*yes),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    let is_among = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is_among(&YES) {
        Some(true)
    } else if is_among(&NO) {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Identifier, IdentifierKind, Origin, RawJson};

    /// `email withdrawn 1000 Unsubscribed`, parted by commas. The event is at 1000.
    #[track_caller]
    fn check(name: &str, properties: &str, traits: &str, said: &str) {
        let event = Event {
            kind: if name.is_empty() { EventKind::Identify } else { EventKind::Did },
            name: name.into(),
            at: Timestamp::from_millis(1_000),
            claimed_at: None,
            arrived: Timestamp::from_millis(2_000),
            source: "web".into(),
            origin: Origin::Tracking,
            dedupe: vec![[7; 16]],
            identifiers: vec![Identifier::new(IdentifierKind::UserId, "9")],
            session: None,
            properties: RawJson::trusted(properties),
            traits: RawJson::trusted(traits),
        };
        let told: Vec<String> = statements(&event, Position(1))
            .iter()
            .map(|m| format!("{} {} {} {}", m.channel, m.act.word(), m.at.as_millis(), m.because))
            .collect();
        assert_eq!(told.join(", "), said, "{name} {properties} {traits}");
    }

    #[test]
    fn acts_are_known_by_their_names() {
        check("Unsubscribed", "{}", "{}", "email withdrawn 1000 Unsubscribed");
        check("Unsubscribed", r#"{"channel":"sms"}"#, "{}", "sms withdrawn 1000 Unsubscribed");
        check(
            "Unsubscribed",
            r#"{"channel":"all"}"#,
            "{}",
            "email withdrawn 1000 Unsubscribed, sms withdrawn 1000 Unsubscribed, push withdrawn 1000 Unsubscribed",
        );
        check("Unsubscribed", r#"{"channel":"fax"}"#, "{}", "");
        check("SMS Subscribed", r#"{"channel":"push"}"#, "{}", "sms given 1000 SMS Subscribed");
        check("Email Subscribed", "{}", "{}", "email given 1000 Email Subscribed");
        check("Push Suppressed", "{}", "{}", "push suppressed 1000 Push Suppressed");
        check("Suppression Lifted", "{}", "{}", "email lifted 1000 Suppression Lifted");
        check("Fax Subscribed", "{}", "{}", "");
        check("Subscribed Today", "{}", "{}", "");
    }

    #[test]
    fn a_hard_bounce_and_a_complaint_suppress() {
        check("Email Bounced", r#"{"bounce_type":"Hard"}"#, "{}", "email suppressed 1000 Email Bounced");
        check("Email Bounced", r#"{"Bounce Type":"permanent"}"#, "{}", "email suppressed 1000 Email Bounced");
        check("Email Bounced", r#"{"bounce_type":"soft"}"#, "{}", "");
        check("Email Bounced", r#"{"bounce_type":7}"#, "{}", "");
        check("Email Bounced", "{}", "{}", "");
        check("Email Marked as Spam", "{}", "{}", "email suppressed 1000 Email Marked as Spam");
    }

    #[test]
    fn a_box_that_was_ticked_is_an_act() {
        check("Form Submitted", r#"{"email_consent":true}"#, "{}", "email given 1000 Form Submitted");
        check("Form Submitted", r#"{"sms_consent":"no"}"#, "{}", "sms withdrawn 1000 Form Submitted");
        check("Form Submitted", r#"{"email_consent":"perhaps","push_consent":1}"#, "{}", "");
    }

    #[test]
    fn a_sync_lowers_and_raises_only_with_the_date_of_the_act() {
        check("", "{}", r#"{"email_consent":"unsubscribed"}"#, "email withdrawn 1000 email_consent");
        check("", "{}", r#"{"email_consent":"subscribed"}"#, "");
        check("", "{}", r#"{"email_consent":"not_subscribed"}"#, "");
        let at = r#""email_consent_at":"1970-01-01T00:00:00.500Z""#;
        check("", "{}", &format!(r#"{{"email_consent":"SUBSCRIBED",{at}}}"#), "email given 500 email_consent");
        check("", "{}", &format!(r#"{{"email_consent":false,{at}}}"#), "email withdrawn 500 email_consent");
        let ahead = r#"{"sms_consent":true,"sms_consent_at":"2970-01-01T00:00:00Z"}"#;
        check("", "{}", ahead, "sms given 1000 sms_consent");
        check("", "{}", r#"{"push_suppressed":true}"#, "push suppressed 1000 push_suppressed");
        check("", "{}", r#"{"push_suppressed":false}"#, "");
        check("", "{}", r#"{"email_consent":"#, "");
    }
}
