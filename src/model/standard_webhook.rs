//! Signatures in the form of Standard Webhooks 1.0.0: HMAC-SHA256 over `id.timestamp.body`, base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Timestamp;
use super::http::Name;
use super::setting::Secret;

/// How a secret may be made.
pub const WAY: &str = "whsec_ and 24 to 64 random bytes in base64: echo whsec_$(openssl rand -base64 32)";

/// The key that a secret stands for: `whsec_`, then 24 to 64 bytes in base64.
///
/// # Errors
/// What is wrong with it, without the secret.
pub fn key(secret: &Secret) -> Result<Vec<u8>, &'static str> {
    let text = secret.expose().trim();
    let key = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).map_err(|_| "is not base64")?;
    if (24..=64).contains(&key.len()) { Ok(key) } else { Err("must be of 24 to 64 bytes") }
}

/// The headers of one try. `id` is the receiver's key against repeats; `at` is when the try is made.
pub fn headers(id: &str, at: Timestamp, body: &[u8], secrets: &[Secret]) -> Vec<(Name, String)> {
    let seconds = at.as_millis().div_euclid(1_000).to_string();
    let signed = secrets.iter().filter_map(|secret| key(secret).ok()).filter_map(|key| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(seconds.as_bytes());
        mac.update(b".");
        mac.update(body);
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    });
    let signature = signed.collect::<Vec<_>>().join(" ");
    let mut headers = vec![("webhook-id".into(), id.to_owned()), ("webhook-timestamp".into(), seconds)];
    if !signature.is_empty() {
        headers.push(("webhook-signature".into(), signature));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's libraries (svix, standardwebhooks): secret, id, instant and body.
    #[test]
    fn signs_as_the_specifications_example() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let at = Timestamp::from_millis(1_614_265_330_000);
        let headers = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232314}"#, &[secret]);
        let wanted = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ];
        assert_eq!(headers, wanted.map(|(name, value)| (name.into(), value.to_owned())));
    }

    #[test]
    fn two_secrets_sign_side_by_side_and_none_signs_nothing() {
        let secret = |letter: &str| Secret::new(format!("whsec_{}", STANDARD.encode(letter.repeat(24))));
        let signature = |secrets: &[Secret]| {
            let headers = headers("id", Timestamp::from_millis(0), b"{}", secrets);
            headers.into_iter().find(|(name, _)| name == "webhook-signature").map(|(_, value)| value)
        };
        let (a, b) = (signature(&[secret("a")]), signature(&[secret("b")]));
        let both = signature(&[secret("a"), secret("b")]);
        assert_eq!(both, Some(format!("{} {}", a.unwrap_or_default(), b.unwrap_or_default())));
        assert_eq!(signature(&[]), None);
    }

    #[test]
    fn a_secret_has_a_form() {
        assert_eq!(key(&Secret::new("whsec_?")), Err("is not base64"));
        assert_eq!(key(&Secret::new(format!("whsec_{}", STANDARD.encode("short")))), Err("must be of 24 to 64 bytes"));
    }
}
