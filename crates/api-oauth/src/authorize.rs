//! `/o/authorize`: identity §1.4. What is wrong with the client or the redirect URI is told to the person on a page;
//! everything else goes back to the client.

use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jhe_app::App;
use jhe_app::identity::session::Visitor;
use jhe_app::identity::token::{self, Authorized, issuer};
use jhe_app::identity::{client, site_title};
use jhe_crypto::pkce;
use jhe_domain::client::{Client, GrantType};
use jhe_http::normalize::OriginalPath;
use jhe_http::{page, query};

use crate::error::{self, OAuthError};
use crate::parameters::{Parameters, ZERO};
use crate::{body, form, fresh, redirect, scope};

/// Where authorizations are asked for.
pub(crate) const PATH: &str = "/o/authorize";
/// What is served there, as routes write it.
pub(crate) const SERVED: &str = "GET,POST";

/// Begins an authorization (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2).
#[utoipa::path(get, path = "/o/authorize", tag = "oauth",
    params(("response_type" = String, Query), ("client_id" = String, Query), ("redirect_uri" = Option<String>, Query),
           ("scope" = Option<String>, Query), ("state" = Option<String>, Query), ("nonce" = Option<String>, Query),
           ("code_challenge" = String, Query), ("code_challenge_method" = String, Query, description = "S256"),
           ("prompt" = Option<String>, Query), ("max_age" = Option<i64>, Query)),
    responses((status = 302, description = "To the sign-in page, or back to the client"), (status = 200, description = "The consent page"), (status = 400, description = "A page that says what is wrong")),
    security(()))]
#[tracing::instrument(name = "oauth.authorize", skip_all)]
pub(crate) async fn request(State(app): State<App>, request: Request<Body>) -> Result<Response, OAuthError> {
    if request.method() == Method::HEAD {
        // Looking must not issue a code.
        return Ok((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, SERVED)]).into_response());
    }
    let way = Way::of(&request);
    let headers = request.headers();
    let parameters = Parameters::parse(&way.query);
    let visitor = page::visitor(&app, headers).await?;
    let prompts = prompts(&parameters);
    if prompts.contains(&"create") {
        let text = "prompt=create is not supported";
        return Ok(error::json(StatusCode::BAD_REQUEST, &error::body("invalid_request", Some(text))));
    }
    if visitor.is_none() && !prompts.contains(&"none") {
        return Ok(way.to_login(None));
    }
    let client = match bind(&app, &parameters).await? {
        Ok(client) => client,
        Err(page) => return Ok(page),
    };
    let asked = match check(&app, &parameters, client, &prompts) {
        Ok(asked) => asked,
        Err(response) => return Ok(*response),
    };
    let Some(visitor) = visitor else {
        return Ok(asked.refuse(&app, "login_required", None));
    };
    if let Some(response) = sign_in_again(&app, &way, &parameters, &visitor, &asked, &prompts) {
        return Ok(response);
    }
    let known = parameters.get("approval_prompt") == Some("auto")
        && token::authorized_before(&app, visitor.user_id, &asked.client, &asked.scopes).await?;
    if asked.client.skip_authorization || known {
        return asked.grant(&app, &visitor).await;
    }
    if prompts.contains(&"none") {
        return Ok(asked.refuse(&app, "consent_required", None));
    }
    Ok(consent_page(&app, headers, &parameters, &asked))
}

/// What becomes of a request that wants another sign-in than the one there is: a newer one, or somebody else's.
fn sign_in_again(
    app: &App,
    way: &Way,
    parameters: &Parameters,
    visitor: &Visitor,
    asked: &Asked,
    prompts: &[&str],
) -> Option<Response> {
    let other = is_somebody_else(app, parameters, visitor);
    if !prompts.contains(&"login") && !is_too_old(app, parameters, visitor) && !other {
        return None;
    }
    // Who has just signed in and is not the one the client means will not become that by signing in again.
    if prompts.contains(&"none") || (other && is_fresh(app, parameters, visitor)) {
        return Some(asked.refuse(app, "login_required", None));
    }
    Some(way.to_login(Some(&fresh::mark(app, app.now()))))
}

/// How the client wants the person to be asked.
fn prompts(parameters: &Parameters) -> Vec<&str> {
    parameters.get("prompt").unwrap_or_default().split_whitespace().collect()
}

/// The answer of the consent page.
#[utoipa::path(post, path = "/o/authorize", tag = "oauth",
    request_body(content = body::AuthorizationForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 302, description = "Back to the client"), (status = 403, description = "Not our own form")),
    security(()))]
#[tracing::instrument(name = "oauth.authorize.answer", skip_all)]
pub(crate) async fn answer(State(app): State<App>, request: Request<Body>) -> Result<Response, OAuthError> {
    let headers = request.headers().clone();
    let visitor = page::visitor(&app, &headers).await?;
    let sent = form::unchecked(&app, request.into_body()).await?;
    // A client may post its request (OpenID Connect Core §3.1.2.1); it goes on as if it had come by GET.
    if sent.get(page::CSRF_FIELD).is_none() && sent.get("allow").is_none() && sent.get("response_type").is_some() {
        let query: Vec<String> = sent
            .pairs()
            .iter()
            .map(|(name, value)| format!("{}={}", query::encode(name), query::encode(value)))
            .collect();
        return Ok(page::found(&format!("/o/authorize/?{}", query.join("&"))));
    }
    let form = match form::own(&app, &headers, sent) {
        Ok(form) => form,
        Err(page) => return Ok(page),
    };
    let way = Way::of_form(&form);
    let Some(visitor) = visitor else { return Ok(way.to_login(None)) };
    // The hidden fields came back through the browser, so everything is checked again.
    let client = match bind(&app, &form).await? {
        Ok(client) => client,
        Err(page) => return Ok(page),
    };
    let prompts = prompts(&form);
    let asked = match check(&app, &form, client, &prompts) {
        Ok(asked) => asked,
        Err(response) => return Ok(*response),
    };
    if form.get("allow").is_none() {
        return Ok(asked.refuse(&app, "access_denied", None));
    }
    // The page may have lain open, and somebody else may have signed in beside it.
    if let Some(response) = sign_in_again(&app, &way, &form, &visitor, &asked, &prompts) {
        return Ok(response);
    }
    if prompts.contains(&"none") {
        return Ok(asked.refuse(&app, "consent_required", None));
    }
    asked.grant(&app, &visitor).await
}

/// A client with the redirect URI of the request, known to be one of its own.
struct Bound {
    client: Client,
    redirect_uri: String,
    given: bool,
}

/// Finds client and redirect URI; what is wrong with them is a page, never a redirect.
async fn bind(app: &App, parameters: &Parameters) -> Result<Result<Bound, Response>, OAuthError> {
    let wrong = |text: &str| Ok(Err(form::fatal(StatusCode::BAD_REQUEST, "invalid_request", text)));
    let once = ["client_id", "response_type", "redirect_uri", "scope", "state"];
    if let Some(name) = parameters.duplicate_of(&once) {
        return wrong(&format!("Duplicate {name} parameter."));
    }
    let Some(client_id) = parameters.get("client_id") else { return wrong("Missing client_id parameter.") };
    let Some(found) = client::find(app, client_id).await? else { return wrong("Invalid client_id parameter value.") };
    let client = found.client;
    let (redirect_uri, given) = match (parameters.get("redirect_uri"), client.redirect_uris.as_slice()) {
        (Some(asked), registered) if redirect::matches(registered, asked) => (asked.to_owned(), true),
        (Some(asked), _) if url::Url::parse(asked).is_err() => return wrong("Invalid redirect URI."),
        (Some(_), _) => return wrong("Mismatching redirect URI."),
        (None, [single]) => (single.clone(), false),
        (None, _) => return wrong("Missing redirect URI."),
    };
    Ok(Ok(Bound { client, redirect_uri, given }))
}

/// An authorization request in which nothing is wrong.
struct Asked {
    client: Client,
    redirect_uri: String,
    given: bool,
    scopes: Vec<String>,
    state: Option<String>,
    nonce: Option<String>,
    code_challenge: String,
}

impl Asked {
    fn refuse(&self, app: &App, error: &str, description: Option<&str>) -> Response {
        refuse(app, &self.redirect_uri, self.state.as_deref(), error, description)
    }

    async fn grant(&self, app: &App, visitor: &Visitor) -> Result<Response, OAuthError> {
        let authorized = Authorized {
            client_id: self.client.id,
            redirect_uri: self.redirect_uri.clone(),
            redirect_uri_given: self.given,
            scope: self.scopes.join(" "),
            nonce: self.nonce.clone(),
            code_challenge: self.code_challenge.clone(),
        };
        let Some(code) = token::issue_code(app, visitor, &authorized).await? else {
            // The session ended while this request was looked at.
            return Ok(self.refuse(app, "login_required", None));
        };
        let issuer = issuer(app);
        let mut parameters = vec![("code", code.reveal().as_str())];
        parameters.extend(self.state.as_deref().map(|state| ("state", state)));
        parameters.push(("iss", &issuer));
        Ok(page::found(&redirect::with(&self.redirect_uri, &parameters)))
    }
}

/// An error sent back to the client (RFC 6749 §4.1.2.1, RFC 9207).
fn refuse(app: &App, redirect_uri: &str, state: Option<&str>, error: &str, description: Option<&str>) -> Response {
    let issuer = issuer(app);
    let mut parameters = vec![("error", error)];
    parameters.extend(description.map(|text| ("error_description", text)));
    parameters.extend(state.map(|state| ("state", state)));
    parameters.push(("iss", &issuer));
    page::found(&redirect::with(redirect_uri, &parameters))
}

fn check(app: &App, parameters: &Parameters, bound: Bound, prompts: &[&str]) -> Result<Asked, Box<Response>> {
    // One that no client can have meant is not sent back.
    let state = parameters.get("state").filter(|state| !state.contains('\0')).map(str::to_owned);
    let redirect_uri = bound.redirect_uri.clone();
    let wrong = |error: &str, description: Option<&str>| {
        Err(Box::new(refuse(app, &redirect_uri, state.as_deref(), error, description)))
    };
    match parameters.get("response_type") {
        None => return wrong("invalid_request", Some("Missing response_type parameter.")),
        Some("code") => {}
        Some(_) => return wrong("unsupported_response_type", None),
    }
    if !bound.client.may(GrantType::AuthorizationCode) {
        return wrong("unauthorized_client", None);
    }
    if parameters.get("request").is_some() {
        return wrong("request_not_supported", None);
    }
    if parameters.get("request_uri").is_some() {
        return wrong("request_uri_not_supported", None);
    }
    let Some(code_challenge) = parameters.get("code_challenge") else {
        return wrong("invalid_request", Some("Code challenge required."));
    };
    if parameters.get("code_challenge_method") != Some("S256") {
        return wrong("invalid_request", Some("Transform algorithm not supported."));
    }
    if !pkce::is_valid_challenge(code_challenge) {
        return wrong("invalid_request", Some("Invalid code_challenge."));
    }
    let Some(scopes) = scope::parse(parameters.get("scope")) else { return wrong("invalid_scope", None) };
    if parameters.get("max_age").is_some_and(|seconds| seconds.parse::<u32>().is_err()) {
        return wrong("invalid_request", Some("Invalid max_age."));
    }
    if prompts.contains(&"none") && prompts.len() > 1 {
        return wrong("invalid_request", None);
    }
    if parameters.has_zero(|_| true) {
        return wrong("invalid_request", Some(ZERO));
    }
    Ok(Asked {
        client: bound.client,
        redirect_uri: bound.redirect_uri,
        given: bound.given,
        scopes,
        state,
        nonce: parameters.get("nonce").map(str::to_owned),
        code_challenge: code_challenge.to_owned(),
    })
}

/// Whether the sign-in is older than the client wants it (OpenID Connect Core §3.1.2.1), or than the moment a new one
/// was asked for.
fn is_too_old(app: &App, parameters: &Parameters, visitor: &Visitor) -> bool {
    let seconds = parameters.get("max_age").and_then(|seconds| seconds.parse::<i64>().ok());
    let asked_for = parameters.get(fresh::PARAMETER).and_then(|mark| fresh::read(app, mark));
    seconds.is_some_and(|seconds| seconds <= 0 || (app.now() - visitor.auth_time).num_seconds() > seconds)
        || asked_for.is_some_and(|moment| visitor.auth_time.timestamp_micros() <= moment)
}

/// Whether the client shows an id token of another account than the one that is signed in (OpenID Connect Core §3.1.2.1).
fn is_somebody_else(app: &App, parameters: &Parameters, visitor: &Visitor) -> bool {
    let Some(hint) = parameters.get("id_token_hint") else { return false };
    let claims = app.identity().own_claims(hint);
    let subject = claims.as_ref().and_then(|claims| claims.get("sub")?.as_str());
    subject != Some(visitor.user_id.to_string().as_str())
}

/// Whether the sign-in came after the moment a new one was asked for.
fn is_fresh(app: &App, parameters: &Parameters, visitor: &Visitor) -> bool {
    let asked_for = parameters.get(fresh::PARAMETER).and_then(|mark| fresh::read(app, mark));
    asked_for.is_some_and(|moment| visitor.auth_time.timestamp_micros() > moment)
}

/// Path and query of a request, as they were sent: the way back to it.
struct Way {
    path: String,
    query: String,
}

impl Way {
    fn of(request: &Request<Body>) -> Self {
        let uri = request.uri();
        let sent = request.extensions().get::<OriginalPath>();
        Self {
            path: sent.map_or_else(|| uri.path().to_owned(), |path| path.0.clone()),
            query: uri.query().unwrap_or_default().to_owned(),
        }
    }

    /// To the request that a form of ours came from.
    fn of_form(form: &Parameters) -> Self {
        let pairs =
            form.pairs().iter().map(|(name, value)| format!("{}={}", query::encode(name), query::encode(value)));
        Self { path: "/o/authorize/".to_owned(), query: pairs.collect::<Vec<_>>().join("&") }
    }

    /// To the sign-in page and back. What the new sign-in fulfils is taken out of the way back; `mark` goes along where the
    /// old sign-in must not do.
    fn to_login(&self, mark: Option<&str>) -> Response {
        let fulfilled = |part: &&str| {
            let name = query::decode(part.split('=').next().unwrap_or_default());
            matches!(name.as_str(), "prompt" | "max_age" | "allow" | page::CSRF_FIELD | fresh::PARAMETER)
        };
        let mut parts: Vec<&str> = self.query.split('&').filter(|part| !fulfilled(part)).collect();
        let mark = mark.map(|mark| format!("{}={}", fresh::PARAMETER, query::encode(mark)));
        parts.extend(mark.as_deref());
        let kept = parts.join("&");
        form::to_login(&if kept.is_empty() { self.path.clone() } else { format!("{}?{kept}", self.path) })
    }
}

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    title: String,
    client: &'a str,
    scopes: Vec<&'static str>,
    form_token: &'a str,
    hidden: Vec<(&'a str, &'a str)>,
}

fn consent_page(app: &App, headers: &HeaderMap, parameters: &Parameters, asked: &Asked) -> Response {
    let token = page::form_token(app, headers);
    let names = [
        "redirect_uri",
        "scope",
        "nonce",
        "client_id",
        "state",
        "response_type",
        "code_challenge",
        "code_challenge_method",
        "max_age",
        "id_token_hint",
        fresh::PARAMETER,
    ];
    let shown = ConsentPage {
        title: site_title(app),
        client: &asked.client.name,
        scopes: asked.scopes.iter().map(|name| scope::description(name)).collect(),
        form_token: &token.field,
        hidden: names.into_iter().filter_map(|name| Some((name, parameters.get(name)?))).collect(),
    };
    let target = page::form_target(&asked.redirect_uri).unwrap_or_default();
    let mut response = page::html(StatusCode::OK, shown.render().unwrap_or_default(), &target);
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Some(cookie) = &token.set_cookie {
        page::set_cookie(&mut response, cookie);
    }
    response
}
