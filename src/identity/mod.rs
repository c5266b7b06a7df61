//! Whose an event is: normalising, linking by shared identifiers, protection, merges.
