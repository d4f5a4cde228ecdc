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
    user_agent: String,
    since: String,
    ip: String,
    current: bool,
}

/// A browser as people call it, from what it calls itself.
fn browser(user_agent: &str) -> String {
    let find = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    // Most call themselves by the names of others too, so the rarer marks come first.
    let program = find(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("CriOS/", "Chrome"),
        ("Safari/", "Safari"),
        ("python", "Python"),
        ("curl/", "curl"),
    ]);
    let system = find(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (program, system) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => "Unknown browser".to_owned(),
    }
}

async fn list(app: &App, visit: &Visit) -> Result<Response, Error> {
    let Some(visitor) = page::visitor(app, &visit.headers).await? else { return Ok(sign_in_first(HERE)) };
    let mut sessions: Vec<Shown> = session::own(app, &visitor)
        .await?
        .into_iter()
        .map(|row| Shown {
            name: URL_SAFE_NO_PAD.encode(&row.digest),
            browser: browser(row.user_agent.as_deref().unwrap_or_default()),
            user_agent: row.user_agent.unwrap_or_default(),
            since: row.created.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            ip: row.ip.unwrap_or_default(),
            current: row.digest == visitor.digest,
        })
        .collect();
    sessions.sort_by_key(|shown| !shown.current);
    let token = page::form_token(app, &visit.headers);
    let shown = SessionsPage { site: site_title(app), form_token: token.field, sessions };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_have_the_names_people_know() {
        let check = |user_agent: &str, expected: &str| assert_eq!(browser(user_agent), expected, "{user_agent}");
        check(
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36",
            "Chrome on Linux",
        );
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/156.0 Safari/537.36 Edg/156.0",
            "Edge on Windows",
        );
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile Safari/604.1",
            "Safari on iPhone",
        );
        check("Mozilla/5.0 (Android 16; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0", "Firefox on Android");
        check("python-requests/2.32", "Python");
        check("", "Unknown browser");
    }
}
