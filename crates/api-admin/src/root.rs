//! `GET /api/v1/`: the map of lists.

use axum::Extension;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jhe_http::Origin;
use serde_json::{Map, Value};

use crate::response::ok;

/// Key and path of each list.
const LISTS: &[(&str, &str)] = &[
    ("jheSettings", "jhe_settings"),
    ("users", "users"),
    ("practitioners", "practitioners"),
    ("practitionerClients", "practitioner_clients"),
    ("organizations", "organizations"),
    ("patients", "patients"),
    ("studies", "studies"),
    ("observations", "observations"),
    ("dataSources", "data_sources"),
    ("clients", "clients"),
    ("fhirSources", "fhir_sources"),
    ("invitation", "invitation"),
];

/// Addresses of the lists of this API.
#[utoipa::path(get, path = "/api/v1/", tag = "api", responses((status = 200, description = "Name and address of each list", body = Object)))]
pub(crate) async fn index(Extension(origin): Extension<Origin>) -> Response {
    let base = origin.base();
    let map: Map<String, Value> =
        LISTS.iter().map(|(key, path)| ((*key).to_owned(), Value::String(format!("{base}/api/v1/{path}")))).collect();
    ok(&map)
}

/// `GET /api/v1`: to the map of lists.
pub(crate) async fn slash() -> Response {
    (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, "/api/v1/")]).into_response()
}
