//! Outside record systems: contract admin-api §6.12.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jhe_app::{App, fhir_aux_resource, fhir_source as usecase};
use jhe_authz::{Actor, Authorizer};
use jhe_domain::error::{Error, Lookup, Violations};
use jhe_domain::fhir_aux_resource::ReferenceCounts;
use jhe_domain::fhir_source::{FhirSource, FhirSourceChange};
use jhe_domain::{DataSourceId, FhirSourceId, Phi};
use jhe_http::{Caller, Origin, account};
use serde::Serialize;
use utoipa::ToSchema;

use crate::body;
use crate::error::AdminError;
use crate::fields::{Fields, text};
use crate::paging::{DEFAULT_LONG, PageJson, Paging};
use crate::path::{PathId, SentPath};
use crate::query::AdminQuery;
use crate::response::{created, no_content, ok};
use crate::time::timestamp;

/// An outside record system a patient brings data from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FhirSourceJson {
    id: i64,
    patient: i64,
    data_source: i64,
    label: String,
    fhir_base_url: String,
    #[schema(format = DateTime)]
    last_updated: String,
}

impl From<FhirSource> for FhirSourceJson {
    fn from(source: FhirSource) -> Self {
        Self {
            id: source.id.0,
            patient: source.patient_id.0,
            data_source: source.data_source_id.0,
            label: source.label.into_inner(),
            fhir_base_url: source.fhir_base_url,
            last_updated: timestamp(source.last_updated),
        }
    }
}

/// What indexing the references of a record system did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"rowsIndexed": 2, "refsRewritten": 1, "refsNotFound": 0}))]
pub(crate) struct IndexedJson {
    /// Resources that were not indexed since they were stored.
    rows_indexed: u64,
    /// References that point to an imported resource now, those that an earlier run had not found among them.
    refs_rewritten: u64,
    /// References of the resources just indexed whose target was not imported. A later run looks for it again, and counts the
    /// reference when it has found it.
    refs_not_found: u64,
}

impl From<ReferenceCounts> for IndexedJson {
    fn from(counts: ReferenceCounts) -> Self {
        Self {
            rows_indexed: counts.rows_indexed,
            refs_rewritten: counts.refs_rewritten,
            refs_not_found: counts.refs_not_found,
        }
    }
}

/// Outside record systems, the last changed first: the own ones, those of shared patients.
#[utoipa::path(get, path = "/api/v1/fhir_sources", tag = "fhir sources",
    params(("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query), ("page" = Option<String>, Query), ("pageSize" = Option<i64>, Query), ("cursor" = Option<String>, Query, description = "Empty for the first page of keyset paging")),
    responses((status = 200, body = PageJson<FhirSourceJson>)))]
#[tracing::instrument(name = "admin.fhir_sources.list", skip_all)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    SentPath(path): SentPath,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let paging = Paging::new(&app, &query, &path, DEFAULT_LONG, false)?;
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).fhir_sources();
    let mut page = work.fhir_sources().list(&scope, paging.window()?).await?;
    if let Some(last) = paging.last_window(page.count) {
        page = work.fhir_sources().list(&scope, last).await?;
    }
    Ok(paging.respond(&origin, page.map(FhirSourceJson::from))?)
}

/// One outside record system.
#[utoipa::path(get, path = "/api/v1/fhir_sources/{id}", tag = "fhir sources", params(("id" = i64, Path)),
    responses((status = 200, body = FhirSourceJson), (status = 404, description = "None the caller may know of")))]
#[tracing::instrument(name = "admin.fhir_sources.get", skip_all)]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).fhir_sources();
    let source = work.fhir_sources().find(&scope, FhirSourceId(id)).await?;
    Ok(ok(&FhirSourceJson::from(source.ok_or(Error::NotFound(Lookup::Entity("FhirSource")))?)))
}

/// A text that may be blank.
fn free_text(fields: &Fields, name: &str, faults: &mut Violations) -> Option<String> {
    match text(fields.get(name)?) {
        Ok(Some(text)) => Some(text),
        Ok(None) => {
            faults.push(name, "This field may not be null.");
            None
        }
        Err(message) => {
            faults.push(name, message);
            None
        }
    }
}

fn change_of(fields: &Fields) -> Result<FhirSourceChange, Error> {
    let mut faults = Violations::default();
    let data_source_id = match fields.reference("dataSource") {
        Ok(id) => id.map(DataSourceId),
        Err(message) => {
            faults.push("dataSource", message);
            None
        }
    };
    let label = free_text(fields, "label", &mut faults).map(Phi::new);
    let fhir_base_url = free_text(fields, "fhirBaseUrl", &mut faults);
    faults.into_result()?;
    Ok(FhirSourceChange { data_source_id, label, fhir_base_url })
}

/// Names an outside record system of the caller's own: patients. The same address again gets the new label.
#[utoipa::path(post, path = "/api/v1/fhir_sources", tag = "fhir sources", request_body = body::fhir_source::NewFhirSource,
    responses((status = 201, body = FhirSourceJson), (status = 400, description = "Invalid"), (status = 403, description = "Not a patient")))]
#[tracing::instrument(name = "admin.fhir_sources.create", skip_all)]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    fields: Fields,
) -> Result<Response, AdminError> {
    let validate = || {
        let data_source = fields.required_reference("dataSource")?;
        Ok((DataSourceId(data_source), change_of(&fields)?))
    };
    Ok(created(true, &FhirSourceJson::from(usecase::register(&app, &actor, validate).await?)))
}

async fn update(app: &App, actor: &Actor, id: i64, fields: &Fields) -> Result<Response, AdminError> {
    let source = usecase::update(app, actor, FhirSourceId(id), || change_of(fields)).await?;
    Ok(ok(&FhirSourceJson::from(source)))
}

/// Changes an outside record system; what is not sent stays. Its patient, superusers.
#[utoipa::path(patch, path = "/api/v1/fhir_sources/{id}", tag = "fhir sources", params(("id" = i64, Path)), request_body = body::fhir_source::FhirSourceChange,
    responses((status = 200, body = FhirSourceJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "None the caller may know of")))]
#[tracing::instrument(name = "admin.fhir_sources.patch", skip_all)]
pub(crate) async fn patch(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &fields).await
}

/// The same as PATCH.
#[utoipa::path(put, path = "/api/v1/fhir_sources/{id}", tag = "fhir sources", params(("id" = i64, Path)), request_body = body::fhir_source::FhirSourceChange,
    responses((status = 200, body = FhirSourceJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "None the caller may know of")))]
#[tracing::instrument(name = "admin.fhir_sources.put", skip_all)]
pub(crate) async fn put(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &fields).await
}

/// Removes an outside record system with the records that came from it: its patient, superusers.
#[utoipa::path(delete, path = "/api/v1/fhir_sources/{id}", tag = "fhir sources", params(("id" = i64, Path)),
    responses((status = 204, description = "Gone"), (status = 403, description = "Not permitted"), (status = 404, description = "None the caller may know of")))]
#[tracing::instrument(name = "admin.fhir_sources.delete", skip_all)]
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    // Read like every body, so that one that cannot be read is refused.
    _: Fields,
) -> Result<Response, AdminError> {
    usecase::delete(&app, &actor, FhirSourceId(id)).await?;
    Ok(no_content())
}

/// Points the references between records that came from an outside record system at the imported records: `Patient/pat-1` becomes
/// `Patient/<its id here>`. Where the target was not imported, `not-found:pat-1`, and the reference as it was is kept in an extension,
/// so that running this again after further imports finds it. Its patient, superusers.
#[utoipa::path(post, path = "/api/v1/fhir_sources/{id}/index_refs", tag = "fhir sources", params(("id" = i64, Path)),
    responses((status = 200, description = "What was done", body = IndexedJson),
        (status = 401, description = "No valid bearer token"),
        (status = 403, description = "A practitioner, who reads the records of the patient and changes none"),
        (status = 404, description = "None the caller may know of")))]
#[tracing::instrument(name = "admin.fhir_sources.index_refs", skip_all)]
pub(crate) async fn index_refs(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    // Read like every body, so that one that cannot be read is refused.
    _: Fields,
) -> Result<Response, AdminError> {
    account::will_answer(StatusCode::OK, StatusCode::BAD_REQUEST);
    let counts = fhir_aux_resource::index_references(&app, &actor, FhirSourceId(id)).await?;
    Ok(ok(&IndexedJson::from(counts)))
}
