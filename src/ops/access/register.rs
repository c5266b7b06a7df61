//! Who may come in: accounts, tokens and sessions as they are kept. Pure: passwords are hashed elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Area, Role};
use crate::model::{Span, Timestamp};

/// Accounts at most, and tokens.
const MOST: usize = 1_000;
/// Sessions at most; the oldest go.
const MOST_SESSIONS: usize = 1_000;
/// Tokens that ran out are shown so long.
const SHOWN: Span = Span::from_hours(24 * 30);

/// A secret's BLAKE3: what is kept in its place. Secrets are random, so nobody guesses one from it.
pub type Digest = [u8; 32];

/// The digest of a secret.
pub fn digest(secret: &str) -> Digest {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Register {
    /// By name.
    #[serde(default)]
    pub accounts: BTreeMap<Arc<str>, Account>,
    /// By name.
    #[serde(default)]
    pub tokens: BTreeMap<Arc<str>, Token>,
    /// Oldest first.
    #[serde(default)]
    pub sessions: Vec<Session>,
}

/// Somebody who comes in by a password.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub role: Role,
    /// Argon2id, as a PHC string.
    pub password: String,
    pub since: Timestamp,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({:?})", self.role)
    }
}

/// A program that comes in by a secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Token {
    pub role: Role,
    /// Only to these; to all where none is named.
    pub areas: Vec<Area>,
    pub secret: Digest,
    pub since: Timestamp,
    pub until: Option<Timestamp>,
}

/// A browser that somebody signed in with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    pub secret: Digest,
    /// The account, or the name that another said.
    pub name: Arc<str>,
    /// The role where no account tells it: of a one-time link, or of who was let in elsewhere.
    pub role: Option<Role>,
    pub since: Timestamp,
    pub until: Timestamp,
}

/// Why the register was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unchanged {
    #[error("a name has 1 to 64 letters, digits, and any of `@._-`")]
    Name,
    #[error(
        "a password has at least {} and at most {} characters",
        super::password::SHORTEST,
        super::password::LONGEST
    )]
    Password,
    #[error("there is one of this name already")]
    Taken,
    #[error("there is none of this name")]
    Missing,
    #[error("it is the last account of an admin; make another first")]
    LastAdmin,
    #[error("there are {MOST} of them, which is the most there may be")]
    TooMany,
}

/// True for what an account or a token may be called.
pub fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "@._-".contains(c))
}

impl Register {
    /// An account more.
    pub fn add(&mut self, name: &str, account: Account) -> Result<(), Unchanged> {
        fits(&self.accounts, name)?;
        self.accounts.insert(name.into(), account);
        Ok(())
    }

    /// Another password; whoever came in by the old one is out.
    pub fn set_password(&mut self, name: &str, password: String) -> Result<(), Unchanged> {
        self.accounts.get_mut(name).ok_or(Unchanged::Missing)?.password = password;
        self.sign_out_all(name);
        Ok(())
    }

    /// Another role, from the next request on.
    pub fn set_role(&mut self, name: &str, role: Role) -> Result<(), Unchanged> {
        self.keeps_an_admin(name, Some(role))?;
        self.accounts.get_mut(name).ok_or(Unchanged::Missing)?.role = role;
        Ok(())
    }

    /// The account is gone, and its sessions with it.
    pub fn remove(&mut self, name: &str) -> Result<(), Unchanged> {
        self.keeps_an_admin(name, None)?;
        self.accounts.remove(name).ok_or(Unchanged::Missing)?;
        self.sign_out_all(name);
        Ok(())
    }

    fn keeps_an_admin(&self, name: &str, role: Option<Role>) -> Result<(), Unchanged> {
        let others = self.accounts.iter().filter(|(other, _)| ***other != *name);
        let is_admin = self.accounts.get(name).is_some_and(|one| one.role == Role::Admin);
        match is_admin && role != Some(Role::Admin) && !others.clone().any(|(_, one)| one.role == Role::Admin) {
            // The very last may go: then a one-time link is the way in again.
            true if others.count() > 0 => Err(Unchanged::LastAdmin),
            _ => Ok(()),
        }
    }

    fn sign_out_all(&mut self, name: &str) {
        self.sessions.retain(|one| one.role.is_some() || *one.name != *name);
    }

    /// A token more.
    pub fn add_token(&mut self, name: &str, token: Token) -> Result<(), Unchanged> {
        fits(&self.tokens, name)?;
        self.tokens.insert(name.into(), token);
        Ok(())
    }

    /// The token is gone.
    pub fn revoke(&mut self, name: &str) -> Result<(), Unchanged> {
        self.tokens.remove(name).map(drop).ok_or(Unchanged::Missing)
    }

    /// Somebody signed in; what ran out goes.
    pub fn begin(&mut self, session: Session, now: Timestamp) {
        self.sessions.retain(|one| one.until > now);
        self.tokens.retain(|_, token| token.until.is_none_or(|until| until + SHOWN > now));
        if self.sessions.len() >= MOST_SESSIONS {
            self.sessions.remove(0);
        }
        self.sessions.push(session);
    }

    /// They sign out.
    pub fn end(&mut self, secret: &Digest) {
        self.sessions.retain(|one| one.secret != *secret);
    }

    /// Whose session this is, and their role now.
    pub fn session(&self, secret: &Digest, now: Timestamp) -> Option<(Arc<str>, Role)> {
        let session = self.sessions.iter().find(|one| one.secret == *secret && one.until > now)?;
        let role = session.role.or_else(|| Some(self.accounts.get(&session.name)?.role))?;
        Some((session.name.clone(), role))
    }

    /// Whose token this is.
    pub fn token(&self, secret: &Digest, now: Timestamp) -> Option<(Arc<str>, &Token)> {
        let (name, token) = self.tokens.iter().find(|(_, token)| token.secret == *secret)?;
        token.until.is_none_or(|until| until > now).then(|| (name.clone(), token))
    }
}

fn fits<T>(all: &BTreeMap<Arc<str>, T>, name: &str) -> Result<(), Unchanged> {
    match () {
        () if !is_name(name) => Err(Unchanged::Name),
        () if all.contains_key(name) => Err(Unchanged::Taken),
        () if all.len() >= MOST => Err(Unchanged::TooMany),
        () => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::MIN + Span::from_hours(hours)
    }

    fn account(role: Role) -> Account {
        Account { role, password: "x".into(), since: at(0) }
    }

    fn session(name: &str, secret: &str, role: Option<Role>, until: i64) -> Session {
        Session { secret: digest(secret), name: name.into(), role, since: at(0), until: at(until) }
    }

    #[test]
    fn a_role_counts_from_the_next_request_on_and_who_is_gone_is_out() {
        let mut register = Register::default();
        register.add("ines", account(Role::Admin)).expect("an account");
        register.add("rui", account(Role::Viewer)).expect("an account");
        register.begin(session("rui", "s", None, 12), at(0));
        assert_eq!(register.session(&digest("s"), at(1)), Some(("rui".into(), Role::Viewer)));
        register.set_role("rui", Role::Operator).expect("a role");
        assert_eq!(register.session(&digest("s"), at(1)), Some(("rui".into(), Role::Operator)));
        assert_eq!(register.session(&digest("s"), at(12)), None, "it ran out");
        assert_eq!(register.session(&digest("t"), at(1)), None);
        register.begin(session("rui", "link", Some(Role::Admin), 12), at(0));
        register.set_password("rui", "y".into()).expect("a password");
        assert_eq!(register.session(&digest("s"), at(1)), None, "a new password signs out");
        assert!(register.session(&digest("link"), at(1)).is_some(), "another's of the same name");
        register.begin(session("rui", "s", None, 12), at(0));
        register.remove("rui").expect("a removal");
        assert_eq!(register.session(&digest("s"), at(1)), None);
    }

    #[test]
    fn the_last_admin_stays_while_others_are_there() {
        let mut register = Register::default();
        register.add("ines", account(Role::Admin)).expect("an account");
        register.add("rui", account(Role::Operator)).expect("an account");
        assert_eq!(register.remove("ines"), Err(Unchanged::LastAdmin));
        assert_eq!(register.set_role("ines", Role::Viewer), Err(Unchanged::LastAdmin));
        assert_eq!(register.add("rui", account(Role::Admin)), Err(Unchanged::Taken));
        assert_eq!(register.add("ru i", account(Role::Admin)), Err(Unchanged::Name));
        register.remove("rui").expect("a removal");
        register.remove("ines").expect("a link is the way in then");
    }

    #[test]
    fn sessions_and_tokens_are_bounded_and_run_out() {
        let mut register = Register::default();
        for n in 0..=MOST_SESSIONS {
            register.begin(session("x", &n.to_string(), Some(Role::Viewer), 12), at(0));
        }
        assert_eq!(register.sessions.len(), MOST_SESSIONS);
        assert_eq!(register.session(&digest("0"), at(1)), None, "the oldest went");
        let token = |until| Token { role: Role::Viewer, areas: vec![], secret: digest("k"), since: at(0), until };
        register.add_token("scrape", token(Some(at(5)))).expect("a token");
        assert!(register.token(&digest("k"), at(4)).is_some() && register.token(&digest("k"), at(5)).is_none());
        register.begin(session("x", "new", None, 2_000), at(1_000));
        assert!(register.tokens.is_empty() && register.sessions.len() == 1);
        assert_eq!(register.revoke("scrape"), Err(Unchanged::Missing));
    }
}
