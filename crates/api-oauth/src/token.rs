//! `POST /o/token`: identity §1.5.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jhe_app::App;
use jhe_app::identity::account::email;
use jhe_app::identity::client;
use jhe_app::identity::sign_in::{self, Attempt};
use jhe_app::identity::token::{Counter, Exchange, RefreshRow, Refreshing, Tokens};
use jhe_crypto::pkce;
use jhe_domain::UserId;
use jhe_domain::client::{Client, GrantType};
use jhe_http::Origin;
use jhe_http::known::{self, Known};
use serde_json::{Value, json};

use crate::body;
use crate::client_auth::{self, Presented};
use crate::error::{self, OAuthError};
use crate::exchange;
use crate::machine::{CodeExchange, FoundCode, Refusal, TokenRefresh};
use crate::parameters::Parameters;
use crate::scope;

/// Tokens for a code, a refresh token, a password or a client's own credentials.
#[utoipa::path(post, path = "/o/token", tag = "oauth",
    request_body(content = body::TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "Tokens (RFC 6749 §5.1)", body = body::TokenAnswer), (status = 400, description = "An OAuth error", body = body::OAuthFailure), (status = 401, description = "invalid_client", body = body::OAuthFailure)),
    security(()))]
#[tracing::instrument(name = "oauth.token", skip_all)]
pub(crate) async fn token(State(app): State<App>, request: Request<Body>) -> Result<Response, OAuthError> {
    let headers = request.headers().clone();
    let origin = request.extensions().get::<Origin>().cloned();
    let form = Parameters::of_form(request, &app).await?;
    let outcome = granted(&app, &headers, origin, &form).await;
    measure(form.get("grant_type"), &outcome);
    outcome
}

/// Counts what was asked for and what became of it. Grants are a caller's to choose, so only known ones become labels.
fn measure(grant: Option<&str>, outcome: &Result<Response, OAuthError>) {
    const KNOWN: [&str; 4] = ["authorization_code", "refresh_token", "password", "client_credentials"];
    let grant = match grant {
        Some(exchange::GRANT) => "token_exchange",
        named => KNOWN.into_iter().find(|known| named == Some(known)).unwrap_or("other"),
    };
    let told = outcome.as_ref().map_or_else(|error| error.error, |_| "issued");
    metrics::counter!("jhe_token_grants_total", "grant" => grant, "outcome" => told).increment(1);
}

async fn granted(
    app: &App,
    headers: &HeaderMap,
    origin: Option<Origin>,
    form: &Parameters,
) -> Result<Response, OAuthError> {
    let unsupported = || OAuthError::bare("unsupported_grant_type");
    let grant = form.get("grant_type").ok_or_else(unsupported)?.to_owned();
    let required: &[(&str, &str)] = match grant.as_str() {
        "authorization_code" => &[("code", "Missing code parameter.")],
        "refresh_token" => &[("refresh_token", "Missing refresh token parameter.")],
        "password" => &[
            ("username", "Request is missing username parameter."),
            ("password", "Request is missing password parameter."),
        ],
        "client_credentials" => &[],
        exchange::GRANT => &[("subject_token", "Missing subject_token parameter.")],
        _ => return Err(unsupported()),
    };
    if let Some((_, text)) = required.iter().find(|(name, _)| form.get(name).is_none()) {
        return Err(OAuthError::described("invalid_request", *text));
    }
    if grant == "password" {
        app.identity().admit_sign_in()?;
    }
    let presented = client_auth::presented(headers, form)?.ok_or_else(OAuthError::invalid_client)?;
    if grant == "refresh_token" {
        let tokens = refresh(app, &presented, form, origin.as_ref()).await?;
        return Ok(error::json(StatusCode::OK, &answer(&tokens)));
    }
    let client = client_auth::authenticate(app, &presented, origin.as_ref()).await?;
    let ip = origin.and_then(|origin| origin.peer);
    let tokens = match grant.as_str() {
        "authorization_code" => code(app, &client, &presented, form, ip).await?,
        "password" => password(app, &client, form, ip).await?,
        exchange::GRANT => return exchange::standard(app, &client, form, ip).await,
        _ => client_credentials(app, &client, form, ip).await?,
    };
    Ok(error::json(StatusCode::OK, &answer(&tokens)))
}

pub(crate) fn answer(tokens: &Tokens) -> Value {
    let mut body = json!({
        "access_token": tokens.access_token.reveal(),
        "expires_in": tokens.expires_in,
        "token_type": "Bearer",
        "scope": tokens.scope,
    });
    if let Some(members) = body.as_object_mut() {
        if let Some(token) = &tokens.refresh_token {
            members.insert("refresh_token".to_owned(), json!(token.reveal()));
        }
        if let Some(token) = &tokens.id_token {
            members.insert("id_token".to_owned(), json!(token.reveal()));
        }
    }
    body
}

/// Whose tokens they are, for the log.
fn note_user(user: Option<i64>) {
    if let Some(user) = user {
        known::note(Known::user(UserId(user)));
    }
}

pub(crate) fn allowed(client: &Client, grant: GrantType) -> Result<(), OAuthError> {
    if client.may(grant) { Ok(()) } else { Err(OAuthError::bare("unauthorized_client")) }
}

const fn invalid_grant() -> OAuthError {
    OAuthError::bare("invalid_grant")
}

async fn code(
    app: &App,
    client: &Client,
    presented: &Presented,
    form: &Parameters,
    ip: Option<IpAddr>,
) -> Result<Tokens, OAuthError> {
    allowed(client, GrantType::AuthorizationCode)?;
    let mut exchange = Exchange::begin(app, client, ip).await?;
    let Some(code) = exchange.code(form.get("code").unwrap_or_default(), client).await? else {
        // A second use has revoked what the first one issued: that must hold.
        exchange.commit().await?;
        return Err(invalid_grant());
    };
    note_user(Some(code.user_id));
    let Some(verifier) = form.get("code_verifier") else {
        return Err(OAuthError::described("invalid_request", "Code verifier required."));
    };
    let proved = pkce::is_valid_verifier(verifier) && pkce::verify_s256(verifier, &code.code_challenge);
    if !proved {
        exchange.count_failure(&code).await?;
        exchange.commit().await?;
        return Err(invalid_grant());
    }
    let omitted = form.get("redirect_uri").is_none();
    let single = client.redirect_uris.as_slice() == [code.redirect_uri.clone()];
    if form.get("redirect_uri").is_some_and(|uri| uri != code.redirect_uri)
        || (omitted && code.redirect_uri_given && !single)
    {
        return Err(OAuthError::described("invalid_request", "Mismatching redirect URI."));
    }
    if let Some(asked) = form.get("scope").filter(|asked| !asked.trim().is_empty()) {
        // What was granted is issued; who asks for more here than it was granted is told so.
        let is_granted = |asked: &str| code.scope.split(' ').any(|granted| granted == asked);
        if !scope::parse(Some(asked)).is_some_and(|asked| asked.iter().all(|one| is_granted(one))) {
            return Err(OAuthError::bare("invalid_scope"));
        }
    }
    let found = FoundCode { user_id: code.user_id, scope: &code.scope, challenge: &code.code_challenge };
    CodeExchange::new(form, presented, &code.redirect_uri).decide(&found).map_err(refused)?;
    let tokens = exchange.redeem(&code, client).await?.ok_or_else(invalid_grant)?;
    exchange.commit().await?;
    Ok(tokens)
}

const fn refused(refusal: Refusal) -> OAuthError {
    match refusal {
        Refusal::Grant => OAuthError::bare("invalid_grant"),
        Refusal::Scope => OAuthError::bare("invalid_scope"),
        Refusal::Request => OAuthError::bare("invalid_request"),
    }
}

async fn refresh(
    app: &App,
    presented: &Presented,
    form: &Parameters,
    origin: Option<&Origin>,
) -> Result<Tokens, OAuthError> {
    let (text, ip) = (form.get("refresh_token").unwrap_or_default(), origin.and_then(|origin| origin.peer));
    let found = client::refresh(app, presented.from(origin), text).await?;
    let (client, row) = found.unzip();
    let (client, row) = (client_auth::proved(client)?, row.flatten());
    note_user(row.as_ref().filter(|row| row.application_id == client.id.0).map(|row| row.user_id));
    allowed(&client, GrantType::RefreshToken)?;
    // Nearly always a token comes for the first time, and one more statement, which others share, does. What comes again, or
    // together with another, is decided while its family is held.
    let counter = Counter::new(app, &client, ip);
    if let Some(row) = counter.untouched(row) {
        let scope = refresh_scope(form, presented, &row)?;
        if let Some(tokens) = counter.rotate(&row, &scope).await? {
            return Ok(tokens);
        }
    }
    let mut exchange = Exchange::begin(app, &client, ip).await?;
    let row = match exchange.refreshing(text, &client).await? {
        Refreshing::Live(row) => row,
        Refreshing::Refused => return Err(invalid_grant()),
        Refreshing::Reused => {
            exchange.commit().await?;
            return Err(invalid_grant());
        }
    };
    let scope = refresh_scope(form, presented, &row)?;
    let tokens = exchange.rotate(&row, &client, &scope).await?;
    exchange.commit().await?;
    Ok(tokens)
}

/// The scopes that a refresh asks for, once the grant allows it: those of the token unless it narrows them.
fn refresh_scope(form: &Parameters, presented: &Presented, row: &RefreshRow) -> Result<String, OAuthError> {
    TokenRefresh::new(form, presented).decide(row.user_id, &row.scope).map_err(refused)?;
    // A blank one asks for nothing, which must not become the default of a first grant.
    match form.get("scope").filter(|asked| !asked.trim().is_empty()) {
        Some(asked) => Ok(scope::parse(Some(asked)).ok_or_else(|| OAuthError::bare("invalid_scope"))?.join(" ")),
        None => Ok(row.scope.clone()),
    }
}

async fn password(app: &App, client: &Client, form: &Parameters, ip: Option<IpAddr>) -> Result<Tokens, OAuthError> {
    allowed(client, GrantType::Password)?;
    if !app.config().auth.password_grant {
        return Err(OAuthError::bare("unauthorized_client"));
    }
    let refused = || OAuthError::described("invalid_grant", "Invalid credentials given.");
    let (username, password) = (form.get("username").unwrap_or_default(), form.get("password").unwrap_or_default());
    let attempt =
        Attempt { email: username, password, ip, client: Some(client.id), admits_superusers: client.allow_superuser };
    // A locked account is told no more than a wrong password.
    let account = sign_in::check(app, attempt).await?.ok();
    let account = account.filter(|account| email::suffices(app, account)).ok_or_else(refused)?;
    note_user(Some(account.id.0));
    let scopes = scope::parse(form.get("scope")).ok_or_else(|| OAuthError::bare("invalid_scope"))?;
    // Only now, so that no connection is held while the password is checked.
    let mut exchange = Exchange::begin(app, client, ip).await?;
    let tokens = exchange.issue_for_password(&account, client, &scopes.join(" ")).await?.ok_or_else(refused)?;
    exchange.commit().await?;
    Ok(tokens)
}

async fn client_credentials(
    app: &App,
    client: &Client,
    form: &Parameters,
    ip: Option<IpAddr>,
) -> Result<Tokens, OAuthError> {
    allowed(client, GrantType::ClientCredentials)?;
    if !client.confidential {
        return Err(OAuthError::bare("unauthorized_client"));
    }
    let scopes = scope::parse(form.get("scope")).ok_or_else(|| OAuthError::bare("invalid_scope"))?;
    Ok(Counter::new(app, client, ip).issue(&scopes.join(" ")).await?)
}
