//! Why somebody did or did not get an activation: each condition with its value and evidence, each edge with what
//! became of it, the vendor's answer.

use serde::{Deserialize, Serialize};

use crate::model::consent::Mark;
use crate::model::{
    Attempt, Channel, Decision, Gate, Identifier, IdentifierKind, Join, OccasionId, Outcome, Person, PersonId,
    Standing, Timestamp, Verdict,
};
use crate::rules::{self, Program, TriggerFinding};
use crate::store::{Store, StoreError};

/// The whole answer.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Explained {
    /// Whose.
    pub person: String,
    /// When it was asked.
    pub at: Timestamp,
    /// Every name they go by.
    pub identifiers: Vec<String>,
    /// When their first event was.
    pub first_seen: Timestamp,
    /// Events remembered.
    pub events: usize,
    /// Traits that are computed: the level of engagement and its rates.
    pub computed: serde_json::Map<String, serde_json::Value>,
    /// What each trigger makes of them now.
    pub triggers: Vec<TriggerFinding>,
    /// Edges and what became of them, oldest first.
    pub edges: Vec<Edge>,
    /// Where each channel stands of which anything is known, in words.
    pub channels: Vec<String>,
    /// What was said about consent, oldest first.
    pub consent: Vec<Said>,
    /// Joins, made and refused.
    pub joins: Vec<Joined>,
}

/// One statement about consent.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Said {
    /// From when it holds.
    pub at: Timestamp,
    /// For which channel.
    pub channel: &'static str,
    /// What it did: `given`, `withdrawn`, `suppressed`, `lifted`.
    pub act: &'static str,
    /// The event or the trait that said so.
    pub because: String,
    /// Its source.
    pub source: String,
}

/// One edge.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Edge {
    /// Which trigger.
    pub trigger: String,
    /// The key; empty without `per`.
    pub key: String,
    /// When the condition became true.
    pub at: Timestamp,
    /// When that was learned.
    pub decided: Timestamp,
    /// The occasion's id: the vendor's dedupe key.
    pub occasion: String,
    /// What became of it, in words.
    pub verdict: String,
    /// What each vendor said.
    pub deliveries: Vec<Delivery>,
}

/// One lane's part in an edge.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Delivery {
    /// Which lane.
    pub lane: String,
    /// What is done there: the event's name, `list UwQxX4`, `profile`.
    pub does: String,
    /// Where it is, in words.
    pub state: String,
    /// The tries, oldest first.
    pub attempts: Vec<String>,
}

/// One join.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Joined {
    /// The event's time.
    pub at: Timestamp,
    /// The event's source.
    pub source: String,
    /// The names that were shared.
    pub because: Vec<String>,
    /// Why they were kept apart; `None` when they were joined.
    pub refused: Option<String>,
}

/// What may name a person: `email:ines@example.com`, an e-mail address, a bare account id, or a person's own id.
pub async fn find(
    store: &dyn Store,
    text: &str,
    names: &crate::identity::Settings,
) -> Result<Option<PersonId>, StoreError> {
    let mut candidates: Vec<Identifier> = Vec::new();
    if let Some(named) = Identifier::parse(text) {
        candidates.extend(crate::identity::normalise(named.kind, &named.value, names));
    }
    for kind in [IdentifierKind::Email, IdentifierKind::UserId, IdentifierKind::Phone, IdentifierKind::AnonymousId] {
        candidates.extend(crate::identity::normalise(kind, text, names));
    }
    for identifier in candidates {
        if let Some(id) = store.find(&identifier).await? {
            return Ok(Some(id));
        }
    }
    let mut id = [0; 16];
    Ok(hex::decode_to_slice(text, &mut id).ok().map(|()| PersonId(id)))
}

/// Explains one person, for one trigger or all.
pub async fn explain(
    store: &dyn Store,
    program: &Program,
    names: &crate::identity::Settings,
    person: &str,
    trigger: Option<&str>,
    now: Timestamp,
) -> Result<Option<Explained>, StoreError> {
    let Some(id) = find(store, person, names).await? else { return Ok(None) };
    let Some(story) = store.story(id).await? else { return Ok(None) };
    let wanted = |name: &str| trigger.is_none_or(|wanted| wanted == name);
    let mut triggers = rules::explain(program, &story.person, now);
    triggers.retain(|finding| wanted(&finding.trigger));
    let states = super::triggers::list(store, program, now);
    for finding in &mut triggers {
        if let Some(paused) = states.iter().find(|one| one.name == finding.trigger && one.since.is_some()) {
            let gates = finding.held_back.take().map(|words| format!("; {words}")).unwrap_or_default();
            finding.held_back = Some(format!("{}{gates}", paused.words()));
        }
    }
    let edges = story
        .decisions
        .iter()
        .filter(|decision| wanted(&decision.trigger))
        .map(|decision| edge(decision, &story.records))
        .collect();
    Ok(Some(Explained {
        person: story.person.id.to_string(),
        at: now,
        identifiers: story.person.identifiers.iter().map(Identifier::to_text).collect(),
        first_seen: story.person.first_seen,
        events: story.person.history.entries().len(),
        computed: program.computed_traits(&story.person, now),
        triggers,
        edges,
        channels: Channel::ALL.into_iter().filter_map(|channel| stands(&story.person, channel)).collect(),
        consent: story.person.consent.marks().iter().map(said).collect(),
        joins: story.joins.iter().map(Joined::of).collect(),
    }))
}

pub(super) fn said(mark: &Mark) -> Said {
    Said {
        at: mark.at,
        channel: mark.channel.word(),
        act: mark.act.word(),
        because: mark.because.to_string(),
        source: mark.source.to_string(),
    }
}

/// `email: consent withdrawn, suppressed`
fn stands(person: &Person, channel: Channel) -> Option<String> {
    let consent = match person.consent.standing(channel) {
        Standing::Unknown => None,
        Standing::Given(_) => Some("consent given"),
        Standing::Withdrawn(_) => Some("consent withdrawn"),
    };
    let suppressed = person.consent.suppressed(channel).map(|_| "suppressed");
    let words: Vec<&str> = consent.into_iter().chain(suppressed).collect();
    (!words.is_empty()).then(|| format!("{channel}: {}", words.join(", ")))
}

impl Joined {
    /// For people.
    pub(super) fn of(join: &Join) -> Self {
        Self {
            at: join.at,
            source: join.source.to_string(),
            because: join.because.iter().map(Identifier::to_text).collect(),
            refused: join.refused.as_ref().map(ToString::to_string),
        }
    }
}

fn edge(decision: &Decision, records: &[crate::store::Record]) -> Edge {
    let of = |occasion: OccasionId| records.iter().filter(move |r| r.activation.occasion == occasion);
    let deliveries = match &decision.verdict {
        Verdict::Activated(_) | Verdict::Delayed(..) | Verdict::Deferred(..) | Verdict::Held(..) => {
            of(decision.occasion).map(delivery).collect()
        }
        _ => Vec::new(),
    };
    Edge {
        trigger: decision.trigger.to_string(),
        key: decision.key.to_string(),
        at: decision.at,
        decided: decision.decided,
        occasion: decision.occasion.to_string(),
        verdict: verdict(&decision.verdict),
        deliveries,
    }
}

fn delivery(record: &crate::store::Record) -> Delivery {
    let state = match (record.is_queued, record.attempts.last()) {
        (true, None) if record.activation.is_held() => "held until its trigger is resumed".to_owned(),
        (true, None) => match record.activation.not_before {
            Some(until) => format!("waiting for its first try, not before {until}"),
            None => "waiting for its first try".to_owned(),
        },
        (true, Some(last)) => format!("waiting: {}", attempt(last)),
        (false, Some(last)) => attempt(last),
        (false, None) => "settled".to_owned(),
    };
    Delivery {
        lane: record.activation.lane.to_string(),
        does: record.activation.action.to_string(),
        state,
        attempts: record.attempts.iter().map(|a| format!("{}: {}", a.at, attempt(a))).collect(),
    }
}

/// A try in words.
pub fn attempt(attempt: &Attempt) -> String {
    let answer = if attempt.status == 0 { String::new() } else { format!(" (HTTP {})", attempt.status) };
    match &attempt.outcome {
        Outcome::Accepted => format!("accepted by the vendor{answer}"),
        Outcome::Duplicate => format!("the vendor had it already{answer}"),
        Outcome::Later { not_before, words, .. } => format!("tried, and again at {not_before}: {words}{answer}"),
        Outcome::Refused { code, words } => format!("refused, {code}: {words}{answer}"),
        Outcome::Expired => "not sent: it expired while it waited".into(),
        Outcome::Cancelled => "not sent: it was called back".into(),
    }
}

/// A verdict in words.
pub fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Activated(lanes) => format!("activated for {}", lanes.join(", ")),
        Verdict::Delayed(lanes, until) => {
            format!("activated for {}, delayed until {until}: quiet hours last until then", lanes.join(", "))
        }
        Verdict::Deferred(lanes, until) => {
            format!("activated for {}, deferred until {until}: it leaves with the night", lanes.join(", "))
        }
        Verdict::Held(lanes, gate) => {
            let why = if *gate == Gate::RateGuard { "the trigger paused itself" } else { "the trigger is paused" };
            format!("activated for {}, held: {why}", lanes.join(", "))
        }
        Verdict::CoolingDown(last) => format!("dropped: within the cool-down of the fire at {last}"),
        Verdict::AlreadyFired(first) => format!("dropped: it fires once, and did at {first}"),
        Verdict::Expired => "not sent: learned of after it expired".into(),
        Verdict::Gated(_, words) => format!("dropped: {words}"),
        Verdict::Voided(lanes) => {
            format!("not valid any more after it had left; told to {}", lanes.join(", "))
        }
        Verdict::Cancelled => "called back: a later event took its reason away".into(),
        Verdict::Recalled(_, words) => format!("called back: {words}"),
        Verdict::Released(None) => "let go: the trigger was resumed".into(),
        Verdict::Released(Some(until)) => format!("let go: the trigger was resumed; quiet hours last until {until}"),
    }
}
