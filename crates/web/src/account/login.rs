//! Signing in by password: identity §4.3.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use jhe_app::App;
use jhe_app::identity::account::email;
use jhe_app::identity::session::Method;
use jhe_app::identity::sign_in::{self, Attempt, Refusal};
use jhe_app::identity::{client, one_time_code};
use jhe_domain::error::Error;
use jhe_http::page;

use super::{LANDING, REQUIRED, enter};
use crate::form::Visit;
use crate::form_page::{Button, Field, FormPage};
use crate::home;

/// The same words for every kind of wrong.
const REFUSED: &str = "Please enter a correct Email Address and password. Note that both fields may be case-sensitive.";

async fn login_page(app: &App, visit: &Visit, fields: Vec<Field<'_>>, error: Option<&str>) -> Response {
    // Browsers apply the form policy to the redirects that follow a post: signing in may lead on to the client.
    let targets = match client_targets(app, visit.next()).await {
        Ok(targets) => targets,
        Err(error) => return home::failure(&error),
    };
    let shown = FormPage {
        heading: "Exchange Log In",
        errors: error.into_iter().map(Into::into).collect(),
        fields,
        buttons: vec![Button::main("Log In")],
        links: vec![
            ("/accounts/password_reset/".to_owned(), "Forgot Password"),
            (visit.keeping_next("/accounts/signup/"), "Sign Up"),
        ],
        ..FormPage::default()
    };
    shown.respond(app, &visit.headers, &targets)
}

fn fields(username: &str) -> Vec<Field<'_>> {
    vec![Field::email("username", username), Field::current_password("password", "Password")]
}

/// A parameter of an authorization request in `next`.
fn parameter_of(next: Option<&str>, name: &str) -> Option<String> {
    let query = next.and_then(|next| next.split_once('?')).map(|(_, query)| query)?;
    jhe_http::query::pairs(query).into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
}

/// The client of an authorization request in `next`.
fn client_of(next: Option<&str>) -> Option<String> {
    parameter_of(next, "client_id")
}

/// Where an authorization request in `next` may return to: the registered redirect URIs of its client.
pub(super) async fn client_targets(app: &App, next: Option<&str>) -> Result<String, Error> {
    let Some(client_id) = client_of(next) else { return Ok(String::new()) };
    let uris = client::find(app, &client_id).await?.map(|found| found.client.redirect_uris).unwrap_or_default();
    let mut targets: Vec<String> = uris.iter().filter_map(|uri| page::form_target(uri)).collect();
    targets.sort_unstable();
    targets.dedup();
    Ok(targets.join(" "))
}

/// Whether a browser is signed in.
async fn is_signed_in(app: &App, headers: &HeaderMap) -> Result<bool, Error> {
    Ok(page::visitor(app, headers).await?.is_some())
}

/// `GET /accounts/login/`: shown also to those who are signed in, who may be asked to prove it again. Whoever comes on
/// behalf of a client for patients gets a code by mail instead.
pub(crate) async fn show(State(app): State<App>, request: Request<Body>) -> Response {
    let visit = Visit::of(&app, &request);
    if client_of(visit.next()).is_some_and(|client| one_time_code::is_for_client(&app, &client)) {
        match is_signed_in(&app, &visit.headers).await {
            Ok(false) => return page::found(&visit.keeping_next("/accounts/login-otp/")),
            Ok(true) => {}
            Err(error) => return home::failure(&error),
        }
    }
    // Whom the client expects (OpenID Connect Core §3.1.2.1).
    let hint = parameter_of(visit.next(), "login_hint").unwrap_or_default();
    login_page(&app, &visit, fields(&hint), None).await
}

/// `POST /accounts/login/`.
#[tracing::instrument(name = "web.sign_in", skip_all)]
pub(crate) async fn submit(State(app): State<App>, request: Request<Body>) -> Response {
    let visit = match Visit::posted(&app, request).await {
        Ok(visit) => visit,
        Err(page) => return page,
    };
    if let Some(response) = super::email::asked_again(&app, &visit).await {
        return response;
    }
    let username = visit.form.get("username").unwrap_or_default();
    let password = visit.form.get("password").unwrap_or_default();
    if username.trim().is_empty() || password.is_empty() {
        let missing = |missing: bool| if missing { REQUIRED } else { "" };
        let fields = vec![
            Field::email("username", username).error(missing(username.trim().is_empty())),
            Field::current_password("password", "Password").error(missing(password.is_empty())),
        ];
        return login_page(&app, &visit, fields, None).await;
    }
    let attempt = Attempt { email: username, password, ip: visit.ip, client: None, admits_superusers: true };
    match sign_in::check(&app, attempt).await {
        Ok(Ok(account)) if !email::suffices(&app, &account) => super::email::ask(&app, &visit, account.id),
        Ok(Ok(account)) => enter(&app, &visit, &account, Method::Password, visit.next().unwrap_or(LANDING)).await,
        Ok(Err(Refusal::Wrong)) => login_page(&app, &visit, fields(username), Some(REFUSED)).await,
        Ok(Err(Refusal::Locked(retry_after))) => home::failure(&Error::Throttled { retry_after }),
        Err(error) => home::failure(&error),
    }
}
