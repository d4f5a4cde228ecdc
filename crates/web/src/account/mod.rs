//! Account pages: identity §4. One module for each thing a person does.

pub(crate) mod email;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod one_time_code;
pub(crate) mod password_change;
pub(crate) mod password_reset;
pub(crate) mod session;
pub(crate) mod sign_up;

use axum::http::{HeaderValue, header};
use axum::response::Response;
use jhe_app::App;
use jhe_app::identity::account::password;
use jhe_app::identity::session::{self as sessions, Method};
use jhe_app::identity::sign_in::LoginAccount;
use jhe_domain::error::Error;
use jhe_http::known::{self, Known};
use jhe_http::page;

use crate::form::Visit;
use crate::home;

/// Where a person lands who asked for nothing else.
const LANDING: &str = "/accounts/profile/";
const REQUIRED: &str = "This field is required.";

/// What passwords must be like.
fn password_advice(app: &App) -> String {
    format!(
        "At least {} characters; not only digits, not a common password, not like your e-mail address.",
        password::least_length(app)
    )
}

/// Begins a session and leads on.
async fn enter(app: &App, visit: &Visit, account: &LoginAccount, method: Method, target: &str) -> Response {
    match sessions::begin(app, account, method, page::browser(&visit.headers, visit.ip)).await {
        Ok(None) => sign_in_first(target),
        Ok(Some(session)) => {
            known::note(Known::user(session.user_id));
            let mut response = page::found(target);
            page::set_cookie(&mut response, &page::session_cookie(app, session.cookie.reveal()));
            page::set_cookie(&mut response, &page::csrf_cookie(app));
            response
        }
        Err(error) => home::failure(&error),
    }
}

/// Where to sign in first, and come back.
fn sign_in_first(back_to: &str) -> Response {
    page::found(&format!("/accounts/login/?next={}", jhe_http::query::encode(back_to)))
}

/// `/accounts/profile/`: where signing in leads by default.
pub(crate) async fn profile() -> Response {
    let mut response = page::found("/clients/jhe-admin/");
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Seconds a person is asked to wait.
pub(crate) fn retry_after(error: &Error) -> Option<u64> {
    match error {
        Error::Throttled { retry_after }
        | Error::Overloaded { retry_after }
        | Error::Unavailable { retry_after, .. } => Some(retry_after.as_secs().max(1)),
        _ => None,
    }
}
