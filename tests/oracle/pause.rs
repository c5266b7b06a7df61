//! Triggers that are paused, by somebody or by their guard, by the letter of docs/triggers.md.

use super::*;

const HOUR: Ms = 60 * MINUTE;

/// What becomes of the edges of a paused trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    Drop,
    Keep,
    CatchUp,
}

/// How what is held goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lets {
    Send,
    CatchUp,
    Drop,
}

/// What somebody wants of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Pause(Keeps),
    Resume(Option<Lets>),
}

/// How a fire goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    Leaves,
    Held,
    Dropped(&'static str),
}

/// What is known of one rule over all people.
#[derive(Clone, Default)]
pub(super) struct State {
    /// The policy, and whether the guard paused it.
    pause: Option<(Keeps, bool)>,
    /// The guard looks away until then.
    free_until: Option<Ms>,
    /// The edges of all that left.
    fires: Vec<Ms>,
}

impl State {
    /// Asked of what has passed all other gates.
    pub(super) fn stand(&mut self, law: &Law, n: usize, at: Ms) -> Stand {
        let guard = match law.rules[n].gates.guard {
            OwnGuard::AsAll => law.gates.guard,
            OwnGuard::Never => None,
            // What it leaves out is as for all.
            OwnGuard::Own(own) => {
                Some(Guard { most: own.most.or(law.gates.guard.and_then(|guard| guard.most)), ..own })
            }
        };
        let is_watched = self.pause.is_none() && self.free_until.is_none_or(|free| at >= free);
        if let Some(guard) = guard.filter(|_| is_watched)
            && let Some(limit) = self.limit(guard, law.start, at)
            && self.in_hours(law.start, hour(law.start, at)..hour(law.start, at) + 1) >= limit
        {
            self.pause = Some((Keeps::Keep, true));
        }
        match self.pause {
            None => {
                self.fires.push(at);
                Stand::Leaves
            }
            Some((Keeps::Drop, _)) => Stand::Dropped("paused"),
            Some(_) => Stand::Held,
        }
    }

    /// Fires with their edge in these hours; those of a week before the newest are forgotten.
    fn in_hours(&self, start: Ms, hours: std::ops::Range<Ms>) -> u64 {
        let newest = self.fires.iter().map(|fire| hour(start, *fire)).max().unwrap_or_default();
        let counts = |fire: &&Ms| hour(start, **fire) >= newest - 7 * 24 && hours.contains(&hour(start, **fire));
        self.fires.iter().filter(counts).count() as u64
    }

    fn limit(&self, guard: Guard, start: Ms, at: Ms) -> Option<u64> {
        let this = hour(start, at);
        let hours = self.fires.iter().map(|fire| hour(start, *fire));
        let learned = hours.clone().min().zip(hours.max()).and_then(|(first, newest)| {
            let lived = this - first.max(newest - 7 * 24);
            let usual = self.in_hours(start, this - 7 * 24..this) * guard.times;
            let lived = u64::try_from(lived).ok().filter(|lived| *lived >= 24)?.min(7 * 24);
            Some(usual.div_ceil(lived * 10).max(guard.least))
        });
        learned.into_iter().chain(guard.most).min()
    }
}

fn hour(start: Ms, at: Ms) -> Ms {
    (start + at).div_euclid(HOUR)
}

impl World {
    /// Somebody wants something of a rule.
    pub fn wish(&mut self, rule: &str, wish: Wish, now: Ms) {
        let Some(n) = self.law.rules.iter().position(|known| known.name == rule) else { return };
        let resumed = match wish {
            Wish::Pause(keeps) => {
                self.states[n].pause = Some((keeps, false));
                return;
            }
            Wish::Resume(lets) => self.states[n].pause.take().map(|(keeps, _)| (lets, keeps)),
        };
        let Some((lets, keeps)) = resumed else { return };
        self.states[n].free_until = Some(now + HOUR);
        let lets = lets.unwrap_or(match keeps {
            Keeps::Drop => Lets::Drop,
            Keeps::Keep => Lets::Send,
            Keeps::CatchUp => Lets::CatchUp,
        });
        for mut one in std::mem::take(&mut self.waiting) {
            if one.rule != n || one.until != Waiting::NEVER {
                self.waiting.push(one);
                continue;
            }
            let id = self.people[one.person].merged_into.unwrap_or(one.person);
            let edge = self.edges[one.place].1.clone();
            match self.goes(id, &one, lets, now) {
                Some(until) => {
                    if lets == Lets::CatchUp {
                        one.expires = now + self.law.rules[n].expires;
                    }
                    one.until = until;
                    for (leaves, place) in &mut self.people[id].counted {
                        if *place == one.place {
                            *leaves = until.unwrap_or(now);
                        }
                    }
                    self.waiting.push(one);
                    self.edges.push((id, Edge { verdict: "released", until, ..edge }));
                }
                None => {
                    self.people[id].counted.retain(|(_, place)| *place != one.place);
                    self.edges.push((id, Edge { verdict: "recalled", until: None, ..edge }));
                }
            }
        }
    }

    /// When a held one goes, if not at once; `None` if it does not.
    fn goes(&self, id: usize, one: &Waiting, lets: Lets, now: Ms) -> Option<Option<Ms>> {
        let (law, person, edge) = (&self.law, &self.people[id], &self.edges[one.place].1);
        let rule = &law.rules[one.rule];
        if lets == Lets::Drop || (lets == Lets::Send && one.expires < now) {
            return None;
        }
        let is_exit = rule.is_segment && edge.key == "exit";
        let key = if rule.is_segment { None } else { rule.key(&edge.key) };
        if lets == Lets::CatchUp && !is_exit && !person.truth(law, &rule.when, key, now.max(person.asked)) {
            return None;
        }
        if person.forbids(law, rule).is_some() {
            return None;
        }
        let at = if lets == Lets::CatchUp { now } else { edge.at };
        let leaves = at.max(now);
        let wakes = person.wakes(law, rule, leaves);
        (wakes == leaves || wakes < at + rule.expires).then(|| (wakes > leaves).then_some(wakes))
    }
}
