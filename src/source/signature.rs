//! Who sent a request: signatures over its body, byte for byte, compared in constant time.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Refused;
use crate::model::setting::Secret;

/// How a sender signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC-SHA256 of the body in base64 (Shopify, WooCommerce).
    HmacSha256Base64 {
        /// The header that carries it.
        header: String,
    },
    /// HMAC-SHA256 of the body in hexadecimal, with or without `sha256=` in front.
    HmacSha256Hex {
        /// The header that carries it.
        header: String,
    },
}

impl Scheme {
    /// As written in a manifest.
    pub const WORDS: [&str; 2] = ["hmac-sha256-base64", "hmac-sha256-hex"];

    /// From its word in a manifest.
    pub fn parse(word: &str, header: &str) -> Option<Self> {
        let header = header.to_owned();
        Some(match word {
            "hmac-sha256-base64" => Self::HmacSha256Base64 { header },
            "hmac-sha256-hex" => Self::HmacSha256Hex { header },
            _ => return None,
        })
    }

    /// The header that carries the signature.
    pub fn header(&self) -> &str {
        match self {
            Self::HmacSha256Base64 { header } | Self::HmacSha256Hex { header } => header,
        }
    }

    /// Says whether one of `secrets` signed `body`; several are valid while one is being replaced.
    ///
    /// # Errors
    /// [`Refused::Unauthorized`] when the signature is missing, malformed or of another secret.
    pub fn verify(&self, secrets: &[Secret], signature: Option<&str>, body: &[u8]) -> Result<(), Refused> {
        let header = self.header();
        let signature = signature.ok_or_else(|| Refused::Unauthorized(format!("the header {header} is missing")))?;
        let signed = match self {
            Self::HmacSha256Base64 { .. } => STANDARD.decode(signature.trim()).ok(),
            Self::HmacSha256Hex { .. } => {
                let signature = signature.trim();
                hex::decode(signature.strip_prefix("sha256=").unwrap_or(signature)).ok()
            }
        };
        let valid = signed.is_some_and(|signed| secrets.iter().any(|secret| signs(secret, body, &signed)));
        if valid { Ok(()) } else { Err(Refused::Unauthorized(format!("the signature in {header} does not match"))) }
    }
}

/// An empty secret signs nothing: it would let everybody in.
fn signs(secret: &Secret, body: &[u8], signature: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { return false };
    mac.update(body);
    !secret.expose().is_empty() && mac.verify_slice(signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::shared;

    #[track_caller]
    fn check(word: &str, secrets: &[&str], signature: &str, body: &[u8], valid: bool) {
        let scheme = Scheme::parse(word, "X-Signature").expect("a scheme");
        let secrets: Vec<Secret> = secrets.iter().map(|s| Secret::new(*s)).collect();
        let wanted = if valid { "" } else { "the signature in X-Signature does not match" };
        let got = scheme.verify(&secrets, Some(signature), body);
        assert_eq!(got.err().map(|e| e.to_string()).unwrap_or_default(), wanted, "{signature}");
    }

    /// RFC 4231, test case 2.
    const BODY: &[u8] = b"what do ya want for nothing?";
    const HEX: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    #[test]
    fn a_signature_is_of_the_body_and_of_one_of_the_secrets() {
        let base64 = STANDARD.encode(hex::decode(HEX).expect("hex"));
        check("hmac-sha256-base64", &["Jefe"], &base64, BODY, true);
        check("hmac-sha256-base64", &["next", "Jefe"], &base64, BODY, true);
        check("hmac-sha256-hex", &["Jefe"], HEX, BODY, true);
        check("hmac-sha256-hex", &["Jefe"], &format!("sha256={HEX}"), BODY, true);
        check("hmac-sha256-base64", &["Jefe"], &base64, b"another body", false);
        check("hmac-sha256-base64", &["other"], &base64, BODY, false);
        check("hmac-sha256-base64", &[], &base64, BODY, false);
        check("hmac-sha256-base64", &["Jefe"], "?", BODY, false);
        check("hmac-sha256-base64", &["Jefe"], "", BODY, false);
    }

    #[test]
    fn an_empty_secret_lets_nobody_in() {
        let mac = Hmac::<Sha256>::new_from_slice(b"").expect("a key").chain_update(BODY).finalize().into_bytes();
        check("hmac-sha256-base64", &[""], &STANDARD.encode(mac), BODY, false);
    }

    #[test]
    fn a_missing_header_is_named() {
        let scheme = Scheme::parse("hmac-sha256-hex", "X-Signature").expect("a scheme");
        let refused = scheme.verify(&[Secret::new("s")], None, BODY);
        assert_eq!(refused, Err(Refused::Unauthorized("the header X-Signature is missing".into())));
    }

    #[test]
    fn the_shops_vectors_verify() {
        for (file, signature) in [
            ("shopify/orders_create.json", "iojusdVqd36iaZfkjPE8ViZQkdtatF6nozfd4G5va00="),
            ("shopify/carts_create.json", "gfvKPEbRknSmIhrIDojjltrEvTo2dKtKMG/TJicJ5po="),
            ("shopify/customers_redact.json", "gMgpnNqCQMYwuTRRWyebW11zQH4MUCOZsK9VkPK2TFw="),
            ("woocommerce/order_created.json", "z5WgKizz0lB6jg96CXmdO5pkbno7RSHkyGToV7RkdOY="),
            ("woocommerce/customer_created.json", "THeIniLxUVzSdph/zsSi+Za/bpjneFrZ8fXwxng9MgI="),
        ] {
            let Some(body) = shared(&format!("fixtures/{file}")) else { continue };
            check("hmac-sha256-base64", &["hush"], signature, &body, true);
        }
    }
}
