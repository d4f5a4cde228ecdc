//! The audit trail: who did what with data of whom. Contract operations §5, integrations §14.5.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use jhe_app::App;
use jhe_authz::{Authorizer, Location};
use jhe_domain::audit::{AuditEvent, HeldConsent};
use jhe_domain::error::{Error, Lookup};
use jhe_domain::page::Window;
use jhe_domain::{AuditEventId, OrganizationId, PatientId, UserId};
use jhe_http::{Caller, Origin};
use jhe_store::audit::AuditFilter;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::AdminError;
use crate::paging::{KeyedPageJson, Paging};
use crate::path::{PathId, SentPath};
use crate::query::AdminQuery;
use crate::response::ok;
use crate::time::timestamp;

/// Rows of a page unless asked otherwise.
const DEFAULT: i64 = 100;

/// An entry of the audit trail.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditEventJson {
    id: i64,
    #[schema(format = DateTime)]
    occurred_at: String,
    /// The account that acted; null for the server itself, for whoever did not sign in, and for strangers who were refused.
    actor_user_id: Option<i64>,
    actor_name: Option<String>,
    /// The client it acted through, as the id of its row.
    client_id: Option<i64>,
    client_name: Option<String>,
    /// `read`, `create`, `update`, `delete`, `lookup`, `invite`, `redeem`, `login`, `denied`, …
    action: String,
    /// The kind of row, as the API names it; `Request` for a request as a whole.
    resource: String,
    resource_id: Option<String>,
    /// Whose data, as far as the caller may know of them.
    patient_ids: Vec<i64>,
    /// Of how many patients.
    patient_count: i64,
    organization_id: Option<i64>,
    /// How many rows.
    rows: Option<i64>,
    /// HTTP status of the answer.
    status: Option<i32>,
    request_id: Option<String>,
    /// Method and route template of the request.
    template: Option<String>,
    reason: Option<String>,
    /// From where; not told to patients.
    ip: Option<String>,
    /// Where somebody read a patient's observations and one patient is asked about: consents that held towards the
    /// reader's organizations at that moment.
    consents: Vec<HeldConsentJson>,
}

/// A consent that held.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeldConsentJson {
    study_id: i64,
    study_name: String,
    organization_id: i64,
    scope_code_id: i64,
    scope_code_text: String,
    #[schema(format = DateTime)]
    since: String,
}

impl From<HeldConsent> for HeldConsentJson {
    fn from(held: HeldConsent) -> Self {
        Self {
            study_id: held.study_id.0,
            study_name: held.study_name,
            organization_id: held.organization_id.0,
            scope_code_id: held.scope_code_id.0,
            scope_code_text: held.scope_code_text,
            since: timestamp(held.since),
        }
    }
}

fn json(event: AuditEvent, addresses: bool) -> AuditEventJson {
    AuditEventJson {
        id: event.id.0,
        occurred_at: timestamp(event.occurred_at),
        actor_user_id: event.actor_user_id.map(|id| id.0),
        actor_name: event.actor_name.map(jhe_domain::Phi::into_inner),
        client_id: event.application_id.map(|id| id.0),
        client_name: event.application_name,
        action: event.action,
        resource: event.resource,
        resource_id: event.resource_id,
        patient_ids: event.patients.into_iter().map(|id| id.0).collect(),
        patient_count: event.patient_count,
        organization_id: event.organization_id.map(|id| id.0),
        rows: event.rows,
        status: event.status,
        request_id: event.request_id,
        template: event.template,
        reason: event.reason,
        ip: event.ip.filter(|_| addresses).map(|ip| ip.to_string()),
        consents: event.consents.into_iter().map(Into::into).collect(),
    }
}

/// The audit trail, the newest first: all of it for superusers, that of their organizations for managers, what was done with
/// their own data for patients. Paged by `cursor`, not counted.
#[utoipa::path(get, path = "/api/v1/audit_events", tag = "audit events",
    params(("patientId" = Option<i64>, Query), ("organizationId" = Option<i64>, Query),
           ("actorUserId" = Option<i64>, Query, description = "The account that acted"),
           ("action" = Option<String>, Query), ("resource" = Option<String>, Query),
           ("since" = Option<String>, Query, description = "A date or a moment, included"),
           ("until" = Option<String>, Query, description = "A date or a moment, included"),
           ("limit" = Option<i64>, Query), ("pageSize" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = KeyedPageJson<AuditEventJson>), (status = 400, description = "A parameter is wrong"),
              (status = 403, description = "The caller answers for no organization and is no patient"),
              (status = 404, description = "No such cursor")))]
#[tracing::instrument(name = "admin.audit_events.list", skip_all)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    SentPath(path): SentPath,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let within = Location::one(
        query.integer("organizationId")?.map(OrganizationId),
        None,
        query.integer("patientId")?.map(PatientId),
    );
    let scope = Authorizer::new(&actor, &mut work).audit_trail(&Location::default(), within).await?;
    let text = |name: &str| query.get(name).map(str::to_owned);
    let filter = AuditFilter {
        actor: query.integer("actorUserId")?.map(UserId),
        actions: text("action").map(|action| vec![action]),
        resource: text("resource"),
        since: query.time("since")?.map(|(first, _)| first),
        until: query.time("until")?.map(|(_, after)| after),
        ..AuditFilter::default()
    };
    let paging = Paging::by_key(&app, &query, &path, DEFAULT)?;
    let window = paging.window()?;
    let page = work.audit_events().list(&scope, &filter, &window, window.limit).await?;
    let addresses = actor.looks_after_others();
    Ok(paging.respond_uncounted(&origin, page.map(|event| json(event, addresses)))?)
}

/// One entry of the audit trail.
#[utoipa::path(get, path = "/api/v1/audit_events/{id}", tag = "audit events", params(("id" = i64, Path)),
    responses((status = 200, body = AuditEventJson), (status = 403, description = "Not permitted"), (status = 404, description = "None the caller may know of")))]
#[tracing::instrument(name = "admin.audit_events.get", skip_all)]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).audit_trail(&Location::default(), Location::default()).await?;
    let filter = AuditFilter { ids: Some(vec![AuditEventId(id)]), ..AuditFilter::default() };
    let found = work.audit_events().list(&scope, &filter, &Window::first(1), 1).await?.rows.pop();
    let event = found.ok_or(Error::NotFound(Lookup::Entity("AuditEvent")))?;
    Ok(ok(&json(event, actor.looks_after_others())))
}
