//! Signing in with a code sent by mail: identity §4.7.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use jhe_app::App;
use jhe_app::identity::account::sign_up::MALFORMED_EMAIL;
use jhe_app::identity::one_time_code::{self, Outcome, Waiting};
use jhe_app::identity::session::Method;
use jhe_domain::error::Error;
use jhe_domain::text::normalize_email;
use jhe_http::page;

use super::{LANDING, REQUIRED, enter, login};
use crate::form::Visit;
use crate::form_page::{Button, Field, FormPage};
use crate::home;

const REQUEST: &str = "/allauth/login/code/";
const CONFIRM: &str = "/allauth/login/code/confirm/";
/// The cookie of a browser that waits for a code.
const COOKIE: &str = "jhe_code";
const WRONG: &str = "That sign-in code is incorrect. Please try again.";
const SPENT: &str = "Too many incorrect attempts. Please request a new code and try again.";

fn request_page(app: &App, visit: &Visit, email: &str, field_error: &str, error: Option<&str>) -> Response {
    let shown = FormPage {
        heading: "Log in with a code",
        texts: vec!["We send a sign-in code to your e-mail address.".into()],
        errors: error.into_iter().map(Into::into).collect(),
        fields: vec![Field::email("email", email).error(field_error)],
        buttons: vec![Button::main("Send the code")],
        links: vec![(visit.keeping_next("/accounts/login/"), "Log in with a password")],
        ..FormPage::default()
    };
    shown.respond(app, &visit.headers, "")
}

/// `GET /accounts/login-otp/`.
pub(crate) async fn show(State(app): State<App>, request: Request<Body>) -> Response {
    let visit = Visit::of(&app, &request);
    let spent = match page::cookie(&visit.headers, COOKIE) {
        Some(cookie) => match one_time_code::state(&app, cookie).await {
            Ok(state) => matches!(state, Waiting::Spent),
            Err(error) => return home::failure(&error),
        },
        None => false,
    };
    request_page(&app, &visit, "", "", spent.then_some(SPENT))
}

/// `POST /accounts/login-otp/`: the same answer whether there is such an account.
#[tracing::instrument(name = "web.request_code", skip_all)]
pub(crate) async fn submit(State(app): State<App>, request: Request<Body>) -> Response {
    let visit = match Visit::posted(&app, request).await {
        Ok(visit) => visit,
        Err(page) => return page,
    };
    let email = visit.email("email");
    if email.reveal().is_empty() {
        return request_page(&app, &visit, "", REQUIRED, None);
    }
    if normalize_email(email.reveal()).is_none() {
        return request_page(&app, &visit, &visit.form.text("email"), MALFORMED_EMAIL, None);
    }
    match one_time_code::request(&app, &email, page::cookie(&visit.headers, COOKIE), visit.ip).await {
        Ok(cookie) => {
            let mut response = page::found(&visit.keeping_next(CONFIRM));
            page::set_cookie(&mut response, &page::short_cookie(&app, COOKIE, cookie.reveal(), "/", 900));
            response
        }
        Err(error) => home::failure(&error),
    }
}

async fn code_page(app: &App, visit: &Visit, email: &str, error: Option<&str>) -> Result<Response, Error> {
    let targets = login::client_targets(app, visit.next()).await?;
    let shown = FormPage {
        heading: "Enter your code",
        texts: vec![format!("We've sent a sign-in code to {email}.").into()],
        errors: error.into_iter().map(Into::into).collect(),
        fields: vec![Field::text("code", "Sign-in code", "one-time-code").capitals("characters")],
        buttons: vec![
            Button::main("Log In").sending("action", "verify"),
            Button::main("Send a new code").sending("action", "resend").quiet(),
        ],
        links: vec![(visit.keeping_next("/accounts/login-otp/"), "Use a different email")],
        ..FormPage::default()
    };
    Ok(shown.respond(app, &visit.headers, &targets))
}

fn start_anew(visit: &Visit) -> Response {
    page::found(&visit.keeping_next(REQUEST))
}

/// `GET /allauth/login/code/confirm/`.
pub(crate) async fn wait(State(app): State<App>, request: Request<Body>) -> Response {
    let visit = Visit::of(&app, &request);
    let cookie = page::cookie(&visit.headers, COOKIE).unwrap_or_default();
    let shown = async {
        match one_time_code::state(&app, cookie).await? {
            Waiting::For(email) => code_page(&app, &visit, email.reveal(), None).await,
            Waiting::Not | Waiting::Spent => Ok(start_anew(&visit)),
        }
    };
    shown.await.unwrap_or_else(|error| home::failure(&error))
}

async fn take(app: &App, visit: &Visit) -> Result<Response, Error> {
    let cookie = page::cookie(&visit.headers, COOKIE).unwrap_or_default();
    if visit.form.get("action") == Some("resend") {
        return match one_time_code::resend(app, cookie).await? {
            Waiting::For(email) => code_page(app, visit, email.reveal(), None).await,
            Waiting::Not | Waiting::Spent => Ok(start_anew(visit)),
        };
    }
    match one_time_code::confirm(app, cookie, visit.form.get("code").unwrap_or_default(), visit.ip).await? {
        Outcome::Proved(account) => {
            let target = visit.next().unwrap_or(LANDING);
            let mut response = enter(app, visit, &account, Method::Code, target).await;
            page::set_cookie(&mut response, &page::short_cookie(app, COOKIE, "", "/", 0));
            Ok(response)
        }
        Outcome::Wrong(email) => code_page(app, visit, email.reveal(), Some(WRONG)).await,
        Outcome::Spent | Outcome::NotWaiting => Ok(start_anew(visit)),
    }
}

/// `POST /allauth/login/code/confirm/`.
#[tracing::instrument(name = "web.confirm_code", skip_all)]
pub(crate) async fn confirm(State(app): State<App>, request: Request<Body>) -> Response {
    match Visit::posted(&app, request).await {
        Ok(visit) => take(&app, &visit).await.unwrap_or_else(|error| home::failure(&error)),
        Err(page) => page,
    }
}
