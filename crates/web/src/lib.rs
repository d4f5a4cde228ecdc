//! Pages for people: accounts, the landing page, the documents scripts and phones read before anybody signs in.
//!
//! Floor 5. Plain HTML that needs no script. The consent page belongs to `/o`.

mod account;
mod app_links;
mod facts;
mod form;
mod form_page;
mod home;
mod next;
mod prose;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{any, get};
use jhe_app::App;
use jhe_domain::error::Error;
use jhe_http::account::will_answer;
use jhe_http::family::Family;
use jhe_http::origin;

/// Where people sign in with a password.
pub const SIGN_IN: &str = "/accounts/login/";

/// Pages as a family.
#[derive(Debug, Clone, Copy)]
pub enum Web {}

impl Family for Web {
    fn oversized(status: axum::http::StatusCode, text: &str) -> Response {
        home::message(status, "Too long", text)
    }

    fn incomplete(status: axum::http::StatusCode, text: &str) -> Response {
        home::message(status, "Not understood", text)
    }

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
        .merge(account_pages())
        .route("/auth/callback", get(home::callback))
        .route("/auth/callback/", get(home::callback))
        .route("/auth/callback_popup/", get(home::callback))
        .route("/auth/callback_popup", any(home::add_slash))
        .route("/auth/login/", get(home::begin_login))
        .route("/auth/login", any(home::add_slash))
        .route("/.well-known/apple-app-site-association", get(app_links::apple))
        .route("/.well-known/assetlinks.json", get(app_links::android))
        .route("/common/server-settings.js", get(facts::script))
        .route("/common/server-settings.json", get(facts::document))
        .route("/clients/jhe-admin/", get(home::account))
        .route("/clients/jhe-admin", any(home::add_slash))
        .route("/static/page.css", get(home::style))
        .route("/static/icon.svg", get(home::icon))
        .route("/favicon.ico", get(home::icon))
        .layer(from_fn_with_state(app.clone(), around))
}

/// What a request goes through.
async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    // A form that was taken leads on, one that was not is shown again.
    will_answer(StatusCode::FOUND, StatusCode::OK);
    origin::require_origin::<Web>(&app, request, |request| next.run(request)).await
}

#[expect(clippy::disallowed_methods, reason = "pages are for people and are not part of the documented API")]
fn account_pages() -> Router<App> {
    use account::{email, login, logout, one_time_code, password_change, password_reset, session, sign_up};
    let with_slash = Router::new()
        .route(SIGN_IN, get(login::show).post(login::submit))
        .route("/accounts/logout/", get(logout::show).post(logout::submit))
        .route("/accounts/profile/", get(account::profile))
        .route("/accounts/signup/", get(sign_up::show).post(sign_up::submit))
        .route("/accounts/sessions/", get(session::show).post(session::submit))
        .route("/accounts/verify_email/", get(email::show).post(email::submit))
        .route("/accounts/verify_email_done/", get(email::done))
        .route("/accounts/verify_email_complete/", get(email::complete))
        .route("/accounts/verify_email_confirm/{account}/{token}/", get(email::confirm))
        .route("/accounts/password_reset/", get(password_reset::show).post(password_reset::submit))
        .route("/accounts/password_reset/done/", get(password_reset::requested))
        .route("/accounts/reset/{account}/{token}/", get(password_reset::open).post(password_reset::choose))
        .route("/accounts/reset/done/", get(password_reset::done))
        .route("/accounts/password_change/", get(password_change::show).post(password_change::submit))
        .route("/accounts/password_change/done/", get(password_change::done))
        .route("/accounts/login-otp/", get(one_time_code::show).post(one_time_code::submit));
    // Addresses without their slash lead to those with it; one page never had one.
    let without_slash = [
        "login",
        "logout",
        "profile",
        "signup",
        "sessions",
        "verify_email",
        "verify_email_complete",
        "verify_email_confirm/{account}/{token}",
        "password_reset",
        "password_reset/done",
        "reset/{account}/{token}",
        "reset/done",
        "password_change",
        "password_change/done",
        "login-otp",
    ];
    without_slash
        .iter()
        .fold(with_slash, |router, path| router.route(&format!("/accounts/{path}"), any(home::add_slash)))
        .route("/accounts/verify_email_done", get(email::done))
        .route("/allauth/login/code/", get(one_time_code::show).post(one_time_code::submit))
        .route("/allauth/login/code/confirm/", get(one_time_code::wait).post(one_time_code::confirm))
        .route("/allauth/logout/", get(logout::show).post(logout::submit))
        .route("/allauth/login/", get(home::to_login))
        .route("/allauth/password/reset/", get(home::to_password_reset))
}

/// The answer to a page that does not exist.
pub fn unknown_path() -> Response {
    home::message(axum::http::StatusCode::NOT_FOUND, "Not Found", "There is no such page.")
}
