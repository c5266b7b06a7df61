//! `[[test]]` in a trigger file: what somebody does, a line each, and when the trigger must fire.
//!
//! `+25m Order Completed cart_id=c1`: a time since the start, the event's name, its properties. What begins with `@` is not a
//! property: `@user_id=ines`, `@session=s1`, `@origin=system`, `@trait.plan=gold`.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::{Catalogue, CatalogueItem, Event, EventKind, Identifier, Mistake, Origin, RawJson, Span, Timestamp};

use super::written::{self, Reading, Table};

/// Where every timeline begins: t0.
pub const START: Timestamp = Timestamp::from_millis(1_772_442_000_000);
/// Who does it, where a line does not say.
const SOMEBODY: &str = "user_id:somebody";

/// One timeline and what must come of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// Words for people.
    pub name: String,
    /// What happens.
    pub events: Vec<Event>,
    /// What is for sale meanwhile.
    pub catalogue: Arc<Catalogue>,
    /// Time runs on to here; to the last event unless told.
    pub until: Option<Timestamp>,
    /// Every fire, in order.
    pub fires: Vec<Expected>,
    /// Where it says so.
    pub place: Mistake,
}

/// One fire.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// When, to the millisecond.
    pub at: Timestamp,
    /// For which key, where it is said; for segments `enter` or `exit`.
    pub key: Option<Box<str>>,
    /// Fields that its payload must have.
    pub fields: Map<String, Value>,
    /// Where it is expected.
    pub place: Mistake,
}

/// A line taken apart.
struct Line<'l> {
    at: Timestamp,
    /// The words before the first that has a `=`.
    name: String,
    /// Names and values as they are written.
    parts: Vec<(&'l str, &'l str)>,
}

impl Timeline {
    /// Reads `[[test]]`.
    pub fn read_all(value: &written::Value<'_, '_>, reading: &mut Reading<'_>) -> Vec<Self> {
        value.list(reading).iter().filter_map(|item| Self::read(item.table(reading)?, reading)).collect()
    }

    fn read(mut table: Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        for key in ["name", "events", "fires"].iter().filter(|key| !table.has(key)) {
            reading.mistake(table.span(), format!("{}.{key}", table.path()), "is missing");
        }
        let name = table.get("name").and_then(|v| v.text(reading));
        let events = table.get("events").map(|v| v.list(reading)).unwrap_or_default();
        let events: Vec<Option<Event>> = events.iter().enumerate().map(|(n, v)| event(n, v, reading)).collect();
        let for_sale = table.get("catalogue").map(|v| v.list(reading)).unwrap_or_default();
        let mut catalogue = Catalogue::default();
        for value in for_sale {
            catalogue.put(item(&value, reading)?);
        }
        let until = table.get("until").map(|v| {
            let text = v.text(reading)?;
            let at = instant(&text);
            if at.is_none() {
                wrong(&v, reading, "is not a time since the start", "until = \"2h\"");
            }
            at
        });
        let fires = table.get("fires");
        let place = fires.as_ref().map(|v| reading.place(v.span(), v.path()));
        let fires = fires.map(|v| v.list(reading)).unwrap_or_default();
        let fires: Vec<Option<Expected>> = fires.iter().map(|v| Expected::read(v, reading)).collect();
        table.finish(reading);
        Some(Self {
            name: name?,
            events: events.into_iter().collect::<Option<_>>()?,
            catalogue: Arc::new(catalogue),
            until: match until {
                Some(until) => Some(until?),
                None => None,
            },
            fires: fires.into_iter().collect::<Option<_>>()?,
            place: place?,
        })
    }
}

impl Expected {
    fn read(value: &written::Value<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let text = value.text(reading)?;
        let Some(line) = Line::of(&text).filter(|line| line.name.is_empty()) else {
            wrong(value, reading, "is not a fire", "\"+30m\", or \"+30m key=c1 product_id=p1\"");
            return None;
        };
        let (key, fields): (Vec<_>, Vec<_>) = line.parts.into_iter().partition(|(name, _)| *name == "key");
        Some(Self {
            at: line.at,
            key: key.into_iter().next().map(|(_, value)| value.into()),
            fields: fields.into_iter().map(|(name, value)| (name.to_owned(), scalar(value))).collect(),
            place: reading.place(value.span(), value.path()),
        })
    }
}

fn wrong(value: &written::Value<'_, '_>, reading: &mut Reading<'_>, words: &str, way: &str) {
    reading.mistake(value.span(), value.path().to_owned(), words).suggestion = Some(way.to_owned());
}

fn event(n: usize, value: &written::Value<'_, '_>, reading: &mut Reading<'_>) -> Option<Event> {
    let text = value.text(reading)?;
    let Some(line) = Line::of(&text).filter(|line| !line.name.is_empty()) else {
        let way = "\"t0 Product Added cart_id=c1\", \"+25m Order Completed cart_id=c1\"";
        wrong(value, reading, "is not an event: a time since the start, its name, its properties", way);
        return None;
    };
    let is_identify = line.name == "Identify";
    let mut event = Event {
        kind: if is_identify { EventKind::Identify } else { EventKind::Did },
        name: if is_identify { "".into() } else { line.name.as_str().into() },
        at: line.at,
        claimed_at: None,
        arrived: line.at,
        source: "test".into(),
        origin: if Origin::is_of_email(&line.name) { Origin::Email } else { Origin::Tracking },
        dedupe: vec![Event::dedupe_key(&["test", &n.to_string()])],
        identifiers: Vec::new(),
        session: None,
        properties: RawJson::empty(),
        traits: RawJson::empty(),
    };
    let (mut properties, mut traits) = (Map::new(), Map::new());
    for (name, written) in line.parts {
        let Some(name) = name.strip_prefix('@') else {
            properties.insert(name.to_owned(), scalar(written));
            continue;
        };
        match (name, name.strip_prefix("trait.")) {
            (_, Some(name)) => drop(traits.insert(name.to_owned(), scalar(written))),
            ("session", _) => event.session = Some(written.into()),
            ("origin", _) if written == "system" => event.origin = Origin::System,
            ("origin", _) if written == "tracking" => event.origin = Origin::Tracking,
            ("origin", _) if written == "email" => event.origin = Origin::Email,
            _ => match Identifier::parse(&format!("{name}:{written}")) {
                Some(identifier) => event.identifiers.push(identifier),
                None => {
                    let way = "@user_id=ines, @anonymous_id=phone, @session=s1, @origin=system, @trait.plan=gold";
                    wrong(value, reading, &format!("`@{name}={written}` is not known"), way);
                    return None;
                }
            },
        }
    }
    if event.identifiers.is_empty() {
        event.identifiers.extend(Identifier::parse(SOMEBODY));
    }
    event.properties = RawJson::from_value(&properties.into());
    event.traits = RawJson::from_value(&traits.into());
    Some(event)
}

/// `p1 name=Lamp price=39.95 stock=2`: a product's id, and what is known of it.
fn item(value: &written::Value<'_, '_>, reading: &mut Reading<'_>) -> Option<CatalogueItem> {
    let text = value.text(reading)?;
    let way = "\"p1 name=Lamp price=39.95 currency=EUR category=Lamps stock=2\"";
    let words = words(&text);
    let Some((id, said)) = words.split_first().filter(|(id, _)| !id.contains('=')) else {
        wrong(value, reading, "is not a product: its id, and what is known of it", way);
        return None;
    };
    let mut item = CatalogueItem {
        id: (*id).into(),
        name: None,
        url: None,
        image_url: None,
        price: None,
        currency: None,
        category: None,
        stock: None,
        updated: START,
    };
    for part in said {
        let (name, written) = part.split_once('=').unwrap_or((part, ""));
        let text: Option<Box<str>> = Some(match scalar(written) {
            Value::String(text) => text.into(),
            other => other.to_string().into(),
        });
        match name {
            "name" => item.name = text,
            "url" => item.url = text,
            "image_url" => item.image_url = text,
            "price" => item.price = text,
            "currency" => item.currency = text,
            "category" => item.category = text,
            "stock" if written.parse::<i64>().is_ok() => item.stock = written.parse().ok(),
            _ => {
                wrong(value, reading, &format!("`{part}` is not known of a product"), way);
                return None;
            }
        }
    }
    Some(item)
}

impl<'l> Line<'l> {
    fn of(text: &'l str) -> Option<Self> {
        let words = words(text);
        let (time, rest) = words.split_first()?;
        let named = rest.iter().take_while(|word| !word.contains('=')).count();
        let (name, parts) = rest.split_at_checked(named)?;
        let parts: Option<Vec<_>> = parts.iter().map(|part| part.split_once('=')).collect();
        let parts = parts?.into_iter().map(|(name, value)| (name.trim(), value.trim())).collect();
        Some(Self { at: instant(time)?, name: name.join(" "), parts })
    }
}

/// Words parted by spaces; quotes and brackets hold together what is in them.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut begin = None;
    let (mut depth, mut is_quoted, mut is_escaped) = (0_usize, false, false);
    for (n, c) in text.char_indices() {
        if c.is_whitespace() && depth == 0 && !is_quoted {
            words.extend(begin.take().and_then(|from: usize| text.get(from..n)));
            continue;
        }
        begin = begin.or(Some(n));
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            '[' | '{' if !is_quoted => depth += 1,
            ']' | '}' if !is_quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    words.extend(begin.and_then(|from| text.get(from..)));
    words
}

/// `t0`, `+25m`, `+1d2h`.
fn instant(text: &str) -> Option<Timestamp> {
    if text == "t0" {
        return Some(START);
    }
    let mut at = START;
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    while !rest.is_empty() {
        let unit = rest.find(|c: char| !c.is_ascii_digit())?;
        let end = rest[unit..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |n| unit + n);
        at = at + rest[..end].parse::<Span>().ok()?;
        rest = &rest[end..];
    }
    Some(at)
}

/// The time since the start, as a line has it.
pub fn since_start(at: Timestamp) -> String {
    let span = at.since(START);
    if span == Span::ZERO { "t0".into() } else { format!("+{span}") }
}

/// JSON where it is JSON, else a text.
fn scalar(written: &str) -> Value {
    serde_json::from_str(written).unwrap_or_else(|_| written.into())
}

#[cfg(test)]
mod tests {
    use crate::rules::tests::{HEAD, compile};

    #[test]
    fn a_test_that_cannot_be_read_is_a_mistake() {
        #[track_caller]
        fn check_test(test: &str, mistake: &str) {
            let when = "when = { did = \"A\" }\n";
            let told = compile(&format!("{HEAD}{when}test = [{{ {test} }}]\n")).err().unwrap_or_default();
            assert_eq!(told, [format!("t.toml:4:{mistake}")], "{test}");
        }
        let way = "(\"t0 Product Added cart_id=c1\", \"+25m Order Completed cart_id=c1\")";
        for line in ["soon A", "+5 A", "+5m", "+5m n=1", "+5m A n=1 more", ""] {
            let words = if line.is_empty() {
                "must not be empty".into()
            } else {
                format!("is not an event: a time since the start, its name, its properties {way}")
            };
            check_test(
                &format!("name = \"x\", events = [\"{line}\"], fires = []"),
                &format!("33: test[0].events[0]: {words}"),
            );
        }
        check_test(
            "name = \"x\", events = [\"t0 A @who=ines\"], fires = []",
            "33: test[0].events[0]: `@who=ines` is not known \
         (@user_id=ines, @anonymous_id=phone, @session=s1, @origin=system, @trait.plan=gold)",
        );
        check_test(
            "name = \"x\", events = [\"t0 A\"], fires = [\"+5m enter\"]",
            "51: test[0].fires[0]: is not a fire (\"+30m\", or \"+30m key=c1 product_id=p1\")",
        );
        check_test(
            "name = \"x\", events = [\"t0 A\"], until = \"soon\", fires = []",
            "50: test[0].until: is not a time since the start (until = \"2h\")",
        );
        check_test("name = \"x\", events = [\"t0 A\"]", "9: test[0].fires: is missing");
    }
}
