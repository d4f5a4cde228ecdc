//! `/o/userinfo`: OpenID Connect Core §5.3, identity §1.8.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use jhe_app::App;
use jhe_app::identity::token::{has_scope, live_token};
use jhe_domain::{ApplicationId, UserId};
use jhe_http::authenticate::bearer_token;
use jhe_http::known::{self, Known};
use serde_json::{Map, json};

use crate::body;
use crate::error::{self, OAuthError};

const REFUSED: &str = "The access token provided is expired, revoked, malformed, or invalid for other reasons.";

/// Claims about the account a token acts as; the token needs the scope `openid`.
#[utoipa::path(get, path = "/o/userinfo", tag = "oauth",
    responses((status = 200, description = "Claims", body = body::UserClaims), (status = 401, description = "invalid_token", body = body::OAuthFailure)))]
#[tracing::instrument(name = "oauth.userinfo", skip_all)]
pub(crate) async fn userinfo(State(app): State<App>, headers: HeaderMap) -> Result<Response, OAuthError> {
    answer(&app, &headers).await
}

/// The same by POST.
#[utoipa::path(post, path = "/o/userinfo", tag = "oauth",
    responses((status = 200, description = "Claims", body = body::UserClaims), (status = 401, description = "invalid_token", body = body::OAuthFailure)))]
#[tracing::instrument(name = "oauth.userinfo", skip_all)]
pub(crate) async fn userinfo_by_post(State(app): State<App>, headers: HeaderMap) -> Result<Response, OAuthError> {
    answer(&app, &headers).await
}

async fn answer(app: &App, headers: &HeaderMap) -> Result<Response, OAuthError> {
    let info = match bearer_token(headers) {
        Some(token) => live_token(app, token).await?,
        None => None,
    };
    if let Some(info) = &info {
        known::note(Known {
            user_id: info.user_id.map(UserId),
            application_id: Some(ApplicationId(info.application_id)),
            superuser: info.is_superuser == Some(true),
        });
    }
    let known = info.filter(|info| has_scope(&info.scope, "openid"));
    let Some((info, user_id)) = known.and_then(|info| info.user_id.map(|id| (info, id))) else {
        let mut response = error::json(StatusCode::UNAUTHORIZED, &error::body("invalid_token", Some(REFUSED)));
        let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{REFUSED}\"");
        if let Ok(value) = HeaderValue::from_str(&challenge) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        return Ok(response);
    };
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), json!(user_id.to_string()));
    if has_scope(&info.scope, "email") {
        claims.insert("email".to_owned(), json!(info.email));
        claims.insert("email_verified".to_owned(), json!(info.email_is_verified));
    }
    Ok(error::json(StatusCode::OK, &claims.into()))
}
