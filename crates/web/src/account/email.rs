//! Confirming the address of an account: identity §4.6.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, TimeDelta};
use jhe_app::App;
use jhe_app::identity::account::email::{self, Verification};
use jhe_domain::UserId;
use jhe_domain::error::Error;
use jhe_http::page;

use super::sign_in_first;
use crate::form::Visit;
use crate::form_page::{Button, FormPage};
use crate::home;

const DONE: &str = "/accounts/verify_email_done";
const COMPLETE: &str = "/accounts/verify_email_complete/";
/// What the sealed account of the form below is for.
const PURPOSE: &str = "verify e-mail";
/// The field that holds it.
const ACCOUNT: &str = "account";

/// The page for those who proved who they are but may not go on before the address is confirmed. Its form comes to the page
/// it is shown on: see [`asked_again`].
pub(super) fn ask(app: &App, visit: &Visit, user: UserId) -> Response {
    let sealed = match app.identity().sealing().seal(PURPOSE, &format!("{} {}", user.0, app.now().timestamp())) {
        Ok(sealed) => sealed,
        Err(error) => return home::failure(&error),
    };
    let shown = FormPage {
        heading: "Confirm your e-mail address",
        texts: vec!["Please open the link we sent to your address, then log in again.".into()],
        hidden: vec![(ACCOUNT, sealed)],
        buttons: vec![Button::main("Send the link again")],
        ..FormPage::default()
    };
    shown.respond(app, &visit.headers, "")
}

/// The account such a form is about, for an hour.
fn sealed_account(app: &App, sealed: &str) -> Option<UserId> {
    let text = app.identity().sealing().open(PURPOSE, sealed)?;
    let (id, since) = text.split_once(' ')?;
    let since = DateTime::from_timestamp(since.parse().ok()?, 0)?;
    (app.now() - since < TimeDelta::hours(1)).then_some(UserId(id.parse().ok()?))
}

/// What the form of [`ask`] asks for; `None` when it is another form of the same page.
pub(super) async fn asked_again(app: &App, visit: &Visit) -> Option<Response> {
    visit.form.get(ACCOUNT)?;
    Some(send(app, visit).await.unwrap_or_else(|error| home::failure(&error)))
}

/// `GET /accounts/verify_email/`.
pub(crate) async fn show(State(app): State<App>, request: Request<Body>) -> Response {
    let visit = Visit::of(&app, &request);
    match page::visitor(&app, &visit.headers).await {
        Ok(None) => return sign_in_first("/accounts/verify_email/"),
        Ok(Some(_)) => {}
        Err(error) => return home::failure(&error),
    }
    let shown = FormPage {
        heading: "Confirm your e-mail address",
        texts: vec!["We send a link to your address. Opening it confirms that mail reaches you.".into()],
        buttons: vec![Button::main("Send the link")],
        links: vec![("/clients/jhe-admin/".to_owned(), "Your account")],
        ..FormPage::default()
    };
    shown.respond(&app, &visit.headers, "")
}

async fn send(app: &App, visit: &Visit) -> Result<Response, Error> {
    let user = match visit.form.get(ACCOUNT).and_then(|sealed| sealed_account(app, sealed)) {
        Some(user) => Some(user),
        None => page::visitor(app, &visit.headers).await?.map(|visitor| visitor.user_id),
    };
    let Some(user) = user else { return Ok(sign_in_first("/accounts/verify_email/")) };
    Ok(match email::send_again(app, user).await? {
        Verification::Sent => page::found(DONE),
        Verification::Complete => page::found(COMPLETE),
    })
}

/// `POST /accounts/verify_email/`: sends the link.
#[tracing::instrument(name = "web.verify_email", skip_all)]
pub(crate) async fn submit(State(app): State<App>, request: Request<Body>) -> Response {
    match Visit::posted(&app, request).await {
        Ok(visit) => send(&app, &visit).await.unwrap_or_else(|error| home::failure(&error)),
        Err(page) => page,
    }
}

/// `GET /accounts/verify_email_confirm/{account}/{token}/`. Asked for the head alone, it looks at the link and leaves it.
#[tracing::instrument(name = "web.confirm_email", skip_all)]
pub(crate) async fn confirm(State(app): State<App>, request: Request<Body>) -> Response {
    let visit = Visit::of(&app, &request);
    let (account, token) = (visit.segment_from_end(1), visit.segment_from_end(0));
    let outcome = if visit.is_head {
        email::is_good(&app, account, token).await
    } else {
        email::confirm(&app, account, token).await
    };
    match outcome {
        Ok(true) => page::found(COMPLETE),
        Ok(false) => {
            let text = "The link is invalid. It may have been used already, or it is too old.";
            home::linked(StatusCode::OK, "E-mail confirmation", text, ("/accounts/verify_email/", "Send a new link"))
        }
        Err(error) => home::failure(&error),
    }
}

/// `GET /accounts/verify_email_done`.
pub(crate) async fn done() -> Response {
    home::message(StatusCode::OK, "Check your mail", "We sent a link to your address. Please open it to confirm it.")
}

/// `GET /accounts/verify_email_complete/`.
pub(crate) async fn complete() -> Response {
    let text = "Your e-mail address is confirmed.";
    home::linked(StatusCode::OK, "E-mail confirmed", text, ("/accounts/profile/", "Go on"))
}
