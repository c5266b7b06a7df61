//! E-mail events that a machine made: privacy proxies that load every picture, scanners that follow every link.
//!
//! The lists are data: a name is added where a vendor or a log shows it. What is said outright wins over what the name
//! of the client suggests.

use serde_json::Value;

use super::{Entry, Origin};

/// Properties that say it outright, as sources and vendors write them. The vendors' own names are from their pages and
/// exports, and were not tried against an account.
pub const FLAGS: &[&str] = &[
    "is_machine",      // ours: what connectors map to
    "machine_open",    // Klaviyo, event_properties of Opened Email
    "Machine Open",    // the same in exports
    "machine_click",   // the same for Clicked Email
    "Is Bot Activity", // Marketo, attributes of activities 10 and 11
    "is_bot_activity", // the same as a mapped name
    "filteredEvent",   // HubSpot, e-mail events v1: left out of its own reports
    "is_bot",          // hand-made sources
];

/// Properties in which the client is named.
pub const CLIENTS: &[&str] = &["user_agent", "userAgent", "User Agent", "client", "bot_activity_pattern"];

/// Parts of the names of scanners of links and attachments, in lower case, as mail administrators know them from logs.
/// The picture proxies of Gmail and Yahoo are not among them: they load when the person opens.
pub const MACHINES: &[&str] = &[
    "barracuda",
    "proofpoint",
    "mimecast",
    "symantec",
    "safelinks",
    "microsoft office existence discovery",
    "python-requests",
    "curl/",
    "headlesschrome",
    "bot/",
    "spider",
];

/// Mail Privacy Protection names no client but the bare engine: nobody's browser does.
pub const PRIVACY: &[&str] = &["mozilla/5.0"];

/// True when a machine made it.
pub fn made(entry: &Entry) -> bool {
    let text = entry.properties.get();
    // Most are told apart without being parsed.
    Origin::is_of_email(&entry.name)
        && (FLAGS.iter().chain(CLIENTS).any(|name| text.contains(name)) || text.contains('\\'))
        && is_machine(entry.fields())
}

fn is_machine(fields: &Value) -> bool {
    let mut said = FLAGS.iter().filter_map(|name| yes_or_no(fields.get(*name)?)).peekable();
    if said.peek().is_some() {
        return said.any(|yes| yes);
    }
    let clients = CLIENTS.iter().filter_map(|name| fields.get(*name)?.as_str());
    clients
        .map(|client| client.trim().to_lowercase())
        .any(|client| PRIVACY.contains(&client.as_str()) || MACHINES.iter().any(|machine| client.contains(machine)))
}

/// As JSON, text and numbers say it.
fn yes_or_no(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(yes) => Some(*yes),
        Value::Number(n) => Some(n.as_f64() != Some(0.0)),
        Value::String(text) => match text.trim().to_lowercase().as_str() {
            "true" | "yes" | "1" => Some(true),
            "false" | "no" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Position, RawJson, Timestamp};

    #[track_caller]
    fn check(name: &str, properties: &str, wanted: bool) {
        let properties = RawJson::parse(properties).expect("JSON");
        let entry = Entry::new(Timestamp::default(), Position(1), name.into(), Origin::Email, None, properties);
        assert_eq!(made(&entry), wanted, "{name} {entry:?}");
    }

    #[test]
    fn flags_of_every_vendor_are_known() {
        for flag in FLAGS {
            check("Email Opened", &format!(r#"{{"{flag}": true}}"#), true);
            check("Email Opened", &format!(r#"{{"{flag}": "False"}}"#), false);
        }
        check("Email Link Clicked", r#"{"is_machine": 1}"#, true);
        check("Email Opened", r#"{"is\u005fmachine": true}"#, true);
        check("Email Opened", r#"{"is_machine": "perhaps"}"#, false);
    }

    #[test]
    fn clients_tell_when_nothing_is_said_outright() {
        check("Email Opened", r#"{"user_agent": "Mozilla/5.0"}"#, true);
        check("Email Opened", r#"{"user_agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X) AppleWebKit/605"}"#, false);
        check("Email Opened", r#"{"userAgent": "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"}"#, false);
        check("Email Link Clicked", r#"{"user_agent": "Barracuda Sentinel (EE)"}"#, true);
        check("Email Opened", r#"{"user_agent": "Mozilla/5.0", "is_machine": false}"#, false);
    }

    #[test]
    fn only_email_events_are_looked_at() {
        check("Page Viewed", r#"{"is_machine": true}"#, false);
        check("Email Opened", "{}", false);
    }
}
