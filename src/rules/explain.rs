//! The same answers as the daemon's, as values and sentences for people.

use serde::Serialize;

use crate::model::{Person, Timestamp};

use super::condition::Condition;
use super::gate;
use super::program::Program;
use super::trigger::Trigger;
use super::view::View;

/// What a trigger makes of a person.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct TriggerFinding {
    /// The trigger's name.
    pub trigger: String,
    /// Its title.
    pub title: String,
    /// What the gates would say of an edge now; `None` when it would leave at once.
    pub held_back: Option<String>,
    /// One for each key that exists for the person; one with an empty key without `per`.
    pub keys: Vec<KeyFinding>,
}

/// What a trigger makes of one key of a person.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct KeyFinding {
    /// The key; empty without `per`.
    pub key: String,
    /// The whole condition, `for` included.
    pub is_true: bool,
    /// When it will be asked again without a new event.
    pub next: Option<Timestamp>,
    /// Each condition, in the order of the file.
    pub conditions: Vec<ConditionFinding>,
}

/// One condition with its value and evidence.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ConditionFinding {
    /// How deep it stands in `all`, `any`, `not`.
    pub depth: usize,
    /// The condition in words.
    pub condition: String,
    /// Its truth.
    pub is_true: bool,
    /// What was found.
    pub found: String,
    /// When its truth can change by time alone.
    pub next: Option<Timestamp>,
}

/// What every trigger makes of a person at `now`.
pub fn explain(program: &Program, person: &Person, now: Timestamp) -> Vec<TriggerFinding> {
    let mut findings: Vec<TriggerFinding> = program
        .triggers()
        .iter()
        .map(|t| TriggerFinding {
            trigger: t.name.to_string(),
            title: t.title.clone(),
            held_back: gate::now(program, t, person, now),
            keys: Vec::new(),
        })
        .collect();
    for asked in program.all(person) {
        if let (Some(trigger), Some(finding)) = (program.triggers().get(asked.trigger), findings.get_mut(asked.trigger))
        {
            finding.keys.push(key_finding(program, trigger, person, &asked.key, now));
        }
    }
    findings
}

fn key_finding(program: &Program, trigger: &Trigger, person: &Person, key: &str, now: Timestamp) -> KeyFinding {
    let view = program.view(trigger, person, key, now);
    let watch = person.watches.get(&(trigger.id, key.into()));
    let mut answer = trigger.condition.answer(&view);
    if let Some(held) = trigger.held {
        answer = answer.held(held, watch.and_then(|w| w.true_since), now);
    }
    let mut conditions = Vec::new();
    list(&trigger.condition, &view, 0, &mut conditions);
    KeyFinding { key: key.to_owned(), is_true: answer.is_true, next: answer.next, conditions }
}

fn list(condition: &Condition, view: &View<'_>, depth: usize, found: &mut Vec<ConditionFinding>) {
    let answer = condition.answer(view);
    let (words, finding, inner): (String, String, Vec<&Condition>) = match condition {
        Condition::All(all) => ("all of".into(), String::new(), all.iter().collect()),
        Condition::Any(any) => ("one of".into(), String::new(), any.iter().collect()),
        Condition::Not(one) => ("not".into(), String::new(), vec![one]),
        Condition::Leaf(leaf) => (leaf.words(), leaf.asks().finding(view), Vec::new()),
    };
    found.push(ConditionFinding {
        depth,
        condition: words,
        is_true: answer.is_true,
        found: finding,
        next: answer.next,
    });
    for condition in inner {
        list(condition, view, depth + 1, found);
    }
}
