//! E-mail by SMTP: one letter to a few addresses, over a connection of its own. What is said of a failure is the server's
//! code: its words may name people.

use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransport, Error};
use lettre::{AsyncTransport, Tokio1Executor};

use crate::model::Timestamp;
use crate::model::setting::Secret;

/// Each word of the conversation comes by then.
const WORD: Duration = Duration::from_secs(10);
/// The whole of it ends by then.
const WHOLE: Duration = Duration::from_secs(25);
/// The longest subject: longer ones are cut.
const SUBJECT: usize = 200;

/// A mail server.
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub encrypted: Encrypted,
    /// Certificates (PEM) that vouch for its own, beside those that the machine trusts.
    pub ca: Option<String>,
    /// Who logs in, and by what.
    pub login: Option<(String, Secret)>,
}

/// How a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encrypted {
    /// By STARTTLS; without it nothing is sent.
    StartTls,
    /// From its first byte.
    Wrapped,
    /// Not at all.
    No,
}

/// A letter.
pub struct Letter {
    /// By which it is known again.
    pub id: String,
    /// When it is written.
    pub at: Timestamp,
    /// In one line.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

/// The way to one group of addresses.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// There is no way.
#[derive(Debug, thiserror::Error)]
pub enum NoMailer {
    /// One of the addresses is none.
    #[error("an address of e-mail is none")]
    Address,
    /// The machine's certificates or the TLS library are at fault.
    #[error("no encrypted connection can be made to mail servers")]
    Tls,
}

/// A letter that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent {
    /// Why, in words that name nobody.
    pub words: String,
    /// True where it may have been taken all the same: the connection was cut, or nothing was answered in time.
    pub may_have_left: bool,
}

/// True for an address, with or without a name: `Espalier <espalier@example.com>`.
pub fn is_address(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok()
}

/// True for one or more certificates in PEM.
pub fn is_certificate(pem: &str) -> bool {
    let read = Certificate::from_pem(pem.as_bytes()).ok().filter(|_| pem.contains("-----BEGIN CERTIFICATE-----"));
    let builder = TlsParameters::builder("localhost".into()).certificate_store(CertificateStore::None);
    read.is_some_and(|read| builder.add_root_certificate(read).build().is_ok())
}

impl Server {
    fn parameters(&self) -> Result<TlsParameters, NoMailer> {
        let mut builder = TlsParameters::builder(self.name.clone());
        if let Some(ca) = &self.ca {
            builder = builder.add_root_certificate(Certificate::from_pem(ca.as_bytes()).map_err(|_| NoMailer::Tls)?);
        }
        builder.build().map_err(|_| NoMailer::Tls)
    }
}

impl Mailer {
    /// By this server. Nothing is connected yet.
    ///
    /// # Errors
    /// When an address is none, or TLS cannot be had.
    pub fn new(server: &Server, from: &str, to: &[String]) -> Result<Self, NoMailer> {
        let read = |text: &str| text.parse::<Mailbox>().map_err(|_| NoMailer::Address);
        let tls = match server.encrypted {
            Encrypted::StartTls => Tls::Required(server.parameters()?),
            Encrypted::Wrapped => Tls::Wrapper(server.parameters()?),
            Encrypted::No => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.name)
            .port(server.port)
            .tls(tls)
            .timeout(Some(WORD));
        if let Some((user, password)) = &server.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        let to = to.iter().map(|one| read(one)).collect::<Result<_, _>>()?;
        Ok(Self { transport: builder.build(), from: read(from)?, to })
    }

    /// Sends it; what the server answers, by its code.
    ///
    /// # Errors
    /// When it did not take it, or did not say so.
    pub async fn send(&self, letter: &Letter) -> Result<String, Unsent> {
        let unsent = |words: &str, may_have_left| Unsent { words: words.into(), may_have_left };
        let message = self.written(letter).ok_or_else(|| unsent("the letter cannot be written", false))?;
        match tokio::time::timeout(WHOLE, self.transport.send(message)).await {
            Err(_) => Err(unsent("the mail server does not answer in time", true)),
            Ok(Err(error)) => Err(unsent(&words(&error), may_have_left(&error))),
            Ok(Ok(answer)) => Ok(format!("the mail server took it ({})", answer.code())),
        }
    }

    fn written(&self, letter: &Letter) -> Option<Message> {
        let subject: String =
            letter.subject.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SUBJECT).collect();
        let since = Duration::from_millis(u64::try_from(letter.at.as_millis()).ok()?);
        let domain = self.from.email.domain();
        let mut builder = Message::builder()
            .from(self.from.clone())
            .date(SystemTime::UNIX_EPOCH + since)
            .message_id(Some(format!("<{}@{domain}>", letter.id)))
            .subject(subject)
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        // RFC 3834: nobody's absence answers it.
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        let mut message = builder.body(letter.text.clone()).ok()?;
        message.headers_mut().insert_raw(HeaderValue::new(name, "auto-generated".into()));
        Some(message)
    }
}

fn may_have_left(error: &Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let is_cut = causes
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| matches!(cause.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof));
    error.status().is_none() && (is_cut || error.is_timeout() || error.is_response())
}

fn words(error: &Error) -> String {
    match error.status() {
        Some(code) => format!("the mail server answers {code}"),
        None if error.is_timeout() => "the mail server does not answer in time".into(),
        None if error.is_tls() => "no encrypted connection to the mail server".into(),
        None if error.is_client() => "the mail server offers nothing that we can do".into(),
        None if error.is_response() => "the mail server answers something that is no SMTP".into(),
        None => "no connection to the mail server".into(),
    }
}
