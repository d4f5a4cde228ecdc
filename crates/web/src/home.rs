//! The landing page, messages, and the style all pages share.

use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use jhe_app::identity::site_title;
use jhe_domain::error::Error;
use jhe_http::{page, query};

use crate::account::retry_after;
use crate::prose::Prose;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    title: String,
    signed_in: bool,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    title: String,
    signed_in: bool,
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    heading: &'a str,
    text: Prose,
    link: Option<(&'a str, &'a str)>,
}

/// `GET /`.
pub(crate) async fn home(State(app): State<App>, headers: HeaderMap) -> Response {
    match page::visitor(&app, &headers).await {
        Ok(visitor) => {
            let shown = HomePage { title: site_title(&app), signed_in: visitor.is_some() };
            page::html(StatusCode::OK, shown.render().unwrap_or_default(), "")
        }
        Err(error) => failure(&error),
    }
}

/// `/clients/jhe-admin/`: where signing in leads.
pub(crate) async fn account(State(app): State<App>, headers: HeaderMap) -> Response {
    match page::visitor(&app, &headers).await {
        Ok(visitor) => {
            let shown = AccountPage { title: site_title(&app), signed_in: visitor.is_some() };
            page::html(StatusCode::OK, shown.render().unwrap_or_default(), "")
        }
        Err(error) => failure(&error),
    }
}

/// A page that says one thing.
pub(crate) fn message(status: StatusCode, heading: &str, text: &str) -> Response {
    page::html(status, MessagePage { heading, text: text.into(), link: None }.render().unwrap_or_default(), "")
}

/// A page that says one thing and leads on: to an address, under a label.
pub(crate) fn linked(status: StatusCode, heading: &str, text: &str, link: (&str, &str)) -> Response {
    page::html(status, MessagePage { heading, text: text.into(), link: Some(link) }.render().unwrap_or_default(), "")
}

/// A page about a failure; says nothing about its cause.
pub(crate) fn failure(error: &Error) -> Response {
    let (status, heading, text) = match error {
        Error::Throttled { .. } => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many attempts",
            "You're making requests too quickly. Please wait a moment and try again.",
        ),
        Error::Unavailable { source, .. } => {
            tracing::error!(error = %source, "a part the server needs does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "Unavailable", "The service is temporarily unavailable.")
        }
        Error::Overloaded { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "Too many people at once", "Please wait a moment and try again.")
        }
        other => {
            tracing::error!(error = %other, "a page failed");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something went wrong",
                "The page could not be shown. Please try again.",
            )
        }
    };
    let mut response = message(status, heading, text);
    if let Some(seconds) = retry_after(error) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// 301 to the same address with a slash, the query kept.
pub(crate) async fn add_slash(request: Request<Body>) -> Response {
    let uri = request.uri();
    let target = match uri.query() {
        Some(query) => format!("{}/?{query}", uri.path()),
        None => format!("{}/", uri.path()),
    };
    let mut response = StatusCode::MOVED_PERMANENTLY.into_response();
    if let Ok(value) = HeaderValue::from_str(&target) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// `/allauth/login/`: an earlier address of the sign-in page.
pub(crate) async fn to_login(request: Request<Body>) -> Response {
    match request.uri().query() {
        Some(query) => page::found(&format!("/accounts/login/?{query}")),
        None => page::found("/accounts/login/"),
    }
}

/// `/allauth/password/reset/`: an earlier address.
pub(crate) async fn to_password_reset() -> Response {
    page::found("/accounts/password_reset/")
}

/// `/auth/login/`: signing in, to come to the web pages.
pub(crate) async fn begin_login() -> Response {
    page::found("/accounts/login/?next=/clients/jhe-admin/")
}

/// How much of a description is shown: as long as our own are, and too short to fill a page with somebody else's text.
const SHOWN: usize = 200;

/// Why signing in failed, in the words of the answer: its description, or the code of the error.
fn reason(answer: &[(String, String)]) -> Option<String> {
    let of = |name: &str| answer.iter().find(|(found, value)| found == name && !value.is_empty());
    let (_, error) = of("error")?;
    let text = of("error_description").map_or(error, |(_, text)| text);
    let visible = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    Some(visible.take(SHOWN).collect())
}

/// `/auth/callback`, and the same in a window of its own: where the answers for scripts and tools arrive. The address carries
/// a code, so nothing may learn it.
pub(crate) async fn callback(request: Request<Body>) -> Response {
    let answer = query::pairs(request.uri().query().unwrap_or_default());
    let again = ("/auth/login/", "Log in");
    let mut response = if let Some(reason) = reason(&answer) {
        linked(StatusCode::OK, "Sign-in failed", &format!("The server answered: {reason}"), again)
    } else if answer.iter().any(|(name, value)| name == "code" && !value.is_empty()) {
        let text = "Sign-in is complete. You can return to the application that asked for it.";
        message(StatusCode::OK, "Signed in", text)
    } else {
        linked(StatusCode::OK, "Nothing to sign in", "This page is where signing in ends, and none has begun.", again)
    };
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The style sheet.
pub(crate) async fn style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("../static/page.css")).into_response()
}

/// The icon.
pub(crate) async fn icon() -> Response {
    let headers = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "public, max-age=86400")];
    (headers, include_str!("../static/icon.svg")).into_response()
}
