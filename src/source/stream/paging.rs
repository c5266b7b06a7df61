//! How a list goes on after a page.

use serde_json::Value;

use super::{Open, Place, Stream};
use crate::manifest::{Path, text};
use crate::model::http::Response;
use crate::source::manifest::stream::{Paging, Reach};

impl Stream {
    /// Moves on; false at the end.
    pub(super) fn goes_on(
        &self,
        open: &mut Open,
        place: &mut Place,
        body: &Value,
        response: &Response,
        records: usize,
        is_repeated: bool,
    ) -> Result<bool, String> {
        open.records += records as u64;
        let number = |path: &Path| path.get(body).and_then(|v| v.as_u64().or_else(|| v.as_str()?.parse().ok()));
        let cursor = |next: &Path, more: Option<&Path>| {
            let token = next.get(body).and_then(text);
            let is_more = more.map(|more| more.get(body).is_some_and(is_true));
            (token, is_more)
        };
        if let (Reach::Token { .. }, Paging::Cursor { next, more }) = (&self.declared.reach, &self.declared.paging) {
            let (token, is_more) = cursor(next, more.as_ref());
            place.token = token.or(place.token.take());
            open.mark(place.token.as_deref().unwrap_or_default());
            return Ok(is_more.unwrap_or(false));
        }
        // A vendor that gives the last page again and again where there is no other (Magento) is at its end.
        let counted = |total: Option<u64>, seen: u64| match total {
            _ if is_repeated || records == 0 => false,
            Some(total) => seen < total,
            None => true,
        };
        Ok(match &self.declared.paging {
            Paging::None => false,
            Paging::Link => self.leads(open, link(response.header("link").unwrap_or_default()))?,
            Paging::NextUrl { next } => self.leads(open, next.get(body).and_then(text))?,
            Paging::Cursor { next, more } => {
                let (token, is_more) = cursor(next, more.as_ref());
                match (token, is_more) {
                    (_, Some(false)) | (None, None) => false,
                    (None, Some(true)) => return Err("the answer says that there is more, and not where".into()),
                    (Some(token), _) => {
                        open.mark(&token);
                        open.token = Some(token);
                        true
                    }
                }
            }
            Paging::Page { pages, total, .. } => match pages.as_ref().and_then(number) {
                Some(pages) => !is_repeated && open.pages + 1 < pages,
                None => counted(total.as_ref().and_then(number), open.records),
            },
            Paging::Offset { total } => counted(total.as_ref().and_then(number), open.records),
        })
    }

    /// Follows an address, which must be of the same account: anything else would be given our credentials.
    fn leads(&self, open: &mut Open, url: Option<String>) -> Result<bool, String> {
        let Some(url) = url.filter(|url| !url.is_empty()) else { return Ok(false) };
        let base = &self.account.base_url;
        let host = base.find("://").and_then(|at| base.get(at + 3..)?.find('/').map(|slash| at + 3 + slash));
        let (origin, beneath) = base.split_at(host.unwrap_or(base.len()));
        let path = match url.strip_prefix(origin) {
            Some(path) => path,
            None if url.starts_with('/') && !url.starts_with("//") => &url,
            None => return Err("the next page is said to be at another host".into()),
        };
        let path = path.strip_prefix(beneath).ok_or("the next page is said to be outside of the API")?;
        if !path.starts_with(['/', '?']) {
            return Err("the next page is said to be at another host".into());
        }
        open.mark(path);
        open.url = Some(path.to_owned());
        Ok(true)
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::String(text) => text == "true",
        _ => false,
    }
}

/// The address that a `Link` header calls the next (RFC 8288).
fn link(header: &str) -> Option<String> {
    header.split(',').find_map(|one| {
        let (address, rest) = one.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = rest.split(';').any(|part| {
            part.trim()
                .split_once('=')
                .is_some_and(|(name, value)| name.trim() == "rel" && value.trim().trim_matches('"') == "next")
        });
        is_next.then(|| address.to_owned())
    })
}
