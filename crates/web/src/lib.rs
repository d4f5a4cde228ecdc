//! Pages for people: sign-in and sign-out, the landing page, the documents scripts read before they sign in.
//!
//! Floor 5. Plain HTML that needs no script. The consent page belongs to `/o`.

mod account;
mod facts;
mod form;
mod home;
mod next;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{any, get};
use jhe_app::App;
use jhe_domain::error::Error;
use jhe_http::family::Family;
use jhe_http::origin;

/// Pages as a family.
#[derive(Debug, Clone, Copy)]
pub enum Web {}

impl Family for Web {
    fn render(error: Error) -> Response {
        home::failure(&error)
    }

    fn invalid_host() -> Response {
        home::message(
            axum::http::StatusCode::BAD_REQUEST,
            "Bad Request",
            "This address does not belong to this server.",
        )
    }
}

/// All pages.
#[expect(clippy::disallowed_methods, reason = "pages are for people and are not part of the documented API")]
pub fn router(app: &App) -> Router<App> {
    Router::new()
        .route("/", get(home::home))
        .route("/accounts/login/", get(account::login).post(account::sign_in))
        .route("/accounts/logout/", get(account::logout).post(account::sign_out))
        .route("/accounts/profile/", get(account::profile))
        .route("/accounts/login", any(home::add_slash))
        .route("/accounts/logout", any(home::add_slash))
        .route("/accounts/profile", any(home::add_slash))
        .route("/auth/callback", get(home::callback))
        .route("/auth/callback/", get(home::callback))
        .route("/common/server-settings.js", get(facts::script))
        .route("/common/server-settings.json", get(facts::document))
        .route("/static/page.css", get(home::style))
        .layer(from_fn_with_state(app.clone(), origin::require_origin::<Web>))
}

/// The answer to a page that does not exist.
pub fn unknown_path() -> Response {
    home::message(axum::http::StatusCode::NOT_FOUND, "Not Found", "There is no such page.")
}
