//! Bearer authentication (RFC 6750): from the header alone, never from a cookie, the query or a form.

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use jhe_app::identity::token::has_scope;
use jhe_authz::Actor;
use jhe_domain::error::{CredentialFault, Error, Why};

use crate::family::Family;
use crate::known::{self, Known};
use crate::query;

/// The authenticated caller, put there by [`authenticate`].
#[derive(Debug, Clone)]
pub struct Caller(pub Actor);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        // Absent only where a protected handler was registered without the layer, which the access matrix would show.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| StatusCode::UNAUTHORIZED.into_response())
    }
}

/// Layer: finds the caller or answers 401 in the family's words.
pub async fn authenticate<F: Family>(
    app: &App,
    mut request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let actor = match find_caller(app, request.headers()).await {
        Ok(actor) => actor,
        Err(error) => return F::render(error),
    };
    match within_scope(app, &actor, &request) {
        Ok(()) => {
            request.extensions_mut().insert(Caller(actor));
            next(request).await
        }
        Err(error) => F::render(error),
    }
}

/// The caller a request's bearer token stands for.
pub async fn find_caller(app: &App, headers: &HeaderMap) -> Result<Actor, Error> {
    let token = bearer_token(headers).ok_or(Error::Unauthenticated(CredentialFault::Missing))?;
    let actor = jhe_authz::authenticate(&mut app.store(), &jhe_crypto::token::digest(token), app.now()).await?;
    // Also of one who is refused afterwards: log and audit trail tell of that like of anything else.
    known::note(Known {
        user_id: Some(actor.user_id()),
        application_id: actor.application_id(),
        superuser: actor.is_superuser(),
    });
    Ok(actor)
}

/// Whether a request changes nothing, by its method or although it is a POST. Two GETs do not only read: the one that makes an
/// invitation, whose answer lets its reader in as the patient, and the one that forgets consents.
pub(crate) fn only_reads(method: &Method, uri: &Uri) -> bool {
    let path = uri.path();
    let forgets = || {
        let is_reset =
            |(name, value): &(String, String)| name.eq_ignore_ascii_case("reset") && value.eq_ignore_ascii_case("true");
        path.ends_with("/consents") && query::pairs(uri.query().unwrap_or_default()).iter().any(is_reset)
    };
    match *method {
        Method::GET => !(path.starts_with("/api/") && (path.ends_with("/invitation_link") || forgets())),
        Method::HEAD | Method::OPTIONS => true,
        Method::POST => path.ends_with("/_search") || path == "/o/userinfo",
        _ => false,
    }
}

/// Where the site enforces OAuth scopes, a token with `read` but without `write` only reads (identity §2.8). Scopes never
/// widen what roles permit, and tokens with neither are as before.
fn within_scope(app: &App, actor: &Actor, request: &Request) -> Result<(), Error> {
    let reads = only_reads(request.method(), request.uri());
    let reader = has_scope(actor.oauth_scope(), "read") && !has_scope(actor.oauth_scope(), "write");
    if reader && !reads && app.settings().bool("auth.enforce_rw_scopes", false) {
        return Err(Error::denied(Why::NotPermitted));
    }
    Ok(())
}

/// The bearer token of a request; other schemes count as none.
pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The `WWW-Authenticate` header for a fault (RFC 6750 §3).
pub const fn challenge(fault: CredentialFault) -> &'static str {
    match fault {
        CredentialFault::Missing => r#"Bearer realm="api""#,
        CredentialFault::Invalid => {
            r#"Bearer realm="api",error="invalid_token",error_description="The access token is invalid.""#
        }
        CredentialFault::Expired => {
            r#"Bearer realm="api",error="invalid_token",error_description="The access token has expired.""#
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bearer_scheme_counts() {
        let check = |value: &str, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(bearer_token(&headers), expected, "{value}");
        };
        check("Bearer abc", Some("abc"));
        check("bearer  abc ", Some("abc"));
        check("Basic abc", None);
        check("Bearer ", None);
        check("Bearer", None);
    }
}
