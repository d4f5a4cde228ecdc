//! What pages for people share: cookies, form tokens, headers.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use jhe_app::identity::session::{self, Browser, SESSION_SECONDS, Visitor};
use jhe_crypto::{OsEntropy, token};
use jhe_domain::error::Error;

use crate::account;
use crate::known::{self, Known};

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
    let Some(cookie) = cookie(headers, SESSION) else { return Ok(None) };
    let visitor = session::visitor(app, cookie).await?;
    if let Some(visitor) = &visitor {
        known::note(Known::user(visitor.user_id));
    }
    Ok(visitor)
}

/// Ends the session of this browser, which is then sent elsewhere.
pub async fn end_session(app: &App, headers: &HeaderMap, ip: Option<IpAddr>) -> Result<(), Error> {
    account::will_answer(StatusCode::FOUND, StatusCode::OK);
    let Some(cookie) = cookie(headers, SESSION) else { return Ok(()) };
    if let Some(user) = session::end(app, cookie, ip).await? {
        known::note(Known::user(user));
    }
    Ok(())
}

/// The browser a request comes from.
pub fn browser(headers: &HeaderMap, ip: Option<IpAddr>) -> Browser<'_> {
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    Browser { session: cookie(headers, SESSION), ip, user_agent }
}

/// Cookies of an https site travel by TLS only, unless an operator in development wants otherwise.
fn secure(app: &App, chosen: Option<bool>) -> &'static str {
    if chosen.unwrap_or_else(|| app.settings().site_url().starts_with("https://")) { "; Secure" } else { "" }
}

fn secure_session(app: &App) -> &'static str {
    secure(app, app.config().site.session_cookie_secure)
}

/// A `Set-Cookie` value for a new session.
pub fn session_cookie(app: &App, value: &str) -> String {
    format!("{SESSION}={value}; HttpOnly; SameSite=Lax; Path=/; Max-Age={SESSION_SECONDS}{}", secure_session(app))
}

/// A `Set-Cookie` value that ends the session cookie.
pub fn end_session_cookie(app: &App) -> String {
    format!("{SESSION}=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0{}", secure_session(app))
}

/// A `Set-Cookie` value for a secret of one browser that pages under a path need for a while.
pub fn short_cookie(app: &App, name: &str, value: &str, path: &str, seconds: i64) -> String {
    format!("{name}={value}; HttpOnly; SameSite=Lax; Path={path}; Max-Age={seconds}{}", secure_session(app))
}

/// The token of a form: what goes into the page, and the cookie it is bound to when the browser had none.
pub struct FormToken {
    /// For the hidden field.
    pub field: String,
    /// For `Set-Cookie`.
    pub set_cookie: Option<String>,
}

/// A `Set-Cookie` value for a new cookie that form tokens are bound to; the tokens of earlier pages end.
pub fn csrf_cookie(app: &App) -> String {
    bind_forms(app).1
}

fn bind_forms(app: &App) -> (String, String) {
    let value = token::random_base64url(&mut OsEntropy);
    let set = format!(
        "{CSRF}={value}; SameSite=Lax; Path=/; Max-Age=31449600{}",
        secure(app, app.config().site.csrf_cookie_secure)
    );
    (value, set)
}

/// Makes the token of a form: different in each answer, so that nothing about it can be learnt from compressed sizes.
pub fn form_token(app: &App, headers: &HeaderMap) -> FormToken {
    let (value, set_cookie) = if let Some(value) = cookie(headers, CSRF) {
        (value.to_owned(), None)
    } else {
        let (value, set) = bind_forms(app);
        (value, Some(set))
    };
    let salt = token::alphanumeric(&mut OsEntropy, 20);
    let mac = app.identity().sealing().mac("form", &bound(headers, &value, &salt));
    FormToken { field: format!("{salt}.{mac}"), set_cookie }
}

/// A token is good for one browser in one session.
fn bound(headers: &HeaderMap, value: &str, salt: &str) -> String {
    format!("{salt}.{value}.{}", cookie(headers, SESSION).map(token::digest_hex).unwrap_or_default())
}

/// Whether a posted form is ours: its token belongs to this browser, and on https it comes from our own pages.
pub fn is_own_form(app: &App, headers: &HeaderMap, field: Option<&str>) -> bool {
    let (Some(value), Some((salt, mac))) = (cookie(headers, CSRF), field.and_then(|field| field.split_once('.')))
    else {
        return false;
    };
    let site = app.settings().site_url();
    app.identity().sealing().verify_mac("form", &bound(headers, value, salt), mac)
        && (!site.starts_with("https://") || is_from(headers, &site, &app.config().site.csrf_trusted_origins))
}

/// Whether a post comes from a page of the site, or of an origin trusted besides.
fn is_from(headers: &HeaderMap, site: &str, trusted: &[String]) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_trusted =
        |origin: &str| origin == site || trusted.iter().any(|trusted| trusted.trim_end_matches('/') == origin);
    match (text("origin"), text("referer")) {
        // A page that sends no referrer has no origin to tell either; the browser still says whose page it is.
        (Some("null"), _) => text("sec-fetch-site") == Some("same-origin"),
        (Some(origin), _) => is_trusted(origin),
        (None, Some(referer)) => {
            let origin: Vec<&str> = referer.splitn(4, '/').take(3).collect();
            is_trusted(&origin.join("/"))
        }
        (None, None) => false,
    }
}

/// An HTML page that is not stored, with the policy that keeps foreign content out.
///
/// `form_targets` are sources of the policy that a form of the page may lead to, also by redirect.
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
    if let Ok(value) = HeaderValue::from_str(&ascii(location)) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// An address as a header can carry it: what is not visible ASCII is percent-encoded.
fn ascii(location: &str) -> String {
    const NOT_VISIBLE: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b' ');
    percent_encoding::utf8_percent_encode(location, NOT_VISIBLE).to_string()
}

/// The source a content security policy needs so that a form may lead to a redirect URI. Loopback addresses may differ
/// in the port (RFC 8252 §7.3); a policy cannot name IPv6 addresses, nor hosts of private schemes.
pub fn form_target(redirect_uri: &str) -> Option<String> {
    let (scheme, rest) = redirect_uri.split_once(':')?;
    let scheme = scheme.to_ascii_lowercase();
    let known =
        !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !known {
        return None;
    }
    let host = rest.strip_prefix("//").and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let plain = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'));
    Some(match scheme.as_str() {
        "http" if host == "127.0.0.1" || host.starts_with("127.0.0.1:") => "http://127.0.0.1:*".to_owned(),
        "http" | "https" if plain => format!("{scheme}://{host}"),
        _ => format!("{scheme}:"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_targets_are_sources_of_a_policy() {
        let check = |uri: &str, expected: Option<&str>| assert_eq!(form_target(uri).as_deref(), expected, "{uri}");
        check("https://app.example:8443/cb?x=1", Some("https://app.example:8443"));
        check("http://127.0.0.1/cb", Some("http://127.0.0.1:*"));
        check("http://[::1]:5000/cb", Some("http:"));
        check("org.example.app:/cb", Some("org.example.app:"));
        check("https://a;b/", Some("https:"));
        check("bad scheme:x", None);
        check("nothing", None);
    }

    #[test]
    fn forms_come_from_our_own_pages() {
        let check = |pairs: &[(&'static str, &str)], expected: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            let trusted = ["https://other.example/".to_owned()];
            assert_eq!(is_from(&headers, "https://jhe.example", &trusted), expected, "{pairs:?}");
        };
        check(&[("origin", "https://jhe.example")], true);
        check(&[("origin", "https://other.example")], true);
        check(&[("origin", "https://evil.example"), ("referer", "https://jhe.example/")], false);
        check(&[("origin", "null"), ("sec-fetch-site", "same-origin")], true);
        check(&[("origin", "null"), ("sec-fetch-site", "cross-site")], false);
        check(&[("origin", "null")], false);
        check(&[("referer", "https://jhe.example/accounts/login/?next=/")], true);
        check(&[("referer", "https://jhe.example.evil/")], false);
        check(&[], false);
    }

    #[test]
    fn addresses_fit_into_a_header() {
        assert_eq!(ascii("/a b/ü?x=%20"), "/a%20b/%C3%BC?x=%20");
    }

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
