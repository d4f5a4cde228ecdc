//! Which apps open links of this site: files that phones read (identity §7.4). Served byte for byte, from a folder of
//! the operator's where one is configured.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use jhe_app::App;

/// `/.well-known/apple-app-site-association`.
pub(crate) async fn apple(State(app): State<App>) -> Response {
    file(&app, "apple-app-site-association", include_bytes!("../static/well-known/apple-app-site-association")).await
}

/// `/.well-known/assetlinks.json`.
pub(crate) async fn android(State(app): State<App>) -> Response {
    file(&app, "assetlinks.json", include_bytes!("../static/well-known/assetlinks.json")).await
}

async fn file(app: &App, name: &str, built_in: &'static [u8]) -> Response {
    let own = match &app.config().site.well_known_dir {
        Some(folder) => tokio::fs::read(folder.join(name)).await.ok(),
        None => None,
    };
    let headers = [(header::CONTENT_TYPE, "application/json")];
    match own {
        Some(bytes) => (headers, bytes).into_response(),
        None => (headers, built_in).into_response(),
    }
}
