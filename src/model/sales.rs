//! What was ordered, counted: how often two products went together, and how often each on a day. For recommendations;
//! which edges fire never depends on it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::{Entry, History, Span, Timestamp};

/// Products of one order that are counted.
const MOST_PER_ORDER: usize = 30;
/// Products, pairs of them (each in both directions), and days of products that are counted. What comes beyond is not.
const MOST: (usize, usize, usize) = (50_000, 2_000_000, 2_000_000);
/// Rankings that are remembered, of different days and lengths.
const MOST_RANKED: usize = 32;
/// The name of what is counted.
pub const ORDER: &str = "Order Completed";
/// How old counts may be: so often everything is counted anew.
pub const COUNTED_EVERY: Span = Span::from_hours(6);

/// An order, as far as it counts.
#[derive(Debug)]
pub struct Purchase {
    /// Of UTC.
    day: i64,
    products: BTreeSet<Box<str>>,
}

/// How often each product was ordered.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    /// The most often first; at equal counts by id.
    sorted: Vec<Arc<str>>,
    counts: HashMap<Arc<str>, u64>,
}

/// Counts over all orders that are remembered.
#[derive(Debug, Default)]
pub struct Sales {
    ids: Vec<Arc<str>>,
    places: HashMap<Arc<str>, u32>,
    /// Orders with both.
    pairs: BTreeMap<(u32, u32), u32>,
    /// Orders of a day.
    days: BTreeMap<(i64, u32), u32>,
    /// Rankings that were asked for, of the days after one up to another: the same for all fires of a day.
    ranked: Mutex<BTreeMap<(i64, i64), Arc<Ranking>>>,
}

impl Purchase {
    fn of(entry: &Entry) -> Self {
        Self { day: entry.at.whole(Span::DAY), products: products_of(entry) }
    }

    /// This entry of a history, if it is an order that was not told before: a shop and a page may both tell of it.
    pub fn first_told(history: &History, entry: &Entry) -> Option<Self> {
        let before = history.entries().iter().take_while(|other| other.order() < entry.order());
        let mut orders = before.filter(|other| *other.name == *ORDER);
        let is_told = order_id(entry).is_some_and(|id| orders.any(|other| order_id(other) == Some(id)));
        (*entry.name == *ORDER && !is_told).then(|| Self::of(entry))
    }
}

impl Ranking {
    /// The products, the most often ordered first; at equal counts by id.
    pub fn products(&self) -> impl Iterator<Item = &str> {
        self.sorted.iter().map(|id| &**id)
    }

    /// How many orders had this one.
    pub fn count(&self, id: &str) -> u64 {
        self.counts.get(id).copied().unwrap_or(0)
    }
}

impl Sales {
    /// Counts all orders of one person.
    pub fn count(&mut self, history: &History) {
        let mut told = HashSet::new();
        for entry in history.entries().iter().filter(|entry| *entry.name == *ORDER) {
            let is_new = order_id(entry).is_none_or(|id| told.insert(id.to_string()));
            if is_new {
                self.add(&Purchase::of(entry));
            }
        }
    }

    /// Counts one order.
    pub fn add(&mut self, order: &Purchase) {
        let Purchase { day, products } = order;
        let places: Vec<u32> = products.iter().take(MOST_PER_ORDER).filter_map(|id| self.place(id)).collect();
        for one in &places {
            add(&mut self.days, (*day, *one), MOST.2);
            for other in places.iter().filter(|other| *other != one) {
                add(&mut self.pairs, (*one, *other), MOST.1);
            }
        }
        if let Ok(ranked) = self.ranked.get_mut() {
            ranked.clear();
        }
    }

    fn place(&mut self, id: &str) -> Option<u32> {
        if let Some(place) = self.places.get(id) {
            return Some(*place);
        }
        let place = u32::try_from(self.ids.len()).ok().filter(|_| self.ids.len() < MOST.0)?;
        let id: Arc<str> = id.into();
        self.ids.push(id.clone());
        self.places.insert(id, place);
        Some(place)
    }

    /// Products that were in one order with this one, each with how many orders.
    pub fn with(&self, id: &str) -> impl Iterator<Item = (&str, u64)> {
        let place = self.places.get(id).copied();
        let pairs = place.map(|place| self.pairs.range((place, 0)..=(place, u32::MAX)));
        pairs
            .into_iter()
            .flatten()
            .filter_map(|((_, other), n)| Some((&**self.ids.get(*other as usize)?, u64::from(*n))))
    }

    /// Products by how many orders had them on the last `days` days (of UTC) up to that of `at`; at equal counts by id.
    pub fn popular(&self, at: Timestamp, days: i64) -> Arc<Ranking> {
        let last = at.whole(Span::DAY);
        let before = last.saturating_sub(days);
        let mut ranked = match self.ranked.lock() {
            Ok(ranked) => ranked,
            // What a panic left there is only a copy.
            Err(broken) => broken.into_inner(),
        };
        if let Some(known) = ranked.get(&(before, last)) {
            return known.clone();
        }
        let mut counts: HashMap<u32, u64> = HashMap::new();
        if before < last {
            for ((_, place), n) in self.days.range((before + 1, 0)..=(last, u32::MAX)) {
                *counts.entry(*place).or_insert(0) += u64::from(*n);
            }
        }
        let named = counts.into_iter().filter_map(|(place, n)| Some((self.ids.get(place as usize)?.clone(), n)));
        let mut sorted: Vec<(Arc<str>, u64)> = named.collect();
        sorted.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
        let ids = sorted.iter().map(|(id, _)| id.clone()).collect();
        let ranking = Ranking { sorted: ids, counts: sorted.into_iter().collect() };
        let ranking = Arc::new(ranking);
        if ranked.len() >= MOST_RANKED {
            ranked.clear();
        }
        ranked.insert((before, last), ranking.clone());
        ranking
    }
}

/// One more, unless there is no room for another key.
fn add<K: Ord>(counts: &mut BTreeMap<K, u32>, key: K, most: usize) {
    let has_room = counts.len() < most;
    match counts.get_mut(&key) {
        Some(n) => *n = n.saturating_add(1),
        None if has_room => drop(counts.insert(key, 1)),
        None => {}
    }
}

fn order_id(entry: &Entry) -> Option<&serde_json::Value> {
    entry.fields().get("order_id").filter(|id| !id.is_null())
}

/// The ids of an order's products, each once.
pub fn products_of(entry: &Entry) -> BTreeSet<Box<str>> {
    use serde_json::Value;
    let id = |said: &Value| -> Option<Box<str>> {
        match said.get("product_id").or_else(|| said.get("sku"))? {
            Value::String(text) if !text.trim().is_empty() => Some(text.trim().into()),
            Value::Number(n) => Some(n.to_string().into()),
            _ => None,
        }
    };
    match entry.fields().get("products") {
        Some(Value::Array(listed)) => listed.iter().filter_map(id).collect(),
        _ => id(entry.fields()).into_iter().collect(),
    }
}
