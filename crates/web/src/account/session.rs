//! The browsers a person is signed in with.

use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jhe_app::App;
use jhe_app::identity::{session, site_title};
use jhe_domain::error::Error;
use jhe_http::page;

use super::sign_in_first;
use crate::form::Visit;
use crate::home;

const HERE: &str = "/accounts/sessions/";

#[derive(Template)]
#[template(path = "sessions.html")]
struct SessionsPage {
    site: String,
    form_token: String,
    sessions: Vec<Shown>,
}

struct Shown {
    name: String,
    browser: String,
    since: String,
    ip: String,
    current: bool,
}

async fn list(app: &App, visit: &Visit) -> Result<Response, Error> {
    let Some(visitor) = page::visitor(app, &visit.headers).await? else { return Ok(sign_in_first(HERE)) };
    let sessions = session::own(app, &visitor).await?.into_iter().map(|row| Shown {
        name: URL_SAFE_NO_PAD.encode(&row.digest),
        browser: row.user_agent.unwrap_or_else(|| "Unknown browser".to_owned()),
        since: row.created.format("%Y-%m-%d %H:%M UTC").to_string(),
        ip: row.ip.unwrap_or_default(),
        current: row.digest == visitor.digest,
    });
    let token = page::form_token(app, &visit.headers);
    let shown = SessionsPage { site: site_title(app), form_token: token.field, sessions: sessions.collect() };
    let mut response = page::html(StatusCode::OK, shown.render().unwrap_or_default(), "");
    if let Some(cookie) = &token.set_cookie {
        page::set_cookie(&mut response, cookie);
    }
    Ok(response)
}

/// `GET /accounts/sessions/`.
pub(crate) async fn show(State(app): State<App>, request: Request<Body>) -> Response {
    list(&app, &Visit::of(&app, &request)).await.unwrap_or_else(|error| home::failure(&error))
}

async fn end(app: &App, visit: &Visit) -> Result<Response, Error> {
    let Some(visitor) = page::visitor(app, &visit.headers).await? else { return Ok(sign_in_first(HERE)) };
    let digest = visit.form.get("session").and_then(|name| URL_SAFE_NO_PAD.decode(name).ok()).unwrap_or_default();
    session::end_own(app, &visitor, &digest, visit.ip).await?;
    Ok(page::found(HERE))
}

/// `POST /accounts/sessions/`: signs one of them out.
#[tracing::instrument(name = "web.end_session", skip_all)]
pub(crate) async fn submit(State(app): State<App>, request: Request<Body>) -> Response {
    match Visit::posted(&app, request).await {
        Ok(visit) => end(&app, &visit).await.unwrap_or_else(|error| home::failure(&error)),
        Err(page) => page,
    }
}
