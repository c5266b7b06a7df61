//! What the templates of one trigger read, so that no more than that is put together for them.

use std::collections::{BTreeMap, BTreeSet};

/// The things they speak of, each with what they read of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reads {
    parts: BTreeMap<Box<str>, Part>,
    /// What is asked for by whole templates, each answered by itself.
    alone: BTreeSet<Box<str>>,
    is_hidden: bool,
}

/// How much of one thing is read.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Perhaps all of it.
    Whole,
    /// No more than these fields.
    Fields(BTreeSet<Box<str>>),
}

impl Reads {
    /// Notes a template by its text and its names: `cart.total`.
    pub fn note(&mut self, text: &str, names: &BTreeSet<String>) {
        // The names of a template leave out what is sliced, and what has a name that a block gives.
        self.is_hidden |= text.contains('[') || text.contains("{%");
        for name in names {
            let mut parts = name.split('.');
            let (top, field) = (parts.next().unwrap_or_default(), parts.next());
            let part = self.parts.entry(top.into()).or_insert_with(|| Part::Fields(BTreeSet::new()));
            match (part, field) {
                (Part::Fields(fields), Some(field)) => drop(fields.insert(field.into())),
                (part, _) => *part = Part::Whole,
            }
        }
    }

    /// Notes a template that is one name and nothing else.
    pub fn note_alone(&mut self, top: &str) {
        self.alone.insert(top.into());
    }

    /// When all are noted.
    pub fn finish(mut self) -> Self {
        if self.is_hidden {
            let tops: Vec<Box<str>> = self.parts.into_keys().chain(self.alone.iter().cloned()).collect();
            self.parts = tops.into_iter().map(|top| (top, Part::Whole)).collect();
        }
        self
    }

    /// Each thing, and how much of it is read.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Part)> {
        self.parts.iter().map(|(top, part)| (&**top, part))
    }
}

impl Part {
    /// True for a field that may be read.
    pub fn has(&self, field: &str) -> bool {
        match self {
            Self::Whole => true,
            Self::Fields(fields) => fields.contains(field),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::language::{Expression, Text};
    use super::*;

    /// What is read by expressions and texts: `top(field field)`, or the top alone where it is all.
    #[track_caller]
    fn check(expressions: &[&str], texts: &[&str], wanted: &str) {
        let mut reads = Reads::default();
        for code in expressions {
            Expression::compile(code).expect(code).note_value(&mut reads);
        }
        for text in texts {
            Text::compile(text).expect(text).note(&mut reads);
        }
        let reads = reads.finish();
        let said = reads.iter().map(|(top, part)| match part {
            Part::Whole => top.to_owned(),
            Part::Fields(fields) => {
                format!("{top}({})", fields.iter().map(|field| &**field).collect::<Vec<_>>().join(" "))
            }
        });
        assert_eq!(said.collect::<Vec<_>>().join(", "), wanted);
    }

    #[test]
    fn only_what_is_named_is_read() {
        check(&["cart.total | money", "cart.currency is defined"], &[], "cart(currency total)");
        check(
            &["cart.products | length"],
            &["{{ person.name }} of {{ traits.a.b }}"],
            "cart(products), person(name), traits(a)",
        );
        check(&["cart.total | money", "cart is defined"], &[], "cart");
        check(&["cart | attr('total')", "key"], &["a {{ (event,) }}"], "cart, event");
    }

    #[test]
    fn a_template_that_is_one_name_reads_nothing_else() {
        check(&["cart.products", "key"], &[], "");
        check(&["catalogue.p1"], &[], "catalogue(p1)");
    }

    #[test]
    fn where_names_may_be_hidden_everything_is_read() {
        check(&["cart.total | money", "cart.id[:2] ~ key", "last_order.id"], &[], "cart, key, last_order");
        check(&["cart.total | money"], &["{% set cart = cart %}{{ cart.id }}"], "cart");
        check(&["cart.total | money"], &["{% set x | default(person.name) %}{% endset %}"], "cart");
    }
}
