//! OAuth 1.0a with HMAC-SHA256, as an integration signs each call (vendor page on OAuth-based authentication).

use std::collections::HashSet;

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::sandbox::call::{Call, encoded};

/// A timestamp may be off by so many seconds.
const DRIFT: i64 = 300;

/// Secrets of one integration: consumer key and secret, access token and secret.
pub(super) struct Integration<'a> {
    pub consumer: (&'a str, &'a str),
    pub token: (&'a str, &'a str),
}

/// Checks the header `Authorization: OAuth …`; the error is what the vendor says.
pub(super) fn check(
    call: &Call,
    integration: &Integration<'_>,
    nonces: &mut HashSet<String>,
) -> Result<(), &'static str> {
    let parameters = parameters(call.credentials("OAuth").unwrap_or(""));
    let field = |name: &str| parameters.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str());
    if field("oauth_consumer_key") != integration.consumer.0 || field("oauth_token") != integration.token.0 {
        return Err("The consumer isn't authorized to access %resources.");
    }
    if field("oauth_signature_method") != "HMAC-SHA256" {
        return Err("The signature method isn't supported. Verify and try again.");
    }
    let at: i64 = field("oauth_timestamp").parse().unwrap_or(0);
    if (at - call.at.div_euclid(1_000)).abs() > DRIFT {
        return Err("The timestamp is expired. Refresh and try again.");
    }
    let own = parameters.iter().filter(|(n, _)| n != "oauth_signature" && n != "realm");
    let mut all: Vec<(String, String)> = own.chain(&call.query).map(|(n, v)| (encoded(n), encoded(v))).collect();
    all.sort();
    let joined = all.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("&");
    let url = format!("{}{}", call.base, call.path);
    let text = format!("{}&{}&{}", call.method, encoded(&url), encoded(&joined));
    let key = format!("{}&{}", encoded(integration.consumer.1), encoded(integration.token.1));
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else {
        return Err("The signature is invalid. Verify and try again.");
    };
    mac.update(text.as_bytes());
    let given = base64::engine::general_purpose::STANDARD.decode(field("oauth_signature")).unwrap_or_default();
    if mac.verify_slice(&given).is_err() {
        return Err("The signature is invalid. Verify and try again.");
    }
    if nonces.insert(format!("{at}/{}", field("oauth_nonce"))) {
        Ok(())
    } else {
        Err("The nonce is already being used by the consumer.")
    }
}

/// `name="value", …`, decoded.
fn parameters(text: &str) -> Vec<(String, String)> {
    let one = |part: &str| {
        let (name, value) = part.trim().split_once('=')?;
        Some((decoded(name), decoded(value.trim_matches('"'))))
    };
    text.split(',').filter_map(one).collect()
}

/// Without percent signs. A plus is a plus here.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = if *first == b'%' { after.get(..2).and_then(|h| hex::decode(h).ok()) } else { None };
        match hex {
            Some(byte) => {
                bytes.extend(byte);
                rest = after.get(2..).unwrap_or(&[]);
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
