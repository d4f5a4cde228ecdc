//! Choosing a new password with a link: identity §4.6.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use jhe_app::App;
use jhe_app::identity::account::password::{self, Reset};
use jhe_app::identity::account::sign_up::MALFORMED_EMAIL;
use jhe_domain::text::normalize_email;
use jhe_http::page;

use super::{REQUIRED, password_advice};
use crate::form::Visit;
use crate::form_page::{Button, Field, FormPage};
use crate::home;

const DONE: &str = "/accounts/password_reset/done/";
/// The cookie that holds the token of a link, so that no address does while a password is typed.
const COOKIE: &str = "jhe_reset";
/// Where that cookie goes.
const UNDER: &str = "/accounts/reset/";
/// The segment in place of the token.
const HIDDEN: &str = "set-password";

fn request_page(app: &App, visit: &Visit, email: &str, error: &str) -> Response {
    let shown = FormPage {
        heading: "Reset your password",
        texts: vec!["We send you a link to choose a new password.".into()],
        fields: vec![Field::email("email", email).error(error)],
        buttons: vec![Button::main("Send the link")],
        links: vec![("/accounts/login/".to_owned(), "Log In")],
        ..FormPage::default()
    };
    shown.respond(app, &visit.headers, "")
}

/// `GET /accounts/password_reset/`.
pub(crate) async fn show(State(app): State<App>, request: Request<Body>) -> Response {
    request_page(&app, &Visit::of(&app, &request), "", "")
}

/// `POST /accounts/password_reset/`: the same answer whether there is such an account.
#[tracing::instrument(name = "web.password_reset", skip_all)]
pub(crate) async fn submit(State(app): State<App>, request: Request<Body>) -> Response {
    let visit = match Visit::posted(&app, request).await {
        Ok(visit) => visit,
        Err(page) => return page,
    };
    let email = visit.email("email");
    if email.reveal().is_empty() {
        return request_page(&app, &visit, "", REQUIRED);
    }
    if normalize_email(email.reveal()).is_none() {
        return request_page(&app, &visit, &visit.form.text("email"), MALFORMED_EMAIL);
    }
    match password::request_reset(&app, &email, visit.ip).await {
        Ok(()) => page::found(DONE),
        Err(error) => home::failure(&error),
    }
}

/// `GET /accounts/password_reset/done/`.
pub(crate) async fn requested() -> Response {
    let text = "If there is an account with this address, we sent it a link to choose a new password.";
    home::linked(StatusCode::OK, "Check your mail", text, ("/accounts/login/", "Log In"))
}

fn invalid() -> Response {
    let text =
        "The password reset link was invalid, possibly because it has already been used. Please request a new one.";
    home::linked(StatusCode::OK, "Password reset", text, ("/accounts/password_reset/", "Request a new link"))
}

fn choose_page(app: &App, visit: &Visit, errors: Vec<String>) -> Response {
    let shown = FormPage {
        heading: "Choose a new password",
        errors: errors.into_iter().map(Into::into).collect(),
        fields: vec![
            Field::new_password("new_password1", "New password").hint(password_advice(app)),
            Field::new_password("new_password2", "New password again"),
        ],
        buttons: vec![Button::main("Change password")],
        ..FormPage::default()
    };
    shown.respond(app, &visit.headers, "")
}

/// `GET /accounts/reset/{account}/{token}/`: moves the token into a cookie, then asks for the password.
#[tracing::instrument(name = "web.reset_link", skip_all)]
pub(crate) async fn open(State(app): State<App>, request: Request<Body>) -> Response {
    let visit = Visit::of(&app, &request);
    let (account, last) = (visit.segment_from_end(1), visit.segment_from_end(0));
    let moved = last == HIDDEN;
    let token = if moved { page::cookie(&visit.headers, COOKIE).unwrap_or_default() } else { last };
    match password::is_reset_link(&app, account, token).await {
        Ok(true) if moved => choose_page(&app, &visit, Vec::new()),
        Ok(true) => {
            let mut response = page::found(&format!("{UNDER}{account}/{HIDDEN}/"));
            page::set_cookie(&mut response, &page::short_cookie(&app, COOKIE, token, UNDER, 3600));
            response
        }
        Ok(false) => invalid(),
        Err(error) => home::failure(&error),
    }
}

/// `POST /accounts/reset/{account}/set-password/`.
#[tracing::instrument(name = "web.choose_password", skip_all)]
pub(crate) async fn choose(State(app): State<App>, request: Request<Body>) -> Response {
    let visit = match Visit::posted(&app, request).await {
        Ok(visit) => visit,
        Err(page) => return page,
    };
    if visit.segment_from_end(0) != HIDDEN {
        return invalid();
    }
    let token = page::cookie(&visit.headers, COOKIE).unwrap_or_default();
    let field = |name| visit.form.get(name).unwrap_or_default();
    let (chosen, repeated) = (field("new_password1"), field("new_password2"));
    match password::reset(&app, visit.segment_from_end(1), token, chosen, repeated, visit.ip).await {
        Ok(Reset::Done) => {
            let mut response = page::found("/accounts/reset/done/");
            page::set_cookie(&mut response, &page::short_cookie(&app, COOKIE, "", UNDER, 0));
            response
        }
        Ok(Reset::Refused(errors)) => choose_page(&app, &visit, errors),
        Ok(Reset::Invalid) => invalid(),
        Err(error) => home::failure(&error),
    }
}

/// `GET /accounts/reset/done/`.
pub(crate) async fn done() -> Response {
    let text = "Your password was changed. You can log in with it now.";
    home::linked(StatusCode::OK, "Password changed", text, ("/accounts/login/", "Log In"))
}
