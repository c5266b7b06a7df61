//! What a trigger's file adds to the payload: `[payload]`, and the `[[content]]` whose condition holds.

use serde_json::{Map, Value};

use super::code::Code;
use super::language::Expression;
use super::names::{LeafNames, Names};
use super::plain::{FIXED, Plain};
use super::reads::Reads;
use super::recommend::Recommend;
use super::scene::{Fire, Found, Scene};
use super::template::Fields;
use super::urgency::Urgency;
use crate::model::mistake::instead;
use crate::model::{Field, FieldKind, GivenCode, RawJson};
use crate::rules::condition::Condition;
use crate::rules::written::{Reading, Table};

/// The most content blocks of one trigger.
const MOST_CONTENT: usize = 50;
/// The most that a trigger's file adds, in bytes of JSON.
const LARGEST: usize = 64 << 10;

/// What the file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    leaves: LeafNames,
    fields: Fields,
    content: Vec<Content>,
    takes: Takes,
    urgency: Option<Urgency>,
    code: Option<Code>,
    recommend: Option<Recommend>,
    /// What sort of values fields have, where the file says it.
    types: Vec<Field>,
    /// What any template asks for.
    reads: Reads,
}

/// Fields that are said when something holds.
#[derive(Clone, Debug, PartialEq)]
struct Content {
    path: Box<str>,
    when: Expression,
    set: Fields,
}

/// `content_match`: which of those whose condition holds are said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// The first.
    First,
    /// All, a later one over an earlier.
    All,
}

/// A payload, and why it must not be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// A JSON object.
    pub payload: RawJson,
    /// Why a template could not say its part; no word of it is the person's.
    pub broken: Option<Box<str>>,
    /// The code of a pool that it speaks of. Where something could not be said, none is taken.
    pub code: Option<GivenCode>,
}

impl Payload {
    /// Reads what the file says beside `when`; `None` where it says nothing, or with a mistake.
    ///
    /// `names` are what the conditions call their events, where they say so.
    pub fn read(
        top: &mut Table<'_, '_>,
        condition: Option<&Condition>,
        names: &[Option<String>],
        reading: &mut Reading<'_>,
    ) -> Option<Self> {
        let payload = top.get("payload");
        let content = top.get("content");
        let takes = top.get("content_match");
        let takes = takes.map(|value| match value.text(reading).as_deref() {
            Some("first") | None => Takes::First,
            Some("all") => Takes::All,
            Some(other) => {
                let words = format!("`{other}` is no way to choose");
                reading.mistake(value.span(), value.path().to_owned(), words).suggestion =
                    Some("\"first\" or \"all\"".into());
                Takes::First
            }
        });
        let (urgency, code, recommend) = (top.get("urgency"), top.get("code"), top.get("recommend"));
        let types = top.get("types");
        if [&payload, &content, &urgency, &code, &recommend, &types].iter().all(|table| table.is_none()) {
            return None;
        }
        let leaves = LeafNames::of(condition?, names);
        let code = match code {
            Some(value) => Some(value.table(reading).and_then(|table| Code::read(table, reading))?),
            None => None,
        };
        let recommend = match recommend {
            Some(value) => Some(value.table(reading).and_then(|table| Recommend::read(table, reading))?),
            None => None,
        };
        let own = [("code", code.is_some()), ("recommended", recommend.is_some())];
        let own: Vec<&'static str> = own.into_iter().filter(|(_, is_said)| *is_said).map(|(name, _)| name).collect();
        let names = Names::new(&leaves, &own);
        let urgency = match urgency {
            Some(value) => Some(value.table(reading).and_then(|table| Urgency::read(table, &names, reading))?),
            None => None,
        };
        let fields = payload.and_then(|value| value.table(reading)).map(|table| read_fields(&table, &names, reading));
        let blocks = content.map(|value| (value.list(reading), value)).map(|(blocks, value)| {
            if blocks.len() > MOST_CONTENT {
                let words = format!("are more than {MOST_CONTENT}");
                reading.mistake(value.span(), value.path().to_owned(), words);
            }
            blocks
        });
        let blocks: Vec<Option<Content>> =
            blocks.into_iter().flatten().map(|value| Content::read(&value, &names, reading)).collect();
        let mut read = Self {
            leaves,
            fields: fields.unwrap_or_default(),
            content: blocks.into_iter().collect::<Option<_>>()?,
            takes: takes.unwrap_or(Takes::First),
            urgency,
            code,
            recommend,
            types: types
                .and_then(|value| value.table(reading))
                .map(|table| read_types(&table, reading))
                .unwrap_or_default(),
            reads: Reads::default(),
        };
        read.reads = read.reads();
        Some(read)
    }

    /// The pool that its code is taken from, and the mark at which that is low.
    pub fn pool(&self) -> Option<(&str, u64)> {
        self.code.as_ref()?.pool()
    }

    /// What sort of values fields have, where the file says it.
    pub fn types(&self) -> &[Field] {
        &self.types
    }

    /// Fields that the file adds, and what they are where they are no templates.
    pub fn fields(&self) -> impl Iterator<Item = (&str, Option<FieldKind>)> {
        self.fields.kinds().chain(self.content.iter().flat_map(|block| block.set.kinds()))
    }

    /// True when it asks what was ordered.
    pub fn asks_for_sales(&self) -> bool {
        self.recommend.is_some()
    }

    fn reads(&self) -> Reads {
        let mut reads = Reads::default();
        self.fields.note(&mut reads);
        for block in &self.content {
            block.when.note(&mut reads);
            block.set.note(&mut reads);
        }
        if let Some(urgency) = &self.urgency {
            urgency.set.note(&mut reads);
        }
        reads.finish()
    }

    /// What it adds to `plain`.
    ///
    /// # Errors
    /// In words, the place that fails and why.
    fn render(&self, fire: &Fire<'_>, plain: &Plain<'_>, given: Option<&str>) -> Result<Map<String, Value>, Box<str>> {
        let mut said = Map::new();
        let mut scene = Scene::new(fire, &self.leaves, plain, &self.reads);
        if let Some(code) = &self.code {
            let code_said = code.said(given)?;
            scene.put("code", code_said.clone());
            said.insert(code.field.to_string(), code_said);
        }
        if let Some(recommend) = &self.recommend {
            let cart = match scene.find(&["cart".into(), "products".into()]) {
                Found::Value(Value::Array(products)) => products,
                _ => Vec::new(),
            };
            let recommended = recommend.products(fire, &plain.products().collect::<Vec<_>>(), &cart);
            scene.put("recommended", recommended.clone());
            said.insert(recommend.field.to_string(), recommended);
        }
        let broken =
            |(path, words): (Box<str>, String)| -> Box<str> { format!("`{path}` cannot be said: {words}").into() };
        said.extend(self.fields.render(&scene).map_err(broken)?);
        if let Some(urgency) = &self.urgency
            && let Some(scarce) = urgency.scarce(&plain.products().collect::<Vec<_>>(), fire.shelf.catalogue)
        {
            let count = scarce.len();
            scarce.into_iter().for_each(|(name, value)| scene.put(name, value));
            said.extend(urgency.set.render(&scene).map_err(broken)?);
            scene.forget(count);
        }
        for block in &self.content {
            if block.when.holds_in(&scene).map_err(|words| broken((block.path.clone(), words)))? {
                said.extend(block.set.render(&scene).map_err(broken)?);
                if self.takes == Takes::First {
                    break;
                }
            }
        }
        if size(&said) > LARGEST {
            return Err(format!("what `{}` says comes to more than {} KB", fire.trigger.name, LARGEST >> 10).into());
        }
        Ok(said)
    }
}

/// Bytes of JSON.
fn size(said: &Map<String, Value>) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, said).map_or(usize::MAX, |()| count.0)
}

impl Content {
    fn read(value: &crate::rules::written::Value<'_, '_>, names: &Names, reading: &mut Reading<'_>) -> Option<Self> {
        let mut table = value.table(reading)?;
        for key in ["when", "set"].iter().filter(|key| !table.has(key)) {
            reading.mistake(table.span(), format!("{}.{key}", table.path()), "is missing");
        }
        let when = table.get("when");
        let set = table.get("set").and_then(|value| value.table(reading));
        table.finish(reading);
        let set = set.map(|table| read_fields(&table, names, reading));
        let when = when?;
        let compiled = match Expression::compile(&when.text(reading)?) {
            Ok(expression) => names.check(&expression.names(), &when, reading).then_some(expression),
            Err(words) => {
                reading.mistake(when.span(), when.path().to_owned(), words);
                None
            }
        };
        Some(Self { path: when.path().into(), when: compiled?, set: set? })
    }
}

/// Fields of the payload itself: none may take the place of what tells one occasion from another.
pub fn read_fields(table: &Table<'_, '_>, names: &Names, reading: &mut Reading<'_>) -> Fields {
    for (name, value) in table.entries().filter(|(name, _)| FIXED.contains(&name.as_str())) {
        let words = format!("`{name}` is said by every payload, and always as it is");
        reading.mistake(value.span(), value.path().to_owned(), words);
    }
    Fields::read(table, names, reading)
}

/// `[types]`: field to what sort of value it has.
fn read_types(table: &Table<'_, '_>, reading: &mut Reading<'_>) -> Vec<Field> {
    let mut types = Vec::new();
    for (name, value) in table.entries() {
        let Some(word) = value.text(reading) else { continue };
        match FieldKind::WORDS.iter().find(|(known, _)| *known == word) {
            Some((_, kind)) => types.push(Field { name: name.to_string(), kind: *kind }),
            None => {
                let known = FieldKind::WORDS.map(|(known, _)| known);
                let words = format!("`{word}` is no sort of value");
                reading.mistake(value.span(), value.path().to_owned(), words).suggestion =
                    Some(instead(&word, &known, "one of"));
            }
        }
    }
    types
}

/// The payload of one fire. Where a template fails, it is what every payload says, for the dead letter.
pub fn payload(fire: &Fire<'_>) -> Rendered {
    let plain = Plain::of(fire.trigger, &fire.view(), fire.key, fire.occasion);
    let pool = fire.trigger.payload.as_ref().and_then(|payload| payload.pool());
    let given = pool.and_then(|(pool, _)| fire.shelf.codes.of(pool, fire.occasion));
    let code = given.as_ref().map(|given| &*given.code);
    let added = fire.trigger.payload.as_ref().map(|payload| payload.render(fire, &plain, code));
    let (added, broken) = match added {
        Some(Ok(added)) => (added, None),
        Some(Err(words)) => (Map::new(), Some(words)),
        None => (Map::new(), None),
    };
    let code = given.filter(|_| broken.is_none());
    Rendered { payload: plain.with(&added), broken, code }
}
