//! Patient: search and read.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jhe_app::App;
use jhe_authz::{Actor, Authorizer, FhirRole, Location};
use jhe_domain::PatientId;
use jhe_domain::page::Window;
use jhe_domain::patient::Disclosure;
use jhe_fhir::search::{SortField, SortKey};
use jhe_fhir::types::positive_id;
use jhe_fhir::{Projection, ResourceType, catalogue};
use jhe_http::Caller;
use jhe_store::patient::{PatientKey, PatientOrder, PatientQuery};

use crate::error::FhirError;
use crate::path::SentId;
use crate::representation;
use crate::search::{self, Pager, SearchCall};
use crate::translate;

const KIND: ResourceType = ResourceType::Patient;

/// Searches patients.
#[utoipa::path(get, path = "/fhir/r5/Patient", tag = "fhir", operation_id = "searchPatients",
    params(("identifier" = Option<String>, Query, description = "`system|value`"), ("family" = Option<String>, Query),
           ("given" = Option<String>, Query), ("name" = Option<String>, Query), ("birthdate" = Option<String>, Query),
           ("email" = Option<String>, Query), ("phone" = Option<String>, Query), ("telecom" = Option<String>, Query),
           ("_has:Group:member:_id" = Option<String>, Query, description = "Study ids"),
           ("organization" = Option<String>, Query, description = "Organization ids; `patient.organization` is the same"),
           ("patient.organization" = Option<String>, Query), ("_id" = Option<String>, Query),
           ("_lastUpdated" = Option<String>, Query), ("_sort" = Option<String>, Query), ("_count" = Option<i64>, Query),
           ("_page" = Option<String>, Query), ("_offset" = Option<i64>, Query), ("_cursor" = Option<String>, Query),
           ("_total" = Option<String>, Query), ("_summary" = Option<String>, Query), ("_elements" = Option<String>, Query)),
    responses((status = 200, description = "A searchset Bundle", content_type = "application/fhir+json", body = Object),
              (status = 400, description = "A parameter is wrong"), (status = 403, description = "Something named is not the caller's")))]
#[tracing::instrument(name = "fhir.patient.search", skip_all)]
pub(crate) async fn search(
    State(app): State<App>,
    Caller(actor): Caller,
    call: SearchCall,
) -> Result<Response, FhirError> {
    answer(&app, &actor, &call).await
}

/// Searches patients; the parameters are a form.
#[utoipa::path(post, path = "/fhir/r5/Patient/_search", tag = "fhir", operation_id = "searchPatientsByPost",
    request_body(content = Object, content_type = "application/x-www-form-urlencoded",
        description = "The parameters of `GET /fhir/r5/Patient`, each a field of the form; those in the address count, too",
        example = json!({"_id": "40001", "_count": "50"})),
    responses((status = 200, description = "A searchset Bundle", content_type = "application/fhir+json", body = Object)))]
#[tracing::instrument(name = "fhir.patient.search", skip_all)]
pub(crate) async fn search_by_post(
    State(app): State<App>,
    Caller(actor): Caller,
    call: SearchCall,
) -> Result<Response, FhirError> {
    answer(&app, &actor, &call).await
}

/// The same by GET, which the links of such a search use.
#[utoipa::path(get, path = "/fhir/r5/Patient/_search", tag = "fhir", operation_id = "continuePatientSearch",
    responses((status = 200, description = "A searchset Bundle", content_type = "application/fhir+json", body = Object)))]
#[tracing::instrument(name = "fhir.patient.search", skip_all)]
pub(crate) async fn search_by_get(
    State(app): State<App>,
    Caller(actor): Caller,
    call: SearchCall,
) -> Result<Response, FhirError> {
    answer(&app, &actor, &call).await
}

async fn answer(app: &App, actor: &Actor, call: &SearchCall) -> Result<Response, FhirError> {
    let request = call.parse(KIND)?;
    let pager = Pager::new(app, actor, call, &request)?;
    let mut work = pager.work().await?;
    // What was named must be the caller's, also where the intersection leaves nothing of it.
    let (named, within) = (search::named(&request.scope), search::narrowed(&request.scope));
    let scope = Authorizer::new(actor, &mut work).fhir_patients(&named, within).await?;
    if !search::is_native(&request) {
        pager.window(Some(0))?;
        drop(work);
        call.remember(app, actor, KIND).await?;
        return Ok(pager.respond_empty(Some(0)));
    }
    let mut query = PatientQuery {
        person: translate::person_filter(&request, app.now()),
        ids: translate::ids(&request),
        order: PatientOrder::Family,
        sort: order(&request.result.sort),
        ..PatientQuery::default()
    };
    if request.result.is_count_only() {
        let total = work.patients().total(&scope, &query).await?;
        drop(work);
        call.remember(app, actor, KIND).await?;
        return Ok(pager.respond_empty(Some(total)));
    }
    let moment = if pager.begins() { Some(work.moment().await?) } else { None };
    query.not_after = moment.map(|moment| moment.now);
    let mut counted = None;
    if pager.needs_count() {
        work.hold().await?;
        counted = Some(work.patients().count(&scope, &query).await?);
    }
    let mut window = pager.window(counted)?;
    if let Some(moment) = moment {
        window.time = moment.settled;
        window.snapshot = Some(moment.now);
    }
    query.not_after = window.snapshot;
    let wanted = Window { after: window.after.clone(), ..Window::at(window.offset(), window.limit) };
    let rows = work.patients().search(&scope, &query, &wanted).await?;
    drop(work);
    call.remember(app, actor, KIND).await?;
    let projection = request.result.projection();
    pager.respond(
        &window,
        counted,
        rows,
        |row| Some(query.place(row)),
        |row| row.id.0,
        |row, out| representation::patient(row, &projection, out),
    )
}

fn order(sort: &[SortKey]) -> Vec<(PatientKey, bool)> {
    let keys = |key: &SortKey| -> &'static [PatientKey] {
        match key.field {
            SortField::LastUpdated => &[PatientKey::LastUpdated],
            SortField::Id => &[PatientKey::Id],
            SortField::Name => &[PatientKey::Family, PatientKey::Given],
            SortField::Family => &[PatientKey::Family],
            SortField::Given => &[PatientKey::Given],
            SortField::Birthdate => &[PatientKey::BirthDate],
            SortField::Date | SortField::Code | SortField::Status | SortField::Patient => &[],
        }
    };
    sort.iter().flat_map(|key| keys(key).iter().map(|by| (*by, key.descending))).collect()
}

/// One patient.
#[utoipa::path(get, path = "/fhir/r5/Patient/{id}", tag = "fhir", operation_id = "readPatient", params(("id" = String, Path)),
    responses((status = 200, description = "The Patient", content_type = "application/fhir+json", body = Object),
              (status = 304, description = "Unchanged"), (status = 403, description = "A patient named another patient"),
              (status = 404, description = "Not shared with the caller, or no such patient")))]
#[tracing::instrument(name = "fhir.patient.read", skip_all)]
pub(crate) async fn read(
    State(app): State<App>,
    Caller(actor): Caller,
    SentId(id): SentId,
    headers: HeaderMap,
) -> Result<Response, FhirError> {
    let missing = || FhirError::from(catalogue::not_found(KIND.as_str(), &id));
    let number = PatientId(positive_id(&id).ok_or_else(missing)?);
    let mut work = app.store().search().await?;
    let within = match actor.fhir_role() {
        FhirRole::Patient(_) => Location::one(None, None, Some(number)),
        _ => Location::default(),
    };
    let scope = Authorizer::new(&actor, &mut work).fhir_patients(&within, within.clone()).await?;
    let row = work.patients().find(&scope, number).await?;
    // A patient who has not agreed to be shared yet is nobody here.
    let row = row.filter(|row| row.disclosure == Disclosure::Full).ok_or_else(missing)?;
    Ok(representation::single(&headers, row.last_updated, |out| {
        representation::patient(&row, &Projection::Full, out);
    }))
}
