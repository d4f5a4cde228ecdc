//! `/o/applications`: where the original let people register clients. Here operators do that at the shell, and the API
//! registers patient clients; what is left is to say so without telling anybody more.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jhe_app::App;
use jhe_app::identity::sign_in;
use jhe_http::normalize::OriginalPath;
use jhe_http::page;

use crate::error::{self, OAuthError};
use crate::form;

/// Nothing to see: for strangers after signing in, for others not at all.
#[utoipa::path(get, path = "/o/applications", tag = "oauth",
    responses((status = 302, description = "To the sign-in page"), (status = 403, description = "Not permitted"), (status = 404, description = "For superusers")), security(()))]
#[tracing::instrument(name = "oauth.applications", skip_all)]
pub(crate) async fn root(State(app): State<App>, request: Request) -> Result<Response, OAuthError> {
    refuse(&app, back_to(&request), request.headers().clone()).await
}

/// The same for every page below.
#[utoipa::path(get, path = "/o/applications/{page}", tag = "oauth", params(("page" = String, Path)),
    responses((status = 302, description = "To the sign-in page"), (status = 403, description = "Not permitted"), (status = 404, description = "For superusers")), security(()))]
#[tracing::instrument(name = "oauth.applications.page", skip_all)]
pub(crate) async fn below(State(app): State<App>, request: Request) -> Result<Response, OAuthError> {
    refuse(&app, back_to(&request), request.headers().clone()).await
}

/// The same for who sends a form.
#[utoipa::path(post, path = "/o/applications", tag = "oauth", operation_id = "applications_post",
    responses((status = 302, description = "To the sign-in page"), (status = 403, description = "Not permitted"), (status = 404, description = "For superusers")), security(()))]
#[tracing::instrument(name = "oauth.applications.post", skip_all)]
pub(crate) async fn post(State(app): State<App>, request: Request) -> Result<Response, OAuthError> {
    refuse(&app, back_to(&request), request.headers().clone()).await
}

/// The same for forms of every page below.
#[utoipa::path(post, path = "/o/applications/{page}", tag = "oauth", operation_id = "applications_page_post", params(("page" = String, Path)),
    responses((status = 302, description = "To the sign-in page"), (status = 403, description = "Not permitted"), (status = 404, description = "For superusers")), security(()))]
#[tracing::instrument(name = "oauth.applications.page.post", skip_all)]
pub(crate) async fn post_below(State(app): State<App>, request: Request) -> Result<Response, OAuthError> {
    refuse(&app, back_to(&request), request.headers().clone()).await
}

/// The path as it was sent.
fn back_to(request: &Request) -> String {
    let sent = request.extensions().get::<OriginalPath>();
    sent.map_or_else(|| request.uri().path().to_owned(), |path| path.0.clone())
}

async fn refuse(app: &App, back_to: String, headers: HeaderMap) -> Result<Response, OAuthError> {
    let Some(visitor) = page::visitor(app, &headers).await? else {
        return Ok(form::to_login(&back_to));
    };
    if sign_in::is_superuser(app, visitor.user_id).await? {
        return Ok(error::json(StatusCode::NOT_FOUND, &error::body("not_found", None)));
    }
    let text = "You do not have permission to perform this action.";
    Ok(form::fatal(StatusCode::FORBIDDEN, "forbidden", text))
}
