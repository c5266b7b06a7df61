//! `GET /espalier.js`: the snippet for pages without a tracking library. The same bytes for everybody, packed once.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::model::http::is_gzip;

const SOURCE: &str = include_str!("snippet.js");

static SNIPPET: LazyLock<Snippet> = LazyLock::new(|| Snippet::of(SOURCE));

/// What is served.
struct Snippet {
    plain: String,
    packed: Vec<u8>,
    tag: HeaderValue,
}

impl Snippet {
    fn of(source: &str) -> Self {
        let plain = bare(source);
        // Memory takes every write.
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        let packed = packer.write_all(plain.as_bytes()).and_then(|()| packer.finish()).unwrap_or_default();
        // Weak: it stands for both codings.
        let hash = blake3::hash(plain.as_bytes()).to_hex();
        let tag = HeaderValue::from_str(&format!("W/\"{}\"", &hash[..16]));
        Self { plain, packed, tag: tag.unwrap_or(HeaderValue::from_static("W/\"\"")) }
    }
}

/// The source without indents, and without comments, which have lines of their own.
fn bare(source: &str) -> String {
    let lines = source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Needs no credential: it is the same for everybody, and holds no key.
pub async fn serve(headers: HeaderMap) -> Response {
    let snippet = &*SNIPPET;
    let fixed = [
        (header::ETAG, snippet.tag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // Pages that isolate themselves take only scripts that say so.
        (header::HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin")),
    ];
    if is_known(&headers, &snippet.tag) {
        return (StatusCode::NOT_MODIFIED, fixed).into_response();
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"))];
    if takes_gzip(&headers) {
        let coding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
        return (fixed, kind, coding, snippet.packed.as_slice()).into_response();
    }
    (fixed, kind, snippet.plain.as_str()).into_response()
}

/// The items of a header that is a list, in however many lines.
fn items(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.trim_start_matches("W/").to_owned();
    let ours = tag.to_str().map(opaque).unwrap_or_default();
    items(headers, header::IF_NONE_MATCH).any(|given| given == "*" || opaque(given) == ours)
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    items(headers, header::ACCEPT_ENCODING).any(is_gzip)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::body::to_bytes;

    use super::*;

    async fn get(asked: &[(header::HeaderName, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
        let headers = asked.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).expect("a value")));
        let (parts, body) = serve(headers.collect()).await.into_parts();
        (parts.status, parts.headers, to_bytes(body, usize::MAX).await.expect("memory").to_vec())
    }

    #[tokio::test]
    async fn it_is_under_3_kb_packed() {
        let (_, headers, packed) = get(&[(header::ACCEPT_ENCODING, "br, gzip;q=0.8")]).await;
        println!("{} bytes, {} packed", SNIPPET.plain.len(), packed.len());
        assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
        assert!(packed.len() < 3_072, "{} bytes", packed.len());
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(&*packed).read_to_string(&mut unpacked).expect("gzip");
        assert_eq!(unpacked, SNIPPET.plain);
    }

    #[tokio::test]
    async fn it_says_how_long_it_is_good_and_for_whom() {
        let (status, headers, body) = get(&[]).await;
        assert_eq!((status, body), (StatusCode::OK, SNIPPET.plain.clone().into_bytes()));
        for (name, wanted) in [
            ("content-type", "text/javascript; charset=utf-8"),
            ("cache-control", "public, max-age=3600"),
            ("access-control-allow-origin", "*"),
            ("x-content-type-options", "nosniff"),
            ("vary", "accept-encoding"),
        ] {
            assert_eq!(headers[name], wanted, "{name}");
        }
        assert!(!headers.contains_key(header::CONTENT_ENCODING));
    }

    #[tokio::test]
    async fn who_has_it_gets_304() {
        let (_, headers, _) = get(&[]).await;
        let tag = headers[header::ETAG].to_str().expect("a tag").to_owned();
        for known in [tag.as_str(), tag.trim_start_matches("W/"), &format!("\"x\", {tag}"), "*"] {
            let (status, headers, body) = get(&[(header::IF_NONE_MATCH, known)]).await;
            assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
            assert_eq!(headers[header::ETAG], tag);
            assert!(headers.contains_key(header::CACHE_CONTROL));
        }
        assert_eq!(get(&[(header::IF_NONE_MATCH, "\"x\"")]).await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn it_is_packed_for_who_takes_gzip() {
        for (asked, is_packed) in
            [("gzip", true), ("deflate, GZIP", true), ("gzip; q=1.0", true), ("gzip;q=0", false), ("br", false)]
        {
            let (_, headers, _) = get(&[(header::ACCEPT_ENCODING, asked)]).await;
            assert_eq!(headers.contains_key(header::CONTENT_ENCODING), is_packed, "{asked}");
        }
    }

    #[test]
    fn only_comments_and_indents_go() {
        assert_eq!(bare("// a\n  b(\"// c\");\n\n    // d\n}\n"), "b(\"// c\");\n}");
    }
}
