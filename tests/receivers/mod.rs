//! Receivers of alerts for tests: one HTTP server that writes down what is posted, and a small mail server.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// One call that came.
#[derive(Clone, Debug)]
pub struct Posted {
    pub path: String,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Posted {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("JSON")
    }
}

/// What is posted to any path, written down where it is taken.
#[derive(Clone, Default)]
pub struct Receivers {
    posted: Arc<Mutex<Vec<Posted>>>,
    down: Arc<Mutex<BTreeSet<String>>>,
    refused: Arc<Mutex<usize>>,
}

impl Receivers {
    /// Listens on a port of its own.
    pub async fn begin() -> (Self, SocketAddr) {
        let receivers = Self::default();
        let router = Router::new().fallback(take).with_state(receivers.clone());
        (receivers, crate::support::serve(router).await)
    }

    /// What was taken at this path.
    pub fn at(&self, path: &str) -> Vec<Posted> {
        let posted = self.posted.lock().expect("what was posted");
        posted.iter().filter(|one| one.path == path).cloned().collect()
    }

    /// This path answers 503 from now on, or no longer.
    pub fn is_down(&self, path: &str, is_down: bool) {
        let mut down = self.down.lock().expect("what is down");
        let _ = if is_down { down.insert(path.to_owned()) } else { down.remove(path) };
    }

    /// Calls that were answered 503 or 500.
    pub fn refused(&self) -> usize {
        *self.refused.lock().expect("a count")
    }
}

/// What is below `/echo` is told by 500 what it was called at, in words and as JSON.
async fn take(State(all): State<Receivers>, uri: Uri, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    if uri.path().starts_with("/echo/") {
        *all.refused.lock().expect("a count") += 1;
        let escaped = uri.to_string().replace('/', "\\/");
        return (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot POST {uri}: {{\"at\":\"{escaped}\"}}"));
    }
    if all.down.lock().expect("what is down").contains(uri.path()) {
        *all.refused.lock().expect("a count") += 1;
        return (StatusCode::SERVICE_UNAVAILABLE, "down".into());
    }
    let posted = Posted { path: uri.path().to_owned(), headers, bytes: body.to_vec() };
    all.posted.lock().expect("what was posted").push(posted);
    // PagerDuty's answer is 202.
    if uri.path() == "/v2/enqueue" {
        (StatusCode::ACCEPTED, "{\"status\":\"success\"}".into())
    } else {
        (StatusCode::OK, "ok".into())
    }
}

/// One letter that came.
#[derive(Clone, Debug, Default)]
pub struct Posting {
    pub from: String,
    pub to: Vec<String>,
    /// The argument of AUTH PLAIN.
    pub login: Option<String>,
    pub text: String,
}

/// A mail server that takes everything (RFC 5321), without encryption.
#[derive(Clone, Default)]
pub struct MailServer {
    letters: Arc<Mutex<Vec<Posting>>>,
}

impl MailServer {
    /// Listens on a port of its own.
    pub async fn begin() -> (Self, SocketAddr) {
        let server = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().talk(stream));
            }
        });
        (server, address)
    }

    pub fn letters(&self) -> Vec<Posting> {
        self.letters.lock().expect("letters").clone()
    }

    async fn talk(self, stream: TcpStream) -> Option<()> {
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        let mut letter = Posting::default();
        write.write_all(b"220 mail.test ESMTP\r\n").await.ok()?;
        loop {
            let mut line = String::new();
            if read.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            let word = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            let said: &[u8] = match word.as_str() {
                "EHLO" => b"250-mail.test\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n",
                "AUTH" => {
                    letter.login = line.split(' ').nth(2).map(str::to_owned);
                    b"235 yours\r\n"
                }
                "MAIL" => {
                    line.clone_into(&mut letter.from);
                    b"250 well\r\n"
                }
                "RCPT" => {
                    letter.to.push(line.to_owned());
                    b"250 well\r\n"
                }
                "DATA" => {
                    write.write_all(b"354 go on\r\n").await.ok()?;
                    letter.text = data(&mut read).await?;
                    self.letters.lock().expect("letters").push(std::mem::take(&mut letter));
                    b"250 taken\r\n"
                }
                "QUIT" => {
                    write.write_all(b"221 bye\r\n").await.ok()?;
                    return None;
                }
                _ => b"500 what\r\n",
            };
            write.write_all(said).await.ok()?;
        }
    }
}

/// Everything up to the line with one dot.
async fn data(read: &mut (impl AsyncReadExt + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n.\r\n") {
        bytes.push(read.read_u8().await.ok()?);
    }
    String::from_utf8(bytes).ok()
}
