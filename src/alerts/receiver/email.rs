//! E-mail: a plain text to all addresses of a receiver at once.

use super::Untold;
use crate::alerts::message::Message;
use crate::alerts::settings::{self, Tls};
use crate::wire::mail::{Encrypted, Letter, Mailer, NoMailer, Server};

/// One group of addresses.
pub struct Email {
    mailer: Mailer,
}

impl Email {
    pub(super) fn new(settings: &settings::Email) -> Result<Self, NoMailer> {
        let (encrypted, port) = match settings.tls {
            Tls::StartTls => (Encrypted::StartTls, 587),
            Tls::Wrapped => (Encrypted::Wrapped, 465),
            Tls::None => (Encrypted::No, 25),
        };
        let login = settings.user.clone().zip(settings.password.clone());
        let (name, port, ca) = (settings.server.clone(), settings.port.unwrap_or(port), settings.ca.clone());
        let server = Server { name, port, encrypted, ca, login };
        Ok(Self { mailer: Mailer::new(&server, &settings.from, &settings.to)? })
    }

    pub(super) async fn tell(&self, message: &Message) -> Result<String, Untold> {
        let letter =
            Letter { id: message.id.clone(), at: message.at, subject: message.subject(), text: message.text() };
        let told = self.mailer.send(&letter).await;
        told.map_err(|unsent| Untold { words: unsent.words, again: None, may_know: unsent.may_have_left })
    }
}
