//! Observation: search, read, create.

mod arrival;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use jhe_app::ingest::{self, Candidate, Receipt, Together};
use jhe_authz::{Actor, Authorizer, FhirRole, Location};
use jhe_domain::ObservationId;
use jhe_domain::error::Error;
use jhe_fhir::observation::ObservationOut;
use jhe_fhir::search::{SearchRequest, SortField, SortKey};
use jhe_fhir::types::positive_id;
use jhe_fhir::{Issue, IssueCode, OperationOutcome, Projection, ResourceType, catalogue};
use jhe_http::normalize::FhirBase;
use jhe_http::{Caller, Origin, account};
use jhe_store::observation::{Found, ObservationOrder, ObservationPage, OrderKey};
use serde_json::{Value, json};

use crate::body::{JsonBytes, object, on_blocking_thread};
use crate::bundle::{OwnBase, names_source, receipt_text, resource_names_source};
use crate::condition;
use crate::error::FhirError;
use crate::negotiate::FHIR_JSON;
use crate::path::SentId;
use crate::prefer::{Prefer, Return};
use crate::representation;
use crate::search::{self, Pager, SearchCall};
use crate::translate;

const KIND: ResourceType = ResourceType::Observation;

/// Searches observations.
#[utoipa::path(get, path = "/fhir/r5/Observation", tag = "fhir", operation_id = "searchObservations",
    params(("patient" = Option<String>, Query, description = "Patient ids; `subject` is the same"),
           ("patient.identifier" = Option<String>, Query, description = "`system|value`"),
           ("patient._has:Group:member:_id" = Option<String>, Query, description = "Study ids"),
           ("patient.organization" = Option<String>, Query), ("code" = Option<String>, Query, description = "`system|code` or code"),
           ("date" = Option<String>, Query), ("status" = Option<String>, Query), ("identifier" = Option<String>, Query),
           ("device" = Option<String>, Query), ("_id" = Option<String>, Query), ("_lastUpdated" = Option<String>, Query),
           ("_source" = Option<String>, Query), ("_sort" = Option<String>, Query), ("_count" = Option<i64>, Query),
           ("_since-seq" = Option<String>, Query, description = "Readings in the order of their arrival, behind a number of `X-JHE-Sequence`; 0 is the beginning"),
           ("_page" = Option<String>, Query), ("_offset" = Option<i64>, Query), ("_cursor" = Option<String>, Query),
           ("_total" = Option<String>, Query), ("_summary" = Option<String>, Query), ("_elements" = Option<String>, Query)),
    responses((status = 200, description = "A searchset Bundle", content_type = "application/fhir+json", body = Object,
               headers(("X-JHE-Sequence" = String, description = "With `_since-seq`: the number to go on with"))),
              (status = 400, description = "A parameter is wrong or missing"), (status = 403, description = "Something named is not the caller's")))]
#[tracing::instrument(name = "fhir.observation.search", skip_all)]
pub(crate) async fn search(
    State(app): State<App>,
    Caller(actor): Caller,
    call: SearchCall,
) -> Result<Response, FhirError> {
    answer(&app, &actor, &call).await
}

/// Searches observations; the parameters are a form.
#[utoipa::path(post, path = "/fhir/r5/Observation/_search", tag = "fhir", operation_id = "searchObservationsByPost",
    request_body(content = Object, content_type = "application/x-www-form-urlencoded",
        description = "The parameters of `GET /fhir/r5/Observation`, each a field of the form; those in the address count, too",
        example = json!({"patient": "40001", "code": "https://w3id.org/openmhealth|omh:heart-rate:2.0", "_count": "50"})),
    responses((status = 200, description = "A searchset Bundle", content_type = "application/fhir+json", body = Object)))]
#[tracing::instrument(name = "fhir.observation.search", skip_all)]
pub(crate) async fn search_by_post(
    State(app): State<App>,
    Caller(actor): Caller,
    call: SearchCall,
) -> Result<Response, FhirError> {
    answer(&app, &actor, &call).await
}

/// The same by GET, which the links of such a search use.
#[utoipa::path(get, path = "/fhir/r5/Observation/_search", tag = "fhir", operation_id = "continueObservationSearch",
    responses((status = 200, description = "A searchset Bundle", content_type = "application/fhir+json", body = Object)))]
#[tracing::instrument(name = "fhir.observation.search", skip_all)]
pub(crate) async fn search_by_get(
    State(app): State<App>,
    Caller(actor): Caller,
    call: SearchCall,
) -> Result<Response, FhirError> {
    answer(&app, &actor, &call).await
}

async fn answer(app: &App, actor: &Actor, call: &SearchCall) -> Result<Response, FhirError> {
    let (since, request) = call.parse_with(KIND, arrival::SINCE)?;
    require_scope(app, actor, &request)?;
    if let Some(since) = since.filter(|text| !text.is_empty()) {
        return arrival::answer(app, actor, call, &request, &since).await;
    }
    let pager = Pager::new(app, actor, call, &request)?;
    let mut work = pager.work().await?;
    // What was named must be the caller's, also where the intersection leaves nothing of it.
    let (named, within) = (search::named(&request.scope), search::narrowed(&request.scope));
    let scope = Authorizer::new(actor, &mut work).fhir_observations(&named, within).await?;
    if !search::is_native(&request) {
        pager.window(Some(0))?;
        drop(work);
        call.remember(app, actor, KIND).await?;
        return Ok(pager.respond_empty(Some(0)));
    }
    let filter = translate::observation_filter(&request, app.now());
    if request.result.is_count_only() {
        let total = work.observations().total(&scope, &filter).await?;
        drop(work);
        call.remember(app, actor, KIND).await?;
        return Ok(pager.respond_empty(Some(total)));
    }
    let projection = request.result.projection();
    let sorted = !request.result.sort.is_empty();
    let mut page = ObservationPage::window(0, 0);
    page.ahead = true;
    page.order = order(&request.result.sort);
    page.id_descending = !sorted;
    page.documents = ObservationOut::needs_document(&projection);
    page.identifiers = true;
    page.source_names = false;
    // A first page of the newest tells by itself how many there are.
    let tells = pager.begins() && page.is_first_of(&filter);
    // Before anything is read: whoever polls goes on from there, and what comes later is on no page (4.9).
    let moment = if pager.begins() { Some(work.moment().await?) } else { None };
    page.not_after = moment.filter(|_| sorted).map(|moment| moment.now);
    let mut extent = None;
    if pager.needs_count() && !tells {
        work.hold().await?;
        extent = Some(work.observations().count(&scope, &filter, page.not_after).await?);
    }
    let mut window = pager.window(extent.map(|extent| extent.count))?;
    (page.offset, page.limit) = (window.offset(), window.limit);
    page.after = window.after.clone();
    page.walk = extent.map_or(window.walk, |extent| extent.favours_walk(page.offset.saturating_add(page.limit)));
    if let Some(moment) = moment {
        window.time = moment.settled;
        window.snapshot = page.not_after;
    }
    page.not_after = window.snapshot;
    // Beyond the end there is nothing to look for.
    let is_beyond = page.after.is_none() && extent.is_some_and(|extent| page.offset >= extent.count);
    let found = if is_beyond { Found::default() } else { work.observations().search(&scope, &filter, &page).await? };
    let rows = found.rows;
    extent = extent.or(found.extent);
    if pager.begins() {
        window.walk = extent.is_some_and(|extent| extent.favours_walk(page.limit));
        if !sorted {
            window.snapshot = rows.first().map(|row| row.last_updated);
        }
    }
    let counted = extent.map(|extent| extent.count);
    drop(work);
    call.remember(app, actor, KIND).await?;
    pager.respond(
        &window,
        counted,
        rows,
        |row| Some(page.place(row)),
        |row| row.id.0,
        |row, out| representation::observation(row, &projection, out),
    )
}

/// The newest observations of each patient and data type.
#[utoipa::path(get, path = "/fhir/r5/Observation/$lastn", tag = "fhir", operation_id = "lastObservations",
    params(("max" = Option<i64>, Query, description = "How many of each, 1 to 100; 1 unless said otherwise"),
           ("patient" = Option<String>, Query, description = "Patient ids; `subject` is the same"),
           ("patient.identifier" = Option<String>, Query, description = "`system|value`"),
           ("patient._has:Group:member:_id" = Option<String>, Query, description = "Study ids"),
           ("patient.organization" = Option<String>, Query), ("code" = Option<String>, Query, description = "`system|code` or code"),
           ("date" = Option<String>, Query), ("status" = Option<String>, Query), ("device" = Option<String>, Query),
           ("_count" = Option<i64>, Query), ("_page" = Option<String>, Query), ("_offset" = Option<i64>, Query),
           ("_cursor" = Option<String>, Query), ("_total" = Option<String>, Query), ("_summary" = Option<String>, Query),
           ("_elements" = Option<String>, Query)),
    responses((status = 200, description = "A searchset Bundle", content_type = "application/fhir+json", body = Object),
              (status = 400, description = "A parameter is wrong or missing"), (status = 403, description = "Something named is not the caller's")))]
#[tracing::instrument(name = "fhir.observation.lastn", skip_all)]
pub(crate) async fn lastn(
    State(app): State<App>,
    Caller(actor): Caller,
    call: SearchCall,
) -> Result<Response, FhirError> {
    const MOST: i64 = 100;
    let (max, request) = call.parse_with(KIND, "max")?;
    let max = match max.as_deref().filter(|text| !text.is_empty()) {
        None => 1,
        Some(text) => positive_id(text)
            .filter(|max| *max <= MOST)
            .ok_or_else(|| FhirError::from(catalogue::invalid_value("max", text)))?,
    };
    require_scope(&app, &actor, &request)?;
    let pager = Pager::of_operation(&app, &actor, &call, &request, &format!("$lastn {max}"))?;
    let mut work = pager.work().await?;
    let (named, within) = (search::named(&request.scope), search::narrowed(&request.scope));
    let scope = Authorizer::new(&actor, &mut work).fhir_observations(&named, within).await?;
    if !search::is_native(&request) {
        pager.window(Some(0))?;
        return Ok(pager.respond_empty(Some(0)));
    }
    let filter = translate::observation_filter(&request, app.now());
    if request.result.is_count_only() {
        let total = work.observations().total_last(&scope, &filter, max).await?;
        return Ok(pager.respond_empty(Some(total)));
    }
    // What arrives from now on shifts no page (4.9).
    let moment = if pager.begins() { Some(work.moment().await?) } else { None };
    // A first page tells by itself how many there are, unless a condition looks at rows.
    let tells = pager.begins() && !filter.looks_at_rows();
    let mut total = None;
    if pager.needs_count() && !tells {
        work.hold().await?;
        total = Some(work.observations().count_last(&scope, &filter, max, moment.map(|moment| moment.now)).await?);
    }
    let mut window = pager.window(total)?;
    if let Some(moment) = moment {
        (window.time, window.snapshot) = (moment.settled, Some(moment.now));
    }
    let projection = request.result.projection();
    let mut page = ObservationPage::window(window.offset(), window.limit);
    page.ahead = true;
    (page.after, page.not_after) = (window.after.clone(), window.snapshot);
    page.documents = ObservationOut::needs_document(&projection);
    page.identifiers = true;
    page.source_names = false;
    let found = work.observations().last(&scope, &filter, max, &page).await?;
    drop(work);
    pager.respond(
        &window,
        total.or(found.total),
        found.rows,
        |_| found.next.clone(),
        |row| row.id.0,
        |row, out| representation::observation(row, &projection, out),
    )
}

/// A practitioner must say of whom (FHIR §4.6).
fn require_scope(app: &App, actor: &Actor, request: &SearchRequest) -> Result<(), FhirError> {
    let reads_of_others = matches!(actor.fhir_role(), FhirRole::Practitioner(_) | FhirRole::Superuser);
    if reads_of_others && !request.has_scope_parameter() && requires_scope(app) {
        return Err(catalogue::observation_search_needs_scope().into());
    }
    Ok(())
}

fn requires_scope(app: &App) -> bool {
    app.settings().bool("fhir.observation_search_requires_scope", true)
}

fn order(sort: &[SortKey]) -> Vec<OrderKey> {
    let key = |key: &SortKey| {
        let by = match key.field {
            SortField::Date => ObservationOrder::Effective,
            SortField::LastUpdated => ObservationOrder::LastUpdated,
            SortField::Id => ObservationOrder::Id,
            SortField::Code => ObservationOrder::Code,
            SortField::Status => ObservationOrder::Status,
            SortField::Patient => ObservationOrder::Patient,
            SortField::Name | SortField::Family | SortField::Given | SortField::Birthdate => return None,
        };
        Some(OrderKey { by, descending: key.descending })
    };
    sort.iter().filter_map(key).collect()
}

/// One observation.
#[utoipa::path(get, path = "/fhir/r5/Observation/{id}", tag = "fhir", operation_id = "readObservation", params(("id" = String, Path)),
    responses((status = 200, description = "The Observation", content_type = "application/fhir+json", body = Object),
              (status = 304, description = "Unchanged"), (status = 404, description = "Not readable, or no such observation")))]
#[tracing::instrument(name = "fhir.observation.read", skip_all)]
pub(crate) async fn read(
    State(app): State<App>,
    Caller(actor): Caller,
    SentId(id): SentId,
    headers: HeaderMap,
) -> Result<Response, FhirError> {
    let missing = || FhirError::from(catalogue::not_found(KIND.as_str(), &id));
    let number = positive_id(&id).ok_or_else(missing)?;
    let mut work = app.store().search().await?;
    let scope = Authorizer::new(&actor, &mut work).fhir_observations(&Location::default(), Location::default()).await?;
    let row = work.observations().find(&scope, ObservationId(number)).await?.ok_or_else(missing)?;
    Ok(representation::single(&headers, row.last_updated, |out| {
        representation::observation(&row, &Projection::Full, out);
    }))
}

/// Stores one observation.
///
/// An `identifier` makes it safe to upload a reading again: a second one with the same system and value is refused with 409 and the
/// code `duplicate`, which says that it is stored already, and which an uploading program takes for success. With `If-None-Exist`
/// the answer is 200 and the stored one instead. The body may be compressed.
#[utoipa::path(post, path = "/fhir/r5/Observation", tag = "fhir", operation_id = "createObservation",
    request_body(content = Object, content_type = "application/fhir+json",
        description = "An Observation with an Open mHealth document, in Base64, in `valueAttachment`",
        example = json!({
            "resourceType": "Observation",
            "status": "final",
            "identifier": [{"system": "https://app.example.org/readings", "value": "reading-1"}],
            "subject": {"reference": "Patient/40001"},
            "device": {"reference": "Device/70001"},
            "code": {"coding": [{"system": "https://w3id.org/openmhealth", "code": "omh:heart-rate:2.0"}]},
            "valueAttachment": {"contentType": "application/json", "data": "eyJoZWFkZXIiOnsidXVpZCI6IjViNmMxZDJlLTdhM2YtNGMxYi05ZDJlLTBmMWEyYjNjNGQwMCIsInNjaGVtYV9pZCI6eyJuYW1lc3BhY2UiOiJvbWgiLCJuYW1lIjoiaGVhcnQtcmF0ZSIsInZlcnNpb24iOiIyLjAifSwic291cmNlX2NyZWF0aW9uX2RhdGVfdGltZSI6IjIwMjYtMDQtMTVUMTQ6MzA6MDBaIiwibW9kYWxpdHkiOiJzZW5zZWQifSwiYm9keSI6eyJoZWFydF9yYXRlIjp7InZhbHVlIjo2MiwidW5pdCI6ImJlYXRzL21pbiJ9LCJlZmZlY3RpdmVfdGltZV9mcmFtZSI6eyJkYXRlX3RpbWUiOiIyMDI2LTA0LTE1VDE0OjMwOjAwWiJ9fX0="}
        })),
    params(("Prefer" = Option<String>, Header, description = "`return=minimal` answers headers only, `return=OperationOutcome` a sentence, `return=representation` the Observation, as without it"),
           ("Content-Encoding" = Option<String>, Header, description = "`gzip`, `deflate` or `zstd`, for a body that is compressed"),
           ("If-None-Exist" = Option<String>, Header, description = "`identifier=system|value`: stored unless there is one with it")),
    responses((status = 201, description = "Stored", content_type = "application/fhir+json", body = Object),
              (status = 200, description = "There already, as the condition asks", content_type = "application/fhir+json", body = Object),
              (status = 400, description = "Not a valid Observation, or something it refers to is unknown"),
              (status = 412, description = "The condition fits several"),
              (status = 403, description = "Not consented, or not the caller's to write"), (status = 409, description = "An identifier is in use: stored already, when it is that of the same reading"),
              (status = 422, description = "The document does not conform to its schema")))]
#[tracing::instrument(name = "fhir.observation.create", skip_all)]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    Extension(base): Extension<FhirBase>,
    headers: HeaderMap,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response, FhirError> {
    account::will_answer(StatusCode::CREATED, StatusCode::BAD_REQUEST);
    let prefer = Prefer::of(&headers);
    let unless = condition::of_headers(&headers)?;
    let source_named = names_source(&headers);
    let documents = app.documents();
    let own = OwnBase::new(&app, &origin.base());
    let candidate = on_blocking_thread(move || {
        let mut body = object(&bytes)?;
        match body.get("resourceType").cloned() {
            None => {
                if let Some(members) = body.as_object_mut() {
                    members.insert("resourceType".to_owned(), json!(KIND.as_str()));
                }
            }
            Some(Value::String(found)) if found == KIND.as_str() => {}
            Some(found) => {
                let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
                return Err(catalogue::resource_type_mismatch(KIND.as_str(), &found).into());
            }
        }
        let source_named = source_named || resource_names_source(&body);
        Ok(Candidate::read(&body, source_named, documents, &|base| own.is(base))?.unless(unless))
    })
    .await?;
    let whole = matches!(prefer.answer, None | Some(Return::Representation));
    let outcomes = ingest::store(&app, &actor, &[Ok(candidate)], Together::Batch, whole).await?;
    let receipt =
        outcomes.into_iter().flatten().next().ok_or_else(|| Error::internal("an upload without an answer"))??;
    let location = format!("{}{}/Observation/{}", origin.base(), base.0, receipt.id);
    Ok(created(&receipt, &location, prefer))
}

fn created(receipt: &Receipt, location: &str, prefer: Prefer) -> Response {
    let body = match prefer.answer {
        Some(Return::Minimal) => None,
        Some(Return::Outcome) => {
            let issue = Issue::information(IssueCode::Informational, receipt_text(receipt));
            Some(OperationOutcome::from(issue).to_json())
        }
        None | Some(Return::Representation) => receipt.observation.as_ref().map(|row| {
            let mut out = Vec::new();
            representation::observation(row, &Projection::Full, &mut out);
            out
        }),
    };
    let status = if receipt.created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = match body {
        Some(body) => (status, [(header::CONTENT_TYPE, FHIR_JSON)], body).into_response(),
        None => status.into_response(),
    };
    let headers = response.headers_mut();
    representation::version(headers, &representation::etag(receipt.last_updated), receipt.last_updated);
    if let Ok(value) = HeaderValue::from_str(location) {
        headers.insert(header::LOCATION, value);
    }
    if let Some(value) = prefer.applied() {
        headers.insert("preference-applied", value);
    }
    response
}
