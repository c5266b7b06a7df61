//! Who may see and do what on the ops side: every route asks for a role, every request has a caller, and every change is
//! written down before it is made.
//!
//! A caller is a command with the token in the store's folder, a program with a token of its own, or a browser with a
//! session. Sessions begin with a password, or with a link that is good once.

mod api;
mod audit;
mod browser;
mod page;
mod password;
mod register;
mod routes;
mod sign_in;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::SharedClock;
use crate::model::setting::Secret;
use crate::model::{Span, Timestamp};
use crate::store::{Store, StoreError};
use register::{Account, Digest, Register, Session, Unchanged, digest};

pub use api::{Change, Shown, routes as api_routes};
pub use audit::Note;
pub use browser::{host, known, same_origin};
pub use page::routes as pages;
pub use routes::{Documented, Routes};
pub use sign_in::routes as open_pages;

/// Links that wait to be used, at most; and how long one is good.
const MOST_LINKS: usize = 16;
const LINK: Span = Span::from_hours(1);
/// A session that began with a link lasts so long at most: long enough to make an account.
const LINKED: Span = Span::from_hours(12);
/// So many wrong passwords for one account, or for names that are none, within so long; then it waits.
const MOST_WRONG: usize = 10;
const WRONG_WITHIN: Span = Span::from_minutes(5);
/// Times that a change is tried against others who change the register meanwhile.
const TRIES: usize = 8;

/// What somebody may do; each may what those before it may.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees everything but secrets.
    Viewer,
    /// Pauses and resumes triggers, replays and drops dead letters, begins nights, brings products and codes.
    Operator,
    /// Exports and erases people, says who is who, and who may come in.
    Admin,
}

impl Role {
    /// Each with its word.
    pub const WORDS: [(&'static str, Self); 3] =
        [("viewer", Self::Viewer), ("operator", Self::Operator), ("admin", Self::Admin)];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, role)| *role == self).map_or("", |(word, _)| word)
    }
}

impl std::str::FromStr for Role {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::WORDS.iter().find(|(known, _)| *known == word);
        found.map(|(_, role)| *role).ok_or_else(|| "must be viewer, operator or admin".into())
    }
}

/// A part of the API that a token can be held to.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// How everything is: status, quotas, figures over time.
    Health,
    /// Prometheus's figures.
    Metrics,
    /// Triggers and back-tests.
    Triggers,
    /// People, who they are, and why they did or did not get something.
    People,
    /// Activations, dead letters, messages set aside.
    Letters,
    /// Nights.
    Nights,
    /// What came from sources.
    Connectors,
    /// Products and codes.
    Catalogue,
    /// Alerts.
    Alerts,
    /// The store: backups.
    Store,
    /// Who may come in, and the audit log.
    Access,
}

impl Area {
    /// Each with its word, and the first names of its paths below `/api/`.
    pub const WORDS: [(&'static str, Self, &'static [&'static str]); 11] = [
        ("health", Self::Health, &["status", "quota", "series", "openapi.json"]),
        ("metrics", Self::Metrics, &[]),
        ("triggers", Self::Triggers, &["triggers", "backtest"]),
        ("people", Self::People, &["explain", "payload", "identity", "person"]),
        ("letters", Self::Letters, &["dead-letters", "activations", "set-aside", "replays"]),
        ("nights", Self::Nights, &["nights"]),
        ("connectors", Self::Connectors, &["audit", "events"]),
        ("catalogue", Self::Catalogue, &["catalogue", "codes"]),
        ("alerts", Self::Alerts, &["alerts"]),
        ("store", Self::Store, &["store"]),
        ("access", Self::Access, &["access"]),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, area, _)| *area == self).map_or("", |(word, ..)| word)
    }

    /// The area of a path; none of a page.
    pub fn of(path: &str) -> Option<Self> {
        if path == "/metrics" {
            return Some(Self::Metrics);
        }
        let name = path.strip_prefix("/api/")?.split('/').next()?;
        Self::WORDS.iter().find(|(_, _, names)| names.contains(&name)).map(|(_, area, _)| *area)
    }
}

impl std::str::FromStr for Area {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::WORDS.iter().find(|(known, ..)| *known == word);
        found.map(|(_, area, _)| *area).ok_or_else(|| {
            let all: Vec<&str> = Self::WORDS.iter().map(|(word, ..)| *word).collect();
            format!("must be one of {}", all.join(", "))
        })
    }
}

/// Who asks: in every request's extensions once it is let in.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account's name, or the token's.
    pub name: Arc<str>,
    /// What they may do.
    pub role: Role,
    /// Where: everywhere if none is named.
    pub areas: Arc<[Area]>,
}

impl Caller {
    /// A command that read the token in the store's folder.
    pub fn command() -> Self {
        Self { name: "command line".into(), role: Role::Admin, areas: [].into() }
    }

    /// True where they may what this role may.
    pub fn may(&self, role: Role) -> bool {
        self.role >= role
    }

    /// True where they may look at this path at all.
    pub fn reaches(&self, path: &str) -> bool {
        self.areas.is_empty() || Area::of(path).is_some_and(|area| self.areas.contains(&area))
    }
}

/// Why nobody came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outside {
    #[error("That is not the name and password of an account.")]
    Wrong,
    #[error("There were too many wrong passwords; try again in five minutes.")]
    TooOften,
    #[error("That link was used, or it is more than an hour old; `espalier account link` prints another.")]
    Link,
    #[error("The store cannot be written now; try again in a moment.")]
    Store,
}

/// Why the register was not changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// What was asked does not fit.
    #[error(transparent)]
    Unchanged(#[from] Unchanged),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The register of who may come in, read and changed.
pub struct Access {
    store: Arc<dyn Store>,
    /// The machine's: people wait by it, however quick the shop's is.
    clock: SharedClock,
    /// As it was last read or written, with its version.
    kept: ArcSwap<(u64, Register)>,
    /// Held while a change is made: of two at once, the older one must not be what is remembered.
    changing: tokio::sync::Mutex<()>,
    command: Option<Secret>,
    links: Mutex<Vec<(Digest, Timestamp)>>,
    wrong: Mutex<BTreeMap<Option<Arc<str>>, Vec<Timestamp>>>,
    session: Span,
}

impl Access {
    /// Of this store. `command` lets commands in, where they come by the API; a session lasts so long.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: SharedClock,
        command: Option<Secret>,
        session: Span,
    ) -> Result<Self, StoreError> {
        let kept = ArcSwap::from_pointee(read(&*store).await?);
        let changing = tokio::sync::Mutex::default();
        Ok(Self { store, clock, kept, changing, command, links: Mutex::default(), wrong: Mutex::default(), session })
    }

    /// The register as it is.
    pub fn register(&self) -> arc_swap::Guard<Arc<(u64, Register)>> {
        self.kept.load()
    }

    /// True where somebody can sign in with a password.
    pub fn has_accounts(&self) -> bool {
        !self.kept.load().1.accounts.is_empty()
    }

    /// Now, by the clock that people wait by.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Changes the register, on disk when it returns.
    pub async fn change<T>(&self, change: impl Fn(&mut Register) -> Result<T, Unchanged>) -> Result<T, Refused> {
        let _alone = self.changing.lock().await;
        for _ in 0..TRIES {
            let (version, mut register) = (**self.kept.load()).clone();
            let done = change(&mut register)?;
            let bytes = serde_json::to_vec(&register).map_err(|e| StoreError::Unavailable(e.to_string()))?;
            if self.store.put_access(version, &bytes).await? {
                self.kept.store(Arc::new((version + 1, register)));
                return Ok(done);
            }
            self.kept.store(Arc::new(read(&*self.store).await?));
        }
        Err(StoreError::Unavailable("others change it all the time".into()).into())
    }

    /// An account more.
    pub async fn add(&self, name: &str, role: Role, password: String) -> Result<(), Refused> {
        let account = Account { role, password: hashed(password).await?, since: self.now() };
        self.change(|register| register.add(name, account.clone())).await
    }

    /// Another role, from the next request on, another password, or both: both or neither.
    pub async fn alter(&self, name: &str, role: Option<Role>, password: Option<String>) -> Result<(), Refused> {
        let hash = match password {
            Some(password) => Some(hashed(password).await?),
            None => None,
        };
        self.change(|register| {
            if !register.accounts.contains_key(name) {
                return Err(Unchanged::Missing);
            }
            role.map_or(Ok(()), |role| register.set_role(name, role))?;
            hash.clone().map_or(Ok(()), |hash| register.set_password(name, hash))
        })
        .await
    }

    /// The account is gone, and its sessions with it.
    pub async fn remove(&self, name: &str) -> Result<(), Refused> {
        self.change(|register| register.remove(name)).await
    }

    /// The token is gone.
    pub async fn revoke(&self, name: &str) -> Result<(), Refused> {
        self.change(|register| register.revoke(name)).await
    }

    /// Everything but secrets.
    pub fn shown(&self) -> Shown {
        Shown::of(&self.kept.load().1, self.now())
    }

    /// A token more; the secret, which is not kept.
    pub async fn add_token(
        &self,
        name: &str,
        role: Role,
        areas: Vec<Area>,
        length: Option<Span>,
    ) -> Result<String, Refused> {
        let secret = format!("esp_{}", secret());
        let now = self.now();
        let digest = digest(&secret);
        let token =
            register::Token { role, areas, secret: digest, since: now, until: length.map(|length| now + length) };
        self.change(|register| register.add_token(name, token.clone())).await?;
        Ok(secret)
    }

    /// Lets somebody in once who has this code, within an hour.
    pub fn link(&self) -> String {
        let code = secret();
        if let Ok(mut links) = self.links.lock() {
            let now = self.now();
            links.retain(|(_, until)| *until > now);
            if links.len() >= MOST_LINKS {
                links.remove(0);
            }
            links.push((digest(&code), now + LINK));
        }
        code
    }

    /// Begins a session with a code; the session's secret.
    pub async fn enter(&self, code: &str) -> Result<String, Outside> {
        let (now, wanted) = (self.now(), digest(code));
        let found = {
            let mut links = self.links.lock().map_err(|_| Outside::Store)?;
            let found = links.iter().position(|(code, until)| *code == wanted && *until > now);
            found.map(|found| links.remove(found))
        };
        found.ok_or(Outside::Link)?;
        self.begin("one-time link".into(), Some(Role::Admin), self.session.min(LINKED)).await
    }

    /// Begins a session with a password; the session's secret.
    pub async fn sign_in(&self, name: &str, password: String) -> Result<String, Outside> {
        let name = self.is_password(name, password).await?;
        self.begin(name, None, self.session).await
    }

    /// The account whose password this is.
    pub async fn is_password(&self, name: &str, password: String) -> Result<Arc<str>, Outside> {
        let known =
            self.kept.load().1.accounts.get_key_value(name).map(|(name, one)| (name.clone(), one.password.clone()));
        let (name, kept) = known.unzip();
        let now = self.now();
        {
            let mut wrong = self.wrong.lock().map_err(|_| Outside::Store)?;
            wrong.retain(|_, times| {
                times.retain(|at| now.since(*at) < WRONG_WITHIN);
                !times.is_empty()
            });
            if wrong.get(&name).is_some_and(|times| times.len() >= MOST_WRONG) {
                return Err(Outside::TooOften);
            }
            // Taken before the password is looked at: many at once are counted, too.
            wrong.entry(name.clone()).or_default().push(now);
        }
        if password.chars().count() > password::LONGEST || !password::is(password, kept).await {
            return Err(Outside::Wrong);
        }
        let Some(name) = name else { return Err(Outside::Wrong) };
        if let Ok(mut wrong) = self.wrong.lock() {
            wrong.remove(&Some(name.clone()));
        }
        Ok(name)
    }

    async fn begin(&self, name: Arc<str>, role: Option<Role>, length: Span) -> Result<String, Outside> {
        let (secret, now) = (secret(), self.now());
        let session = Session { secret: digest(&secret), name, role, since: now, until: now + length };
        let begun = self.change(|register| {
            register.begin(session.clone(), now);
            Ok(())
        });
        begun.await.map_err(|_| Outside::Store)?;
        Ok(secret)
    }

    /// Ends a session.
    pub async fn sign_out(&self, secret: &str) -> Result<(), Refused> {
        let secret = digest(secret);
        self.change(|register| {
            register.end(&secret);
            Ok(())
        })
        .await
    }

    /// Who brings this token, a command's or a program's.
    pub fn by_token(&self, given: &str) -> Option<Caller> {
        use subtle::ConstantTimeEq;
        if self.command.as_ref().is_some_and(|ours| bool::from(ours.expose().as_bytes().ct_eq(given.as_bytes()))) {
            return Some(Caller::command());
        }
        let kept = self.kept.load();
        let (name, token) = kept.1.token(&digest(given), self.now())?;
        Some(Caller { name, role: token.role, areas: token.areas.as_slice().into() })
    }

    /// Whose session this is.
    pub fn by_session(&self, secret: &str) -> Option<Caller> {
        let (name, role) = self.kept.load().1.session(&digest(secret), self.now())?;
        Some(Caller { name, role, areas: [].into() })
    }
}

async fn read(store: &dyn Store) -> Result<(u64, Register), StoreError> {
    let (version, bytes) = store.access().await?;
    let register = match bytes {
        Some(bytes) => serde_json::from_slice(&bytes)
            .map_err(|e| StoreError::Damaged(format!("the register of access cannot be read: {e}")))?,
        None => Register::default(),
    };
    Ok((version, register))
}

async fn hashed(password: String) -> Result<String, Refused> {
    if !password::fits(&password) {
        return Err(Unchanged::Password.into());
    }
    let failed = || StoreError::Unavailable("the password could not be hashed".into());
    Ok(password::hash(password).await.ok_or_else(failed)?)
}

/// 244 random bits.
fn secret() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}
