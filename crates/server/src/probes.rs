//! Probes: whether the process lives, and whether requests should be sent to it.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jhe_app::App;
use jhe_http::stopping::Stopping;

/// How long the database may take: those who probe do not wait longer, and would not hear the reason.
const PATIENCE: Duration = Duration::from_secs(2);

/// The routes of the probes.
#[expect(clippy::disallowed_methods, reason = "probes are for machines that run the server, not part of the API")]
pub(crate) fn router(stopping: &Stopping) -> Router<App> {
    let stopping = stopping.clone();
    let ready = get(move |State(app): State<App>| async move { ready(&app, &stopping).await });
    Router::new()
        .route("/health", get(alive))
        .route("/livez", get(alive))
        .route("/ready", ready.clone())
        .route("/readyz", ready)
}

/// Liveness: the process answers.
async fn alive() -> Response {
    let body = format!("{{\"status\":\"ok\",\"version\":\"v{}\"}}", env!("CARGO_PKG_VERSION"));
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Readiness: the server is not stopping, the database answers and is as this program expects it, the keys are loaded.
async fn ready(app: &App, stopping: &Stopping) -> Response {
    let mut reasons = Vec::new();
    if stopping.has_begun() {
        reasons.push("the server is stopping");
    }
    match tokio::time::timeout(PATIENCE, app.store().pending_migrations()).await {
        Ok(Ok(pending)) if pending.is_empty() => {}
        Ok(Ok(_)) => reasons.push("migrations are pending"),
        Ok(Err(_)) | Err(_) => reasons.push("the database does not answer"),
    }
    if app.identity().kid().is_none() {
        reasons.push("there is no signing key");
    }
    let (status, word) =
        if reasons.is_empty() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    let body = serde_json::json!({ "status": word, "reasons": reasons });
    (status, [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body.to_string())
        .into_response()
}
