//! What may leave together: a batch has no order, so it must not contradict itself.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{Action, ActionKind, Activation, PersonId};

/// What a batch does to lists and to consent. A batch has an order no longer when it leaves: whoever is put into a list
/// and taken out of it needs two.
#[derive(Default)]
pub struct Lists(HashMap<(PersonId, Option<Arc<str>>), Option<ActionKind>>);

impl Lists {
    /// True when it may go with what came before it; from the first that may not, nothing more of that list does.
    pub fn agree(&mut self, activation: &Activation) -> bool {
        let list = match &activation.action {
            Action::AddToList(list) | Action::RemoveFromList(list) => Some(list.clone()),
            Action::Subscribe(_) | Action::Unsubscribe(_) | Action::Suppress | Action::Unsuppress => None,
            Action::Event(_) | Action::Campaign(_) | Action::Profile | Action::Erase => return true,
        };
        let kind = Some(activation.action.kind());
        let first = self.0.entry((activation.person, list)).or_insert(kind);
        if *first != kind {
            *first = None;
        }
        *first == kind
    }
}
