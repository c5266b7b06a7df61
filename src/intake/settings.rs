//! `[intake]` and `[source.NAME]` in the configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::manifest::setting::Written;
use crate::model::Span;
use crate::model::setting::{Secret, Size};
use crate::source::{endpoint, process, stream, subscriptions};

/// Where intake listens, and the bounds of what it takes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address and port. Loopback unless told otherwise: put a proxy with TLS in front of it.
    #[schemars(with = "String", extend("format" = "address-and-port"))]
    pub listen: SocketAddr,
    /// The largest message.
    pub message: Size,
    /// The largest request, before and after decompression.
    pub request: Size,
    /// The most messages in one request.
    pub messages: usize,
    /// Web origins whose pages may send: `"https://shop.example"`, or `"*"` for all.
    pub origins: Vec<String>,
    /// Serves `/espalier.js`, the snippet for pages without a tracking library.
    pub snippet: bool,
    /// What a sender is told to wait when we cannot take its message.
    pub retry_after: Span,
    /// Requests served at once; more wait in the kernel's queue.
    pub concurrency: usize,
    /// A request must have come in whole by then.
    pub timeout: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            message: Size(32 << 10),
            request: Size(4 << 20),
            messages: 2_500,
            origins: vec!["*".into()],
            snippet: true,
            retry_after: Span::from_secs(5),
            concurrency: 1_024,
            timeout: Span::from_secs(20),
        }
    }
}

/// One source: `kind` says of which sort.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum SourceSettings {
    /// The Segment tracking API: `/v1/track`, `/v1/batch` and the others.
    Tracking(Tracking),
    /// A shop, CRM or e-mail platform, by a connector of `connectors/`.
    Connector(Connector),
    /// An endpoint of your own.
    Endpoint(Box<endpoint::Settings>),
    /// A program that reads a vendor: a tap of the Singer specification.
    Singer(Box<process::settings::Settings>),
    /// A program that reads a vendor: a source connector of Airbyte.
    Airbyte(Box<process::settings::Settings>),
    /// A mapping of a file's rows, for `espalier import`.
    File(Box<FileMapping>),
}

/// The Segment tracking API.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tracking {
    /// The key that libraries are set up with. It is no secret in a browser, but it names the source.
    pub write_key: Secret,
}

/// A shop, CRM or e-mail platform, by a connector of `connectors/`: its webhooks at `/hooks/NAME`, and what is pulled of
/// it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connector {
    /// The connector: a folder of `connectors/`.
    pub connector: String,
    /// What it has to be told; its README says where that is found.
    #[serde(default)]
    pub settings: Written,
    /// How its lists are pulled; without credentials for them they are not.
    #[serde(default)]
    pub pull: stream::settings::Settings,
    /// Its subscriptions to webhooks are seen to where the address is said that the vendor reaches us by.
    #[serde(default)]
    pub webhooks: Option<subscriptions::Settings>,
}

/// How a file's rows become events.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileMapping {
    /// `csv` (with `delimiter`) or `jsonl`.
    pub format: FileFormat,
    /// Names of the columns, where the first line does not have them.
    #[serde(default)]
    pub columns: Vec<String>,
    /// What separates columns: one character, or `"spaces"` for any run of blanks.
    #[serde(default = "comma")]
    pub delimiter: String,
    /// The event that each row is.
    pub event: String,
    /// The column of its time.
    pub at: String,
    /// How the time is written, in strptime's letters: `"%Y%m%d"`; RFC 3339 unless told otherwise.
    #[serde(default)]
    pub at_format: Option<String>,
    /// Kind of identifier to column: `user_id = "customer"`.
    pub identify: BTreeMap<String, String>,
    /// Name of property to column. Numbers stay numbers.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// The column that makes a row the same row; its line number in the file unless told otherwise.
    #[serde(default)]
    pub message_id: Option<String>,
}

fn comma() -> String {
    ",".into()
}

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Columns.
    Csv,
    /// One JSON object a line.
    Jsonl,
}
