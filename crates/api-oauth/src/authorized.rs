//! `/o/authorized_tokens`: the clients a person lets into its account, and taking that back.

use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use jhe_app::App;
use jhe_app::identity::{site_title, token};
use jhe_domain::ApplicationId;
use jhe_http::{Origin, account, page};

use crate::body;
use crate::error::OAuthError;
use crate::form;
use crate::parameters::Parameters;

const HERE: &str = "/o/authorized_tokens/";

#[derive(Template)]
#[template(path = "authorized.html")]
struct AuthorizedPage {
    title: String,
    form_token: String,
    clients: Vec<Shown>,
}

struct Shown {
    id: i64,
    name: String,
    since: String,
}

/// The clients that hold tokens of the account that is signed in.
#[utoipa::path(get, path = "/o/authorized_tokens", tag = "oauth",
    responses((status = 200, description = "A page"), (status = 302, description = "To the sign-in page")), security(()))]
#[tracing::instrument(name = "oauth.authorized", skip_all)]
pub(crate) async fn list(State(app): State<App>, request: Request<Body>) -> Result<Response, OAuthError> {
    let headers = request.headers();
    let Some(visitor) = page::visitor(&app, headers).await? else { return Ok(form::to_login(HERE)) };
    let clients = token::authorized_clients(&app, visitor.user_id).await?;
    let shown = |row: jhe_store::credential::AuthorizedClient| Shown {
        id: row.id,
        name: row.name,
        since: row.since.format("%Y-%m-%d").to_string(),
    };
    let token = page::form_token(&app, headers);
    let shown = AuthorizedPage {
        title: site_title(&app),
        form_token: token.field,
        clients: clients.into_iter().map(shown).collect(),
    };
    let mut response = page::html(StatusCode::OK, shown.render().unwrap_or_default(), "");
    if let Some(cookie) = &token.set_cookie {
        page::set_cookie(&mut response, cookie);
    }
    Ok(response)
}

/// Takes a client's access to the account back, as the forms of the list ask: all its tokens of the account end.
#[utoipa::path(post, path = "/o/authorized_tokens", tag = "oauth",
    request_body(content = body::ClientRemovalForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 302, description = "To the list"), (status = 403, description = "Not our own form")), security(()))]
#[tracing::instrument(name = "oauth.authorized.remove", skip_all)]
pub(crate) async fn remove(State(app): State<App>, request: Request<Body>) -> Result<Response, OAuthError> {
    take_back(&app, request, |form| form.get("id").and_then(|id| id.parse().ok())).await
}

/// The same by an address of its own.
#[utoipa::path(post, path = "/o/authorized_tokens/{id}/delete", tag = "oauth", params(("id" = i64, Path)),
    request_body(content = body::OwnForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 302, description = "To the list"), (status = 403, description = "Not our own form")), security(()))]
#[tracing::instrument(name = "oauth.authorized.delete", skip_all)]
pub(crate) async fn delete(State(app): State<App>, request: Request<Body>) -> Result<Response, OAuthError> {
    let id = request.uri().path().split('/').rev().nth(1).and_then(|id| id.parse().ok());
    take_back(&app, request, |_| id).await
}

async fn take_back(
    app: &App,
    request: Request<Body>,
    client: impl FnOnce(&Parameters) -> Option<i64>,
) -> Result<Response, OAuthError> {
    let headers = request.headers().clone();
    let ip = request.extensions().get::<Origin>().and_then(|origin| origin.peer);
    let form = match form::read(app, &headers, request.into_body()).await? {
        Ok(form) => form,
        Err(page) => return Ok(page),
    };
    let Some(visitor) = page::visitor(app, &headers).await? else { return Ok(form::to_login(HERE)) };
    account::will_answer(StatusCode::FOUND, StatusCode::OK);
    if let Some(id) = client(&form) {
        token::remove_client(app, visitor.user_id, ApplicationId(id), ip).await?;
    }
    Ok(page::found(HERE))
}
