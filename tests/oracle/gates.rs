//! Gates, by the letter of docs/triggers.md.

use super::*;

/// Who may be written to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    OptOut,
    OptIn,
    None,
}

impl Policy {
    pub fn word(self) -> &'static str {
        match self {
            Policy::OptOut => "opt_out",
            Policy::OptIn => "opt_in",
            Policy::None => "none",
        }
    }
}

/// What one rule says of its gates.
#[derive(Clone, Debug)]
pub struct Gates {
    pub channel: &'static str,
    pub consent: Option<Policy>,
    /// Percent; `None` says that nobody is held out.
    pub holdout: Option<u64>,
    pub quiet: Quiet,
    pub is_capped: bool,
    pub guard: OwnGuard,
}

/// When a trigger pauses itself.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    /// Tenths.
    pub times: u64,
    pub least: u64,
    pub most: Option<u64>,
}

/// What a rule says of its guard.
#[derive(Clone, Copy, Debug)]
pub enum OwnGuard {
    AsAll,
    Never,
    Own(Guard),
}

/// What a rule says of quiet hours.
#[derive(Clone, Copy, Debug)]
pub enum Quiet {
    AsAll,
    Never,
    Own(Hours, Option<&'static str>),
}

/// From and until, in minutes of the day.
#[derive(Clone, Copy, Debug)]
pub struct Hours(pub i64, pub i64);

/// What holds for all rules.
#[derive(Clone, Debug)]
pub struct AllGates {
    pub consent: Policy,
    /// Percent.
    pub holdout: u64,
    pub quiet: Option<(Hours, &'static str)>,
    /// So many, within so long.
    pub caps: Vec<(usize, Ms)>,
    pub guard: Option<Guard>,
}

impl AllGates {
    pub fn to_toml(&self) -> String {
        let quiet = self.quiet.map(|(hours, zone)| format!("quiet_hours = {}\n", hours.to_toml(Some(zone))));
        let caps = self.caps.iter().map(|(most, within)| format!("{{ most = {most}, within = \"{within}ms\" }}"));
        let caps = caps.collect::<Vec<_>>().join(", ");
        let (consent, quiet) = (self.consent.word(), quiet.unwrap_or_default());
        let guard = self.guard.map(|guard| format!("guard = {}\n", guard.to_toml())).unwrap_or_default();
        format!("consent = \"{consent}\"\nholdout = {}\ncap = [{caps}]\n{quiet}{guard}", self.holdout)
    }
}

impl Gates {
    pub fn to_toml(&self) -> String {
        let consent = self.consent.map(|policy| format!("consent = \"{}\"\n", policy.word()));
        let holdout = self.holdout.map_or("false".to_owned(), |percent| format!("\"{percent}%\""));
        let quiet = match self.quiet {
            Quiet::AsAll => String::new(),
            Quiet::Never => "quiet_hours = false\n".to_owned(),
            Quiet::Own(hours, zone) => format!("quiet_hours = {}\n", hours.to_toml(zone)),
        };
        let (cap, consent) = (self.is_capped, consent.unwrap_or_default());
        let guard = match self.guard {
            OwnGuard::AsAll => String::new(),
            OwnGuard::Never => "guard = false\n".to_owned(),
            OwnGuard::Own(guard) => format!("guard = {}\n", guard.to_toml()),
        };
        format!("channel = \"{}\"\nholdout = {holdout}\ncap = {cap}\n{consent}{quiet}{guard}", self.channel)
    }
}

impl Guard {
    fn to_toml(self) -> String {
        let most = self.most.map(|most| format!(", most = {most}")).unwrap_or_default();
        format!("{{ times = {}.{}, least = {}{most} }}", self.times / 10, self.times % 10, self.least)
    }
}

impl Hours {
    fn to_toml(self, zone: Option<&str>) -> String {
        let time = |minutes: i64| format!("\"{:02}:{:02}\"", minutes / 60, minutes % 60);
        let zone = zone.map(|zone| format!(", zone = \"{zone}\"")).unwrap_or_default();
        format!("{{ from = {}, until = {}{zone} }}", time(self.0), time(self.1))
    }

    /// Looks at the clock each minute.
    fn end(self, zone: &str, leaves: Ms, start: Ms) -> Ms {
        let ahead = ZONES.iter().find(|(name, _)| *name == zone).map_or(0, |(_, minutes)| *minutes);
        let is_quiet = |at: Ms| {
            let clock = ((start + at) / MINUTE + ahead).rem_euclid(24 * 60);
            if self.0 < self.1 { (self.0..self.1).contains(&clock) } else { !(self.1..self.0).contains(&clock) }
        };
        let mut at = leaves;
        while is_quiet(at) {
            at = (start + at).div_euclid(MINUTE) * MINUTE + MINUTE - start;
        }
        at
    }
}

/// Minutes that the clocks are ahead of UTC in the days of the timelines.
const ZONES: [(&str, i64); 4] = [("UTC", 0), ("Europe/Lisbon", 0), ("America/New_York", -300), ("Asia/Kolkata", 330)];

/// What a sync says of e-mail, and the date of the act if it has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sync {
    pub says: &'static str,
    pub dated: Option<Ms>,
}

impl Deed {
    /// What it says about consent to e-mail or text messages: when, for which, what.
    fn says(&self) -> Vec<(Ms, &'static str, &'static str)> {
        let mut says = Vec::new();
        let channels: &[&'static str] = match self.channel {
            None => &["email"],
            Some("all") => &["email", "sms"],
            Some(one) => &[one],
        };
        match self.name {
            Some("Unsubscribed") => says.extend(channels.iter().map(|channel| (self.at, *channel, "no"))),
            Some("Subscribed") => says.extend(channels.iter().map(|channel| (self.at, *channel, "yes"))),
            Some("SMS Subscribed") => says.push((self.at, "sms", "yes")),
            Some("Email Marked as Spam") => says.push((self.at, "email", "suppressed")),
            Some("Suppression Lifted") => says.extend(channels.iter().map(|channel| (self.at, *channel, "lifted"))),
            _ => {}
        }
        match self.sync {
            Some(Sync { says: "unsubscribed", dated }) => {
                says.push((dated.map_or(self.at, |at| at.min(self.at)), "email", "no"));
            }
            Some(Sync { says: "subscribed", dated: Some(at) }) => says.push((at.min(self.at), "email", "yes")),
            _ => {}
        }
        says
    }

    pub(super) fn is_about_consent(&self) -> bool {
        !self.says().is_empty()
    }
}

impl Somebody {
    /// Keeps what an event says.
    pub(super) fn hear(&mut self, deed: &Deed) {
        self.said.extend(deed.says());
    }

    /// The first eight bytes of a hash of the group's name, a zero byte and the person's id, as a number of ten thousand.
    pub(super) fn is_held_out(&self, law: &Law, rule: &Rule) -> bool {
        let place = |name: &str| {
            let hash = blake3::hash(&[name.as_bytes(), &[0], &self.id].concat());
            let first = hash.as_bytes().iter().take(8).fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
            first % 10_000
        };
        rule.gates.holdout.is_some_and(|own| place(rule.name) < own * 100 || place("") < law.gates.holdout * 100)
    }

    /// When it may leave that would leave then.
    pub(super) fn wakes(&self, law: &Law, rule: &Rule, leaves: Ms) -> Ms {
        let (hours, zone) = match (rule.gates.quiet, law.gates.quiet) {
            (Quiet::Never, _) | (Quiet::AsAll, None) => return leaves,
            (Quiet::AsAll, Some((hours, zone))) => (hours, zone),
            (Quiet::Own(hours, zone), all) => (hours, zone.or(all.map(|(_, zone)| zone)).unwrap_or("UTC")),
        };
        let own = self.zone.map(|(_, zone)| zone).filter(|zone| ZONES.iter().any(|(name, _)| name == zone));
        hours.end(own.unwrap_or(zone), leaves, law.start)
    }

    /// Goes through everything that was said, in order of time; at one instant what lowers comes last.
    pub(super) fn forbids(&self, law: &Law, rule: &Rule) -> Option<&'static str> {
        let mut said: Vec<_> = self.said.iter().filter(|(_, channel, _)| *channel == rule.gates.channel).collect();
        said.sort_by_key(|(at, _, what)| (*at, matches!(*what, "no" | "suppressed")));
        let (mut agreed, mut is_suppressed) = (None, false);
        for (_, _, what) in said {
            match *what {
                "yes" => agreed = Some(true),
                "no" => agreed = Some(false),
                "suppressed" => is_suppressed = true,
                _ => is_suppressed = false,
            }
        }
        let is_well = match rule.gates.consent.unwrap_or(law.gates.consent) {
            Policy::None => true,
            Policy::OptOut => agreed != Some(false),
            Policy::OptIn => agreed == Some(true),
        };
        if !is_well {
            Some("consent")
        } else if is_suppressed {
            Some("suppression")
        } else {
            None
        }
    }
}
