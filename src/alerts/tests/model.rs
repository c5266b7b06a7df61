//! What is told, by a naive model: episodes read off the whole history of what was found, and what a receiver believes.

use proptest::prelude::*;

use super::*;

const KEYS: usize = 3;
const LOOKS: usize = 120;

/// One random history.
#[derive(Clone, Debug)]
struct History {
    /// In looks: it must be so, is over when calm, goes in one message, is told again.
    wait: i64,
    calm: i64,
    group: i64,
    repeat: i64,
    found: Vec<[bool; KEYS]>,
    /// Looks before which the daemon was restarted.
    restarts: Vec<bool>,
    /// Looks at which the receiver takes nothing.
    deaf: Vec<bool>,
    /// Looks at which everything is silenced.
    silent: Vec<bool>,
}

fn histories() -> impl Strategy<Value = History> {
    // Long runs of the same: what is found at each look by chance would never fire.
    let runs = || prop::collection::vec((any::<bool>(), 1_usize..25), LOOKS / 4).prop_map(flat);
    let rarely = || prop::collection::vec(prop::bool::weighted(0.03), LOOKS);
    ((0_i64..6, 1_i64..6, 0_i64..5, 2_i64..30), [runs(), runs(), runs()], rarely(), runs(), runs()).prop_map(
        |((wait, calm, group, repeat), found, restarts, deaf, silent)| History {
            wait,
            calm,
            group,
            repeat,
            found: (0..LOOKS).map(|n| [found[0][n], found[1][n], found[2][n]]).collect(),
            restarts,
            deaf: deaf.iter().map(|is_deaf| !is_deaf).collect(),
            silent: silent.iter().zip(rarely_of(&silent)).map(|(a, b)| *a && b).collect(),
        },
    )
}

fn flat(runs: Vec<(bool, usize)>) -> Vec<bool> {
    let all = runs.into_iter().flat_map(|(value, n)| std::iter::repeat_n(value, n));
    all.chain(std::iter::repeat(false)).take(LOOKS).collect()
}

/// Silences are half as many as runs would make them.
fn rarely_of(runs: &[bool]) -> Vec<bool> {
    (0..runs.len()).map(|n| (n / 30) % 2 == 1).collect()
}

/// A time for which something was found again and again.
#[derive(Clone, Copy, Debug)]
struct Episode {
    fired: Option<i64>,
    ended: Option<i64>,
}

impl History {
    /// What is known of a key at a look, off all looks until then.
    fn episode(&self, key: usize, until: usize) -> Option<Episode> {
        let mut last: Option<Episode> = None;
        let (mut begun, mut seen) = (0, 0);
        for look in 0..=until {
            let now = look as i64;
            let is_open = last.is_some_and(|episode| episode.ended.is_none());
            if is_open && self.restarts[look] {
                seen = now;
            }
            if self.found[look][key] {
                if !is_open {
                    (begun, last) = (now, Some(Episode { fired: None, ended: None }));
                }
                seen = now;
                if let Some(episode) = &mut last
                    && episode.fired.is_none()
                    && now - begun >= self.wait
                {
                    episode.fired = Some(now);
                }
            } else if let Some(episode) = &mut last
                && episode.ended.is_none()
                && now - seen >= self.calm
                && now > seen
            {
                episode.ended = Some(now);
            }
        }
        last
    }

    /// What is to be said at a look to whoever believes this, of each key when it was last told to fire.
    fn said(&self, believed: &[Option<i64>; KEYS], look: usize) -> Vec<String> {
        let now = look as i64;
        let (mut news, mut still, mut first, mut is_repeated) = (Vec::new(), Vec::new(), i64::MAX, false);
        for (key, told) in believed.iter().enumerate() {
            let Some(episode) = self.episode(key, look) else { continue };
            match (episode.fired, episode.ended, told) {
                (_, Some(ended), Some(_)) => {
                    first = first.min(ended);
                    news.push(format!("-{key}"));
                }
                (Some(fired), None, None) if !self.silent[look] => {
                    first = first.min(fired);
                    news.push(format!("+{key}"));
                }
                (Some(_), None, Some(told)) if !self.silent[look] => {
                    is_repeated |= now - told >= self.repeat;
                    still.push(format!("~{key}"));
                }
                _ => {}
            }
        }
        if is_repeated {
            news.extend(still);
        } else if first == i64::MAX || now - first < self.group {
            news.clear();
        }
        news.sort();
        news
    }
}

/// How long a look is.
fn looks(n: i64) -> Span {
    Span::from_secs(n * EVERY)
}

fn play(history: &History) {
    let mut settings = settings("");
    (settings.calm, settings.group_wait, settings.repeat) =
        (looks(history.calm), looks(history.group), looks(history.repeat));
    settings.rule.dead_letters.wait = Some(looks(history.wait));
    let (mut state, mut believed) = (State::default(), [None; KEYS]);
    for look in 0..LOOKS {
        let now = at(look as i64 * EVERY);
        if history.restarts[look] {
            let bytes = serde_json::to_vec(&state).expect("bytes");
            state = serde_json::from_slice::<State>(&bytes).expect("a state").opened(&receivers(), now);
        }
        let names: String = (0..KEYS).filter(|key| history.found[look][*key]).map(letter).collect();
        state.silences.clear();
        if history.silent[look] {
            let until = now + looks(1);
            state.silence(Silence { id: 0, kind: None, of: None, from: now, until, by: "me".into() });
        }
        state.look(&found(&names), &settings, now);
        // How long a receiver that failed is left alone is by chance, and no matter of the model.
        state.failing.clear();
        let due = state.due("chat", &all(), &settings.round(now));
        let mut heard: Vec<String> = due.iter().flat_map(|batch| batch.items.iter().map(numbered)).collect();
        heard.sort();
        assert_eq!(heard, history.said(&believed, look), "at look {look} of {history:?}");
        let Some(batch) = due else { continue };
        state.asked("chat", &batch);
        if history.deaf[look] {
            state.failed("chat", &batch, &refused(None), now);
            continue;
        }
        state.taken("chat", &batch, now);
        for words in &heard {
            let key: usize = words[1..].parse().expect("a number");
            believed[key] = (!words.starts_with('-')).then_some(look as i64);
        }
    }
}

fn letter(key: usize) -> char {
    ['a', 'b', 'c'][key]
}

fn numbered(item: &Item) -> String {
    let one = Batch { id: String::new(), items: vec![item.clone()] };
    let key = (0..KEYS).find(|key| item.key.of == letter(*key).to_string()).expect("one of ours");
    format!("{}{key}", &told(&one)[..1])
}

proptest! {
    #[test]
    fn what_is_told_is_what_the_history_says(history in histories()) {
        play(&history);
    }
}

/// What becomes of a try: whether the receiver heard it, and what we know of that.
const TRIES: [(bool, Option<bool>); 4] = [(true, Some(true)), (false, Some(false)), (true, None), (false, None)];

proptest! {
    /// Whatever is cut, refused, or lost by a kill: in the end a receiver takes nothing for firing that does not.
    #[test]
    fn who_has_heard_of_it_hears_of_its_end(history in histories(), tries in prop::collection::vec(0_usize..6, LOOKS)) {
        let mut settings = settings("group_wait = \"0s\"\nrepeat = \"3m\"");
        settings.calm = looks(history.calm);
        let (mut state, mut believed) = (State::default(), std::collections::BTreeSet::new());
        // All is well at the end, for longer than a receiver is left alone.
        for look in 0..LOOKS + 200 {
            let now = at(look as i64 * EVERY);
            let names: String =
                (0..KEYS).filter(|key| history.found.get(look).is_some_and(|found| found[*key])).map(letter).collect();
            state.look(&found(&names), &settings, now);
            let Some(batch) = state.due("chat", &all(), &settings.round(now)) else { continue };
            state.asked("chat", &batch);
            let bytes = serde_json::to_vec(&state).expect("bytes");
            let of = tries.get(look).copied().unwrap_or(0);
            let (is_heard, is_known) = TRIES.get(of).copied().unwrap_or((of == 4, None));
            for item in batch.items.iter().filter(|_| is_heard) {
                match item.change {
                    Change::Over => believed.remove(&item.key),
                    Change::Fired | Change::Still => believed.insert(item.key.clone()),
                };
            }
            match is_known {
                Some(true) => state.taken("chat", &batch, now),
                Some(false) => state.failed("chat", &batch, &refused(None), now),
                None if of < TRIES.len() => state.failed("chat", &batch, &cut(), now),
                // Killed before the end of it was kept.
                None => state = serde_json::from_slice::<State>(&bytes).expect("a state").opened(&receivers(), now),
            }
            let firing = |key: &Key| state.alerts.iter().any(|alert| alert.key == *key);
            prop_assert!(believed.iter().all(firing), "{:?} are believed and not known", believed);
        }
        prop_assert!(believed.is_empty() && state.alerts.is_empty(), "{:?} {:?}", believed, state.alerts);
    }
}

/// The histories are worth playing: things fire, repeat, end, and receivers miss some of it.
#[test]
fn random_histories_are_not_empty() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut fired, mut ended) = (0, 0);
    for _ in 0..20 {
        let history = histories().new_tree(&mut runner).expect("a history").current();
        for key in 0..KEYS {
            let of = (0..LOOKS).filter_map(|look| history.episode(key, look));
            let episodes: std::collections::BTreeSet<(Option<i64>, Option<i64>)> =
                of.map(|one| (one.fired, one.ended)).collect();
            fired += episodes.iter().filter(|(fired, ended)| fired.is_some() && ended.is_none()).count();
            ended += episodes.iter().filter(|(_, ended)| ended.is_some()).count();
        }
    }
    assert!(fired > 60 && ended > 60, "{fired} fired, {ended} ended");
}
