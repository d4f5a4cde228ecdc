//! Discovery documents: identity §7. They name what exists, under the configured address.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use jhe_app::identity::token::{issuer, password_grant_in_use};
use serde_json::{Value, json};

use crate::error::OAuthError;
use crate::exchange;
use crate::scope::SCOPES;

fn public(body: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn document(app: &App) -> Value {
    let issuer = issuer(app);
    let scopes: Vec<&str> = SCOPES.iter().map(|(scope, _)| *scope).collect();
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize/"),
        "token_endpoint": format!("{issuer}/token/"),
        "userinfo_endpoint": format!("{issuer}/userinfo/"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "revocation_endpoint": format!("{issuer}/revoke_token/"),
        "introspection_endpoint": format!("{issuer}/introspect/"),
        "end_session_endpoint": format!("{issuer}/logout/"),
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "none"],
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": ["sub", "email", "email_verified", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "jti"],
        "prompt_values_supported": ["none", "login"],
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    })
}

/// OpenID Connect Discovery.
#[utoipa::path(get, path = "/o/.well-known/openid-configuration", tag = "oauth",
    responses((status = 200, description = "Provider metadata", body = Object)), security(()))]
#[tracing::instrument(name = "oauth.openid_configuration", skip_all)]
pub(crate) async fn openid_configuration(State(app): State<App>) -> Response {
    public(&document(&app))
}

/// Authorization server metadata (RFC 8414), with every grant.
#[utoipa::path(get, path = "/o/.well-known/oauth-authorization-server", tag = "oauth",
    responses((status = 200, description = "Server metadata", body = Object)), security(()))]
#[tracing::instrument(name = "oauth.authorization_server", skip_all)]
pub(crate) async fn authorization_server(State(app): State<App>) -> Result<Response, OAuthError> {
    server_metadata(&app).await
}

/// The same where RFC 8414 §3.1 puts it.
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server/o", tag = "oauth",
    responses((status = 200, description = "Server metadata", body = Object)), security(()))]
#[tracing::instrument(name = "oauth.authorization_server", skip_all)]
pub(crate) async fn authorization_server_at_root(State(app): State<App>) -> Result<Response, OAuthError> {
    server_metadata(&app).await
}

async fn server_metadata(app: &App) -> Result<Response, OAuthError> {
    let mut body = document(app);
    let mut grants = vec!["authorization_code", "refresh_token", "client_credentials", exchange::GRANT];
    if password_grant_in_use(app).await? {
        grants.push("password");
    }
    if let Some(members) = body.as_object_mut() {
        members.insert("grant_types_supported".to_owned(), json!(grants));
        for name in ["revocation_endpoint_auth_methods_supported", "introspection_endpoint_auth_methods_supported"] {
            members.insert(name.to_owned(), json!(["client_secret_post", "client_secret_basic"]));
        }
    }
    Ok(public(&body))
}

/// Protected resource metadata (RFC 9728): the APIs, and who issues their tokens.
#[utoipa::path(get, path = "/o/.well-known/oauth-protected-resource", tag = "oauth",
    responses((status = 200, description = "Resource metadata", body = Object)), security(()))]
#[tracing::instrument(name = "oauth.protected_resource", skip_all)]
pub(crate) async fn protected_resource(State(app): State<App>) -> Response {
    resource_metadata(&app)
}

/// The same where RFC 9728 §3.1 puts it.
#[utoipa::path(get, path = "/.well-known/oauth-protected-resource", tag = "oauth",
    responses((status = 200, description = "Resource metadata", body = Object)), security(()))]
#[tracing::instrument(name = "oauth.protected_resource", skip_all)]
pub(crate) async fn protected_resource_at_root(State(app): State<App>) -> Response {
    resource_metadata(&app)
}

fn resource_metadata(app: &App) -> Response {
    let scopes: Vec<&str> = SCOPES.iter().map(|(scope, _)| *scope).collect();
    public(&json!({
        "resource": app.settings().site_url(),
        "authorization_servers": [issuer(app)],
        "scopes_supported": scopes,
        "bearer_methods_supported": ["header"],
    }))
}

/// The public keys that id tokens are signed with.
#[utoipa::path(get, path = "/o/.well-known/jwks.json", tag = "oauth",
    responses((status = 200, description = "JSON Web Key Set", body = Object)), security(()))]
#[tracing::instrument(name = "oauth.jwks", skip_all)]
pub(crate) async fn jwks(State(app): State<App>) -> Response {
    let mut response = (StatusCode::OK, app.identity().jwks().to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let caching = "public, max-age=3600, stale-while-revalidate=3600, stale-if-error=3600";
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}
