//! Scripts and styles of the page: in the program, packed once, and named by what is in them, so that a browser asks for
//! each version once.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;

use crate::model::http::is_gzip;

/// The files. htmx and uPlot are as they were published: LICENSES.md beside them says whose they are.
#[derive(RustEmbed)]
#[folder = "src/ops/page/assets"]
struct Files;

/// A file as it is served.
struct Asset {
    /// Where it is: its name has a hash of it.
    path: String,
    kind: &'static str,
    plain: Vec<u8>,
    packed: Vec<u8>,
}

static ASSETS: LazyLock<BTreeMap<String, Asset>> = LazyLock::new(|| {
    let assets = Files::iter().filter_map(|name| {
        let (stem, ending) = name.rsplit_once('.').filter(|(_, ending)| matches!(*ending, "js" | "css"))?;
        let plain = Files::get(&name)?.data.into_owned();
        // Memory takes every write.
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        let packed = packer.write_all(&plain).and_then(|()| packer.finish()).unwrap_or_default();
        let kind = if ending == "css" { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
        let path = format!("/assets/{stem}-{}.{ending}", &blake3::hash(&plain).to_hex()[..12]);
        Some((name.to_string(), Asset { path, kind, plain, packed }))
    });
    assets.collect()
});

/// Where the file of this name is; a page without it where there is none.
pub fn at(name: &str) -> &'static str {
    ASSETS.get(name).map_or("", |asset| &asset.path)
}

/// `GET /assets/{name}`. Needs no credential: it is the same for everybody.
pub async fn serve(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let asked = |asset: &&Asset| asset.path.strip_prefix("/assets/") == Some(&*name);
    let Some(asset) = ASSETS.values().find(asked) else { return StatusCode::NOT_FOUND.into_response() };
    let fixed = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        // Another version has another name.
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
    ];
    if takes_gzip(&headers) {
        return (fixed, [(header::CONTENT_ENCODING, "gzip")], asset.packed.as_slice()).into_response();
    }
    (fixed, asset.plain.as_slice()).into_response()
}

/// True for whom a packed answer is understood.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(is_gzip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_light() {
        let names: Vec<&str> = ASSETS.keys().map(String::as_str).collect();
        assert_eq!(names, ["enter.js", "htmx.js", "page.js", "style.css", "uplot.css", "uplot.js"]);
        let bytes: usize = ASSETS.values().map(|asset| asset.packed.len()).sum();
        println!("{bytes} bytes packed");
        assert!(bytes < 60_000, "{bytes} bytes packed");
    }

    #[tokio::test]
    async fn a_name_says_what_is_in_it() {
        let path = at("page.js").strip_prefix("/assets/").expect("a path").to_owned();
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"));
        let answer = serve(Path(path.clone()), headers).await;
        assert_eq!(answer.headers()[header::CONTENT_ENCODING], "gzip");
        assert!(answer.headers()[header::CACHE_CONTROL].to_str().expect("text").contains("immutable"));
        assert!(!serve(Path(path.clone()), HeaderMap::new()).await.headers().contains_key(header::CONTENT_ENCODING));
        for other in ["page.js", "page-000000000000.js", "../style.css", "LICENSES.md"] {
            assert_eq!(serve(Path(other.into()), HeaderMap::new()).await.status(), StatusCode::NOT_FOUND, "{other}");
        }
    }
}
