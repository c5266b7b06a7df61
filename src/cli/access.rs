//! Who may come in, as commands see it: through the running daemon, or in the store itself where none runs.

use std::sync::Arc;

use super::local::{Client, Local};
use super::{Configured, Failed, load};
use crate::clock::SystemClock;
use crate::model::Span;
use crate::ops::{Access, Area, Change, Refused, Role};
use crate::store::Store;
use crate::store::audit::Asked;

/// The way there.
pub enum Door {
    /// By the daemon, which writes the audit log.
    Daemon(Client),
    /// By ourselves.
    Store(Access, Arc<dyn Store>),
}

/// Of this configuration's store, which is made where there is none: the first account may be made before the daemon
/// ever ran.
pub async fn door(of: &Configured) -> Result<Door, Failed> {
    let configured = load(&of.config)?;
    Ok(match Local::or_new(&configured).await? {
        Local::Daemon(client) => Door::Daemon(client),
        Local::Store(store) => {
            let session = configured.settings.ops.session;
            let access = Access::open(store.clone(), Arc::new(SystemClock), None, session).await;
            Door::Store(access.map_err(Failed::new)?, store)
        }
    })
}

impl Door {
    /// An account more.
    pub async fn add_account(&self, name: &str, role: Role, password: String) -> Result<(), Failed> {
        match self {
            Self::Daemon(client) => {
                let new = serde_json::json!({ "name": name, "role": role, "password": password });
                client.send::<_, serde_json::Value>("/api/access/accounts", &new).await.map(drop)
            }
            Self::Store(access, store) => {
                let note = format!("{name} as {}", role.word());
                written(&**store, "account add", name, &note, access.add(name, role, password)).await
            }
        }
    }

    /// Another role or password.
    pub async fn change_account(&self, name: &str, role: Option<Role>, password: Option<String>) -> Result<(), Failed> {
        match self {
            Self::Daemon(client) => {
                let change = serde_json::json!({ "role": role, "password": password });
                let path = format!("/api/access/accounts/{name}");
                client.send::<_, serde_json::Value>(&path, &change).await.map(drop)
            }
            Self::Store(access, store) => {
                let change = Change { role, password };
                let note = change.words();
                let Change { role, password } = change;
                written(&**store, "account change", name, &note, access.alter(name, role, password)).await
            }
        }
    }

    /// The account is gone.
    pub async fn remove_account(&self, name: &str) -> Result<(), Failed> {
        match self {
            Self::Daemon(client) => gone(client, &format!("/api/access/accounts/{name}"), name).await,
            Self::Store(access, store) => written(&**store, "account remove", name, "", access.remove(name)).await,
        }
    }

    /// A token more; its secret.
    pub async fn add_token(
        &self,
        name: &str,
        role: Role,
        areas: Vec<Area>,
        length: Option<Span>,
    ) -> Result<String, Failed> {
        match self {
            Self::Daemon(client) => {
                let new = serde_json::json!({ "name": name, "role": role, "areas": areas, "for": length });
                let made: serde_json::Value = client.send("/api/access/tokens", &new).await?;
                Ok(made["secret"].as_str().unwrap_or_default().to_owned())
            }
            Self::Store(access, store) => {
                let note = format!("{name} as {}", role.word());
                written(&**store, "token add", name, &note, access.add_token(name, role, areas, length)).await
            }
        }
    }

    /// The token is gone.
    pub async fn revoke(&self, name: &str) -> Result<(), Failed> {
        match self {
            Self::Daemon(client) => gone(client, &format!("/api/access/tokens/{name}"), name).await,
            Self::Store(access, store) => written(&**store, "token revoke", name, "", access.revoke(name)).await,
        }
    }

    /// Everything, as the API shows it.
    pub async fn shown(&self) -> Result<serde_json::Value, Failed> {
        match self {
            Self::Daemon(client) => Ok(client.get("/api/access", &[]).await?.unwrap_or_default()),
            Self::Store(access, _) => serde_json::to_value(access.shown()).map_err(Failed::new),
        }
    }

    /// The newest entries of the audit log, as the API shows them.
    pub async fn log(&self, max: usize) -> Result<serde_json::Value, Failed> {
        match self {
            Self::Daemon(client) => {
                let most = max.to_string();
                Ok(client.get("/api/access/log", &[("max", &*most)]).await?.unwrap_or_default())
            }
            Self::Store(_, store) => {
                serde_json::to_value(store.audit_log(None, max).await.map_err(Failed::new)?).map_err(Failed::new)
            }
        }
    }

    /// Lets go of the store.
    pub async fn close(self) -> Result<(), Failed> {
        match self {
            Self::Daemon(_) => Ok(()),
            Self::Store(_, store) => store.close().await.map_err(Failed::new),
        }
    }
}

async fn gone(client: &Client, path: &str, name: &str) -> Result<(), Failed> {
    client.delete(path).await?.map(drop).ok_or_else(|| Failed(format!("there is no `{name}`")))
}

/// Does it, with an entry in the audit log before it and its end after.
async fn written<T>(
    store: &dyn Store,
    did: &str,
    of: &str,
    note: &str,
    change: impl Future<Output = Result<T, Refused>>,
) -> Result<T, Failed> {
    use crate::clock::Clock;
    let asked = Asked { at: SystemClock.now(), by: "command line".into(), did: did.into(), of: of.into() };
    let id = store.audit(asked).await.map_err(Failed::new)?;
    let done = change.await;
    let status = if done.is_ok() { 200 } else { 422 };
    store.audited(id, status, if done.is_ok() { note } else { "" }).await.map_err(Failed::new)?;
    done.map_err(Failed::new)
}
