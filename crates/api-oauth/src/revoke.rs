//! Revocation (RFC 7009) and introspection (RFC 7662): identity §1.6, §1.7.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use jhe_app::identity::client::{self, TokenInfo};
use jhe_app::identity::token::{Exchange, issuer};
use jhe_domain::client::Client;
use jhe_http::Origin;
use serde_json::{Value, json};

use crate::body;
use crate::client_auth;
use crate::error::{self, OAuthError};
use crate::parameters::Parameters;

/// Revokes a token of the client that asks; tokens of others are left alone, and it is not told which.
#[utoipa::path(post, path = "/o/revoke_token", tag = "oauth",
    request_body(content = body::RevocationForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "Revoked, or none of the client's"), (status = 400, description = "An OAuth error", body = body::OAuthFailure), (status = 401, description = "invalid_client", body = body::OAuthFailure)),
    security(()))]
#[tracing::instrument(name = "oauth.revoke", skip_all)]
pub(crate) async fn revoke(State(app): State<App>, request: Request<Body>) -> Result<Response, OAuthError> {
    let headers = request.headers().clone();
    let origin = request.extensions().get::<Origin>().cloned();
    let form = Parameters::of_form(request, &app).await?;
    let presented = client_auth::presented(&headers, &form)?.ok_or_else(OAuthError::invalid_client)?;
    let client = client_auth::authenticate(&app, &presented, origin.as_ref()).await?;
    let token = form.get("token");
    let token = token.ok_or_else(|| OAuthError::described("invalid_request", "Missing token parameter."))?;
    let mut exchange = Exchange::begin(&app, &client, origin.and_then(|origin| origin.peer)).await?;
    exchange.revoke(token, &client).await?;
    exchange.commit().await?;
    Ok(StatusCode::OK.into_response())
}

/// Whoever asks about tokens must keep a secret.
fn confidential(client: Client) -> Result<Client, OAuthError> {
    if client.confidential { Ok(client) } else { Err(OAuthError::invalid_client()) }
}

/// What a token stands for; for confidential clients, about their own tokens unless they may ask about others.
#[utoipa::path(post, path = "/o/introspect", tag = "oauth",
    request_body(content = body::IntrospectionForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "Whether the token is active, and what it stands for", body = body::IntrospectionAnswer), (status = 400, description = "An OAuth error", body = body::OAuthFailure), (status = 401, description = "invalid_client", body = body::OAuthFailure)),
    security(()))]
#[tracing::instrument(name = "oauth.introspect", skip_all)]
pub(crate) async fn introspect(State(app): State<App>, request: Request<Body>) -> Result<Response, OAuthError> {
    let headers = request.headers().clone();
    let origin = request.extensions().get::<Origin>().cloned();
    let form = Parameters::of_form(request, &app).await?;
    let presented = client_auth::presented(&headers, &form)?.ok_or_else(OAuthError::invalid_client)?;
    let Some(token) = form.get("token") else {
        // Who asks is told of that only after it has proved who it is.
        confidential(client_auth::authenticate(&app, &presented, origin.as_ref()).await?)?;
        return Err(OAuthError::described("invalid_request", "Token parameter is missing."));
    };
    let (client, info) = client::introspect(&app, presented.from(origin.as_ref()), token).await?.unzip();
    let (client, info) = (confidential(client_auth::proved(client)?)?, info.flatten());
    let info = info.filter(|info| info.application_id == client.id.0 || client.can_introspect);
    Ok(error::json(StatusCode::OK, &info.map_or_else(|| json!({ "active": false }), |info| claims(&app, &info))))
}

/// What introspection tells of a live token. One without an account behind it is about no person.
fn claims(app: &App, info: &TokenInfo) -> Value {
    let mut body = json!({
        "active": true,
        "scope": info.scope,
        "exp": info.expires.timestamp(),
        "client_id": info.client_id,
        "token_type": "Bearer",
        "iat": info.created.timestamp(),
        "iss": issuer(app),
    });
    if let (Some(id), Some(members)) = (info.user_id, body.as_object_mut()) {
        members.insert("sub".to_owned(), json!(id.to_string()));
        members.insert("username".to_owned(), json!(info.email));
    }
    body
}
