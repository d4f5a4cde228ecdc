//! Cross-origin calls of the APIs: for configured origins and those of clients, by bearer token, never with cookies.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jhe_app::App;

const METHODS: &str = "GET, POST, PUT, PATCH, DELETE, OPTIONS";
const REQUEST_HEADERS: &str = "Authorization, Content-Type, X-JHE-FHIR-Source-ID, Cache-Control";
const EXPOSED: &str = "Location, ETag, Link, X-Request-Id, Retry-After, X-JHE-Sequence";

/// Layer: answers preflights and marks answers of `/api/v1` and the FHIR bases for origins that may read them.
///
/// Answers that are public anyway (discovery, capability) carry `*` already and keep it; so does redeeming an
/// invitation, for patients' web clients on any origin.
pub async fn allow_origins(app: &App, request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
    let path = request.uri().path();
    if !["/api/v1", "/fhir/r5"].iter().any(|base| path.starts_with(base)) {
        return next(request).await;
    }
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return next(request).await;
    };
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD);
    let preflight = request.method() == Method::OPTIONS && asked.is_some();
    let method = if preflight { asked.and_then(|name| name.to_str().ok()) } else { Some(request.method().as_str()) };
    let allowed = if is_redeem(path) && method == Some("POST") {
        Some(HeaderValue::from_static("*"))
    } else {
        match origin.to_str() {
            Ok(text) if app.trusts_origin(text).await => Some(origin),
            _ => None,
        }
    };
    let mut response = match &allowed {
        Some(_) if preflight => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            permit(response.headers_mut());
            response
        }
        _ => next(request).await,
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = allowed
        && !headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
    response
}

fn permit(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(REQUEST_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
}

/// `/api/v1/invitation/{token}`.
fn is_redeem(path: &str) -> bool {
    path.strip_prefix("/api/v1/invitation/").is_some_and(|token| !token.is_empty() && !token.contains('/'))
}
