//! Device: data sources of studies, to search and to read.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jhe_app::App;
use jhe_http::Caller;

use crate::error::FhirError;
use crate::path::SentId;
use crate::record::{self, DataSources};
use crate::search::SearchCall;

/// Searches data sources of studies.
#[utoipa::path(get, path = "/fhir/r5/Device", tag = "fhir", operation_id = "searchDevices",
    params(("type" = Option<String>, Query, description = "The constant `data-source`, or a type of data source"),
           ("device-name" = Option<String>, Query),
           ("patient" = Option<String>, Query, description = "Patient ids"),
           ("_has:Group:member:_id" = Option<String>, Query, description = "Study ids"),
           ("patient.organization" = Option<String>, Query, description = "Organization ids"),
           ("_id" = Option<String>, Query), ("_lastUpdated" = Option<String>, Query), ("_source" = Option<String>, Query),
           ("_sort" = Option<String>, Query), ("_count" = Option<i64>, Query), ("_page" = Option<String>, Query),
           ("_offset" = Option<i64>, Query), ("_cursor" = Option<String>, Query), ("_total" = Option<String>, Query),
           ("_summary" = Option<String>, Query), ("_elements" = Option<String>, Query)),
    responses((status = 200, description = "A searchset Bundle", content_type = "application/fhir+json", body = Object),
              (status = 400, description = "A parameter is wrong"), (status = 403, description = "Something named is not the caller's")))]
#[tracing::instrument(name = "fhir.device.search", skip_all)]
pub(crate) async fn search(
    State(app): State<App>,
    Caller(actor): Caller,
    call: SearchCall,
) -> Result<Response, FhirError> {
    record::search::<DataSources>(&app, &actor, &call).await
}

/// Searches data sources of studies; the parameters are a form.
#[utoipa::path(post, path = "/fhir/r5/Device/_search", tag = "fhir", operation_id = "searchDevicesByPost",
    request_body(content = Object, content_type = "application/x-www-form-urlencoded",
        description = "The parameters of `GET /fhir/r5/Device`, each a field of the form; those in the address count, too",
        example = json!({"_count": "50"})),
    responses((status = 200, description = "A searchset Bundle", content_type = "application/fhir+json", body = Object)))]
#[tracing::instrument(name = "fhir.device.search", skip_all)]
pub(crate) async fn search_by_post(
    State(app): State<App>,
    Caller(actor): Caller,
    call: SearchCall,
) -> Result<Response, FhirError> {
    record::search::<DataSources>(&app, &actor, &call).await
}

/// The same by GET, which the links of such a search use.
#[utoipa::path(get, path = "/fhir/r5/Device/_search", tag = "fhir", operation_id = "continueDeviceSearch",
    responses((status = 200, description = "A searchset Bundle", content_type = "application/fhir+json", body = Object)))]
#[tracing::instrument(name = "fhir.device.search", skip_all)]
pub(crate) async fn search_by_get(
    State(app): State<App>,
    Caller(actor): Caller,
    call: SearchCall,
) -> Result<Response, FhirError> {
    record::search::<DataSources>(&app, &actor, &call).await
}

/// One of them.
#[utoipa::path(get, path = "/fhir/r5/Device/{id}", tag = "fhir", operation_id = "readDevice", params(("id" = String, Path)),
    responses((status = 200, description = "The Device", content_type = "application/fhir+json", body = Object),
              (status = 304, description = "Unchanged"), (status = 404, description = "Not readable, or there is none")))]
#[tracing::instrument(name = "fhir.device.read", skip_all)]
pub(crate) async fn read(
    State(app): State<App>,
    Caller(actor): Caller,
    SentId(id): SentId,
    headers: HeaderMap,
) -> Result<Response, FhirError> {
    record::read::<DataSources>(&app, &actor, &id, &headers).await
}
