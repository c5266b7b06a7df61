//! Campaigns that triggers request: whether each is there, can be requested, and runs for a person again; and the tokens
//! that are filled (Swagger of the assets, "SmartCampaignResponse"; developer pages on smart campaigns and tokens).

use serde_json::Value;

use super::text;
use crate::destination::account::{self, Difference, Sort};
use crate::destination::marketo::Settings;
use crate::model::Need;

/// Where a campaign's tokens are.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Its number.
    pub id: u64,
    /// `Program` or `Folder`.
    pub kind: &'static str,
}

impl Folder {
    /// The campaign's program, else the folder that it lies in.
    pub fn of(campaign: &Value) -> Option<Self> {
        let number = |pointer: &str| campaign.pointer(pointer).and_then(Value::as_u64);
        let is_program = campaign.pointer("/folder/type").and_then(Value::as_str) == Some("Program");
        match number("/parentProgramId") {
            Some(id) => Some(Self { id, kind: "Program" }),
            None => Some(Self { id: number("/folder/id")?, kind: if is_program { "Program" } else { "Folder" } }),
        }
    }
}

/// There is none of this number.
pub fn missing(need: &Need) -> Difference {
    let words = "is not there: make one in Marketo, and write its number into the triggers";
    told_of(need, Sort::ByHand, words.to_owned())
}

/// How it is.
pub fn told(need: &Need, found: &Value) -> Difference {
    let name = account::cut(text(found, "name"));
    let is = |field: &str| found.get(field).and_then(Value::as_bool);
    let trigger = "its trigger has to be \"Campaign is Requested\" with the source Web Service API";
    if text(found, "type") == "batch" {
        let words = format!("is `{name}`, a batch campaign, and cannot be requested: {trigger}");
        return told_of(need, Sort::Differs, words);
    }
    if is("isActive") == Some(false) {
        return told_of(need, Sort::ByHand, format!("is `{name}`, and not active: activate it; {trigger}"));
    }
    if is("isRequestable") == Some(false) {
        return told_of(need, Sort::ByHand, format!("is `{name}`, and cannot be requested: {trigger}"));
    }
    let rule = match text(found, "qualificationRuleType") {
        "once" if need.repeats => {
            let words = format!(
                "is `{name}`, and runs once for a person: what is requested after that does nothing; change its \
                 qualification rule, or say `once = true` in the one trigger that requests it"
            );
            return told_of(need, Sort::ByHand, words);
        }
        "once" => ", and runs once for a person".to_owned(),
        "interval" => {
            let every = found.get("qualificationRuleInterval").and_then(Value::as_u64).unwrap_or(1);
            format!(", and runs once in {every} {} for a person", text(found, "qualificationRuleUnit"))
        }
        _ => String::new(),
    };
    let limit = match is("isCommunicationLimitEnabled") {
        Some(true) => "; communication limits may hold its mail back",
        _ => "",
    };
    told_of(need, Sort::Note, format!("is `{name}`{rule}{limit}"))
}

/// Tokens that are filled and that the program or folder has not.
pub fn tokens(settings: &Settings, need: &Need, folder: &Folder, found: &[Value]) -> Vec<Difference> {
    let has = found.iter().filter_map(|one| one.get("tokens")?.as_array()).flatten().map(|one| text(one, "name"));
    let has: Vec<&str> = has.map(bare).collect();
    let filled = settings.campaigns.get(need.action.of()).into_iter().flat_map(|tokens| tokens.keys());
    let missing = filled.filter(|token| !has.contains(&token.as_str()));
    missing
        .map(|token| {
            let (kind, id) = (folder.kind.to_lowercase(), folder.id);
            let words = format!(
                "is not among the own tokens of {kind} {id}: only what is there is filled; it may come from a folder above"
            );
            Difference::new(Sort::Note, format!("token {token} of campaign {}", need.action.of()), words).of(&need.triggers)
        })
        .collect()
}

/// They cannot be asked for.
pub fn unseen_tokens(need: &Need, code: &str) -> Difference {
    let what = format!("tokens of campaign {}", need.action.of());
    Difference::new(Sort::Note, what, format!("cannot be looked at ({code})")).of(&need.triggers)
}

fn told_of(need: &Need, sort: Sort, words: String) -> Difference {
    Difference::new(sort, format!("campaign {}", need.action.of()), words).of(&need.triggers)
}

/// `{{my.checkoutUrl}}` is `checkoutUrl`.
fn bare(name: &str) -> &str {
    let name = name.trim_start_matches("{{").trim_end_matches("}}");
    name.strip_prefix("my.").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Action;

    fn need(repeats: bool) -> Need {
        Need { action: Action::Campaign("12".into()), fields: Vec::new(), triggers: vec!["t".into()], repeats }
    }

    #[track_caller]
    fn check(repeats: bool, changed: Value, wanted: &str) {
        let mut campaign = json!({ "name": "Back", "type": "trigger", "isActive": true, "isRequestable": true,
            "qualificationRuleType": "any", "isCommunicationLimitEnabled": false });
        for (name, value) in changed.as_object().expect("an object") {
            campaign[name] = value.clone();
        }
        let told = told(&need(repeats), &campaign);
        let words = format!("{} {}: {}", told.sort.word(), told.what, told.words);
        assert!(words.starts_with(wanted) && (wanted.ends_with(' ') || words == wanted), "{words}");
    }

    #[test]
    fn a_campaign_has_to_be_there_to_be_requested_again_and_again() {
        check(true, json!({}), "note campaign 12: is `Back`");
        check(
            true,
            json!({ "isCommunicationLimitEnabled": true }),
            "note campaign 12: is `Back`; communication limits may hold its mail back",
        );
        check(true, json!({ "type": "batch" }), "differs campaign 12: is `Back`, a batch campaign, ");
        check(
            true,
            json!({ "isActive": false, "isRequestable": false }),
            "by hand campaign 12: is `Back`, and not active: ",
        );
        check(true, json!({ "isRequestable": false }), "by hand campaign 12: is `Back`, and cannot be requested: ");
        let once = json!({ "qualificationRuleType": "once" });
        check(
            true,
            once.clone(),
            "by hand campaign 12: is `Back`, and runs once for a person: what is requested after ",
        );
        check(false, once, "note campaign 12: is `Back`, and runs once for a person");
        let interval = json!({ "qualificationRuleType": "interval", "qualificationRuleInterval": 2, "qualificationRuleUnit": "day" });
        check(true, interval, "note campaign 12: is `Back`, and runs once in 2 day for a person");
    }

    #[test]
    fn tokens_are_those_of_the_program_or_the_folder() {
        let of = |campaign: Value| Folder::of(&campaign).map(|folder| (folder.id, folder.kind));
        assert_eq!(of(json!({ "parentProgramId": 4, "folder": { "id": 5, "type": "Folder" } })), Some((4, "Program")));
        assert_eq!(of(json!({ "folder": { "id": 5, "type": "Program" } })), Some((5, "Program")));
        assert_eq!(of(json!({ "folder": { "id": 5, "type": "Folder" } })), Some((5, "Folder")));
        assert_eq!(of(json!({})), None);
        let settings = json!({ "base_url": "https://m.example", "client_id": "i", "client_secret": "s", "activity_type": 9,
            "campaigns": { "12": { "url": "checkout_url", "total": "value", "plain": "x" } } });
        let settings: Settings = serde_json::from_value(settings).expect("settings");
        let found = json!([{ "tokens": [{ "name": "{{my.url}}" }, { "name": "plain" }, 7] }, 1]);
        let found = found.as_array().expect("a list");
        let told = tokens(&settings, &need(true), &Folder { id: 4, kind: "Program" }, found);
        assert_eq!(told.iter().map(|one| one.what.as_str()).collect::<Vec<_>>(), ["token total of campaign 12"]);
        assert!(told[0].words.contains("own tokens of program 4"), "{}", told[0].words);
    }
}
