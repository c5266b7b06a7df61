//! Who is who, and by whose word: what conflicts, and what somebody says of it by hand.
//!
//! What is said by hand is an event like any other, in the journal and decided in its turn, so that a replay comes to
//! the same people.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::explain::{Joined, find, said};
use crate::clock::SharedClock;
use crate::delivery::Asker;
use crate::identity::{self, Settings};
use crate::model::{Event, EventKind, Identifier, IdentifierKind, Origin, Person, Position, RawJson, Span, Timestamp};
use crate::reconcile::{Sample, VendorProfiles};
use crate::store::{AppendError, Store, StoreError, Story, each_person};

/// People and refusals told one by one.
const TOLD: usize = 200;
/// All vendors are asked within this, which is shorter than commands wait for the daemon.
const ASKED: Span = Span::from_secs(25);
/// Messages set aside that are looked through.
const ASIDE: usize = 10_000;
/// The source of what is said by hand.
const BY_HAND: &str = "by hand";
/// What a record that names nobody is set aside with.
const NOBODY: &str = "names nobody";

/// What somebody says by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = IdentityWord)]
pub enum Word {
    /// These names are one person's.
    Link,
    /// These names are somebody else's than who goes by them.
    Unlink,
    /// Who goes by these names is to be forgotten.
    Erase,
}

/// What somebody says by hand, and of whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = IdentityTold)]
pub struct Told {
    /// What.
    pub word: Word,
    /// Names, as `email:ines@example.com`.
    pub names: Vec<String>,
    /// Whom nobody here goes by may be forgotten: destinations may know them.
    #[serde(default)]
    pub is_anybody: bool,
}

impl Told {
    /// Of people who are known.
    pub fn of(word: Word, names: &[String]) -> Self {
        Self { word, names: names.to_vec(), is_anybody: false }
    }
}

/// Why nothing was written down.
#[derive(Debug, thiserror::Error)]
pub enum NotTold {
    /// A name that is none.
    #[error("`{0}` names nobody: write kind and value, like `email:ines@example.com` or `user_id:42`")]
    Name(String),
    /// Too few of them.
    #[error("{0}")]
    Few(&'static str),
    /// Nobody goes by it.
    #[error("nobody goes by `{0}`")]
    Nobody(String),
    /// It would leave somebody without a name.
    #[error("nobody would be left: these are all the names they have; `espalier identity show` lists them")]
    All,
    /// The journal does not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A name as people write it.
///
/// # Errors
/// When it is none.
pub fn name(text: &str, names: &Settings) -> Result<Identifier, NotTold> {
    let parsed = Identifier::parse(text.trim());
    let good = parsed.and_then(|name| identity::normalise(name.kind, &name.value, names));
    good.ok_or_else(|| NotTold::Name(text.to_owned()))
}

/// Writes down what somebody says by hand. Returns the place in the journal: it is in force when that is decided.
///
/// # Errors
/// What is wrong with it, or why it could not be kept.
pub async fn tell(store: &dyn Store, told: &Told, names: &Settings, now: Timestamp) -> Result<Position, NotTold> {
    let identifiers = told.names.iter().map(|text| name(text, names)).collect::<Result<Vec<Identifier>, NotTold>>()?;
    let kind = match told.word {
        Word::Link if identifiers.len() < 2 => return Err(NotTold::Few("name both: two names of one person")),
        Word::Link => EventKind::Alias,
        Word::Unlink => EventKind::Unlink,
        Word::Erase => EventKind::Erase,
    };
    if told.word != Word::Link && !(told.word == Word::Erase && told.is_anybody) {
        for (identifier, text) in identifiers.iter().zip(&told.names) {
            let Some(id) = store.find(identifier).await? else { return Err(NotTold::Nobody(text.clone())) };
            let story = store.story(id).await?;
            let stays = story.is_some_and(|s| s.person.identifiers.iter().any(|name| !identifiers.contains(name)));
            if told.word == Word::Unlink && !stays {
                return Err(NotTold::All);
            }
        }
    }
    if identifiers.is_empty() {
        return Err(NotTold::Few("name somebody"));
    }
    let parts: Vec<String> = identifiers.iter().map(Identifier::to_text).collect();
    let parts: Vec<&str> = [BY_HAND].into_iter().chain(parts.iter().map(String::as_str)).collect();
    let at = now.to_string();
    let event = Event {
        kind,
        name: "".into(),
        at: now,
        claimed_at: None,
        arrived: now,
        source: Arc::from(BY_HAND),
        origin: Origin::System,
        dedupe: vec![Event::dedupe_key(&[&parts[..], &[&at]].concat())],
        identifiers,
        session: None,
        properties: RawJson::empty(),
        traits: RawJson::empty(),
    };
    Ok(store.append(vec![event], None).await?)
}

/// What conflicts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = IdentityAudit)]
pub struct Audit {
    /// People in all.
    pub people: u64,
    /// Those with several names of a kind of which one person usually has one.
    pub several: u64,
    /// The first of them.
    pub told: Vec<Conflict>,
    /// Joins that were refused to protect somebody.
    pub refused: Vec<Joined>,
    /// Records that found no person, by source, as far as they are still set aside.
    pub nobody: BTreeMap<String, u64>,
    /// What vendors make of them, where that was asked.
    #[serde(default)]
    pub vendors: Vec<VendorProfiles>,
    /// Accounts that cannot be asked without an address in a URL, or have no profiles.
    #[serde(default)]
    pub unasked: Vec<String>,
}

/// Somebody with several names of one kind.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Conflict {
    /// Their id in the store.
    pub person: String,
    /// The names that conflict.
    pub names: Vec<String>,
    /// All the names they have.
    pub all: usize,
    /// The command that takes one of them out.
    pub mend: String,
}

impl Conflict {
    fn of(person: &Person) -> Option<Self> {
        let mut kinds: BTreeMap<&IdentifierKind, Vec<&Identifier>> = BTreeMap::new();
        for name in person.identifiers.iter().filter(|name| name.kind.names_a_person()) {
            kinds.entry(&name.kind).or_default().push(name);
        }
        let several: Vec<&Identifier> = kinds.into_values().filter(|names| names.len() > 1).flatten().collect();
        // The newest is the most likely to be somebody else's.
        let newest = several.last()?;
        Some(Self {
            person: person.id.to_string(),
            mend: format!("espalier identity unlink {}", newest.to_text()),
            names: several.iter().map(|name| name.to_text()).collect(),
            all: person.identifiers.len(),
        })
    }
}

/// Looks through everybody.
///
/// # Errors
/// When the store cannot be read.
pub async fn audit(store: &dyn Store) -> Result<Audit, StoreError> {
    let mut audit = Audit::default();
    each_person(store, |person| {
        audit.people += 1;
        if let Some(conflict) = Conflict::of(person) {
            audit.several += 1;
            if audit.told.len() < TOLD {
                audit.told.push(conflict);
            }
        }
    })
    .await?;
    audit.refused = store.refused_joins(TOLD).await?.iter().map(Joined::of).collect();
    for one in store.set_aside_list(ASIDE).await? {
        if &*one.reason == NOBODY {
            *audit.nobody.entry(one.source.to_string()).or_default() += 1;
        }
    }
    Ok(audit)
}

/// Asks vendors, all of them together for so long at most, what they make of those whom the audit names, and of others.
///
/// # Errors
/// When the store cannot be read.
pub async fn audit_vendors(
    store: &dyn Store,
    askers: &[Arc<Asker>],
    audit: &mut Audit,
    clock: &SharedClock,
) -> Result<(), StoreError> {
    let until = clock.now() + ASKED;
    let sample = Sample::of(store).await?;
    for asker in askers {
        let account = asker.name.to_string();
        tokio::select! {
            biased;
            asked = sample.ask(asker) => match asked {
                Some(found) => audit.vendors.push(found),
                None => audit.unasked.push(account),
            },
            () = clock.until(until) => {
                let failed = Some("it took too long: the account's budget is needed for sending".into());
                audit.vendors.push(VendorProfiles { account, failed, ..VendorProfiles::default() });
            }
        }
    }
    Ok(())
}

/// Everything that is kept of a person, for themselves.
///
/// # Errors
/// When the store cannot be read.
pub async fn export(
    store: &dyn Store,
    names: &Settings,
    person: &str,
    now: Timestamp,
) -> Result<Option<serde_json::Value>, StoreError> {
    let Some(id) = find(store, person, names).await? else { return Ok(None) };
    let Some(story) = store.story(id).await? else { return Ok(None) };
    Ok(Some(exported(&story, now)))
}

fn exported(story: &Story, now: Timestamp) -> serde_json::Value {
    let person = &story.person;
    let history = person.history.entries().iter().map(
        |entry| serde_json::json!({ "at": entry.at, "event": &*entry.name, "properties": entry.properties.to_value() }),
    );
    let before = person.history.folded().iter().map(
        |(name, cut)| serde_json::json!({ "event": &**name, "count": cut.count, "first": cut.first, "last": cut.last }),
    );
    let traits = person
        .traits
        .iter()
        .map(|(name, one)| (name.to_string(), serde_json::json!({ "value": one.value, "since": one.at })));
    let sent = story.records.iter().map(|record| {
        let of = &record.activation;
        serde_json::json!({
            "at": of.at, "trigger": &*of.trigger, "destination": &*of.lane, "occasion": of.occasion.to_string(),
            "payload": of.payload.to_value(),
            "outcomes": record.attempts.iter().map(|one| format!("{}: {}", one.at, super::explain::attempt(one))).collect::<Vec<_>>(),
        })
    });
    serde_json::json!({
        "asked": now,
        "names": person.identifiers.iter().map(Identifier::to_text).collect::<Vec<_>>(),
        "first_seen": person.first_seen,
        "traits": traits.collect::<serde_json::Map<_, _>>(),
        "consent": person.consent.marks().iter().map(said).collect::<Vec<_>>(),
        "events": history.collect::<Vec<_>>(),
        "events_before": before.collect::<Vec<_>>(),
        "joins": story.joins.iter().map(Joined::of).collect::<Vec<_>>(),
        "activations": sent.collect::<Vec<_>>(),
    })
}
