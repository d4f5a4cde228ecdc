//! Observations: contract admin-api §6.6. The stored document is copied into the answer, never rebuilt.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use jhe_app::App;
use jhe_app::observation as usecase;
use jhe_authz::{AccessScope, Authorizer, Location, resource};
use jhe_domain::error::{Error, Lookup, Violations};
use jhe_domain::observation::{OBSERVATION_STATUSES, Observation};
use jhe_domain::page::Page;
use jhe_domain::patient::display_name;
use jhe_domain::practitioner::Remember;
use jhe_domain::{ObservationId, OrganizationId, PatientId, Phi, StudyId};
use jhe_http::{Caller, Origin};
use jhe_store::Work;
use jhe_store::filter::{TimeMatch, TimeOp, Token, TokenSystem};
use jhe_store::observation::{CodeFilter, ObservationFilter, ObservationOrder, ObservationPage, OrderKey, any_system};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::body;
use crate::error::AdminError;
use crate::fields::{Fields, text};
use crate::paging::{DEFAULT_SIZE, PageJson, Paging};
use crate::path::{PathId, SentPath};
use crate::query::AdminQuery;
use crate::response::{no_content, ok};
use crate::time::timestamp;

/// An observation with its Open mHealth document, decoded.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObservationJson {
    id: i64,
    subject_patient: i64,
    subject_patient_id: i64,
    /// Family and given name.
    patient_name_display: String,
    patient_name_family: Option<String>,
    patient_name_given: Option<String>,
    jhe_user_id: Option<i64>,
    codeable_concept: i64,
    codeable_concept_id: i64,
    coding_system: String,
    coding_code: String,
    coding_text: String,
    data_source: Option<i64>,
    data_source_name: Option<String>,
    status: String,
    /// The document exactly as it was uploaded.
    #[schema(value_type = Object)]
    value_attachment_data: Option<Box<RawValue>>,
    /// The same document.
    #[schema(value_type = Object)]
    omh_data: Option<Box<RawValue>>,
    #[schema(format = DateTime)]
    created: String,
    #[schema(format = DateTime)]
    last_updated: String,
}

impl From<Observation> for ObservationJson {
    fn from(row: Observation) -> Self {
        let family = row.patient_name_family.map(Phi::into_inner);
        let given = row.patient_name_given.map(Phi::into_inner);
        // A byte order mark belongs to the file, not to the JSON in it.
        let document = row
            .document
            .and_then(|text| RawValue::from_string(text.reveal().trim_start_matches('\u{feff}').to_owned()).ok());
        Self {
            id: row.id.0,
            subject_patient: row.patient_id.0,
            subject_patient_id: row.patient_id.0,
            patient_name_display: display_name(family.as_deref(), given.as_deref()),
            patient_name_family: family,
            patient_name_given: given,
            jhe_user_id: row.patient_user_id.map(|id| id.0),
            codeable_concept: row.scope_code_id.0,
            codeable_concept_id: row.scope_code_id.0,
            coding_system: row.coding_system,
            coding_code: row.coding_code,
            coding_text: row.coding_text,
            data_source: row.data_source_id.map(|id| id.0),
            data_source_name: row.data_source_name,
            status: row.status,
            value_attachment_data: document.clone(),
            omh_data: document,
            created: timestamp(row.created),
            last_updated: timestamp(row.last_updated),
        }
    }
}

/// Readable observations, newest first.
#[utoipa::path(get, path = "/api/v1/observations", tag = "observations",
    params(("organization_id" = Option<i64>, Query), ("study_id" = Option<i64>, Query), ("patient_id" = Option<i64>, Query),
           ("observation_id" = Option<i64>, Query), ("coding_code" = Option<String>, Query, description = "Code or `system|code`; comma for or"),
           ("data_source_id" = Option<i64>, Query), ("status" = Option<String>, Query),
           ("effective_from" = Option<String>, Query), ("effective_to" = Option<String>, Query),
           ("created_since" = Option<String>, Query), ("last_updated_since" = Option<String>, Query),
           ("ordering" = Option<String>, Query, description = "`last_updated`, `created` or `effective`; `-` for descending"),
           ("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query), ("page" = Option<String>, Query),
           ("pageSize" = Option<i64>, Query), ("cursor" = Option<String>, Query, description = "Empty for the first page of keyset paging")),
    responses((status = 200, body = PageJson<ObservationJson>), (status = 404, description = "The caller is no practitioner")))]
#[tracing::instrument(name = "admin.observations.list", skip_all)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    SentPath(path): SentPath,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let mut work = app.store().search().await?;
    // Who has no such list is told so whatever was asked.
    let _known = Authorizer::new(&actor, &mut work).observations(Location::default())?;
    let organization = query.integer("organizationId")?.map(OrganizationId);
    let study = query.integer("studyId")?.map(StudyId);
    let patient = query.integer("patientId")?.map(PatientId);
    let scope = Authorizer::new(&actor, &mut work).observations(Location::one(organization, study, patient))?;
    let filter = filter(&query)?;
    let order = order(&query)?;
    let paging = Paging::new(&app, &query, &path, DEFAULT_SIZE, false)?;
    if paging.is_cursor() && !order.is_empty() {
        return Err(Error::invalid("ordering", "A cursor needs the default order.").into());
    }
    let response = page(&mut work, &scope, &filter, &paging, order, &origin).await?;
    let account = Authorizer::new(&actor, &mut work).account();
    drop(work);
    if !query.is_probe {
        app.store().remember(&account, organization, study.map_or(Remember::Clear, Remember::Set)).await?;
    }
    Ok(response)
}

async fn page(
    work: &mut Work,
    scope: &AccessScope<resource::Observation>,
    filter: &ObservationFilter,
    paging: &Paging,
    order: Vec<OrderKey>,
    origin: &Origin,
) -> Result<Response, Error> {
    let window = paging.window()?;
    let mut wanted = ObservationPage::window(window.offset, window.reach());
    wanted.ahead = window.by_place;
    wanted.id_descending = order.first().is_none_or(|key| key.descending);
    wanted.order = order;
    wanted.after = window.after.clone();
    // A first page of the newest tells by itself how many there are.
    let tells = window.offset == 0 && window.limit > 0 && wanted.is_first_of(filter);
    let (count, rows) = if tells {
        let found = work.observations().search(scope, filter, &wanted).await?;
        (found.extent.unwrap_or_default().count, found.rows)
    } else {
        let extent = work.observations().count(scope, filter, None).await?;
        let window = paging.last_window(extent.count).unwrap_or_else(|| window.clone());
        (wanted.offset, wanted.limit) = (window.offset, window.reach());
        wanted.walk = extent.favours_walk(wanted.offset.saturating_add(wanted.limit));
        // Beyond the end there is nothing to look for.
        let is_beyond = window.offset >= extent.count;
        let rows = if is_beyond { Vec::new() } else { work.observations().search(scope, filter, &wanted).await?.rows };
        (extent.count, rows)
    };
    let window = paging.last_window(count).unwrap_or(window);
    let page = Page::of(&window, count, rows, |row| wanted.place(row));
    paging.respond(origin, page.map(ObservationJson::from))
}

fn filter(query: &AdminQuery) -> Result<ObservationFilter, Error> {
    let mut filter = ObservationFilter::default();
    if let Some(id) = query.integer("observationId")? {
        filter.ids = Some(vec![id]);
    }
    if let Some(id) = query.integer("dataSourceId")? {
        filter.data_sources = Some(vec![id]);
    }
    if let Some(status) = query.get("status") {
        filter.statuses.push(status.split(',').map(str::to_owned).collect());
    }
    if let Some(codes) = query.get("coding_code") {
        let tokens = codes
            .split(',')
            .map(|code| match code.rsplit_once('|') {
                Some((system, code)) => Token {
                    system: TokenSystem::OneOf(vec![system.to_owned()]),
                    value: Some(Phi::new(code.to_owned())),
                },
                None => any_system(code.to_owned()),
            })
            .collect();
        filter.codes.push(CodeFilter { tokens, negated: false });
    }
    let instant = |op: TimeOp, time: DateTime<Utc>| vec![TimeMatch { op, low: time, high: time }];
    if let Some((time, _)) = query.time("effective_from")? {
        filter.effective.push(instant(TimeOp::Ge, time));
    }
    if let Some((_, end)) = query.time("effective_to")? {
        // Inclusive: what begins before the first moment after it.
        filter.effective.push(instant(TimeOp::Le, end));
    }
    if let Some((time, _)) = query.time("created_since")? {
        filter.created.push(instant(TimeOp::Ge, time));
    }
    if let Some((time, _)) = query.time("last_updated_since")? {
        filter.last_updated.push(instant(TimeOp::Ge, time));
    }
    Ok(filter)
}

/// The order asked for; empty for the default one, newest first.
fn order(query: &AdminQuery) -> Result<Vec<OrderKey>, Error> {
    // The default order is the same by its name.
    let named = query.get("ordering").filter(|ordering| !matches!(*ordering, "-last_updated" | "-lastUpdated"));
    let Some(ordering) = named else { return Ok(Vec::new()) };
    let (name, descending) = ordering.strip_prefix('-').map_or((ordering, false), |name| (name, true));
    let by = match name {
        "last_updated" | "lastUpdated" => ObservationOrder::LastUpdated,
        "created" => ObservationOrder::Created,
        "effective" => ObservationOrder::Effective,
        _ => return Err(Error::invalid("ordering", format!("\"{ordering}\" is not a valid choice."))),
    };
    Ok(vec![OrderKey { by, descending }])
}

/// One readable observation.
#[utoipa::path(get, path = "/api/v1/observations/{id}", tag = "observations", params(("id" = i64, Path)),
    responses((status = 200, body = ObservationJson), (status = 404, description = "Not readable, or no such observation")))]
#[tracing::instrument(name = "admin.observations.get", skip_all)]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).observations(Location::default())?;
    let row = work.observations().find(&scope, ObservationId(id)).await?;
    Ok(ok(&ObservationJson::from(row.ok_or(Error::NotFound(Lookup::Entity("Observation")))?)))
}

/// Marks an observation as entered in error, or as final again. Nothing else of it can be changed.
#[utoipa::path(patch, path = "/api/v1/observations/{id}", tag = "observations", params(("id" = i64, Path)), request_body = body::observation::ObservationCorrection,
    responses((status = 200, body = ObservationJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "Not readable, or no such observation")))]
#[tracing::instrument(name = "admin.observations.patch", skip_all)]
pub(crate) async fn patch(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    let validate = || {
        let mut faults = Violations::default();
        let status = fields.choice("status", |status| OBSERVATION_STATUSES.contains(&status), &mut faults);
        let reason = fields.nullable_text("reason", &mut faults).flatten();
        faults.into_result()?;
        if status.as_deref().is_some_and(|status| !matches!(status, "entered-in-error" | "final")) {
            return Err(Error::invalid("status", "Only entered-in-error and final can be set."));
        }
        Ok((status, reason))
    };
    let row = usecase::correct(&app, &actor, ObservationId(id), validate).await?;
    Ok(ok(&ObservationJson::from(row)))
}

/// Removes an observation for good; superusers, with a reason for the audit trail.
#[utoipa::path(delete, path = "/api/v1/observations/{id}", tag = "observations", params(("id" = i64, Path), ("reason" = Option<String>, Query)), request_body = Option<body::observation::ObservationRemoval>,
    responses((status = 204, description = "Gone"), (status = 400, description = "No reason"), (status = 403, description = "Not permitted"), (status = 404, description = "No such observation")))]
#[tracing::instrument(name = "admin.observations.delete", skip_all)]
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    query: AdminQuery,
    fields: Fields,
) -> Result<Response, AdminError> {
    let reason = || {
        let sent = fields.get("reason").and_then(|value| text(value).ok().flatten()).filter(|text| !text.is_empty());
        sent.or_else(|| query.get("reason").map(str::to_owned))
            .ok_or_else(|| Error::invalid("reason", "This field is required."))
    };
    usecase::remove(&app, &actor, ObservationId(id), reason).await?;
    Ok(no_content())
}
