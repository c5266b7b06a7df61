//! The way of one event, and of time: edges, fires, what is called back.

use super::pause::Stand;
use super::truth::is_of_key;
use super::*;

impl World {
    pub fn new(law: &Law) -> Self {
        let mut law = law.clone();
        law.rules.sort_by(|a, b| b.priority.cmp(&a.priority).then(a.name.cmp(b.name)));
        let states = law.rules.iter().map(|_| pause::State::default()).collect();
        Self { law, people: Vec::new(), edges: Vec::new(), waiting: Vec::new(), states }
    }

    /// Every edge so far, in order of time.
    pub fn edges(&self) -> Vec<Edge> {
        let finally = |mut person: usize| {
            while let Some(other) = self.people[person].merged_into {
                person = other;
            }
            self.people[person].names.clone()
        };
        let mut edges: Vec<Edge> =
            self.edges.iter().map(|(person, edge)| Edge { person: finally(*person), ..edge.clone() }).collect();
        edges.sort();
        edges
    }

    /// One event, heard of at `now`.
    pub fn event(&mut self, deed: &Deed, now: Ms) {
        let (of_user, of_device) = (self.owner(deed.user), self.owner(deed.device));
        // A device never joins two known people; it follows the one who is named.
        let of_device = of_device.filter(|d| {
            let is_taken = deed.user.is_some() && self.people[*d].user.is_some() && of_user != Some(*d);
            if is_taken && let Some(device) = deed.device {
                self.people[*d].names.remove(device);
            }
            !is_taken
        });
        let involved: BTreeSet<usize> = of_user.into_iter().chain(of_device).collect();
        let is_merge = involved.len() > 1;
        let mut moment = deed.at;
        if is_merge {
            // "Just before" is asked of both at the moment of the merge, which no instant already asked can follow.
            moment = involved.iter().map(|p| self.people[*p].asked).fold(moment, Ms::max);
        }
        for person in &involved {
            self.time(*person, moment - 1, now);
        }
        let is_new = involved.is_empty();
        let id = match (of_user, of_device) {
            (Some(user), Some(device)) if user != device => self.merge(user, device),
            (Some(one), _) | (_, Some(one)) => one,
            (None, None) => {
                let (kind, first) = deed.user.map_or(("anonymous_id", deed.device), |user| ("user_id", Some(user)));
                let text = format!("{kind}:{}", first.unwrap_or_default());
                let mut hash = blake3::Hasher::new();
                hash.update(text.as_bytes()).update(&deed.order.to_be_bytes());
                let mut somebody = Somebody::new(deed.at);
                somebody.id.copy_from_slice(&hash.finalize().as_bytes()[..16]);
                self.people.push(somebody);
                self.people.len() - 1
            }
        };
        let person = &mut self.people[id];
        person.user = person.user.or(deed.user);
        person.names.extend(deed.user.into_iter().chain(deed.device).map(str::to_owned));
        let is_earlier = deed.at < person.first_seen;
        person.first_seen = person.first_seen.min(deed.at);
        person.asked = person.asked.max(deed.at);
        let at = person.asked;

        let before = self.truths(id, at);
        let changed = self.people[id].set_traits(deed);
        self.people[id].hear(deed);
        let session_before = self.people[id].session(at).map(|d| d.order);
        if deed.name.is_some() {
            self.people[id].deeds.push(deed.clone());
        }
        let person = &self.people[id];
        let is_last = person.until(at).last().is_some_and(|d| d.order == deed.order);
        let moves_session = deed.name.is_some()
            && deed.is_tracking
            && (!is_last || person.session(at).map(|d| d.order) != session_before);
        let after = self.truths(id, at);
        for (rule, key) in self.questions(id) {
            let is_new_key = !before.contains_key(&(rule, key.clone()));
            let law = &self.law;
            let rules = &law.rules[rule];
            let is_moved = is_merge || is_new || is_earlier || is_new_key || (moves_session && rules.has_session(law));
            if is_moved || rules.reads(law, deed, rules.key(&key), &changed) {
                self.ask(id, rule, &key, at, now);
            } else {
                let place = (rule, key);
                assert_eq!(before.get(&place), after.get(&place), "an event that is not read changed the truth");
            }
        }
        if is_merge || deed.name.is_some() {
            self.cancel(id, deed, is_merge, at, now);
        }
        if is_merge || deed.is_about_consent() {
            self.recall(id, at, now);
        }
    }

    /// Calls back what has not left (here nothing ever leaves before it expires) and has lost its reason.
    fn cancel(&mut self, id: usize, deed: &Deed, is_merge: bool, at: Ms, now: Ms) {
        for one in std::mem::take(&mut self.waiting) {
            let edge = self.edges[one.place].1.clone();
            let law = &self.law;
            let rule = &law.rules[one.rule];
            let key = rule.key(&edge.key);
            let is_exit = rule.is_segment && edge.key == "exit";
            let person = &self.people[id];
            if !self.is_of(&one, id) || one.is_over(now) {
                self.waiting.push(one);
                continue;
            }
            // A late event took the edge away,
            let is_late = is_merge || deed.at <= edge.at;
            let stood = match is_exit {
                true => !person.truth(law, &rule.when, key, edge.at),
                false => (edge.at - rule.held.unwrap_or(0)..=edge.at)
                    .step_by(1_000)
                    .all(|instant| person.truth(law, &rule.when, key, instant)),
            };
            // or the person did since what they must not have done.
            let news = person.deeds.iter().filter(|d| d.at >= edge.at && (is_merge || d.order == deed.order));
            let every = rule.when.every_leaf(law, true);
            let speaks_against = |d: &Deed| {
                every.iter().any(|(leaf, has_key)| {
                    leaf.is_did_not()
                        && d.name == Some(leaf.event)
                        && leaf.colour.is_none_or(|colour| d.colour == Some(colour))
                        && (leaf.machine || !d.is_machine || !leaf.event.starts_with("Email"))
                        && is_of_key(d, key.filter(|_| *has_key), leaf.any_key, true)
                })
            };
            let is_stopped =
                !is_exit && news.into_iter().any(speaks_against) && !person.truth(law, &rule.when, key, at);
            if (is_late && !stood) || is_stopped {
                self.give_back(id, &one, at.max(now));
                self.edges.push((id, Edge { verdict: "cancelled", until: None, ..edge }));
            } else {
                self.waiting.push(one);
            }
        }
    }

    /// Calls back what has not left and may not go to the person any more.
    fn recall(&mut self, id: usize, at: Ms, now: Ms) {
        for one in std::mem::take(&mut self.waiting) {
            let edge = self.edges[one.place].1.clone();
            let is_there = self.is_of(&one, id) && !one.is_over(now);
            if is_there && self.people[id].forbids(&self.law, &self.law.rules[one.rule]).is_some() {
                self.give_back(id, &one, at.max(now));
                self.edges.push((id, Edge { verdict: "recalled", until: None, ..edge }));
            } else {
                self.waiting.push(one);
            }
        }
    }

    pub(super) fn is_of(&self, one: &Waiting, id: usize) -> bool {
        one.person == id || self.people[one.person].merged_into == Some(id)
    }

    /// What waits for more than a minute yet has certainly not left.
    fn waits(one: &Waiting, now: Ms) -> bool {
        one.until.is_some_and(|until| until - now > MINUTE)
    }

    fn give_back(&mut self, id: usize, one: &Waiting, now: Ms) {
        if Self::waits(one, now) {
            self.people[id].counted.retain(|(_, counted)| *counted != one.place);
        }
    }

    /// Who has to give way that an activation can leave, as places in `edges`; `None` when that does not help.
    fn makes_room(&self, id: usize, n: usize, starts: Ms, leaves: Ms) -> Option<Vec<usize>> {
        let mut counted = self.people[id].counted.clone();
        let mut gone = Vec::new();
        if !self.law.rules[n].gates.is_capped {
            return Some(gone);
        }
        for (most, within) in &self.law.gates.caps {
            let is_in = |(left, _): &&(Ms, usize)| leaves - left < *within;
            while counted.iter().filter(is_in).count() >= *most {
                let weaker = counted.iter().filter(is_in).filter_map(|(left, place)| {
                    let other = self.waiting.iter().find(|waiting| waiting.place == *place)?;
                    let rule = &self.law.rules[other.rule];
                    let edge = &self.edges[*place].1;
                    let is_weaker = rule.priority < self.law.rules[n].priority && Self::waits(other, starts);
                    is_weaker.then_some((-i64::from(rule.priority), *left, edge.at, &edge.rule, &edge.key, *place))
                });
                let (.., place) = weaker.max()?;
                counted.retain(|(_, other)| *other != place);
                gone.push(place);
            }
        }
        Some(gone)
    }

    /// Lets time run for everybody up to and including `until`.
    pub fn timers(&mut self, until: Ms, now: Ms) {
        for person in 0..self.people.len() {
            if self.people[person].merged_into.is_none() {
                self.time(person, until, now);
            }
        }
    }

    fn owner(&self, name: Option<&str>) -> Option<usize> {
        let name = name?;
        self.people.iter().position(|p| p.merged_into.is_none() && p.names.contains(name))
    }

    fn questions(&self, id: usize) -> Vec<(usize, String)> {
        let mut questions = Vec::new();
        for (n, rule) in self.law.rules.iter().enumerate() {
            questions.extend(self.people[id].keys(rule).into_iter().map(|key| (n, key)));
        }
        questions
    }

    fn truths(&self, id: usize, at: Ms) -> BTreeMap<(usize, String), bool> {
        let truth = |n: usize, key: &str| {
            let rule = &self.law.rules[n];
            self.people[id].truth(&self.law, &rule.when, rule.key(key), at)
        };
        self.questions(id).into_iter().map(|q| (q.clone(), truth(q.0, &q.1))).collect()
    }

    /// Joins two; whoever has an account stays.
    fn merge(&mut self, user: usize, device: usize) -> usize {
        let gone = std::mem::replace(&mut self.people[device], Somebody::new(0));
        self.people[device].merged_into = Some(user);
        let stays = &mut self.people[user];
        stays.names.extend(gone.names);
        stays.deeds.extend(gone.deeds);
        stays.first_seen = stays.first_seen.min(gone.first_seen);
        stays.asked = stays.asked.max(gone.asked);
        for (place, theirs) in gone.known {
            let ours = stays.known.entry(place).or_default();
            ours.is_true |= theirs.is_true;
            ours.has_fired |= theirs.has_fired;
            ours.since = ours.since.into_iter().chain(theirs.since).min();
        }
        stays.said.extend(gone.said);
        stays.counted.extend(gone.counted);
        stays.plan = newer(stays.plan, gone.plan);
        stays.level = newer(stays.level, gone.level);
        stays.zone = newer(stays.zone, gone.zone);
        for (rule, theirs) in gone.last_fire {
            let ours = stays.last_fire.entry(rule).or_insert(theirs);
            *ours = theirs.max(*ours);
        }
        user
    }

    /// Asks at every instant, up to and including `until`, at which time alone can change something.
    fn time(&mut self, id: usize, until: Ms, now: Ms) {
        let mut from = self.people[id].asked;
        while let Some(at) = self.next_instant(id, from).filter(|at| *at <= until) {
            self.people[id].asked = at;
            for (rule, key) in self.questions(id) {
                self.ask(id, rule, &key, at, now);
            }
            from = at + 1;
        }
    }

    fn next_instant(&self, id: usize, from: Ms) -> Option<Ms> {
        let person = &self.people[id];
        let mut instants = BTreeSet::new();
        for (n, key) in self.questions(id) {
            let law = &self.law;
            let rule = &law.rules[n];
            let offsets = rule.when.offsets(law);
            let every = rule.when.every_leaf(law, true);
            let begun = person.deeds.iter().map(|d| d.at).chain([person.first_seen]);
            let begun: BTreeSet<Ms> = begun.flat_map(|at| offsets.iter().map(move |offset| at + offset)).collect();
            let turns = |at: Ms| {
                let key = rule.key(&key);
                every.iter().any(|(leaf, is_of_key)| person.turns(law, leaf, key.filter(|_| *is_of_key), at))
            };
            // Only the first is wanted, and none after one that was found already.
            let latest = instants.first().copied().unwrap_or(Ms::MAX);
            instants.extend(begun.range(from..).take_while(|at| **at <= latest).find(|at| turns(**at)));
            let since = person.known.get(&(n, key)).and_then(|known| known.since);
            if let (Some(since), Some(held)) = (since, rule.held) {
                instants.extend(Some(since + held).filter(|at| *at >= from));
            }
        }
        instants.first().copied()
    }

    fn ask(&mut self, id: usize, n: usize, key: &str, at: Ms, now: Ms) {
        let rule = &self.law.rules[n];
        let person = &mut self.people[id];
        let truth = person.truth(&self.law, &rule.when, rule.key(key), at);
        let place = key.to_owned();
        let known = person.known.entry((n, place.clone())).or_default();
        known.since = if truth { known.since.or(Some(at)) } else { None };
        let is_true = truth && rule.held.is_none_or(|held| known.since.is_some_and(|since| at - since >= held));
        let was_true = known.is_true;
        known.is_true = is_true;
        let key = match (rule.is_segment, was_true, is_true) {
            (false, false, true) => key,
            (true, false, true) => "enter",
            (true, true, false) => "exit",
            _ => return,
        };
        let forbidden = self.people[id].forbids(&self.law, rule);
        let leaves = at.max(now);
        let wakes = self.people[id].wakes(&self.law, rule, leaves);
        let until = (wakes > leaves).then_some(wakes);
        let room = self.makes_room(id, n, leaves, wakes);
        let has_caps = rule.gates.is_capped && !self.law.gates.caps.is_empty();
        let is_held_out = self.people[id].is_held_out(&self.law, rule);
        let person = &mut self.people[id];
        let has_fired = person.known.entry((n, place.clone())).or_default().has_fired;
        let is_cooling =
            rule.cooldown.zip(person.last_fire.get(&n)).is_some_and(|(cooldown, last)| at - last < cooldown);
        let verdict = if rule.once && has_fired {
            "already_fired"
        } else if is_cooling {
            "cooling_down"
        } else if now - at > rule.expires {
            "expired"
        } else if let Some(gate) = forbidden {
            gate
        } else if until.is_some_and(|until| until >= at + rule.expires) {
            "quiet_hours"
        } else if room.is_none() {
            "cap"
        } else {
            let stand = if is_held_out { Stand::Leaves } else { self.states[n].stand(&self.law, n, at) };
            match stand {
                Stand::Dropped(gate) => gate,
                _ => {
                    let person = &mut self.people[id];
                    person.known.entry((n, place)).or_default().has_fired = true;
                    person.last_fire.insert(n, at);
                    let (place, expires) = (self.edges.len(), at + self.law.rules[n].expires);
                    // What is held leaves at no time.
                    let until = if stand == Stand::Held { Waiting::NEVER } else { until };
                    if !is_held_out {
                        self.waiting.push(Waiting { person: id, rule: n, place, until, expires });
                    }
                    if !is_held_out && has_caps {
                        person.counted.push((until.unwrap_or(wakes), place));
                    }
                    match stand {
                        _ if is_held_out => "holdout",
                        Stand::Held => "held",
                        _ if until.is_some() => "delayed",
                        _ => "activated",
                    }
                }
            }
        };
        let until = until.filter(|_| verdict == "delayed");
        let (rule, key) = (self.law.rules[n].name.to_owned(), key.to_owned());
        let edge = Edge { at, rule, key, verdict, until, person: BTreeSet::new() };
        self.edges.push((id, edge));
        if matches!(verdict, "activated" | "delayed") {
            for place in room.unwrap_or_default() {
                self.waiting.retain(|waiting| waiting.place != place);
                self.people[id].counted.retain(|(_, counted)| *counted != place);
                let edge = self.edges[place].1.clone();
                self.edges.push((id, Edge { verdict: "recalled", until: None, ..edge }));
            }
        }
    }
}

/// The one that was set later; of two at one instant, the first.
fn newer<T>(ours: Option<(Ms, T)>, theirs: Option<(Ms, T)>) -> Option<(Ms, T)> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if theirs.0 > ours.0 => Some(theirs),
        (ours, theirs) => ours.or(theirs),
    }
}

/// Sets a trait unless a later event did; true when its value is another now.
fn set<T: PartialEq + Copy>(known: &mut Option<(Ms, T)>, at: Ms, value: Option<T>) -> bool {
    let Some(value) = value.filter(|_| known.is_none_or(|(before, _)| before <= at)) else { return false };
    let is_changed = known.is_none_or(|(_, old)| old != value);
    *known = Some((at, value));
    is_changed
}

impl Somebody {
    /// Names of the traits that the event changed.
    pub(super) fn set_traits(&mut self, deed: &Deed) -> Vec<&'static str> {
        let mut changed = Vec::new();
        if set(&mut self.plan, deed.at, deed.plan) {
            changed.push("plan");
        }
        set(&mut self.zone, deed.at, deed.zone);
        if set(&mut self.level, deed.at, deed.level) {
            changed.push("level");
        }
        changed
    }

    fn new(first_seen: Ms) -> Self {
        Self {
            id: [0; 16],
            names: BTreeSet::new(),
            user: None,
            deeds: Vec::new(),
            first_seen,
            asked: Ms::MIN,
            known: BTreeMap::new(),
            last_fire: BTreeMap::new(),
            plan: None,
            level: None,
            zone: None,
            said: Vec::new(),
            counted: Vec::new(),
            merged_into: None,
        }
    }
}
