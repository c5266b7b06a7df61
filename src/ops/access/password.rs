//! Passwords: Argon2id with the library's parameters (19 MiB, two passes, as OWASP advises), two at a time.

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

/// Fewest and most characters of a password.
pub const SHORTEST: usize = 12;
pub const LONGEST: usize = 256;

/// So many are hashed at once: each takes memory and a core.
static TURNS: Semaphore = Semaphore::const_new(2);

/// True for what may be one.
pub fn fits(password: &str) -> bool {
    (SHORTEST..=LONGEST).contains(&password.chars().count())
}

/// To be kept in its place, as a PHC string; `None` where it cannot be hashed.
pub async fn hash(password: String) -> Option<String> {
    let _turn = TURNS.acquire().await.ok()?;
    let salt = *uuid::Uuid::new_v4().as_bytes();
    let hashed = move || Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).ok();
    tokio::task::spawn_blocking(hashed).await.ok()?.map(|hash| hash.to_string())
}

/// True where the password is this one. Without one to compare with it takes as long, so that nobody learns by waiting
/// which accounts there are.
pub async fn is(password: String, kept: Option<String>) -> bool {
    let Ok(_turn) = TURNS.acquire().await else { return false };
    let verified = move || match kept {
        Some(kept) => Argon2::default().verify_password(password.as_bytes(), kept.as_str()).is_ok(),
        None => {
            let _ = std::hint::black_box(Argon2::default().hash_password_with_salt(password.as_bytes(), &[7; 16]));
            false
        }
    };
    tokio::task::spawn_blocking(verified).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_alone() {
        let kept = hash("correct horse battery".into()).await.expect("a hash");
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(is("correct horse battery".into(), Some(kept.clone())).await);
        assert!(!is("correct horse batterz".into(), Some(kept)).await);
        assert!(!is("correct horse battery".into(), None).await);
        assert!(!is("x".into(), Some("no hash".into())).await);
        assert!(fits("twelve chars") && !fits("eleven char"));
    }
}
