//! Token exchange (RFC 8693): identity §2.4. At `/o/token-exchange` in the words EHR launch pages know, and as a grant
//! of `/o/token` in the words of the RFC.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use jhe_app::identity::exchange::{self, Refusal};
use jhe_app::identity::token::Tokens;
use jhe_domain::client::{Client, GrantType};
use jhe_http::Origin;
use serde_json::{Value, json};

use crate::body;
use crate::client_auth;
use crate::error::{self, OAuthError};
use crate::parameters::Parameters;
use crate::token;

/// The name of the grant.
pub(crate) const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What was sent is repeated up to this many characters.
const ECHOED: usize = 200;

/// A refusal: a status, the text launch pages look for, the code of the RFC.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault(StatusCode, String, &'static str);

impl Fault {
    fn request(text: String) -> Self {
        Self(StatusCode::BAD_REQUEST, text, "invalid_request")
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let say = |status, text: &str, code| Self(status, text.to_owned(), code);
        match refusal {
            Refusal::NotConfigured => {
                say(StatusCode::BAD_REQUEST, "Token exchange is not configured.", "unsupported_grant_type")
            }
            Refusal::NotAToken => say(StatusCode::BAD_REQUEST, "subject_token is not a valid JWT", "invalid_request"),
            Refusal::UntrustedIssuer => say(StatusCode::FORBIDDEN, "Issuer not trusted", "invalid_grant"),
            Refusal::NoDiscovery(issuer) => {
                let text = format!("Could not discover jwks_uri for issuer '{}'", echoed(&issuer));
                Self(StatusCode::BAD_GATEWAY, text, "temporarily_unavailable")
            }
            Refusal::NoKey => say(StatusCode::BAD_GATEWAY, "Could not resolve signing key", "temporarily_unavailable"),
            Refusal::Invalid => say(StatusCode::UNAUTHORIZED, "id_token failed validation", "invalid_grant"),
            Refusal::Used => say(StatusCode::UNAUTHORIZED, "id_token already used", "invalid_grant"),
            Refusal::NoFhirUser => say(StatusCode::BAD_REQUEST, "id_token missing fhirUser claim", "invalid_grant"),
            Refusal::MalformedFhirUser(reference) => {
                let text = format!("Malformed fhirUser reference: '{}'", echoed(&reference));
                Self(StatusCode::BAD_REQUEST, text, "invalid_grant")
            }
            Refusal::NotPractitioner => say(StatusCode::FORBIDDEN, "fhirUser is not a Practitioner", "invalid_grant"),
            Refusal::UnknownPractitioner => say(StatusCode::NOT_FOUND, "Practitioner not found", "invalid_grant"),
            Refusal::WithoutProfile => say(StatusCode::FORBIDDEN, "User is not a Practitioner", "invalid_grant"),
        }
    }
}

fn echoed(text: &str) -> String {
    text.chars().take(ECHOED).collect()
}

/// The parameters in the order their absence is told.
fn check(form: &Parameters, site: &str) -> Result<(), Fault> {
    for name in ["audience", "requested_token_type", "subject_token_type", "subject_token", "grant_type"] {
        if form.get(name).is_none() {
            return Err(Fault::request(format!("Missing required argument: {name}")));
        }
    }
    check_types(form)?;
    if let Some(other) = form.get("audience").filter(|audience| *audience != site) {
        return Err(Fault::request(format!("audience must be {site}, not {}", echoed(other))));
    }
    check_scope(form)
}

fn check_types(form: &Parameters) -> Result<(), Fault> {
    let expected = [
        ("grant_type", GRANT, "token-exchange"),
        ("subject_token_type", ID_TOKEN, ID_TOKEN),
        ("requested_token_type", ACCESS_TOKEN, ACCESS_TOKEN),
    ];
    for (name, expected, shown) in expected {
        if let Some(sent) = form.get(name).filter(|sent| *sent != expected) {
            return Err(Fault::request(format!("{name} must be {shown}, not {}", echoed(sent))));
        }
    }
    Ok(())
}

fn check_scope(form: &Parameters) -> Result<(), Fault> {
    match form.get("scope") {
        None | Some("openid") => Ok(()),
        Some(other) => {
            let text = format!("Only 'openid' scope is supported, not {}", echoed(other));
            Err(Fault(StatusCode::BAD_REQUEST, text, "invalid_scope"))
        }
    }
}

fn answer(tokens: &Tokens) -> Response {
    let mut body = token::answer(tokens);
    if let Some(members) = body.as_object_mut() {
        members.insert("issued_token_type".to_owned(), json!(ACCESS_TOKEN));
    }
    error::json(StatusCode::OK, &body)
}

/// Exchanges the id token of a practitioner's EHR for an access token, for launches inside an EHR.
#[utoipa::path(post, path = "/o/token-exchange", tag = "oauth",
    request_body(content = body::TokenExchangeForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "An access token (RFC 8693 §2.2.1)", body = body::TokenAnswer), (status = 400, description = "A parameter is missing or wrong, or the exchange is not configured", body = body::TokenExchangeFailure), (status = 401, description = "The client or the id token was not accepted", body = body::TokenExchangeFailure), (status = 403, description = "The issuer is not trusted, or the user is no practitioner", body = body::TokenExchangeFailure), (status = 404, description = "No such practitioner", body = body::TokenExchangeFailure), (status = 502, description = "The issuer's keys cannot be had", body = body::TokenExchangeFailure)),
    security(()))]
#[tracing::instrument(name = "oauth.token_exchange", skip_all)]
pub(crate) async fn exchange(State(app): State<App>, request: Request<Body>) -> Result<Response, OAuthError> {
    let headers = request.headers().clone();
    let origin = request.extensions().get::<Origin>().cloned();
    let form = Parameters::of_form(request, &app).await?;
    if let Err(fault) = check(&form, &app.settings().site_url()) {
        return Ok(refused(&fault));
    }
    let client = match client_auth::presented(&headers, &form)? {
        Some(presented) => match client_auth::authenticate(&app, &presented, origin.as_ref()).await {
            Ok(client) => Some(client),
            Err(error) if error.is_invalid_client() => None,
            Err(error) => return Err(error),
        },
        None => None,
    };
    let Some(client) = client.filter(|client| client.confidential && client.may(GrantType::TokenExchange)) else {
        let text = "Client authentication failed".to_owned();
        return Ok(refused(&Fault(StatusCode::UNAUTHORIZED, text, "invalid_client")));
    };
    let ip = origin.and_then(|origin| origin.peer);
    Ok(match exchange::exchange(&app, &client, form.get("subject_token").unwrap_or_default(), ip).await? {
        Ok(tokens) => answer(&tokens),
        // The one refusal that is told in the words of RFC 6749 at either address.
        Err(Refusal::NotConfigured) => not_configured().into_response(),
        Err(refusal) => refused(&refusal.into()),
    })
}

fn not_configured() -> OAuthError {
    OAuthError::described("unsupported_grant_type", "Token exchange is not configured.")
}

fn refused(fault: &Fault) -> Response {
    let Fault(status, text, code) = fault;
    let body: Value = json!({ "error": text, "oauth_error": code });
    let mut response = error::json(*status, &body);
    if *code == "invalid_client" {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"oauth\""));
    }
    response
}

/// The grant at `/o/token`, whose client was authenticated.
pub(crate) async fn standard(
    app: &App,
    client: &Client,
    form: &Parameters,
    ip: Option<IpAddr>,
) -> Result<Response, OAuthError> {
    token::allowed(client, GrantType::TokenExchange)?;
    if !client.confidential {
        return Err(OAuthError::bare("unauthorized_client"));
    }
    let described = |Fault(_, text, code): Fault| OAuthError::described(code, text);
    if form.get("subject_token_type").is_none() {
        return Err(OAuthError::described("invalid_request", "Missing subject_token_type parameter."));
    }
    check_types(form).map_err(described)?;
    if let Some(audience) = form.get("audience").filter(|audience| *audience != app.settings().site_url()) {
        return Err(OAuthError::described("invalid_target", format!("Unknown audience: {}", echoed(audience))));
    }
    check_scope(form).map_err(described)?;
    match exchange::exchange(app, client, form.get("subject_token").unwrap_or_default(), ip).await? {
        Ok(tokens) => Ok(answer(&tokens)),
        Err(Refusal::NotConfigured) => Err(not_configured()),
        Err(refusal) => Err(described(refusal.into())),
    }
}
