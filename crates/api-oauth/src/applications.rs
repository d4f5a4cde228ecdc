//! `/o/applications`: where the original let people register clients. Here operators do that at the shell, and the API
//! registers patient clients; what is left is to say so without telling anybody more.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use jhe_app::App;
use jhe_app::identity::sign_in;
use jhe_http::page;

use crate::error::{self, OAuthError};
use crate::form;

/// Nothing to see: for strangers after signing in, for others not at all.
#[utoipa::path(get, path = "/o/applications", tag = "oauth",
    responses((status = 302, description = "To the sign-in page"), (status = 403, description = "Not permitted"), (status = 404, description = "For superusers")), security(()))]
#[tracing::instrument(name = "oauth.applications", skip_all)]
pub(crate) async fn root(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, OAuthError> {
    refuse(&app, &uri, &headers).await
}

/// The same for every page below.
#[utoipa::path(get, path = "/o/applications/{page}", tag = "oauth", params(("page" = String, Path)),
    responses((status = 302, description = "To the sign-in page"), (status = 403, description = "Not permitted"), (status = 404, description = "For superusers")), security(()))]
#[tracing::instrument(name = "oauth.applications.page", skip_all)]
pub(crate) async fn below(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, OAuthError> {
    refuse(&app, &uri, &headers).await
}

async fn refuse(app: &App, uri: &Uri, headers: &HeaderMap) -> Result<Response, OAuthError> {
    let Some(visitor) = page::visitor(app, headers).await? else {
        return Ok(form::to_login(uri.path()));
    };
    if sign_in::is_superuser(app, visitor.user_id).await? {
        return Ok(error::json(StatusCode::NOT_FOUND, &error::body("not_found", None)));
    }
    let text = "You do not have permission to perform this action.";
    Ok(form::fatal(StatusCode::FORBIDDEN, "forbidden", text))
}
