//! The public documents about the server.

use axum::Extension;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use jhe_fhir::{ResourceType, discovery};
use jhe_http::Origin;
use jhe_http::normalize::FhirBase;

use crate::negotiate::FHIR_JSON;

/// `CapabilityStatement.date`: when what it says last changed.
const WRITTEN: &str = "2026-11-26T00:00:00Z";

/// What the routes of the family serve.
const SERVED: [ResourceType; 7] = [
    ResourceType::Observation,
    ResourceType::Patient,
    ResourceType::Group,
    ResourceType::Device,
    ResourceType::Organization,
    ResourceType::Practitioner,
    ResourceType::AuditEvent,
];

/// The CapabilityStatement.
#[utoipa::path(get, path = "/fhir/r5/metadata", tag = "fhir", operation_id = "capabilityStatement", security(()),
    responses((status = 200, description = "The CapabilityStatement", content_type = "application/fhir+json", body = Object)))]
#[tracing::instrument(name = "fhir.metadata", skip_all)]
pub(crate) async fn metadata(
    State(app): State<App>,
    Extension(origin): Extension<Origin>,
    Extension(base): Extension<FhirBase>,
) -> Response {
    let root = format!("{}{}", origin.base(), base.0);
    public(discovery::native_capability_statement(&root, &app.settings().site_url(), WRITTEN, &SERVED))
}

/// The SMART App Launch configuration.
#[utoipa::path(get, path = "/fhir/r5/.well-known/smart-configuration", tag = "fhir", operation_id = "smartConfiguration", security(()),
    responses((status = 200, description = "Endpoints and capabilities", body = Object)))]
#[tracing::instrument(name = "fhir.smart_configuration", skip_all)]
pub(crate) async fn smart_configuration(State(app): State<App>) -> Response {
    public(discovery::smart_configuration(&app.settings().site_url()))
}

/// The same document where clients look that know the site alone.
#[utoipa::path(get, path = "/.well-known/smart-configuration", tag = "fhir", operation_id = "smartConfigurationOfSite", security(()),
    responses((status = 200, description = "Endpoints and capabilities", body = Object)))]
#[tracing::instrument(name = "fhir.smart_configuration", skip_all)]
pub(crate) async fn smart_configuration_of_site(State(app): State<App>) -> Response {
    public(discovery::smart_configuration(&app.settings().site_url()))
}

fn public(body: String) -> Response {
    let headers = [(header::CONTENT_TYPE, FHIR_JSON), (header::CACHE_CONTROL, "public, max-age=3600")];
    (headers, body).into_response()
}
