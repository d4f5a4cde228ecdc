//! Forms of our own pages under `/o`.

use askama::Template;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use jhe_app::App;
use jhe_http::{body, page, query};

use crate::error::OAuthError;
use crate::parameters::Parameters;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    error: &'a str,
    description: &'a str,
}

/// A page about what cannot be sent back to a client.
pub(crate) fn fatal(status: StatusCode, error: &str, description: &str) -> Response {
    let mut response = page::html(status, ErrorPage { error, description }.render().unwrap_or_default(), "");
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Reads a posted form, whoever made it.
pub(crate) async fn unchecked(app: &App, sent: Body) -> Result<Parameters, OAuthError> {
    let limit = app.config().limits.body_bytes;
    let bytes = body::read(sent, limit).await.map_err(|_| OAuthError::bare("invalid_request"))?;
    Ok(Parameters::parse(&String::from_utf8_lossy(&bytes)))
}

/// A form of one of our own pages, or the page that says that it is none.
#[expect(clippy::result_large_err, reason = "the page is the answer")]
pub(crate) fn own(app: &App, headers: &HeaderMap, form: Parameters) -> Result<Parameters, Response> {
    if page::is_own_form(app, headers, form.get(page::CSRF_FIELD)) {
        Ok(form)
    } else {
        Err(fatal(StatusCode::FORBIDDEN, "forbidden", page::CSRF_REFUSAL))
    }
}

/// Reads a posted form of one of our own pages, or makes the page that says that it is none.
pub(crate) async fn read(
    app: &App,
    headers: &HeaderMap,
    sent: Body,
) -> Result<Result<Parameters, Response>, OAuthError> {
    Ok(own(app, headers, unchecked(app, sent).await?))
}

/// To the sign-in page and back to an address.
pub(crate) fn to_login(back_to: &str) -> Response {
    page::found(&format!("/accounts/login/?next={}", query::encode(back_to)))
}
