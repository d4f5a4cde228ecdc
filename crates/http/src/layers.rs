//! Layers around the whole server: request id and log, panics, security headers.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use uuid::Uuid;

use crate::refuse::Refusal;
use crate::timeout::TimeLimit;
use crate::trace::{Parent, TraceId};
use crate::{known, route};

/// Header that carries the id of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request, for the log and for error reports.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Layer: gives every request an id and one line in the log. Logs the route template, never the path or the query.
pub async fn log(mut request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
    let id = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|value| is_well_formed(value))
        .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    let parent = Parent::of(request.headers());
    let method = request.method().clone();
    let route = route::of(&request).to_owned();
    request.extensions_mut().insert(RequestId(id.clone()));
    let started = Instant::now();
    let (mut response, caller) = known::within(async { (next(request).await, known::current()) }).await;
    let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
    if !is_probe(&route) {
        let trace = response.extensions().get::<TraceId>().map(|id| id.0).or(parent.map(|parent| parent.trace));
        tracing::info!(
            method = %method,
            route,
            status = response.status().as_u16(),
            duration_ms,
            // Not known of what is still being written while it is sent.
            bytes = response.body().size_hint().exact(),
            request.id = id,
            trace.id = trace.map(|id| id.to_string()),
            user.id = caller.user_id.map(|id| id.0),
            client.id = caller.application_id.map(|id| id.0),
            "request"
        );
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Asked every few seconds by whatever looks after the process, so in neither log nor traces.
pub(crate) fn is_probe(route: &str) -> bool {
    matches!(route, "/health" | "/ready" | "/livez" | "/readyz")
}

fn is_well_formed(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Longest body that is read before its request is looked at.
const SHORT: usize = 64 * 1024;
/// How long that may take at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// Layer: reads a short body to its end before the request is looked at. A refusal that leaves a body unread ends the
/// connection, on which the caller may be sending the next request already; with a long body it is told so. What does not
/// come within the time of a request is not waited for.
pub async fn read_short_bodies(
    time: TimeLimit,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match length.and_then(|text| text.parse::<usize>().ok()) {
        None | Some(0) => next(request).await,
        Some(length) if length <= SHORT => {
            let (parts, body) = request.into_parts();
            let refusal = match tokio::time::timeout(PATIENCE.min(time.most), axum::body::to_bytes(body, SHORT)).await {
                Ok(Ok(bytes)) => return next(Request::from_parts(parts, Body::from(bytes))).await,
                Ok(Err(_)) => Refusal::Body(StatusCode::BAD_REQUEST, "The body of the request broke off."),
                Err(_) => {
                    ::metrics::counter!("jhe_http_timeouts_total").increment(1);
                    Refusal::Body(StatusCode::REQUEST_TIMEOUT, "The body of the request did not come in time.")
                }
            };
            closing((time.refuse)(&parts.uri, refusal))
        }
        Some(_) => {
            let response = next(request).await;
            if response.status().is_client_error() { closing(response) } else { response }
        }
    }
}

/// Says that the connection ends with this answer.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Layer: headers every answer carries.
pub async fn secure(app: &App, request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
    let mut response = next(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    if app.settings().site_url().starts_with("https://") {
        // RFC 6797: browsers that have been here once never come back without TLS.
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    if let Ok(value) = HeaderValue::from_str(&app.config().site.x_frame_options) {
        headers.insert(header::X_FRAME_OPTIONS, value);
    }
    response
}

/// What a caller sees of a panic: nothing but that it happened.
pub fn on_panic(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    tracing::error!("a handler panicked");
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        [(header::CONTENT_TYPE, "application/json; charset=utf-8")],
        r#"{"detail":"Internal server error."}"#,
    )
        .into_response()
}
