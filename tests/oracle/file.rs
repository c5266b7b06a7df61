//! The oracle's law as files, for the daemon's side of the comparison.

use std::fmt::Display;

use super::*;

/// Files by name.
type Files = Vec<(String, String)>;

impl Law {
    /// Triggers, segments, and the configuration with the cohorts; what it says of gates is asked for by itself.
    pub fn to_files(&self) -> (Files, Files, String) {
        let mut triggers = Files::new();
        let mut segments = Files::new();
        for rule in &self.rules {
            let (files, text) = match rule.is_segment {
                true => (&mut segments, rule.to_segment(self)),
                false => (&mut triggers, rule.to_toml(self)),
            };
            files.push((format!("{}.toml", rule.name), text));
        }
        let cohorts = self.cohorts.iter().map(|c| format!("{} = {}\n", c.name, c.when.to_toml(self)));
        (triggers, segments, format!("[cohorts]\n{}", cohorts.collect::<String>()))
    }

    /// All of it, to be read by people.
    pub fn to_text(&self) -> String {
        let (triggers, segments, cohorts) = self.to_files();
        let texts = triggers.into_iter().chain(segments).map(|(_, text)| text);
        let texts: Vec<String> = texts.chain([cohorts, "[gates]".to_owned(), self.gates.to_toml()]).collect();
        texts.join("\n")
    }
}

impl Rule {
    fn to_segment(&self, law: &Law) -> String {
        let name = self.name.trim_start_matches("segment:");
        let held = self.held.map(|length| format!("for = \"{length}ms\"\n")).unwrap_or_default();
        let edge = |on| format!("[[activate]]\non = \"{on}\"\ndestination = \"esp\"\nevent = \"Go\"\n");
        format!(
            "name = \"{name}\"\npriority = {}\n{}expires = \"{}ms\"\n{held}when = {}\n{}{}",
            self.priority,
            self.gates.to_toml(),
            self.expires,
            self.when.to_toml(law),
            edge("enter"),
            edge("exit")
        )
    }

    fn to_toml(&self, law: &Law) -> String {
        let mut text = format!("name = \"{}\"\npriority = {}\nonce = {}\n", self.name, self.priority, self.once);
        text += &format!("expires = \"{}ms\"\n{}", self.expires, self.gates.to_toml());
        if let Some(per) = self.per {
            text += &format!("per = \"{per}\"\n");
        }
        for (key, length) in [("for", self.held), ("cooldown", self.cooldown)] {
            if let Some(length) = length {
                text += &format!("{key} = \"{length}ms\"\n");
            }
        }
        text + &format!("when = {}\n[[activate]]\ndestination = \"esp\"\nevent = \"Go\"\n", self.when.to_toml(law))
    }
}

impl Tree {
    fn to_toml(&self, law: &Law) -> String {
        let list = |trees: &[Tree]| trees.iter().map(|tree| tree.to_toml(law)).collect::<Vec<_>>().join(", ");
        match self {
            Tree::All(all) => format!("{{ all = [{}] }}", list(all)),
            Tree::Any(any) => format!("{{ any = [{}] }}", list(any)),
            Tree::Not(one) => format!("{{ not = {} }}", one.to_toml(law)),
            Tree::Leaf(leaf) => leaf.to_toml(law),
        }
    }
}

impl<T: Copy> Limit<T> {
    /// The last declared first: only the order of declaration decides.
    fn to_toml<D: Display>(&self, law: &Law, written: impl Fn(T) -> D) -> String {
        match self {
            Limit::Same(value) => written(*value).to_string(),
            Limit::ByCohort(rows, otherwise) => {
                let mut rows: Vec<_> = rows.iter().collect();
                rows.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
                let rows = rows.into_iter().map(|(n, value)| format!("{} = {}", law.cohorts[*n].name, written(*value)));
                let otherwise = otherwise.map(|value| format!("else = {}", written(value)));
                format!("{{ {} }}", rows.chain(otherwise).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl Bounds {
    fn to_toml<D: Display>(&self, law: &Law, written: impl Fn(i64) -> D) -> String {
        let part = |key, limit: &Option<Limit<i64>>| {
            let limit = limit.as_ref().map(|limit| format!(", {key} = {}", limit.to_toml(law, &written)));
            limit.unwrap_or_default()
        };
        part("over", &self.over) + &part("under", &self.under)
    }
}

/// Hundredths as a decimal.
pub fn hundredths(n: i64) -> String {
    format!("{}{}.{:02}", if n < 0 { "-" } else { "" }, n.abs() / 100, n.abs() % 100)
}

impl Window {
    fn to_toml(self) -> String {
        match self {
            Window::Lifetime => String::new(),
            Window::Last(length) => format!(", within = \"{length}ms\""),
            Window::Session => ", within = \"session\"".to_owned(),
        }
    }
}

impl Leaf {
    fn to_toml(&self, law: &Law) -> String {
        let number = |n: u64| n;
        let length = |ms: i64| format!("\"{ms}ms\"");
        let event = self.event;
        let mut text = match &self.ask {
            Ask::Did { at_least, at_most, within } => {
                let most = at_most.as_ref().map(|most| format!(", at_most = {}", most.to_toml(law, number)));
                let least = at_least.to_toml(law, number);
                format!("did = \"{event}\", at_least = {least}{}{}", most.unwrap_or_default(), within.to_toml())
            }
            Ask::DidNotWithin(window) => format!("did_not = \"{event}\"{}", window.to_toml()),
            Ask::DidNotSince(anchor) => format!("did_not = \"{event}\", since = \"{anchor}\""),
            Ask::Last(bounds) => format!("last = \"{event}\"{}", bounds.to_toml(law, length)),
            Ask::Sum { property, bounds, within } => {
                let bounds = bounds.to_toml(law, hundredths);
                format!("sum = \"{property}\", of = \"{event}\"{bounds}{}", within.to_toml())
            }
            Ask::Ratio { to, bounds, at_least, within } => {
                let (bounds, least) = (bounds.to_toml(law, hundredths), at_least.to_toml(law, number));
                format!("ratio = \"{event}\", to = \"{to}\"{bounds}, at_least = {least}{}", within.to_toml())
            }
            Ask::SecondsOn { bounds, within } => {
                format!("seconds_on = \"{event}\"{}{}", bounds.to_toml(law, length), within.to_toml())
            }
            Ask::Trait(Test::PlanIsNot(plan)) => return format!("{{ trait = \"plan\", not = \"{plan}\" }}"),
            Ask::Trait(Test::PlanIs(plan)) => return format!("{{ trait = \"plan\", is = \"{plan}\" }}"),
            Ask::Trait(Test::HasPlan) => return "{ trait = \"plan\", exists = true }".to_owned(),
            Ask::Trait(Test::LevelAtLeast(n)) => return format!("{{ trait = \"profile.level\", at_least = {n} }}"),
            Ask::Level(test) => return format!("{{ trait = \"engagement.level\", {} }}", test.to_toml()),
            Ask::Rate { of_clicks, test } => {
                let name = if *of_clicks { "click_rate" } else { "open_rate" };
                return format!("{{ trait = \"engagement.{name}\", {} }}", test.to_toml());
            }
            Ask::Cohort(n) => return format!("{{ cohort = \"{}\" }}", law.cohorts[*n].name),
            Ask::Segment(n) => return format!("{{ segment = \"{}\" }}", law.segments[*n].name),
        };
        if let Some(colour) = self.colour {
            text += &format!(", where = {{ colour = \"{colour}\" }}");
        }
        if self.any_key {
            text += ", any_key = true";
        }
        if self.machine {
            text += ", machine = true";
        }
        format!("{{ {text} }}")
    }
}
