//! The page: one view a file, rendered on the server from the values that the API gives. Links and forms do everything;
//! a script draws the charts and fetches a view's live part anew when something has changed. Nothing comes from elsewhere.

mod activation;
mod activations;
mod assets;
mod backtest;
pub mod charts;
mod connectors;
mod events;
mod frame;
mod health;
mod letters;
mod live;
mod night;
mod people;
mod person;
mod pieces;
mod quota;
mod redact;
mod trigger;
mod triggers;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

pub use assets::{at, serve as asset};
pub use frame::{Page, View, plain};
pub use live::Live;
pub use pieces::short;

use self::pieces::{Tone, notice};
use super::access::{Caller, Routes};
use super::server::Shared;
use crate::store::StoreError;

/// Every view, by the role that it asks for at least.
pub fn routes() -> Routes {
    let viewer: Router<Shared> = Router::new()
        .route("/", get(health::view))
        .route("/triggers", get(triggers::view))
        .route("/triggers/{name}", get(trigger::view))
        .route("/triggers/{name}/backtest", get(backtest::view))
        .route("/people", get(people::view).post(people::search))
        .route("/people/{id}", get(person::view))
        .route("/activations", get(activations::view))
        .route("/activations/{id}", get(activations::one))
        .route("/letters", get(letters::view))
        .route("/letters/{id}", get(letters::one))
        .route("/nights", get(night::view))
        .route("/connectors", get(connectors::view))
        .route("/connectors/events", get(events::view))
        .route("/connectors/products", get(events::products))
        .route("/connectors/set-aside", get(connectors::set_aside))
        .route("/connectors/{name}", get(connectors::one))
        .route("/quota", get(quota::view))
        .route("/live", get(live::stream));
    let operator = Router::new()
        .route("/triggers/{name}", post(trigger::change))
        .route("/letters/count", post(letters::count))
        .route("/letters/replay", post(letters::replay_all))
        .route("/letters/{id}/replay", post(letters::replay_one))
        .route("/letters/{id}/drop", post(letters::drop_one))
        .route("/nights", post(night::begin))
        .route("/nights/resend/{id}", post(night::resend_one));
    let admin = Router::new()
        .route("/people/{id}/export", post(person::export))
        .route("/people/{id}/erase", post(person::erase))
        .route("/people/demands/{id}/answered", post(people::answer_demand));
    Routes { viewer, operator, admin }
}

/// There is no such thing.
fn missing(what: &str) -> Response {
    let main =
        maud::html! { p { "There is no such " (what) ". It may be gone by now." } p { a href="/" { "Health" } } };
    (StatusCode::NOT_FOUND, plain("Not found", &maud::html! {}, &main)).into_response()
}

/// The store cannot be read now.
fn refused(caller: &Caller, view: View, error: &StoreError) -> Response {
    let page = Page::new(caller, view, view.name()).with(&notice(Tone::Bad, &error.to_string()));
    (StatusCode::SERVICE_UNAVAILABLE, page).into_response()
}
