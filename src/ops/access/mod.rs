//! Who may see and do what on the ops side: every route asks for a role, and every request has a caller.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::server::Shared;

/// What somebody may do; each may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees everything but secrets.
    Viewer,
    /// Pauses and resumes triggers, replays and drops dead letters, begins nights, says who is who.
    Operator,
    /// Exports and erases people, and says who may come in.
    Admin,
}

/// Who asks: in every request's extensions once it is let in.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account's name, or the token's.
    pub name: std::sync::Arc<str>,
    /// What they may do.
    pub role: Role,
}

impl Caller {
    /// True where they may what this role may.
    pub fn may(&self, role: Role) -> bool {
        self.role >= role
    }
}

/// Routes by the role that they ask for at least.
#[derive(Default)]
pub struct Routes {
    pub viewer: Router<Shared>,
    pub operator: Router<Shared>,
    pub admin: Router<Shared>,
}

impl Routes {
    /// One router, in which each route refuses who may not.
    pub fn guarded(self) -> Router<Shared> {
        let asks = |role: Role| from_fn(move |request: Request, next: Next| asked(role, request, next));
        let Self { viewer, operator, admin } = self;
        viewer
            .layer(asks(Role::Viewer))
            .merge(operator.layer(asks(Role::Operator)))
            .merge(admin.layer(asks(Role::Admin)))
    }
}

async fn asked(role: Role, request: Request, next: Next) -> Response {
    match request.extensions().get::<Caller>() {
        Some(caller) if caller.may(role) => next.run(request).await,
        Some(_) => (StatusCode::FORBIDDEN, "this is not for your role\n").into_response(),
        None => (StatusCode::UNAUTHORIZED, "a token is asked for: `espalier` commands send it by themselves\n")
            .into_response(),
    }
}

/// Notes who asks.
pub async fn known(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let given = given.strip_prefix("Bearer ").unwrap_or_default();
    if shared.is_token(given) || !request.uri().path().starts_with("/api/") {
        request.extensions_mut().insert(Caller { name: "command line".into(), role: Role::Admin });
    }
    next.run(request).await
}
