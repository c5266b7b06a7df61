//! What browsers bring: a session's cookie, and where a request comes from.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::super::server::Shared;

/// The cookie's name, by whether browsers come by TLS: `__Host-` is then kept from other hosts and plain connections.
const COOKIES: [(bool, &str); 2] = [(true, "__Host-espalier"), (false, "espalier")];

fn name(is_secure: bool) -> &'static str {
    COOKIES[usize::from(!is_secure)].1
}

/// The session's secret that a browser brings.
pub fn session(headers: &HeaderMap, is_secure: bool) -> Option<&str> {
    let wanted = name(is_secure);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == wanted).map(|(_, secret)| secret).next()
}

/// The cookie that begins a session, or ends it where there is no secret. It ends with the browser; the session itself
/// runs out by our clock.
pub fn cookie(secret: Option<&str>, is_secure: bool) -> Option<HeaderValue> {
    let (name, secure) = (name(is_secure), if is_secure { "; Secure" } else { "" });
    let (secret, age) = (secret.unwrap_or_default(), if secret.is_some() { "" } else { "; Max-Age=0" });
    // Lax: a link in an alert opens the page; what changes something is asked for its origin.
    HeaderValue::from_str(&format!("{name}={secret}; Path=/; HttpOnly; SameSite=Lax{secure}{age}")).ok()
}

/// Notes who asks.
pub async fn known(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let caller = match token {
        // Whoever brings a token is not let in by a cookie beside it.
        Some(token) => token.strip_prefix("Bearer ").and_then(|token| shared.access.by_token(token)),
        None => session(headers, shared.is_secure).and_then(|secret| shared.access.by_session(secret)),
    };
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    next.run(request).await
}

/// Refuses what another site has a browser ask for. Programs with a token bring it by themselves, browsers never do.
pub async fn same_origin(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let headers = request.headers();
    // Without a cookie the API asks for a token anyway.
    let is_program = headers.contains_key(header::AUTHORIZATION)
        || (request.uri().path().starts_with("/api/") && !headers.contains_key(header::COOKIE));
    if is_safe || is_program || comes_from_us(headers, host(&request), &shared.hosts) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "another site asked for this\n").into_response()
}

/// By what name a request asks for us; HTTP/2 says it in the address.
pub fn host(request: &Request) -> Option<&str> {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    named.or_else(|| Some(request.uri().authority()?.as_str()))
}

fn comes_from_us(headers: &HeaderMap, host: Option<&str>, hosts: &[String]) -> bool {
    let of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (of("sec-fetch-site"), of("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            let Some((_, from)) = origin.split_once("://") else { return false };
            host.is_some_and(|host| host == from) || hosts.iter().any(|host| host == from)
        }
        // Browsers have sent one of both with every form for years.
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_our_own_pages_change_something() {
        let ours = ["espalier.example.com".to_owned()];
        let rows: [(&[(&str, &str)], bool); 8] = [
            (&[("sec-fetch-site", "same-origin"), ("host", "127.0.0.1:8081")], true),
            (&[("sec-fetch-site", "cross-site"), ("host", "x"), ("origin", "http://x")], false),
            (&[("sec-fetch-site", "same-site"), ("host", "x")], false),
            (&[("sec-fetch-site", "none"), ("host", "x")], false),
            (&[("origin", "http://127.0.0.1:8081"), ("host", "127.0.0.1:8081")], true),
            (&[("origin", "http://127.0.0.1:9000"), ("host", "127.0.0.1:8081")], false),
            (&[("origin", "https://espalier.example.com"), ("host", "inner:8081")], true),
            (&[("origin", "null"), ("host", "null")], false),
        ];
        for (given, may) in rows {
            let given: HeaderMap = given
                .iter()
                .map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_str(value).expect("a value")))
                .collect();
            let host = given.get("host").and_then(|host| host.to_str().ok());
            assert_eq!(comes_from_us(&given, host, &ours), may, "{given:?}");
        }
        assert!(!comes_from_us(&HeaderMap::new(), Some("x"), &ours));
    }

    #[test]
    fn a_cookie_is_read_by_its_name() {
        let brought = headers(&[("cookie", "a=b; espalier=s1; __Host-espalier=s2")]);
        assert_eq!((session(&brought, false), session(&brought, true)), (Some("s1"), Some("s2")));
        assert_eq!(session(&headers(&[("cookie", "xespalier=s1")]), false), None);
        let text = |secret, secure| cookie(secret, secure).expect("a cookie").to_str().expect("text").to_owned();
        assert_eq!(text(Some("s"), true), "__Host-espalier=s; Path=/; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(text(None, false), "espalier=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    }
}
