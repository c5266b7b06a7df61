use super::*;

/// A Monday, 00:00 UTC.
const MONDAY: Timestamp = Timestamp::from_millis(1_795_392_000_000);
/// It is told so often.
const STEP: i64 = 5 * 60_000;

/// Events by hour of a week that begins on Monday: days are busy, nights empty, weekends low.
fn shop(hour: i64) -> f64 {
    let (day, hour) = (hour.rem_euclid(WEEK) / 24, hour.rem_euclid(24));
    let part = if (8..20).contains(&hour) { 1.0 } else { 0.0 };
    part * if day < 5 { 60.0 } else { 0.2 }
}

/// A stream in virtual time.
struct Stream {
    volume: Volume,
    now: Timestamp,
    seed: u64,
    alarms: Vec<Timestamp>,
}

impl Stream {
    fn new(seed: u64) -> Self {
        Self { volume: Volume::default(), now: MONDAY, seed, alarms: Vec::new() }
    }

    /// SplitMix64.
    fn random(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// As many as chance has it where so many are expected.
    fn draw(&mut self, mean: f64) -> u64 {
        let (mut n, mut left) = (0, mean);
        loop {
            left += (1.0 - self.random()).ln();
            if left < 0.0 {
                return n;
            }
            n += 1;
        }
    }

    /// Goes on by so many hours, in which `rate` events come an hour, by hours since the first Monday.
    fn go(&mut self, hours: f64, rate: impl Fn(i64) -> f64) {
        let end = self.now + Span::from_millis((hours * 3_600_000.0) as i64);
        while self.now < end {
            let next = self.now + Span::from_millis(STEP);
            let hour = self.now.since(MONDAY).as_millis() / 3_600_000;
            let n = self.draw(rate(hour) * STEP as f64 / 3_600_000.0);
            let was_quiet = self.volume.quiet().is_some();
            self.volume.tell(&BTreeMap::from([(Volume::hour(self.now), n)]), (self.now, next));
            self.now = next;
            if self.volume.quiet().is_some() && !was_quiet {
                self.alarms.push(next);
            }
        }
    }

    fn since_monday(&self, at: Timestamp) -> f64 {
        at.since(MONDAY).as_millis() as f64 / 3_600_000.0
    }
}

/// A stream that has been at work for so many weeks.
fn after(weeks: i64, seed: u64) -> Stream {
    let mut stream = Stream::new(seed);
    stream.go((weeks * WEEK) as f64, shop);
    stream
}

#[test]
fn a_usual_shop_never_alarms() {
    for seed in 0..6 {
        assert_eq!(after(12, seed).alarms, [], "{seed}");
    }
}

#[test]
fn what_stops_on_a_monday_morning_is_told_within_two_hours_and_clears_when_it_is_back() {
    for seed in 0..4 {
        let mut stream = after(6, seed);
        stream.go(10.0, shop);
        let stopped = stream.now;
        stream.go(5.0, |_| 0.0);
        let [alarm] = stream.alarms[..] else { panic!("one alarm, and not {:?}", stream.alarms) };
        assert!(alarm.since(stopped) <= Span::from_hours(2), "{}", alarm.since(stopped));
        let quiet = *stream.volume.quiet().expect("it is quiet");
        assert!(quiet.since.since(stopped) <= Span::HOUR && quiet.expected > 100.0, "{quiet:?}");
        stream.go(0.5, shop);
        assert_eq!(stream.volume.quiet(), None, "it is back");
        stream.go(6.0 * WEEK as f64, shop);
        assert_eq!(stream.alarms.len(), 1, "and was not learned");
    }
}

#[test]
fn what_stops_on_a_saturday_night_is_told_on_monday_morning() {
    for seed in 0..4 {
        let mut stream = after(6, seed);
        stream.go(5.0 * 24.0 + 23.0, shop);
        stream.go(3.0 * 24.0, |_| 0.0);
        let [alarm] = stream.alarms[..] else { panic!("one alarm, and not {:?}", stream.alarms) };
        let at = stream.since_monday(alarm) - 7.0 * WEEK as f64;
        assert!((8.0..=11.0).contains(&at), "{at} hours after Monday began");
    }
}

#[test]
fn a_trickle_is_as_quiet_as_nothing() {
    let mut stream = after(6, 3);
    stream.go(10.0, shop);
    stream.go(6.0, |_| 1.0);
    assert_eq!(stream.alarms.len(), 1);
    assert!(stream.volume.quiet().is_some());
}

#[test]
fn a_decline_over_weeks_is_none() {
    let mut stream = after(4, 5);
    stream.go(16.0 * WEEK as f64, |hour| shop(hour) * 0.8_f64.powf(hour as f64 / WEEK as f64 - 4.0));
    assert_eq!(stream.alarms, []);
}

#[test]
fn campaigns_and_turned_clocks_are_none() {
    let mut stream = after(3, 7);
    // Ten times as much for an hour, twice; then all an hour later, and an hour earlier again.
    let campaign = |hour: i64| if hour.rem_euclid(WEEK) == 38 { 10.0 } else { 1.0 };
    stream.go(2.0 * WEEK as f64, |hour| shop(hour) * campaign(hour));
    stream.go(3.0 * WEEK as f64, shop);
    stream.go(4.0 * WEEK as f64, |hour| shop(hour - 1));
    stream.go(4.0 * WEEK as f64, shop);
    assert_eq!(stream.alarms, []);
}

#[test]
fn nothing_is_expected_of_what_is_new_or_little() {
    let mut new = after(1, 9);
    new.go(WEEK as f64 + 8.0, |_| 0.0);
    assert_eq!(new.alarms, [], "no hour was seen often enough");
    let mut little = Stream::new(11);
    little.go(8.0 * WEEK as f64, |hour| shop(hour) / 300.0);
    little.go(2.0 * WEEK as f64, |_| 0.0);
    assert_eq!(little.alarms, []);
}

#[test]
fn time_that_nobody_watched_is_no_silence() {
    let mut stream = after(6, 13);
    stream.go(10.0, shop);
    // The daemon is down for a day and a half.
    stream.now = stream.now + Span::from_hours(36);
    stream.go(2.0 * WEEK as f64, shop);
    assert_eq!(stream.alarms, []);
}

#[test]
fn what_is_closed_for_good_is_usual_after_two_weeks() {
    let mut stream = after(6, 15);
    stream.go(3.0 * WEEK as f64, |_| 0.0);
    assert_eq!((stream.alarms.len(), stream.volume.quiet()), (1, None));
}

#[test]
fn what_is_kept_is_small_and_goes_on() {
    let mut stream = after(6, 17);
    stream.go(10.0, shop);
    let kept = serde_json::to_vec(&stream.volume).expect("JSON");
    assert!(kept.len() < 16_000, "{} bytes", kept.len());
    assert_eq!(serde_json::from_slice::<Volume>(&kept).expect("read"), stream.volume);
}

#[test]
fn probabilities_are_those_of_the_distribution() {
    // By hand: with a variation of 0.5 the shape is 2; P(0) = (2 / (2 + m))^2.
    assert!((at_most(0.0, 8.0, 0.5) - 0.04).abs() < 1e-12);
    // P(1) = 2 * (m / (m + 2)) * P(0).
    assert!((at_most(1.0, 8.0, 0.5) - (0.04 + 2.0 * 0.8 * 0.04)).abs() < 1e-12);
    assert!((at_most(1e6, 10.0, 0.1) - 1.0).abs() < 1e-9 && at_most(1e9, 1e10, 0.1) < 1e-4);
}
