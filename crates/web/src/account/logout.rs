//! Signing out: identity §4.4.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use jhe_app::App;
use jhe_http::page;

use crate::form::Visit;
use crate::form_page::{Button, FormPage};
use crate::home;

/// Where signing out leads.
const AFTER: &str = "/";

/// `GET /accounts/logout/`: ends the session; where another site's page led here, it asks first. Asked for the head alone, it
/// ends nothing.
#[tracing::instrument(name = "web.logout", skip_all)]
pub(crate) async fn show(State(app): State<App>, request: Request<Body>) -> Response {
    let visit = Visit::of(&app, &request);
    let from = visit.headers.get("sec-fetch-site").and_then(|value| value.to_str().ok()).unwrap_or("none");
    if matches!(from, "same-origin" | "same-site" | "none") {
        return if visit.is_head { page::found(AFTER) } else { end(&app, &visit).await };
    }
    let shown = FormPage {
        heading: "Log out?",
        buttons: vec![Button::main("Log Out")],
        links: vec![(AFTER.to_owned(), "Stay signed in")],
        ..FormPage::default()
    };
    shown.respond(&app, &visit.headers, "")
}

/// `POST /accounts/logout/`: from our own form.
#[tracing::instrument(name = "web.logout", skip_all)]
pub(crate) async fn submit(State(app): State<App>, request: Request<Body>) -> Response {
    match Visit::posted(&app, request).await {
        Ok(visit) => end(&app, &visit).await,
        Err(page) => page,
    }
}

async fn end(app: &App, visit: &Visit) -> Response {
    if let Err(error) = page::end_session(app, &visit.headers, visit.ip).await {
        return home::failure(&error);
    }
    let mut response = page::found(AFTER);
    page::set_cookie(&mut response, &page::end_session_cookie(app));
    response
}
