//! What pages for people share: cookies, form tokens, headers.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use jhe_app::identity::sign_in::{self, SESSION_SECONDS, Visitor};
use jhe_crypto::{OsEntropy, token};
use jhe_domain::error::Error;

/// The session cookie.
pub const SESSION: &str = "sessionid";
/// The cookie form tokens are bound to.
pub const CSRF: &str = "csrftoken";
/// The form field that carries the token.
pub const CSRF_FIELD: &str = "csrfmiddlewaretoken";
/// What a form without its token answers.
pub const CSRF_REFUSAL: &str = "CSRF verification failed. Request aborted.";

/// A cookie of a request.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
        .filter(|value| !value.is_empty())
}

/// Who is signed in in this browser.
pub async fn visitor(app: &App, headers: &HeaderMap) -> Result<Option<Visitor>, Error> {
    match cookie(headers, SESSION) {
        Some(cookie) => sign_in::visitor(app, cookie).await,
        None => Ok(None),
    }
}

fn secure(app: &App) -> &'static str {
    if app.settings().site_url().starts_with("https://") { "; Secure" } else { "" }
}

/// A `Set-Cookie` value for a new session.
pub fn session_cookie(app: &App, value: &str) -> String {
    format!("{SESSION}={value}; HttpOnly; SameSite=Lax; Path=/; Max-Age={SESSION_SECONDS}{}", secure(app))
}

/// A `Set-Cookie` value that ends the session cookie.
pub fn end_session_cookie(app: &App) -> String {
    format!("{SESSION}=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0{}", secure(app))
}

/// The token of a form: what goes into the page, and the cookie it is bound to when the browser had none.
pub struct FormToken {
    /// For the hidden field.
    pub field: String,
    /// For `Set-Cookie`.
    pub set_cookie: Option<String>,
}

/// Makes the token of a form.
pub fn form_token(app: &App, headers: &HeaderMap) -> FormToken {
    let (value, set_cookie) = if let Some(value) = cookie(headers, CSRF) {
        (value.to_owned(), None)
    } else {
        let value = token::random_base64url(&mut OsEntropy);
        let set = format!("{CSRF}={value}; SameSite=Lax; Path=/; Max-Age=31449600{}", secure(app));
        (value, Some(set))
    };
    FormToken { field: app.identity().mac("form", &bound(headers, &value)), set_cookie }
}

/// A token is good for one browser in one session.
fn bound(headers: &HeaderMap, value: &str) -> String {
    format!("{value}.{}", cookie(headers, SESSION).map(token::digest_hex).unwrap_or_default())
}

/// Whether a posted form is ours: its token belongs to this browser, and on https it comes from our own pages.
pub fn is_own_form(app: &App, headers: &HeaderMap, field: Option<&str>) -> bool {
    let Some(value) = cookie(headers, CSRF) else { return false };
    let matches = field.is_some_and(|field| app.identity().verify_mac("form", &bound(headers, value), field));
    let site = app.settings().site_url();
    let from = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let trusted = |origin: &str| {
        origin == site
            || app.config().site.csrf_trusted_origins.iter().any(|trusted| trusted.trim_end_matches('/') == origin)
    };
    let own_origin = if site.starts_with("https://") {
        match (from(header::ORIGIN), from(header::REFERER)) {
            (Some(origin), _) => trusted(origin),
            (None, Some(referer)) => referer == site || referer.starts_with(&format!("{site}/")),
            (None, None) => false,
        }
    } else {
        true
    };
    matches && own_origin
}

/// An HTML page that is not stored, with the policy that keeps foreign content out.
///
/// `form_targets` are origins a form of the page may lead to, also by redirect.
pub fn html(status: StatusCode, body: String, form_targets: &str) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("max-age=0, no-cache, no-store, must-revalidate, private"),
    );
    headers.insert(header::VARY, HeaderValue::from_static("Cookie"));
    let policy = format!(
        "default-src 'self'; frame-ancestors 'self'; form-action 'self'{}{form_targets}; object-src 'none'; base-uri 'none'",
        if form_targets.is_empty() { "" } else { " " }
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Adds a `Set-Cookie` header.
pub fn set_cookie(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// 302, the redirect browsers and scripts of this API expect.
pub fn found(location: &str) -> Response {
    let mut response = StatusCode::FOUND.into_response();
    if let Ok(value) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_by_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "xsessionid=1; sessionid=2".parse().unwrap());
        headers.append(header::COOKIE, "csrftoken=3".parse().unwrap());
        assert_eq!(cookie(&headers, "sessionid"), Some("2"));
        assert_eq!(cookie(&headers, "csrftoken"), Some("3"));
        assert_eq!(cookie(&headers, "other"), None);
    }
}
