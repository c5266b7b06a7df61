//! What must never be shown of how a receiver is reached: its keys, and of its address all that lies behind the host, which lets
//! in whoever knows it.

use crate::model::setting::Secret;

/// Parts of an address that are shorter say nothing by themselves: `T0`, `hooks`.
const SHORTEST: usize = 6;

/// Texts that are looked for before an answer is shown, in the form that [`plain`] gives them. Never printed.
#[derive(Clone, Default)]
pub struct Hidden(Vec<String>);

impl Hidden {
    /// These keys, each as a whole.
    #[must_use]
    pub fn keys<'a>(mut self, keys: impl IntoIterator<Item = &'a Secret>) -> Self {
        self.0.extend(keys.into_iter().map(|key| plain(key.expose())).filter(|key| !key.is_empty()));
        self
    }

    /// The path and the query of this address, as a whole and each part of them.
    #[must_use]
    pub fn address(mut self, url: &Secret) -> Self {
        let url = url.expose().trim();
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let behind = rest.find(['/', '?', '#']).and_then(|at| rest.get(at..)).unwrap_or_default();
        let whole = plain(behind.trim_end_matches('/'));
        // What is written before the host lets in, too.
        let user = rest.get(..rest.len() - behind.len()).and_then(|host| host.rsplit_once('@')).map(|(user, _)| user);
        let parts = behind.split(['/', '?', '&', '=', '#']).chain(user.into_iter().flat_map(|user| user.split(':')));
        let parts = parts.map(plain).filter(|part| part.chars().count() >= SHORTEST);
        self.0.extend(parts.chain([whole].into_iter().filter(|whole| !whole.is_empty())));
        self
    }

    /// True where a text has any of it in it, however it is escaped.
    pub fn is_in(&self, text: &str) -> bool {
        let text = plain(text);
        self.0.iter().any(|hidden| text.contains(hidden.as_str()))
    }
}

/// In small letters, and without the escapes of JSON and of addresses.
fn plain(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'\\', _) => {}
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |c: u8| char::from(c).to_digit(16).unwrap_or(0) as u8;
                bytes.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, text: &str, is_hidden: bool) {
        let hidden = Hidden::default().address(&Secret::new(url)).keys([&Secret::new("k3y")]);
        assert_eq!(hidden.is_in(text), is_hidden, "{url} in {text}");
    }

    #[test]
    fn nothing_behind_the_host_is_shown() {
        let url = "https://hooks.example/services/T0/B0/s3cr3t?token=h1dd3n!";
        check(url, "no_service", false);
        check(url, "nothing at hooks.example", false);
        check(url, "cannot POST /services/T0/B0/s3cr3t", true);
        check(url, "no team T0/B0/S3CR3T", true);
        check(url, "{\"path\":\"\\/services\\/T0\"}", true);
        check(url, "%2Fservices%2FT0", true);
        check(url, "the token h1dd3n%21 is none", true);
        check("https://user:passw0rd@hooks.example/x", "not passw0rd", true);
        check("https://hooks.example/down", "down", false);
        check("https://hooks.example/down", "cannot POST /down", true);
        check("https://hooks.example", "anything", false);
        check("https://hooks.example/", "anything / else", false);
        check("https://hooks.example", "k3y", true);
    }
}
