//! Routes by the role that they ask for.

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response as Answer};
use serde_json::json;
use utoipa::openapi::{OpenApi, Response};
use utoipa_axum::router::OpenApiRouter;

use super::super::page::Page;
use super::super::server::Shared;
use super::{Caller, Role, audit};

/// Routes by the role that they ask for at least. A change that an operator or an admin asks for is written down.
#[derive(Default)]
pub struct Routes<R = Router<Shared>> {
    pub viewer: R,
    pub operator: R,
    pub admin: R,
}

/// The same, described for the API's document.
pub type Documented = Routes<OpenApiRouter<Shared>>;

impl Documented {
    /// All of both.
    pub fn with(self, other: Self) -> Self {
        Self {
            viewer: self.viewer.merge(other.viewer),
            operator: self.operator.merge(other.operator),
            admin: self.admin.merge(other.admin),
        }
    }

    /// The routes, and what is said of them: of each the role that it asks for.
    pub fn split(self) -> (Routes, OpenApi) {
        let (viewer, mut document) = self.viewer.split_for_parts();
        let (operator, of_operator) = self.operator.split_for_parts();
        let (admin, of_admin) = self.admin.split_for_parts();
        asks_for(&mut document, Role::Viewer);
        for (mut more, role) in [(of_operator, Role::Operator), (of_admin, Role::Admin)] {
            asks_for(&mut more, role);
            document.merge(more);
        }
        (Routes { viewer, operator, admin }, document)
    }
}

/// Writes the role, and what refusals are common to all, into each operation.
fn asks_for(document: &mut OpenApi, role: Role) {
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten() {
            let said = operation.description.take().map(|text| format!("{text}\n\n")).unwrap_or_default();
            operation.description = Some(format!("{said}Asks for the role {}.", role.word()));
            for (status, words) in [
                ("401", "Nobody is known by what was brought."),
                ("403", "It is not for this role, or not for this token."),
            ] {
                operation.responses.responses.entry(status.to_owned()).or_insert_with(|| Response::new(words).into());
            }
        }
    }
}

impl Routes {
    /// All of both.
    pub fn and(self, other: Self) -> Self {
        Self {
            viewer: self.viewer.merge(other.viewer),
            operator: self.operator.merge(other.operator),
            admin: self.admin.merge(other.admin),
        }
    }

    /// One router, in which each route refuses who may not.
    pub fn guarded(self, shared: &Shared) -> Router<Shared> {
        let asks = |role: Role| from_fn(move |request: Request, next: Next| asked(role, request, next));
        let written = || from_fn_with_state(shared.clone(), audit::written);
        let Self { viewer, operator, admin } = self;
        let viewer = if_any(viewer, |routes| routes.route_layer(asks(Role::Viewer)));
        let operator = if_any(operator, |routes| routes.route_layer(written()).route_layer(asks(Role::Operator)));
        let admin = if_any(admin, |routes| routes.route_layer(written()).route_layer(asks(Role::Admin)));
        viewer.merge(operator).merge(admin)
    }
}

/// Layers of routes panic where there are none.
fn if_any(routes: Router<Shared>, layered: impl Fn(Router<Shared>) -> Router<Shared>) -> Router<Shared> {
    if routes.has_routes() { layered(routes) } else { routes }
}

async fn asked(role: Role, request: Request, next: Next) -> Answer {
    let path = request.uri().path();
    let refusal = match request.extensions().get::<Caller>() {
        Some(caller) if caller.may(role) && caller.reaches(path) => return next.run(request).await,
        Some(_) => (StatusCode::FORBIDDEN, "this is not for your role, or not for this token"),
        None => (
            StatusCode::UNAUTHORIZED,
            "a token is asked for: commands on this machine send theirs by themselves, `espalier token add` makes others",
        ),
    };
    if path.starts_with("/api/") || path == "/metrics" {
        return (refusal.0, axum::Json(json!({ "message": refusal.1 }))).into_response();
    }
    if refusal.0 == StatusCode::UNAUTHORIZED {
        // Back to where they wanted to, where that is a page.
        let back = (request.method() == Method::GET).then(|| request.extensions().get::<MatchedPath>()).flatten();
        let way = back.map_or("/sign-in".to_owned(), |_| format!("/sign-in?to={path}"));
        // htmx follows a redirect within a fragment; this has it load the whole page.
        return ([(header::HeaderName::from_static("hx-redirect"), "/sign-in")], Redirect::to(&way)).into_response();
    }
    let Some(caller) = request.extensions().get::<Caller>() else { return refusal.0.into_response() };
    let words = maud::html! { p.trouble role="alert" { "This asks for the role " (role.word()) ", and you are " (caller.role.word()) "." } };
    (refusal.0, Page::new(caller, None, "Not for your role").with(&words)).into_response()
}
