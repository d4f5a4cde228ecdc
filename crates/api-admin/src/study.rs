//! Studies and what belongs to them: contract admin-api §6.3.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use jhe_app::App;
use jhe_app::study::{self as usecase, Part};
use jhe_authz::{Actor, Authorizer, Location};
use jhe_domain::error::{Error, Violations};
use jhe_domain::page::Page;
use jhe_domain::practitioner::Remember;
use jhe_domain::study::{NewStudy, ScopeRequest, Study, StudyChange};
use jhe_domain::{ApplicationId, DataSourceId, OrganizationId, PatientId, ScopeCodeId, StudyId};
use jhe_http::{Caller, Origin};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::body;
use crate::client::ClientDetailJson;
use crate::data_source::{DataSourceNestedJson, DataSourceRefJson, ScopeCodeJson};
use crate::error::AdminError;
use crate::fields::Fields;
use crate::organization::OrganizationRefJson;
use crate::paging::{DEFAULT_SIZE, PageJson, Paging};
use crate::path::{PathId, SentPath};
use crate::patient::{self, PatientJson};
use crate::query::AdminQuery;
use crate::response::{created, no_content, ok};
use crate::time::timestamp;

/// A data type a study asks for; `id` is the data type, as `scopeCodeId` means it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ScopeRequestJson {
    #[serde(flatten)]
    code: ScopeCodeJson,
    scope_request_id: i64,
    scope_actions: Option<String>,
}

/// A study as it is read: the organization is an object.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StudyJson {
    id: i64,
    name: String,
    description: String,
    organization: OrganizationRefJson,
    organization_id: i64,
    icon_url: Option<String>,
    /// Enrolled patients.
    patients: Vec<i64>,
    scope_requests: Vec<ScopeRequestJson>,
    data_sources: Vec<DataSourceRefJson>,
    #[schema(format = DateTime)]
    last_updated: String,
}

/// A study as it is written: the organization is its id.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StudyWriteJson {
    id: i64,
    name: String,
    description: String,
    organization: i64,
    organization_id: i64,
    icon_url: Option<String>,
    /// Enrolled patients.
    patients: Vec<i64>,
    scope_requests: Vec<ScopeRequestJson>,
    data_sources: Vec<DataSourceRefJson>,
    #[schema(format = DateTime)]
    last_updated: String,
}

/// A study inside a link.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StudyNestedJson {
    id: i64,
    name: String,
    description: String,
    icon_url: Option<String>,
    #[schema(format = DateTime)]
    last_updated: String,
    organization: i64,
    patients: Vec<i64>,
}

/// A request of a study for a data type.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StudyScopeRequestJson {
    id: i64,
    study: StudyNestedJson,
    scope_code: ScopeCodeJson,
    scope_actions: Option<String>,
}

/// A data source of a study.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StudyDataSourceJson {
    id: i64,
    study: StudyNestedJson,
    data_source: DataSourceNestedJson,
}

/// A patient client of a study.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StudyClientJson {
    id: i64,
    study: StudyNestedJson,
    client: ClientDetailJson,
}

impl From<ScopeRequest> for ScopeRequestJson {
    fn from(request: ScopeRequest) -> Self {
        Self { code: request.code.into(), scope_request_id: request.id.0, scope_actions: request.actions }
    }
}

impl From<Study> for StudyWriteJson {
    fn from(study: Study) -> Self {
        Self {
            id: study.id.0,
            name: study.name,
            description: study.description,
            organization: study.organization_id.0,
            organization_id: study.organization_id.0,
            icon_url: study.icon_url,
            patients: study.patients.into_iter().map(|id| id.0).collect(),
            scope_requests: study.scope_requests.into_iter().map(Into::into).collect(),
            data_sources: study.data_sources.into_iter().map(Into::into).collect(),
            last_updated: timestamp(study.last_updated),
        }
    }
}

impl From<Study> for StudyJson {
    fn from(study: Study) -> Self {
        let organization = OrganizationRefJson {
            id: study.organization_id.0,
            name: study.organization_name.clone(),
            r#type: study.organization_type.clone(),
        };
        let written = StudyWriteJson::from(study);
        Self {
            id: written.id,
            name: written.name,
            description: written.description,
            organization,
            organization_id: written.organization_id,
            icon_url: written.icon_url,
            patients: written.patients,
            scope_requests: written.scope_requests,
            data_sources: written.data_sources,
            last_updated: written.last_updated,
        }
    }
}

impl From<&Study> for StudyNestedJson {
    fn from(study: &Study) -> Self {
        Self {
            id: study.id.0,
            name: study.name.clone(),
            description: study.description.clone(),
            icon_url: study.icon_url.clone(),
            last_updated: timestamp(study.last_updated),
            organization: study.organization_id.0,
            patients: study.patients.iter().map(|id| id.0).collect(),
        }
    }
}

/// Studies of the caller's organizations, by name.
#[utoipa::path(get, path = "/api/v1/studies", tag = "studies",
    params(("organization_id" = Option<i64>, Query), ("study_id" = Option<i64>, Query, description = "Remembered, does not filter"),
           ("search" = Option<String>, Query), ("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query),
           ("page" = Option<String>, Query), ("pageSize" = Option<i64>, Query), ("cursor" = Option<String>, Query, description = "Empty for the first page of keyset paging")),
    responses((status = 200, body = PageJson<StudyJson>), (status = 404, description = "The caller is no practitioner")))]
#[tracing::instrument(name = "admin.studies.list", skip_all)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    SentPath(path): SentPath,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    // Who has no such list is told so whatever was asked.
    let _known = Authorizer::new(&actor, &mut work).studies(Location::default())?;
    let organization = query.integer("organizationId")?.map(OrganizationId);
    let study = query.integer("studyId")?.map(StudyId);
    let scope = Authorizer::new(&actor, &mut work).studies(Location::one(organization, None, None))?;
    let paging = Paging::new(&app, &query, &path, DEFAULT_SIZE, false)?;
    let search = query.get("search");
    let mut page = work.studies().list(&scope, search, paging.window()?).await?;
    if let Some(last) = paging.last_window(page.count) {
        page = work.studies().list(&scope, search, last).await?;
    }
    let response = paging.respond(&origin, page.map(StudyJson::from))?;
    let account = Authorizer::new(&actor, &mut work).account();
    drop(work);
    if !query.is_probe {
        app.store().remember(&account, organization, study.map_or(Remember::Keep, Remember::Set)).await?;
    }
    Ok(response)
}

/// One study.
#[utoipa::path(get, path = "/api/v1/studies/{id}", tag = "studies", params(("id" = i64, Path)),
    responses((status = 200, body = StudyJson), (status = 403, description = "Not one of the caller's organizations, or no such study")))]
#[tracing::instrument(name = "admin.studies.get", skip_all)]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let grant = Authorizer::new(&actor, &mut work).study(StudyId(id)).await?;
    Ok(ok(&StudyJson::from(work.studies().get(&grant).await?)))
}

/// The organization named in a body, judged later.
fn named_organization(fields: &Fields) -> Option<OrganizationId> {
    fields.id("organization").or_else(|| fields.id("organizationId")).map(OrganizationId)
}

fn check_organization(fields: &Fields, required: bool, known: bool, faults: &mut Violations) {
    let name =
        if !fields.has("organization") && fields.has("organizationId") { "organizationId" } else { "organization" };
    match fields.reference(name) {
        Ok(None) if required => faults.push("organization", "This field is required."),
        Ok(Some(id)) if !known => {
            faults.push("organization", format!("Invalid pk \"{id}\" - object does not exist."));
        }
        Ok(_) => {}
        Err(message) => faults.push("organization", message),
    }
}

/// Makes a study of an organization.
#[utoipa::path(post, path = "/api/v1/studies", tag = "studies", request_body = body::study::NewStudy,
    responses((status = 201, body = StudyWriteJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.studies.create", skip_all)]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    fields: Fields,
) -> Result<Response, AdminError> {
    let validate = |known: bool| {
        let mut faults = Violations::default();
        let name = fields.required_text("name", &mut faults);
        let description = fields.required_text("description", &mut faults);
        check_organization(&fields, true, known, &mut faults);
        let icon_url = fields.nullable_text("iconUrl", &mut faults).flatten();
        faults.into_result()?;
        Ok(NewStudy { name, description, icon_url })
    };
    let study = usecase::create(&app, &actor, named_organization(&fields), validate).await?;
    Ok(created(true, &StudyWriteJson::from(study)))
}

/// Changes a study.
#[utoipa::path(patch, path = "/api/v1/studies/{id}", tag = "studies", params(("id" = i64, Path)), request_body = body::study::StudyChange,
    responses((status = 200, body = StudyWriteJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.studies.patch", skip_all)]
pub(crate) async fn patch(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &fields, false).await
}

/// Replaces a study.
#[utoipa::path(put, path = "/api/v1/studies/{id}", tag = "studies", params(("id" = i64, Path)), request_body = body::study::NewStudy,
    responses((status = 200, body = StudyWriteJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.studies.put", skip_all)]
pub(crate) async fn put(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &fields, true).await
}

async fn update(app: &App, actor: &Actor, id: i64, fields: &Fields, whole: bool) -> Result<Response, AdminError> {
    let validate = || {
        let mut faults = Violations::default();
        if whole {
            for name in ["name", "description"] {
                if !fields.has(name) {
                    faults.push(name, "This field is required.");
                }
            }
        }
        let name = fields.optional_text("name", &mut faults);
        let description = fields.optional_text("description", &mut faults);
        check_organization(fields, whole, true, &mut faults);
        let icon_url = fields.nullable_text("iconUrl", &mut faults);
        faults.into_result()?;
        Ok(StudyChange { name, description, icon_url })
    };
    let study = usecase::update(app, actor, StudyId(id), named_organization(fields), validate).await?;
    Ok(ok(&StudyWriteJson::from(study)))
}

/// Deletes a study. Observations stay.
#[utoipa::path(delete, path = "/api/v1/studies/{id}", tag = "studies", params(("id" = i64, Path)),
    responses((status = 204, description = "Gone"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.studies.delete", skip_all)]
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    // Read like every body, so that one that cannot be read is refused.
    _: Fields,
) -> Result<Response, AdminError> {
    usecase::delete(&app, &actor, StudyId(id)).await?;
    Ok(no_content())
}

/// Enrolled patients, by id.
#[utoipa::path(get, path = "/api/v1/studies/{id}/patients", tag = "studies",
    params(("id" = i64, Path), ("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query), ("page" = Option<String>, Query), ("pageSize" = Option<i64>, Query), ("cursor" = Option<String>, Query, description = "Empty for the first page of keyset paging")),
    responses((status = 200, body = PageJson<PatientJson>), (status = 403, description = "Not one of the caller's organizations")))]
#[tracing::instrument(name = "admin.studies.patients", skip_all)]
pub(crate) async fn patients(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    SentPath(path): SentPath,
    PathId(id): PathId,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let grant = Authorizer::new(&actor, &mut work).study_part(StudyId(id)).await?;
    let viewer = Authorizer::new(&actor, &mut work).patients(Location::default());
    let paging = Paging::new(&app, &query, &path, DEFAULT_SIZE, false)?;
    let mut page = work.patients().enrolled(&grant, &viewer, paging.window()?).await?;
    if let Some(last) = paging.last_window(page.count) {
        page = work.patients().enrolled(&grant, &viewer, last).await?;
    }
    let rows = patient::render(&app, &mut work, &actor, page.rows, None).await?;
    Ok(paging.respond(&origin, Page { count: page.count, rows, next: page.next })?)
}

fn patient_ids(fields: &Fields) -> Result<Vec<PatientId>, Error> {
    Ok(fields.required_ids("patientIds")?.into_iter().map(PatientId).collect())
}

/// Enrols patients: all of them or none.
#[utoipa::path(post, path = "/api/v1/studies/{id}/patients", tag = "studies", params(("id" = i64, Path)), request_body = body::study::PatientChoice,
    responses((status = 201, description = "Enrolled", body = body::study::EnrolmentsJson), (status = 200, description = "All were enrolled already", body = body::study::EnrolmentsJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.studies.enrol", skip_all)]
pub(crate) async fn enrol(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    let enrolments = usecase::enrol(&app, &actor, StudyId(id), || patient_ids(&fields)).await?;
    let study = StudyNestedJson::from(&enrolments.study);
    let any_new = !enrolments.were_there_already();
    let rows: Vec<_> = enrolments
        .rows
        .into_iter()
        .map(|(link, patient)| json!({ "id": link.id.0, "study": study, "patient": patient::nested(&patient) }))
        .collect();
    Ok(created(any_new, &json!({ "studyPatients": rows })))
}

/// Takes patients out of a study, with their consents. Observations stay.
#[utoipa::path(delete, path = "/api/v1/studies/{id}/patients", tag = "studies", params(("id" = i64, Path)), request_body = body::study::PatientChoice,
    responses((status = 204, description = "Out"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.studies.unenrol", skip_all)]
pub(crate) async fn unenrol(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    usecase::unenrol(&app, &actor, StudyId(id), || patient_ids(&fields)).await?;
    Ok(no_content())
}

/// What a study asks for.
#[utoipa::path(get, path = "/api/v1/studies/{id}/scope_requests", tag = "studies", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<StudyScopeRequestJson>), (status = 403, description = "Not one of the caller's organizations")))]
#[tracing::instrument(name = "admin.studies.scope_requests", skip_all)]
pub(crate) async fn scope_requests(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    Ok(ok(&read_scope_requests(&app, &actor, id).await?))
}

async fn read_scope_requests(app: &App, actor: &Actor, id: i64) -> Result<Vec<StudyScopeRequestJson>, AdminError> {
    let mut work = app.store().read().await?;
    let grant = Authorizer::new(actor, &mut work).study_part(StudyId(id)).await?;
    let study = work.studies().get(&grant).await?;
    let nested = StudyNestedJson::from(&study);
    Ok(study
        .scope_requests
        .into_iter()
        .map(|request| StudyScopeRequestJson {
            id: request.id.0,
            study: nested.clone(),
            scope_code: request.code.into(),
            scope_actions: request.actions,
        })
        .collect())
}

/// Asks for a data type.
#[utoipa::path(post, path = "/api/v1/studies/{id}/scope_requests", tag = "studies", params(("id" = i64, Path)), request_body = body::data_source::ScopeCodeChoice,
    responses((status = 201, body = StudyScopeRequestJson), (status = 200, description = "Asked already", body = StudyScopeRequestJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.studies.request_scope", skip_all)]
pub(crate) async fn request_scope(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    let part = || fields.required_reference("scopeCodeId").map(|id| Part::Scope(ScopeCodeId(id)));
    let (linked, new) = link(&app, &actor, id, part, "scopeCodeId").await?;
    let rows = read_scope_requests(&app, &actor, id).await?;
    let row = rows.into_iter().find(|row| row.id == linked);
    Ok(created(new, &row))
}

/// Stops asking for a data type.
#[utoipa::path(delete, path = "/api/v1/studies/{id}/scope_requests", tag = "studies", params(("id" = i64, Path)), request_body = body::data_source::ScopeCodeChoice,
    responses((status = 204, description = "Not asked for"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.studies.drop_scope", skip_all)]
pub(crate) async fn drop_scope(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    let part = || fields.required_reference("scopeCodeId").map(|id| Part::Scope(ScopeCodeId(id)));
    usecase::unlink(&app, &actor, StudyId(id), part).await?;
    Ok(no_content())
}

/// Data sources of a study.
#[utoipa::path(get, path = "/api/v1/studies/{id}/data_sources", tag = "studies", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<StudyDataSourceJson>), (status = 403, description = "Not one of the caller's organizations")))]
#[tracing::instrument(name = "admin.studies.data_sources", skip_all)]
pub(crate) async fn data_sources(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    Ok(ok(&read_data_sources(&app, &actor, id).await?))
}

async fn read_data_sources(app: &App, actor: &Actor, id: i64) -> Result<Vec<StudyDataSourceJson>, AdminError> {
    let mut work = app.store().read().await?;
    let grant = Authorizer::new(actor, &mut work).study_part(StudyId(id)).await?;
    let nested = StudyNestedJson::from(&work.studies().get(&grant).await?);
    let rows = work.studies().data_sources(&grant).await?;
    Ok(rows
        .into_iter()
        .map(|(link, source)| StudyDataSourceJson { id: link.0, study: nested.clone(), data_source: source.into() })
        .collect())
}

/// Attaches a data source.
#[utoipa::path(post, path = "/api/v1/studies/{id}/data_sources", tag = "studies", params(("id" = i64, Path)), request_body = body::data_source::DataSourceChoice,
    responses((status = 201, body = StudyDataSourceJson), (status = 200, description = "Attached already", body = StudyDataSourceJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.studies.attach_data_source", skip_all)]
pub(crate) async fn attach_data_source(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    let part = || fields.required_reference("dataSourceId").map(|id| Part::DataSource(DataSourceId(id)));
    let (linked, new) = link(&app, &actor, id, part, "dataSourceId").await?;
    let rows = read_data_sources(&app, &actor, id).await?;
    let row = rows.into_iter().find(|row| row.id == linked);
    Ok(created(new, &row))
}

/// Detaches a data source.
#[utoipa::path(delete, path = "/api/v1/studies/{id}/data_sources", tag = "studies", params(("id" = i64, Path)), request_body = body::data_source::DataSourceChoice,
    responses((status = 204, description = "Detached"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.studies.detach_data_source", skip_all)]
pub(crate) async fn detach_data_source(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    let part = || fields.required_reference("dataSourceId").map(|id| Part::DataSource(DataSourceId(id)));
    usecase::unlink(&app, &actor, StudyId(id), part).await?;
    Ok(no_content())
}

/// Patient clients of a study.
#[utoipa::path(get, path = "/api/v1/studies/{id}/clients", tag = "studies", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<StudyClientJson>), (status = 403, description = "Not one of the caller's organizations")))]
#[tracing::instrument(name = "admin.studies.clients", skip_all)]
pub(crate) async fn clients(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    Ok(ok(&read_clients(&app, &actor, id).await?))
}

async fn read_clients(app: &App, actor: &Actor, id: i64) -> Result<Vec<StudyClientJson>, AdminError> {
    let mut work = app.store().read().await?;
    let grant = Authorizer::new(actor, &mut work).study_part(StudyId(id)).await?;
    let nested = StudyNestedJson::from(&work.studies().get(&grant).await?);
    let rows = work.clients().of_study(&grant).await?;
    Ok(rows
        .into_iter()
        .map(|(link, client)| StudyClientJson { id: link, study: nested.clone(), client: client.into() })
        .collect())
}

/// `clientId` here is the row id of a patient client.
fn client_part(fields: &Fields) -> Result<Part, Error> {
    fields.required_reference("clientId").map(|id| Part::Client(ApplicationId(id)))
}

/// Attaches a patient client.
#[utoipa::path(post, path = "/api/v1/studies/{id}/clients", tag = "studies", params(("id" = i64, Path)), request_body = body::client::ClientChoice,
    responses((status = 201, body = StudyClientJson), (status = 200, description = "Attached already", body = StudyClientJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.studies.attach_client", skip_all)]
pub(crate) async fn attach_client(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    let (linked, new) = link(&app, &actor, id, || client_part(&fields), "clientId").await?;
    let rows = read_clients(&app, &actor, id).await?;
    let row = rows.into_iter().find(|row| row.id == linked);
    Ok(created(new, &row))
}

/// Detaches a patient client.
#[utoipa::path(delete, path = "/api/v1/studies/{id}/clients", tag = "studies", params(("id" = i64, Path)), request_body = body::client::ClientChoice,
    responses((status = 204, description = "Detached"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.studies.detach_client", skip_all)]
pub(crate) async fn detach_client(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    usecase::unlink(&app, &actor, StudyId(id), || client_part(&fields)).await?;
    Ok(no_content())
}

/// Links a study to something: the row id of the link and whether it is new.
async fn link(
    app: &App,
    actor: &Actor,
    id: i64,
    part: impl FnOnce() -> Result<Part, Error>,
    field: &str,
) -> Result<(i64, bool), AdminError> {
    let (part, linked) = usecase::link(app, actor, StudyId(id), part).await?;
    let named = match part {
        Part::Scope(ScopeCodeId(id)) | Part::DataSource(DataSourceId(id)) | Part::Client(ApplicationId(id)) => id,
    };
    let linked =
        linked.ok_or_else(|| Error::invalid(field, format!("Invalid pk \"{named}\" - object does not exist.")))?;
    Ok((linked.id.0, linked.created))
}
