//! Receivers of alerts for tests: one HTTP server that writes down what is posted, and a small mail server.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

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

/// How a mail server's connections are encrypted.
#[derive(Clone)]
pub enum Encryption {
    None,
    /// By STARTTLS.
    Asked(TlsAcceptor),
    /// From their first byte.
    Wrapped(TlsAcceptor),
}

/// With the certificate `cert.pem` and its key `key.pem` of a folder.
pub fn acceptor(folder: &Path) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key).expect("a certificate with its key")))
}

/// A mail server that takes everything (RFC 5321).
#[derive(Clone, Default)]
pub struct MailServer {
    letters: Arc<Mutex<Vec<Posting>>>,
}

impl MailServer {
    /// Listens on a port of its own, without encryption.
    pub async fn begin() -> (Self, SocketAddr) {
        Self::encrypted(Encryption::None).await
    }

    /// Listens on a port of its own.
    pub async fn encrypted(encryption: Encryption) -> (Self, SocketAddr) {
        let server = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (serving, encryption) = (serving.clone(), encryption.clone());
                tokio::spawn(async move {
                    match encryption {
                        Encryption::None => drop(serving.talk(stream, false, true).await?),
                        Encryption::Wrapped(tls) => {
                            drop(serving.talk(tls.accept(stream).await.ok()?, false, true).await?)
                        }
                        Encryption::Asked(tls) => {
                            let stream = serving.talk(stream, true, true).await?;
                            drop(serving.talk(tls.accept(stream).await.ok()?, false, false).await?);
                        }
                    }
                    Some(())
                });
            }
        });
        (server, address)
    }

    pub fn letters(&self) -> Vec<Posting> {
        self.letters.lock().expect("letters").clone()
    }

    /// Talks to its end, or until the other side asks for encryption where it may: then the stream is given back.
    async fn talk<S>(&self, stream: S, may_encrypt: bool, greets: bool) -> Option<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stream = BufReader::new(stream);
        let mut letter = Posting::default();
        if greets {
            stream.write_all(b"220 mail.test ESMTP\r\n").await.ok()?;
        }
        loop {
            stream.flush().await.ok()?;
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            let word = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            let said: &[u8] = match word.as_str() {
                "EHLO" if may_encrypt => b"250-mail.test\r\n250-STARTTLS\r\n250 8BITMIME\r\n",
                "EHLO" => b"250-mail.test\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n",
                "STARTTLS" if may_encrypt => {
                    stream.write_all(b"220 go on\r\n").await.ok()?;
                    stream.flush().await.ok()?;
                    return Some(stream.into_inner());
                }
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
                    stream.write_all(b"354 go on\r\n").await.ok()?;
                    stream.flush().await.ok()?;
                    letter.text = data(&mut stream).await?;
                    self.letters.lock().expect("letters").push(std::mem::take(&mut letter));
                    b"250 taken\r\n"
                }
                "QUIT" => {
                    stream.write_all(b"221 bye\r\n").await.ok()?;
                    stream.flush().await.ok()?;
                    return None;
                }
                _ => b"500 what\r\n",
            };
            stream.write_all(said).await.ok()?;
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
