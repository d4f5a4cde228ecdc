//! AuditEvent: the audit trail, to search and to read. Whoever may read which entries is said by the authorizer.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jhe_app::App;
use jhe_authz::{Actor, Authorizer, Location};
use jhe_domain::AuditEventId;
use jhe_domain::audit::{AuditAction, AuditEvent};
use jhe_domain::page::{Place, Window};
use jhe_fhir::audit_event::{AuditEventOut, ConsentOut, action_code};
use jhe_fhir::search::{Filter, SearchRequest, TokenValue};
use jhe_fhir::types::positive_id;
use jhe_fhir::{Projection, ResourceType, catalogue};
use jhe_http::Caller;
use jhe_store::audit::AuditFilter;

use crate::error::FhirError;
use crate::path::SentId;
use crate::representation;
use crate::search::{self, Pager, SearchCall};
use crate::translate;

const KIND: ResourceType = ResourceType::AuditEvent;
/// The system of `AuditEvent.action`.
const ACTION_SYSTEM: &str = "http://hl7.org/fhir/audit-event-action";

/// Searches the audit trail, the newest first. It is never counted.
#[utoipa::path(get, path = "/fhir/r5/AuditEvent", tag = "fhir", operation_id = "searchAuditEvents",
    params(("patient" = Option<String>, Query, description = "Patient ids"),
           ("patient.organization" = Option<String>, Query, description = "Organization ids"),
           ("date" = Option<String>, Query), ("action" = Option<String>, Query, description = "C, R, U, D or E"),
           ("_id" = Option<String>, Query), ("_lastUpdated" = Option<String>, Query), ("_source" = Option<String>, Query),
           ("_count" = Option<i64>, Query), ("_offset" = Option<i64>, Query), ("_cursor" = Option<String>, Query),
           ("_summary" = Option<String>, Query), ("_elements" = Option<String>, Query)),
    responses((status = 200, description = "A searchset Bundle", content_type = "application/fhir+json", body = Object),
              (status = 400, description = "A parameter is wrong"), (status = 403, description = "The caller answers for no organization and is no patient")))]
#[tracing::instrument(name = "fhir.audit_event.search", skip_all)]
pub(crate) async fn search(
    State(app): State<App>,
    Caller(actor): Caller,
    call: SearchCall,
) -> Result<Response, FhirError> {
    find(&app, &actor, &call).await
}

/// Searches the audit trail; the parameters are a form.
#[utoipa::path(post, path = "/fhir/r5/AuditEvent/_search", tag = "fhir", operation_id = "searchAuditEventsByPost",
    request_body(content = Object, content_type = "application/x-www-form-urlencoded",
        description = "The parameters of `GET /fhir/r5/AuditEvent`, each a field of the form; those in the address count, too",
        example = json!({"patient": "40001", "_count": "50"})),
    responses((status = 200, description = "A searchset Bundle", content_type = "application/fhir+json", body = Object)))]
#[tracing::instrument(name = "fhir.audit_event.search", skip_all)]
pub(crate) async fn search_by_post(
    State(app): State<App>,
    Caller(actor): Caller,
    call: SearchCall,
) -> Result<Response, FhirError> {
    find(&app, &actor, &call).await
}

/// The same by GET, which the links of such a search use.
#[utoipa::path(get, path = "/fhir/r5/AuditEvent/_search", tag = "fhir", operation_id = "continueAuditEventSearch",
    responses((status = 200, description = "A searchset Bundle", content_type = "application/fhir+json", body = Object)))]
#[tracing::instrument(name = "fhir.audit_event.search", skip_all)]
pub(crate) async fn search_by_get(
    State(app): State<App>,
    Caller(actor): Caller,
    call: SearchCall,
) -> Result<Response, FhirError> {
    find(&app, &actor, &call).await
}

async fn find(app: &App, actor: &Actor, call: &SearchCall) -> Result<Response, FhirError> {
    let request = call.parse(KIND)?;
    if request.result.is_count_only() {
        return Err(catalogue::invalid_value("_summary", "count").into());
    }
    let pager = Pager::new(app, actor, call, &request)?;
    let mut work = app.store().search().await?;
    let (named, within) = (search::named(&request.scope), search::narrowed(&request.scope));
    let scope = Authorizer::new(actor, &mut work).audit_trail(&named, within).await?;
    if !search::is_native(&request) {
        pager.window(None)?;
        return Ok(pager.respond_empty(None));
    }
    let filter = filter(app, &request);
    let mut window = pager.window(None)?;
    window.time = work.moment().await?.settled;
    let wanted = Window { after: window.after.clone(), ..Window::at(window.offset(), window.limit) };
    let rows = work.audit_events().list(&scope, &filter, &wanted, window.limit - 1).await?.rows;
    drop(work);
    let (projection, addresses) = (request.result.projection(), actor.looks_after_others());
    pager.respond(
        &window,
        None,
        rows,
        |row| Some(Place { keys: Vec::new(), id: row.id.0 }),
        |row| row.id.0,
        |row, out| write(row, addresses, &projection, out),
    )
}

fn filter(app: &App, request: &SearchRequest) -> AuditFilter {
    let mut filter = AuditFilter::default();
    if let Some(ids) = &request.ids {
        filter.ids = Some(ids.iter().filter_map(|id| positive_id(id)).map(AuditEventId).collect());
    }
    let now = app.now();
    filter.times = request.last_updated.iter().map(|any| translate::exact_times(any, now)).collect();
    for one in &request.filters {
        match one {
            Filter::Date(dates) => filter.times.push(translate::exact_times(dates, now)),
            Filter::Action(values) => narrow(&mut filter, values, true),
            Filter::Not(inner) => {
                if let Filter::Action(values) = inner.as_ref() {
                    narrow(&mut filter, values, false);
                }
            }
            // The request only holds what the type has.
            _ => {}
        }
    }
    filter
}

/// Leaves the actions that have one of these codes, or none of them.
fn narrow(filter: &mut AuditFilter, values: &[TokenValue], wanted: bool) {
    let has = |name: &str| values.iter().any(|value| value.matches(ACTION_SYSTEM, action_code(name))) == wanted;
    if let Some(actions) = &mut filter.actions {
        actions.retain(|name| has(name));
    } else {
        let all = AuditAction::ALL.iter().map(|action| action.as_str()).filter(|name| has(name));
        filter.actions = Some(all.map(str::to_owned).collect());
    }
}

fn write(event: &AuditEvent, addresses: bool, projection: &Projection, out: &mut Vec<u8>) {
    let shown = AuditEventOut {
        id: event.id.0,
        recorded: event.occurred_at,
        actor: event.actor_user_id.map(|id| id.0),
        actor_name: event.actor_name.as_ref().map(|name| name.reveal().as_str()),
        address: event.ip.filter(|_| addresses).map(|ip| ip.to_string()),
        client: event.application_name.as_deref(),
        action: &event.action,
        resource: &event.resource,
        resource_id: event.resource_id.as_deref(),
        patients: event.patients.iter().map(|id| id.0).collect(),
        rows: event.rows,
        status: event.status,
        request_id: event.request_id.as_deref(),
        template: event.template.as_deref(),
        consents: event
            .consents
            .iter()
            .map(|held| ConsentOut {
                study_id: held.study_id.0,
                study: &held.study_name,
                data_type: &held.scope_code_text,
            })
            .collect(),
    };
    shown.write_json(out, projection);
}

/// One of them.
#[utoipa::path(get, path = "/fhir/r5/AuditEvent/{id}", tag = "fhir", operation_id = "readAuditEvent", params(("id" = String, Path)),
    responses((status = 200, description = "The AuditEvent", content_type = "application/fhir+json", body = Object),
              (status = 304, description = "Unchanged"), (status = 403, description = "The caller answers for no organization and is no patient"),
              (status = 404, description = "Not readable, or there is none")))]
#[tracing::instrument(name = "fhir.audit_event.read", skip_all)]
pub(crate) async fn read(
    State(app): State<App>,
    Caller(actor): Caller,
    SentId(id): SentId,
    headers: HeaderMap,
) -> Result<Response, FhirError> {
    let missing = || FhirError::from(catalogue::not_found(KIND.as_str(), &id));
    let number = positive_id(&id).ok_or_else(missing)?;
    let mut work = app.store().search().await?;
    let everywhere = Location::default();
    let scope = Authorizer::new(&actor, &mut work).audit_trail(&everywhere, everywhere.clone()).await?;
    let filter = AuditFilter { ids: Some(vec![AuditEventId(number)]), ..AuditFilter::default() };
    let found = work.audit_events().list(&scope, &filter, &Window::first(1), 1).await?.rows.pop();
    let event = found.ok_or_else(missing)?;
    Ok(representation::single(&headers, event.occurred_at, |out| {
        write(&event, actor.looks_after_others(), &Projection::Full, out);
    }))
}
