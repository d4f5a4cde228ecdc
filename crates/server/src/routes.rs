//! All routes of the server, and the layers around them.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use jhe_domain::error::Error;
use jhe_http::family::Family as _;
use jhe_http::{DocumentedRouter, Origin, account, cors, layers};
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

use crate::openapi;

/// The whole server as a service for one address.
pub fn service(app: &App) -> Router {
    let api = DocumentedRouter::new()
        .merge(jhe_api_admin::router(app))
        .merge(jhe_api_fhir::router(app))
        .merge(jhe_api_oauth::router(app));
    let (api, _) = api.split_for_parts();
    let router = api
        .merge(openapi::pages(&openapi::document()))
        .merge(jhe_web::router(app))
        .merge(health(app))
        .fallback(unknown)
        .layer(from_fn_with_state(app.clone(), cors::allow_origins))
        .layer(from_fn_with_state(app.clone(), layers::secure))
        .layer(from_fn_with_state((app.clone(), render as account::Render), account::account))
        .layer(from_fn(layers::log))
        .layer(CatchPanicLayer::custom(layers::on_panic))
        .layer(from_fn(layers::read_short_bodies))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(1024)))
        .with_state(app.clone());
    // Paths are rewritten before routing, which a layer of the router would be too late for.
    Router::new().fallback_service(
        router.map_request(jhe_http::normalize::normalize).map_response(jhe_http::normalize::complete_allow),
    )
}

/// An error on a path, in the words of the family it belongs to.
fn render(path: &str, error: Error) -> Response {
    if path == "/api" || path.starts_with("/api/") {
        jhe_api_admin::Admin::render(error)
    } else if path.starts_with("/fhir/r5") || path.starts_with("/fhir-import") {
        jhe_api_fhir::Fhir::render(error)
    } else if path == "/o" || path.starts_with("/o/") {
        jhe_api_oauth::OAuth::render(error)
    } else {
        jhe_web::Web::render(error)
    }
}

/// A path nobody serves, in the words of the family it would belong to.
async fn unknown(axum::extract::State(app): axum::extract::State<App>, request: axum::extract::Request) -> Response {
    let path = request.uri().path();
    if Origin::of(request.headers(), request.uri(), None, app.config()).is_none() {
        return jhe_web::Web::invalid_host();
    }
    if path == "/api" || path.starts_with("/api/") {
        jhe_api_admin::unknown_path()
    } else if path.starts_with("/fhir/r5") || path.starts_with("/fhir-import") {
        jhe_api_fhir::unknown_path(&request)
    } else if path == "/o" || path.starts_with("/o/") {
        jhe_api_oauth::unknown_path(&request)
    } else {
        jhe_web::unknown_path()
    }
}

fn health(app: &App) -> Router<App> {
    #[expect(clippy::disallowed_methods, reason = "probes are for machines that run the server, not part of the API")]
    fn probes(_app: &App) -> Router<App> {
        Router::new()
            .route("/health", axum::routing::get(alive))
            .route("/livez", axum::routing::get(alive))
            .route("/ready", axum::routing::get(ready))
            .route("/readyz", axum::routing::get(ready))
    }
    probes(app)
}

/// Liveness: the process answers.
async fn alive() -> Response {
    let body = format!("{{\"status\":\"ok\",\"version\":\"v{}\"}}", env!("CARGO_PKG_VERSION"));
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Readiness: the database answers and the keys are loaded.
async fn ready(axum::extract::State(app): axum::extract::State<App>) -> Response {
    let mut reasons = Vec::new();
    if app.store().ping().await.is_err() {
        reasons.push("the database does not answer");
    }
    if app.identity().kid().is_none() {
        reasons.push("there is no signing key");
    }
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body =
        serde_json::json!({ "status": if reasons.is_empty() { "ready" } else { "not ready" }, "reasons": reasons });
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
