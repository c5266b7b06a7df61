//! Tokens of one hour: asking again gives the same one with the life that is left (developer page on authentication).

use crate::sandbox::call::Call;
use crate::sandbox::received::key;

/// Life of a token in milliseconds.
const LIFE: i64 = 3_600_000;
/// Tokens remembered as expired; older ones are invalid.
const REMEMBERED: usize = 100;

/// The tokens of the instance's one client.
#[derive(Default)]
pub(super) struct Tokens {
    /// With the instant of their end; the newest last.
    issued: Vec<(String, i64)>,
    count: u64,
}

impl Tokens {
    /// The token that holds now, and the whole seconds that it has left.
    pub fn issue(&mut self, now: i64) -> (String, i64) {
        if let Some((token, end)) = self.issued.last()
            && *end > now
        {
            return (token.clone(), (end - now - 1).div_euclid(1_000));
        }
        if self.issued.len() >= REMEMBERED {
            self.issued.remove(0);
        }
        self.count += 1;
        let bytes = key(&[b"token", &self.count.to_le_bytes(), &now.to_le_bytes()]).to_be_bytes();
        let token = format!("{}:int", uuid::Builder::from_random_bytes(bytes).into_uuid());
        self.issued.push((token.clone(), now.saturating_add(LIFE)));
        (token, (LIFE - 1).div_euclid(1_000))
    }

    /// All that were issued are invalid from now on.
    pub fn revoke(&mut self) {
        self.issued.clear();
    }

    /// The code that refuses the call, if it carries no token that holds.
    pub fn check(&self, call: &Call) -> Result<(), &'static str> {
        // The parameter `access_token` is gone since 31 Aug 2026: only the header counts.
        let given = call.credentials("Bearer").ok_or("600")?;
        match self.issued.iter().find(|(token, _)| token == given) {
            Some((_, end)) if *end > call.at => Ok(()),
            Some(_) => Err("602"),
            None => Err("601"),
        }
    }
}
