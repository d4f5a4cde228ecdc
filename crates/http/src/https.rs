//! Sends requests that came without TLS to the same address with it, where the operator wants that.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jhe_app::App;

use crate::Origin;
use crate::normalize::OriginalPath;
use crate::refuse::is_probe;

/// Layer: redirects for good. Probes come from inside and are let through; so are hosts that are not ours, to be refused.
pub async fn require(app: &App, request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
    if !app.config().site.ssl_redirect || is_probe(request.uri().path()) {
        return next(request).await;
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    match Origin::of(request.headers(), request.uri(), peer, app.config()) {
        Some(origin) if origin.scheme == "http" => redirect(&request, &origin),
        _ => next(request).await,
    }
}

fn redirect(request: &Request, origin: &Origin) -> Response {
    let uri = request.uri();
    let path = request.extensions().get::<OriginalPath>().map_or(uri.path(), |path| path.0.as_str());
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // Only these two may be repeated as a GET by every client.
    let status = if matches!(*request.method(), Method::GET | Method::HEAD) {
        StatusCode::MOVED_PERMANENTLY
    } else {
        StatusCode::PERMANENT_REDIRECT
    };
    match HeaderValue::from_str(&format!("https://{}{path}{query}", origin.host)) {
        Ok(target) => (status, [(header::LOCATION, target)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}
