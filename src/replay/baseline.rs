//! How what people did is distributed, by cohort: what a threshold is chosen by. People in, quantiles out.
//!
//! Quantiles are exact up to 1,000,000 numbers of a metric and cohort. Beyond that they are those of a sample of as
//! many (a reservoir with a fixed seed, so that the same people in the same order give the same answer); counts, the
//! least, the most and the shares of thresholds stay exact.

use std::collections::HashMap;

use serde::Serialize;

use crate::model::{Entry, Person, Timestamp, machine};
use crate::rules::{Path, Program, visits};

/// So many numbers are kept for each metric and cohort.
const KEPT: usize = 1_000_000;

/// The quantiles, in percent; 0 is the least and 100 the most.
pub const QUANTILES: [u8; 9] = [0, 10, 25, 50, 75, 90, 95, 99, 100];

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// `Product Viewed` of one product in one session. A case is a product in a session.
    ViewsPerProduct,
    /// `Product Viewed` in one session. A case is a session with one at least.
    ViewsPerSession,
    /// Seconds that product pages were looked at in one session, as `seconds_on` counts. A case is a session in which
    /// any were told.
    SecondsPerSession,
    /// Days from one `Order Completed` of a person to their next.
    DaysBetweenOrders,
    /// Hours from a `Product Added` to the order it came to: the next of the same cart, or without a cart id; where the
    /// product was added without one, the next.
    HoursToOrder,
    /// E-mails opened for each delivered, without those of machines. A case is a person with a delivered one.
    OpensPerDelivered,
    /// Links clicked for each e-mail delivered, in the same way.
    ClicksPerDelivered,
}

/// A threshold to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AtLeast {
    /// Of what.
    pub metric: Metric,
    /// At least this.
    pub least: f64,
}

/// Collects people, one after the other.
#[derive(Debug)]
pub struct Baseline {
    thresholds: Vec<AtLeast>,
    cohorts: Vec<Cohort>,
}

#[derive(Debug)]
struct Cohort {
    name: String,
    people: u64,
    samples: Vec<Sample>,
    /// For each threshold: people, cases.
    hits: Vec<(u64, u64)>,
}

/// One metric of one cohort.
#[derive(Clone, Debug)]
struct Sample {
    kept: Vec<f64>,
    people: u64,
    cases: u64,
    least: f64,
    most: f64,
    /// The reservoir's numbers: the same in every sample.
    random: fastrand::Rng,
}

/// One metric of one cohort, ready to be shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distribution {
    /// Of what.
    pub metric: Metric,
    /// `all`, or a cohort's name.
    pub cohort: String,
    /// How many people have a case.
    pub people: u64,
    /// How many numbers there are.
    pub cases: u64,
    /// At each of [`QUANTILES`]: the least number that so many percent of the cases do not exceed. Empty without cases.
    pub quantiles: Vec<f64>,
}

/// What a threshold would hit in one cohort.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hit {
    /// The threshold.
    #[serde(flatten)]
    pub threshold: AtLeast,
    /// `all`, or a cohort's name.
    pub cohort: String,
    /// People with a case that reaches it.
    pub people: u64,
    /// Their share of everybody in the cohort, from 0 to 1.
    pub share_of_people: f64,
    /// Cases that reach it.
    pub cases: u64,
    /// Their share of the metric's cases, from 0 to 1.
    pub share_of_cases: f64,
}

impl Metric {
    /// All there are, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::ViewsPerProduct,
        Self::ViewsPerSession,
        Self::SecondsPerSession,
        Self::DaysBetweenOrders,
        Self::HoursToOrder,
        Self::OpensPerDelivered,
        Self::ClicksPerDelivered,
    ];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ViewsPerProduct => "views-per-product",
            Self::ViewsPerSession => "views-per-session",
            Self::SecondsPerSession => "seconds-per-session",
            Self::DaysBetweenOrders => "days-between-orders",
            Self::HoursToOrder => "hours-to-order",
            Self::OpensPerDelivered => "opens-per-delivered",
            Self::ClicksPerDelivered => "clicks-per-delivered",
        }
    }
}

impl Baseline {
    /// Of nobody yet.
    pub fn new(program: &Program, thresholds: Vec<AtLeast>) -> Self {
        let cohort = |name: &str| Cohort {
            name: name.to_owned(),
            people: 0,
            samples: vec![Sample::default(); Metric::ALL.len()],
            hits: vec![(0, 0); thresholds.len()],
        };
        let cohorts = ["all"].into_iter().chain(program.cohorts()).map(cohort).collect();
        Self { thresholds, cohorts }
    }

    /// Takes a person: what they did from `since` on, in the first cohort that is true of them at `end`.
    pub fn add(&mut self, program: &Program, person: &Person, since: Timestamp, end: Timestamp) {
        let mine = program.cohort_of(person, end).map(|place| place + 1);
        let measured = measure(program, person, since);
        for place in [Some(0), mine].into_iter().flatten() {
            let Some(cohort) = self.cohorts.get_mut(place) else { continue };
            cohort.people += 1;
            for (sample, (_, cases)) in cohort.samples.iter_mut().zip(&measured) {
                sample.people += u64::from(!cases.is_empty());
                cases.iter().for_each(|number| sample.take(*number, KEPT));
            }
            for (hits, threshold) in cohort.hits.iter_mut().zip(&self.thresholds) {
                let cases = measured.iter().filter(|(metric, _)| *metric == threshold.metric).flat_map(|(_, c)| c);
                let reached = cases.filter(|number| **number >= threshold.least).count() as u64;
                hits.0 += u64::from(reached > 0);
                hits.1 += reached;
            }
        }
    }

    /// Every metric, each for `all` and then for every cohort.
    pub fn distributions(&self) -> Vec<Distribution> {
        let of = |(place, metric): (usize, &Metric)| {
            let metric = *metric;
            self.cohorts.iter().filter_map(move |cohort| {
                let sample = cohort.samples.get(place)?;
                let quantiles = sample.quantiles();
                let cohort = cohort.name.clone();
                Some(Distribution { metric, cohort, people: sample.people, cases: sample.cases, quantiles })
            })
        };
        Metric::ALL.iter().enumerate().flat_map(of).collect()
    }

    /// Every threshold, each for `all` and then for every cohort.
    pub fn hits(&self) -> Vec<Hit> {
        let of = |(place, threshold): (usize, &AtLeast)| {
            let threshold = *threshold;
            self.cohorts.iter().filter_map(move |cohort| {
                let (people, cases) = *cohort.hits.get(place)?;
                let metric = Metric::ALL.iter().position(|metric| *metric == threshold.metric)?;
                let all = cohort.samples.get(metric)?.cases;
                Some(Hit {
                    threshold,
                    cohort: cohort.name.clone(),
                    people,
                    share_of_people: share(people, cohort.people),
                    cases,
                    share_of_cases: share(cases, all),
                })
            })
        };
        self.thresholds.iter().enumerate().flat_map(of).collect()
    }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

impl Default for Sample {
    fn default() -> Self {
        let (least, most) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { kept: Vec::new(), people: 0, cases: 0, least, most, random: fastrand::Rng::with_seed(1) }
    }
}

impl Sample {
    fn take(&mut self, number: f64, most: usize) {
        self.cases += 1;
        self.least = self.least.min(number);
        self.most = self.most.max(number);
        if self.kept.len() < most {
            self.kept.push(number);
            return;
        }
        let place = usize::try_from(self.random.u64(..self.cases)).unwrap_or(usize::MAX);
        if let Some(kept) = self.kept.get_mut(place) {
            *kept = number;
        }
    }

    fn quantiles(&self) -> Vec<f64> {
        let mut sorted = self.kept.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |percent: u8| match percent {
            0 => Some(self.least),
            100 => Some(self.most),
            _ => sorted.get((sorted.len() * usize::from(percent)).div_ceil(100).saturating_sub(1)).copied(),
        };
        if sorted.is_empty() { Vec::new() } else { QUANTILES.iter().filter_map(|q| at(*q)).collect() }
    }
}

/// The numbers of one person, in the order of [`Metric::ALL`].
fn measure(program: &Program, person: &Person, since: Timestamp) -> [(Metric, Vec<f64>); 7] {
    let mut measured = Metric::ALL.map(|metric| (metric, Vec::new()));
    let entries = person.history.entries();
    let entries = entries.get(entries.partition_point(|e| e.at < since)..).unwrap_or_default();
    let products = Path::new("product_id");
    let [per_product, per_session, seconds, between, to_order, opens, clicks] = &mut measured;
    for visit in visits(person, "Product Viewed", program.settings().session_gap) {
        // A session that began before is no whole one.
        if visit.entries.first().is_none_or(|first| first.at < since) {
            continue;
        }
        let views: Vec<&Entry> = visit.entries.iter().filter(|e| &*e.name == "Product Viewed").collect();
        let mut each: HashMap<Box<str>, u32> = HashMap::new();
        views.iter().flat_map(|view| products.keys(view.fields())).for_each(|id| *each.entry(id).or_default() += 1);
        let mut each: Vec<u32> = each.into_values().collect();
        // The order of a map is not the same twice, and the reservoir's choice hangs on it.
        each.sort_unstable();
        per_product.1.extend(each.into_iter().map(f64::from));
        per_session.1.extend((!views.is_empty()).then_some(views.len() as f64));
        seconds.1.extend((visit.seconds > 0.0).then_some(visit.seconds));
    }
    let orders: Vec<&Entry> = entries.iter().filter(|e| &*e.name == "Order Completed").collect();
    let gaps = orders.windows(2).filter_map(|pair| Some(hours(pair.first()?, pair.last()?) / 24.0));
    between.1.extend(gaps);
    to_order.1.extend(entries.iter().filter(|e| &*e.name == "Product Added").filter_map(|added| {
        let later = orders.partition_point(|order| order.order() < added.order());
        let carts = carts(added);
        let comes_of_it = |order: &&&Entry| {
            let ordered = self::carts(order);
            carts.is_empty() || ordered.is_empty() || ordered.iter().any(|cart| carts.contains(cart))
        };
        orders.get(later..)?.iter().find(comes_of_it).map(|order| hours(added, order))
    }));
    let count = |name: &str| entries.iter().filter(|e| &*e.name == name && !machine::made(e)).count() as f64;
    let delivered = count("Email Delivered");
    if delivered > 0.0 {
        opens.1.push(count("Email Opened") / delivered);
        clicks.1.push(count("Email Link Clicked") / delivered);
    }
    measured
}

fn carts(entry: &Entry) -> Vec<Box<str>> {
    Path::new("cart_id").keys(entry.fields())
}

fn hours(from: &Entry, to: &Entry) -> f64 {
    to.at.since(from.at).as_millis() as f64 / 3_600_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{History, Identifier, IdentifierKind, Origin, PersonId, Position, RawJson, Span};
    use crate::rules::{Files, Settings};

    /// A person who did this: minute, name, properties.
    fn person(n: u64, did: &[(i64, &str, &str)]) -> Person {
        let name = Identifier::new(IdentifierKind::UserId, format!("u{n}"));
        let mut person = Person::new(PersonId::of(&name, Position(n)), Position(n), Timestamp::default());
        let entry = |(place, (minute, name, properties)): (usize, &(i64, &str, &str))| {
            let origin = if Origin::is_of_email(name) { Origin::Email } else { Origin::Tracking };
            let at = Timestamp::default() + Span::from_minutes(*minute);
            let properties = RawJson::parse(properties).expect("JSON");
            Entry::new(at, Position(place as u64), (*name).into(), origin, None, properties)
        };
        person.history = History::from_parts(did.iter().enumerate().map(entry).collect(), Default::default());
        person
    }

    fn baseline(people: &[Person], since: i64, thresholds: Vec<AtLeast>) -> Baseline {
        let program = Program::compile_all(&Files::default(), &Settings::default(), None).expect("no files");
        let mut baseline = Baseline::new(&program, thresholds);
        for person in people {
            let since = Timestamp::default() + Span::from_minutes(since);
            baseline.add(&program, person, since, Timestamp::MAX);
        }
        baseline
    }

    #[track_caller]
    fn check(did: &[(i64, &str, &str)], since: i64, metric: Metric, cases: u64, least: f64, most: f64) {
        let all = baseline(&[person(1, did)], since, Vec::new()).distributions();
        let found = all.iter().find(|d| d.metric == metric && d.cohort == "all").expect("every metric");
        assert_eq!(found.cases, cases);
        if cases > 0 {
            assert_eq!((found.quantiles[0], found.quantiles[8]), (least, most));
        }
    }

    const V: &str = "Product Viewed";

    #[test]
    fn views_are_counted_by_session() {
        let did = [(0, V, r#"{"product_id":"a"}"#), (1, V, r#"{"product_id":"a"}"#), (2, V, r#"{"product_id":"b"}"#)];
        let did = [&did[..], &[(40, V, r#"{"product_id":"a"}"#)]].concat();
        check(&did, 0, Metric::ViewsPerProduct, 3, 1.0, 2.0);
        check(&did, 0, Metric::ViewsPerSession, 2, 1.0, 3.0);
        check(&did, 1, Metric::ViewsPerSession, 1, 1.0, 1.0);
    }

    #[test]
    fn seconds_are_those_of_the_condition() {
        let did = [
            (0, V, r#"{"view_id":"1"}"#),
            (1, "Heartbeat", r#"{"view_id":"1","dwell_seconds":50}"#),
            (2, "Page Left", r#"{"view_id":"1","dwell_seconds":70}"#),
            (3, V, r#"{"seconds":20}"#),
            (60, V, r#"{"seconds":5}"#),
            (120, V, "{}"),
        ];
        check(&did, 0, Metric::SecondsPerSession, 2, 5.0, 90.0);
    }

    #[test]
    fn a_cart_comes_to_its_own_order() {
        let did = [
            (0, "Product Added", r#"{"cart_id":"a"}"#),
            (0, "Product Added", "{}"),
            (0, "Product Added", r#"{"cart_id":"never"}"#),
            (60, "Order Completed", r#"{"cart_id":"b"}"#),
            (180, "Order Completed", r#"{"cart_id":"a"}"#),
        ];
        check(&did, 0, Metric::HoursToOrder, 2, 1.0, 3.0);
        check(&did, 0, Metric::DaysBetweenOrders, 1, 2.0 / 24.0, 2.0 / 24.0);
    }

    #[test]
    fn machines_open_nothing() {
        let did = [
            (0, "Email Delivered", "{}"),
            (1, "Email Delivered", "{}"),
            (2, "Email Opened", r#"{"is_machine":true}"#),
            (3, "Email Opened", "{}"),
        ];
        check(&did, 0, Metric::OpensPerDelivered, 1, 0.5, 0.5);
        check(&did, 0, Metric::ClicksPerDelivered, 1, 0.0, 0.0);
        check(&did, 2, Metric::OpensPerDelivered, 0, 0.0, 0.0);
    }

    #[test]
    fn thresholds_hit_shares_of_a_cohort() {
        let people = [
            person(1, &[(0, V, "{}"), (1, V, "{}"), (60, V, "{}")]),
            person(2, &[(0, V, "{}")]),
            person(3, &[(0, V, "{}"), (1, V, "{}"), (2, "Order Completed", "{}")]),
            person(4, &[(0, "Order Completed", "{}")]),
        ];
        let at_least = AtLeast { metric: Metric::ViewsPerSession, least: 2.0 };
        let hits = baseline(&people, 0, vec![at_least]).hits();
        let shown: Vec<_> =
            hits.iter().map(|h| (&*h.cohort, h.people, h.share_of_people, h.cases, h.share_of_cases)).collect();
        let wanted = [("all", 2, 0.5, 2, 0.5), ("new", 1, 0.5, 1, 1.0 / 3.0), ("returning", 1, 0.5, 1, 1.0)];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let mut sample = Sample::default();
        (1..=20).rev().for_each(|n| sample.take(f64::from(n), KEPT));
        assert_eq!(sample.quantiles(), [1.0, 2.0, 5.0, 10.0, 15.0, 18.0, 19.0, 20.0, 20.0]);
        assert!(Sample::default().quantiles().is_empty());
    }

    #[test]
    fn a_full_sample_stays_a_fair_one() {
        let mut sample = Sample::default();
        (0..100_000).for_each(|n| sample.take(f64::from(n), 1_000));
        let quantiles = sample.quantiles();
        assert_eq!((sample.kept.len(), sample.cases, quantiles[0], quantiles[8]), (1_000, 100_000, 0.0, 99_999.0));
        assert!((quantiles[3] - 50_000.0).abs() < 6_000.0, "{quantiles:?}");
    }
}
