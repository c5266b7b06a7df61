//! Every condition of a trigger as a trigger of its own: whom it is true of by itself.

use std::sync::Arc;

use crate::model::TriggerId;
use crate::rules::{Condition, Program, Trigger, TriggerKind};

/// Conditions, each asked alone.
pub struct Alone {
    /// One trigger for each, without gates, that starts nothing.
    pub program: Program,
    /// In the order of the triggers and their files.
    pub conditions: Vec<OneCondition>,
}

/// One condition.
#[derive(Clone, Debug)]
pub struct OneCondition {
    /// The trigger that it is in.
    pub trigger: Arc<str>,
    /// In words.
    pub words: String,
    /// The trigger that stands for it.
    pub name: Arc<str>,
    /// Its id.
    pub id: TriggerId,
}

impl Alone {
    /// Of these triggers of the program.
    pub fn of(program: &Program, is_wanted: impl Fn(&Trigger) -> bool) -> Self {
        let (mut alone, mut conditions) = (Vec::new(), Vec::new());
        for trigger in program.triggers().iter().filter(|trigger| is_wanted(trigger)) {
            for leaf in trigger.condition.leaves() {
                let name: Arc<str> = format!("{}#{}", trigger.name, conditions.len()).into();
                let id = TriggerId::of(&name);
                alone.push(Trigger {
                    name: name.clone(),
                    id,
                    // That it is no longer true says nothing more.
                    kind: TriggerKind::Plain,
                    condition: Condition::Leaf(Box::new(leaf.clone())),
                    held: None,
                    cooldown: None,
                    once: false,
                    // Nobody reads what it would say.
                    activate: Vec::new(),
                    activate_on_exit: Vec::new(),
                    ..trigger.clone()
                });
                conditions.push(OneCondition { trigger: trigger.name.clone(), words: leaf.words(), name, id });
            }
        }
        Self { program: Program::of(alone, program.settings().clone()), conditions }
    }
}
