//! An account at a vendor: where it is, how we are let in, and what it costs to ask.

use serde_json::{Value, json};

use crate::manifest::Seen;
use crate::manifest::access::{self, WayIn, named};
use crate::manifest::setting::Given;
use crate::model::http::{AccountKey, Auth, Counted, Method, Name, Request, TokenRequest, Window as Budget};
use crate::source::manifest::Manifest;
use crate::source::manifest::api::Api;
use crate::source::manifest::stream::Call;

/// An account at a vendor, as a configuration has it.
#[derive(Clone, Debug)]
pub struct Account {
    /// Where it is: scheme, host and the beginning of each path.
    pub base_url: String,
    /// How a token is fetched, where it needs one.
    pub token: Option<TokenRequest>,
    /// What may be asked how often.
    pub windows: Vec<Budget>,
    /// Whose budget it spends.
    pub key: AccountKey,
    /// Calls at once.
    pub concurrency: usize,
    pub(super) api: Api,
    auth: Auth,
    pub(super) shown: Value,
}

/// Why no account can be made of what was said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAccount {
    /// The connector only listens.
    #[error("the connector `{0}` has nothing that is pulled")]
    Listens(String),
    /// None of the ways to be let in has its settings.
    #[error("no credentials: {0}")]
    Credentials(String),
    /// The address makes no sense.
    #[error("the address of its API cannot be made of these settings")]
    Address,
}

impl Account {
    /// Of a connector, as it is configured.
    ///
    /// # Errors
    /// Why there is none.
    pub fn of(manifest: &Manifest, given: &Given) -> Result<Self, NoAccount> {
        let api = manifest.api.clone().ok_or_else(|| NoAccount::Listens(manifest.name.clone()))?;
        let shown = json!({ "settings": given.all_shown() });
        let seen = Seen::of(&shown);
        let base_url = access::base_url(&api.base_url, &seen).ok_or(NoAccount::Address)?;
        let WayIn { auth, token, credential } = access::way_in(&api.auth, given).map_err(NoAccount::Credentials)?;
        let key = AccountKey { base_url: base_url.clone(), credential };
        let windows = api.limits.windows.iter().map(|(family, calls, span)| Budget {
            family: family.clone().into(),
            calls: *calls,
            share: 1.0,
            span: *span,
            counted: Counted::usual(*span),
        });
        let (windows, concurrency) = (windows.collect(), api.limits.concurrency.max(1));
        Ok(Self { base_url, token, windows, key, concurrency, api, auth, shown })
    }

    /// A call with what `beside` the settings its texts may use.
    pub(in crate::source) fn call(&self, call: &Call, beside: &[(&str, Value)]) -> Request {
        let mut names = self.shown.as_object().cloned().unwrap_or_default();
        names.extend(beside.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let seen = Seen::of(&Value::Object(names));
        let body = call.body.as_ref().map(|body| body.value(&seen).to_string().into_bytes()).unwrap_or_default();
        self.request(
            call.method,
            call.path.text(&seen).unwrap_or_default(),
            body,
            &call.family,
            named(&call.query, &seen),
        )
    }

    pub(super) fn request(
        &self,
        method: Method,
        path: String,
        body: Vec<u8>,
        family: &str,
        query: Vec<(Name, String)>,
    ) -> Request {
        Request {
            method,
            path,
            query,
            headers: named(&self.api.headers, &Seen::of(&self.shown)),
            content_type: "application/json",
            auth: self.auth.clone(),
            body,
            family: family.to_owned().into(),
            timeout: self.api.timeout,
        }
    }
}
