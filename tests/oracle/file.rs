//! The oracle's rules as trigger files, for the daemon's side of the comparison.

use super::*;

impl Rule {
    /// The trigger file.
    pub fn to_toml(&self) -> String {
        let mut text = format!("name = \"{}\"\npriority = {}\nonce = {}\n", self.name, self.priority, self.once);
        text += &format!("expires = \"{}ms\"\n", self.expires);
        if let Some(per) = self.per {
            text += &format!("per = \"{per}\"\n");
        }
        for (key, length) in [("for", self.held), ("cooldown", self.cooldown)] {
            if let Some(length) = length {
                text += &format!("{key} = \"{length}ms\"\n");
            }
        }
        text + &format!("when = {}\n[[activate]]\ndestination = \"esp\"\nevent = \"Go\"\n", self.when.to_toml())
    }
}

impl Tree {
    fn to_toml(&self) -> String {
        let list = |trees: &[Tree]| trees.iter().map(Tree::to_toml).collect::<Vec<_>>().join(", ");
        match self {
            Tree::All(all) => format!("{{ all = [{}] }}", list(all)),
            Tree::Any(any) => format!("{{ any = [{}] }}", list(any)),
            Tree::Not(one) => format!("{{ not = {} }}", one.to_toml()),
            Tree::Leaf(leaf) => leaf.to_toml(),
        }
    }
}

impl Leaf {
    fn to_toml(&self) -> String {
        let within = |window: Window| match window {
            Window::Lifetime => String::new(),
            Window::Last(length) => format!(", within = \"{length}ms\""),
            Window::Session => ", within = \"session\"".to_owned(),
        };
        let mut text = match self.ask {
            Ask::Did { at_least, at_most, within: window } => {
                let most = at_most.map(|most| format!(", at_most = {most}")).unwrap_or_default();
                format!("did = \"{}\", at_least = {at_least}{most}{}", self.event, within(window))
            }
            Ask::DidNotWithin(window) => format!("did_not = \"{}\"{}", self.event, within(window)),
            Ask::DidNotSince(anchor) => format!("did_not = \"{}\", since = \"{anchor}\"", self.event),
            Ask::Last { over, under } => {
                let part = |key, length: Option<Ms>| length.map(|l| format!(", {key} = \"{l}ms\"")).unwrap_or_default();
                format!("last = \"{}\"{}{}", self.event, part("over", over), part("under", under))
            }
        };
        if let Some(colour) = self.colour {
            text += &format!(", where = {{ colour = \"{colour}\" }}");
        }
        if self.any_key {
            text += ", any_key = true";
        }
        format!("{{ {text} }}")
    }
}
