//! `/o/logout`: a client asks that its user be signed out (OpenID Connect RP-Initiated Logout 1.0).
//!
//! Without a form only where the client shows an id token of the very account that is signed in; else the person is
//! asked. It leads back only to an address the client registered for that.

use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use jhe_app::App;
use jhe_app::identity::token::issuer;
use jhe_app::identity::{client, site_title};
use jhe_domain::client::Client;
use jhe_http::{Origin, page};
use serde_json::Value;

use crate::body;
use crate::error::OAuthError;
use crate::form;
use crate::parameters::Parameters;
use crate::redirect;

#[derive(Template)]
#[template(path = "logout.html")]
struct LogoutPage<'a> {
    title: String,
    client: &'a str,
    form_token: &'a str,
    hidden: Vec<(&'a str, &'a str)>,
}

/// What a client asks for.
struct Asked {
    client: Option<Client>,
    /// Whom its id token is about.
    subject: Option<String>,
    /// Where to go afterwards.
    target: Option<String>,
}

impl Asked {
    /// Where signing out leads.
    fn after(&self) -> &str {
        self.target.as_deref().unwrap_or("/")
    }
}

/// Signs out at the wish of a client.
#[utoipa::path(get, path = "/o/logout", operation_id = "logout_request", tag = "oauth",
    params(("id_token_hint" = Option<String>, Query), ("client_id" = Option<String>, Query), ("post_logout_redirect_uri" = Option<String>, Query), ("state" = Option<String>, Query)),
    responses((status = 302, description = "Signed out"), (status = 200, description = "A page that asks"), (status = 400, description = "A page that says what is wrong")), security(()))]
#[tracing::instrument(name = "oauth.logout", skip_all)]
pub(crate) async fn request(State(app): State<App>, request: Request<Body>) -> Result<Response, OAuthError> {
    let parameters = Parameters::parse(request.uri().query().unwrap_or_default());
    let ip = request.extensions().get::<Origin>().and_then(|origin| origin.peer);
    let headers = request.headers();
    let asked = match read(&app, &parameters).await? {
        Ok(asked) => asked,
        Err(page) => return Ok(page),
    };
    let visitor = page::visitor(&app, headers).await?;
    let named = visitor.as_ref().map(|visitor| visitor.user_id.to_string());
    if visitor.is_none() || (asked.subject.is_some() && asked.subject == named) {
        if request.method() == Method::HEAD {
            // Looking must sign nobody out.
            return Ok(page::found(asked.after()));
        }
        return end(&app, headers, &asked, ip).await;
    }
    Ok(ask(&app, headers, &parameters, &asked))
}

/// The answer of the page that asks.
#[utoipa::path(post, path = "/o/logout", operation_id = "logout_answer", tag = "oauth",
    request_body(content = body::LogoutForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 302, description = "Signed out"), (status = 200, description = "A page that asks"), (status = 400, description = "A page that says what is wrong")), security(()))]
#[tracing::instrument(name = "oauth.logout.answer", skip_all)]
pub(crate) async fn answer(State(app): State<App>, request: Request<Body>) -> Result<Response, OAuthError> {
    let headers = request.headers().clone();
    let ip = request.extensions().get::<Origin>().and_then(|origin| origin.peer);
    let limit = app.config().limits.body_bytes;
    let bytes = jhe_http::body::read(request.into_body(), limit).await;
    let bytes = bytes.map_err(|_| OAuthError::bare("invalid_request"))?;
    let form = Parameters::parse(&String::from_utf8_lossy(&bytes));
    let asked = match read(&app, &form).await? {
        Ok(asked) => asked,
        Err(page) => return Ok(page),
    };
    // Clients may post, too; their posts are no answers of ours, so they lead to the page.
    if form.get("allow").is_some() && page::is_own_form(&app, &headers, form.get(page::CSRF_FIELD)) {
        return end(&app, &headers, &asked, ip).await;
    }
    Ok(ask(&app, &headers, &form, &asked))
}

async fn read(app: &App, parameters: &Parameters) -> Result<Result<Asked, Response>, OAuthError> {
    let wrong = |text: &str| Ok(Err(form::fatal(StatusCode::BAD_REQUEST, "invalid_request", text)));
    // An id token that has expired still tells whom it was about.
    let hint = parameters.get("id_token_hint");
    let claims = hint.and_then(|hint| app.identity().own_claims(hint));
    let claims = claims.filter(|claims| claims.get("iss").and_then(Value::as_str) == Some(issuer(app).as_str()));
    if hint.is_some() && claims.is_none() {
        return wrong("Invalid id_token_hint.");
    }
    let text = |name: &str| claims.as_ref().and_then(|claims| claims.get(name)?.as_str().map(str::to_owned));
    let audience = text("aud");
    if let (Some(audience), Some(client_id)) = (&audience, parameters.get("client_id"))
        && audience != client_id
    {
        return wrong("Mismatching client_id.");
    }
    let client_id = audience.or_else(|| parameters.get("client_id").map(str::to_owned));
    let client = match client_id {
        Some(client_id) => client::find(app, &client_id).await?.map(|found| found.client),
        None => None,
    };
    let target = match (parameters.get("post_logout_redirect_uri"), &client) {
        (None, _) => None,
        (Some(uri), Some(client)) if client.post_logout_redirect_uris.split_whitespace().any(|known| known == uri) => {
            let state = parameters.get("state").map(|state| ("state", state));
            Some(redirect::with(uri, state.as_slice()))
        }
        (Some(_), _) => return wrong("Mismatching post_logout_redirect_uri."),
    };
    Ok(Ok(Asked { client, subject: text("sub"), target }))
}

async fn end(
    app: &App,
    headers: &HeaderMap,
    asked: &Asked,
    ip: Option<std::net::IpAddr>,
) -> Result<Response, OAuthError> {
    page::end_session(app, headers, ip).await?;
    let mut response = page::found(asked.after());
    page::set_cookie(&mut response, &page::end_session_cookie(app));
    Ok(response)
}

fn ask(app: &App, headers: &HeaderMap, parameters: &Parameters, asked: &Asked) -> Response {
    let names = ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"];
    let token = page::form_token(app, headers);
    let shown = LogoutPage {
        title: site_title(app),
        client: asked.client.as_ref().map_or("", |client| client.name.as_str()),
        form_token: &token.field,
        hidden: names.into_iter().filter_map(|name| Some((name, parameters.get(name)?))).collect(),
    };
    let target = asked.target.as_deref().and_then(page::form_target).unwrap_or_default();
    let mut response = page::html(StatusCode::OK, shown.render().unwrap_or_default(), &target);
    if let Some(cookie) = &token.set_cookie {
        page::set_cookie(&mut response, cookie);
    }
    response
}
