//! Signing in and out: identity §4.1–4.4.

use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use jhe_app::App;
use jhe_app::identity::{client, sign_in, site_title};
use jhe_domain::error::Error;
use jhe_http::{Origin, page};

use crate::form::Form;
use crate::{home, next};

/// Where a person lands who asked for nothing else.
const LANDING: &str = "/accounts/profile/";
/// The same words for every kind of wrong.
const REFUSED: &str = "Please enter a correct Email Address and password. Note that both fields may be case-sensitive.";
const REQUIRED: &str = "This field is required.";

#[derive(Template, Default)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    title: String,
    form_token: &'a str,
    username: &'a str,
    error: &'a str,
    username_error: &'a str,
    password_error: &'a str,
}

async fn login_page(app: &App, headers: &HeaderMap, page: LoginPage<'_>, next: Option<&str>) -> Response {
    let token = page::form_token(app, headers);
    let shown = LoginPage { title: site_title(app), form_token: &token.field, ..page };
    // Browsers apply the form policy to the redirects that follow a post: signing in may lead on to the client.
    let targets = match client_targets(app, next).await {
        Ok(targets) => targets,
        Err(error) => return home::failure(&error),
    };
    let mut response = page::html(StatusCode::OK, shown.render().unwrap_or_default(), &targets);
    if let Some(cookie) = &token.set_cookie {
        page::set_cookie(&mut response, cookie);
    }
    response
}

/// Where an authorization request in `next` may return to: the registered redirect URIs of its client.
async fn client_targets(app: &App, next: Option<&str>) -> Result<String, Error> {
    let query = next.and_then(|next| next.split_once('?')).map(|(_, query)| query);
    let pairs = jhe_http::query::pairs(query.unwrap_or_default());
    let Some((_, client_id)) = pairs.into_iter().find(|(name, _)| name == "client_id") else {
        return Ok(String::new());
    };
    let uris = client::find(app, &client_id).await?.map(|found| found.client.redirect_uris).unwrap_or_default();
    let mut targets: Vec<String> = uris.iter().filter_map(|uri| page::form_target(uri)).collect();
    targets.sort_unstable();
    targets.dedup();
    Ok(targets.join(" "))
}

/// `GET /accounts/login/`: shown also to those who are signed in, who may be asked to prove it again.
pub(crate) async fn login(State(app): State<App>, request: Request<Body>) -> Response {
    let query = Form::of_query(request.uri().query());
    let site = app.settings().site_url();
    login_page(&app, request.headers(), LoginPage::default(), next::own(query.get("next"), &site)).await
}

/// `POST /accounts/login/`.
#[tracing::instrument(name = "web.sign_in", skip_all)]
pub(crate) async fn sign_in(State(app): State<App>, request: Request<Body>) -> Response {
    let headers = request.headers().clone();
    let ip = request.extensions().get::<Origin>().and_then(|origin| origin.peer);
    let query = Form::of_query(request.uri().query());
    let form = match Form::read(&app, request.into_body()).await {
        Ok(form) => form,
        Err(page) => return page,
    };
    if !page::is_own_form(&app, &headers, form.get(page::CSRF_FIELD)) {
        return home::message(StatusCode::FORBIDDEN, "Forbidden", page::CSRF_REFUSAL);
    }
    let site = app.settings().site_url();
    let asked = next::own(form.get("next"), &site).or_else(|| next::own(query.get("next"), &site));
    let (username, password) = (form.get("username").unwrap_or_default(), form.get("password").unwrap_or_default());
    if username.trim().is_empty() || password.is_empty() {
        let empty = |value: &str| if value.trim().is_empty() { REQUIRED } else { "" };
        let shown = LoginPage {
            username,
            username_error: empty(username),
            password_error: if password.is_empty() { REQUIRED } else { "" },
            ..LoginPage::default()
        };
        return login_page(&app, &headers, shown, asked).await;
    }
    let account = match sign_in::check(&app, username, password, ip).await {
        Ok(Some(account)) => account,
        Ok(None) => {
            let shown = LoginPage { username, error: REFUSED, ..LoginPage::default() };
            return login_page(&app, &headers, shown, asked).await;
        }
        Err(error) => return home::failure(&error),
    };
    let browser = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    match sign_in::begin_session(&app, &account, page::cookie(&headers, page::SESSION), ip, browser).await {
        Ok(session) => {
            let mut response = page::found(asked.unwrap_or(LANDING));
            page::set_cookie(&mut response, &page::session_cookie(&app, session.cookie.reveal()));
            page::set_cookie(&mut response, &page::csrf_cookie(&app));
            response
        }
        Err(error) => home::failure(&error),
    }
}

#[derive(Template)]
#[template(path = "logout.html")]
struct LogoutPage<'a> {
    title: String,
    form_token: &'a str,
}

/// `GET /accounts/logout/`: ends the session; where another site's page led here, it asks first.
#[tracing::instrument(name = "web.logout", skip_all)]
pub(crate) async fn logout(State(app): State<App>, headers: HeaderMap) -> Response {
    let from = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok()).unwrap_or("none");
    if matches!(from, "same-origin" | "same-site" | "none") {
        return end(&app, &headers).await;
    }
    let token = page::form_token(&app, &headers);
    let shown = LogoutPage { title: site_title(&app), form_token: &token.field };
    let mut response = page::html(StatusCode::OK, shown.render().unwrap_or_default(), "");
    if let Some(cookie) = &token.set_cookie {
        page::set_cookie(&mut response, cookie);
    }
    response
}

/// `POST /accounts/logout/`: from our own form.
#[tracing::instrument(name = "web.logout", skip_all)]
pub(crate) async fn sign_out(State(app): State<App>, request: Request<Body>) -> Response {
    let headers = request.headers().clone();
    let form = match Form::read(&app, request.into_body()).await {
        Ok(form) => form,
        Err(page) => return page,
    };
    if !page::is_own_form(&app, &headers, form.get(page::CSRF_FIELD)) {
        return home::message(StatusCode::FORBIDDEN, "Forbidden", page::CSRF_REFUSAL);
    }
    end(&app, &headers).await
}

async fn end(app: &App, headers: &HeaderMap) -> Response {
    if let Some(cookie) = page::cookie(headers, page::SESSION)
        && let Err(error) = sign_in::end_session(app, cookie).await
    {
        return home::failure(&error);
    }
    let mut response = page::found("/");
    page::set_cookie(&mut response, &page::end_session_cookie(app));
    response
}

/// `/accounts/profile/`: where signing in leads by default.
pub(crate) async fn profile() -> Response {
    let mut response = page::found("/clients/jhe-admin/");
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Seconds a person is asked to wait.
pub(crate) fn retry_after(error: &Error) -> Option<u64> {
    match error {
        Error::Throttled { retry_after } | Error::Unavailable { retry_after, .. } => Some(retry_after.as_secs().max(1)),
        _ => None,
    }
}
