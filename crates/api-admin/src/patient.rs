//! Patients: contract admin-api §6.4.

use std::collections::HashMap;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{Datelike as _, NaiveDate};
use jhe_app::App;
use jhe_app::patient as usecase;
use jhe_app::wearable::{self, Connection, Status};
use jhe_authz::{Actor, Authorizer, Location};
use jhe_domain::error::{Error, Lookup, Violations};
use jhe_domain::organization::{Organization, Roster};
use jhe_domain::page::Page;
use jhe_domain::patient::{Disclosure, Identifier, NewPatient, Patient, PatientChange};
use jhe_domain::practitioner::Remember;
use jhe_domain::text::normalize_email;
use jhe_domain::{OrganizationId, PatientId, Phi, StudyId};
use jhe_http::{Caller, Origin, account};
use jhe_store::Work;
use jhe_store::filter::{PersonFilter, Token, TokenSystem};
use jhe_store::patient::PatientQuery;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::body;
use crate::client::ClientJson;
use crate::error::AdminError;
use crate::fields::{Fields, Sent, text};
use crate::invitation::InvitationJson;
use crate::organization::OrganizationJson;
use crate::paging::{DEFAULT_SIZE, PageJson, Paging};
use crate::path::{PathId, SentPath};
use crate::query::AdminQuery;
use crate::response::{created, no_content, ok};
use crate::time::timestamp;

/// An identifier of a patient in another system.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct IdentifierJson {
    id: i64,
    system: String,
    value: String,
}

/// A patient. In reduced form all but `id`, `patientId`, `jheUserId` and `telecomEmail` is empty.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PatientJson {
    id: i64,
    patient_id: i64,
    jhe_user_id: Option<i64>,
    /// The site's own identifier, else the first one.
    identifier: Option<String>,
    identifiers: Vec<IdentifierJson>,
    name_family: Option<String>,
    name_given: Option<String>,
    /// `YYYY-MM-DD`.
    #[schema(format = Date)]
    birth_date: Option<String>,
    telecom_phone: Option<String>,
    telecom_email: Option<String>,
    organization_id: Option<i64>,
    /// `active`, or `pending` until the patient agrees.
    membership_status: Option<&'static str>,
    /// Organizations shared with the caller.
    organizations: Vec<OrganizationJson>,
}

impl PatientJson {
    /// Whose it is.
    pub(crate) const fn row(&self) -> PatientId {
        PatientId(self.id)
    }
}

impl From<Identifier> for IdentifierJson {
    fn from(identifier: Identifier) -> Self {
        Self { id: identifier.id.0, system: identifier.system.into_inner(), value: identifier.value.into_inner() }
    }
}

fn plain(value: Option<Phi<String>>) -> Option<String> {
    value.map(Phi::into_inner)
}

/// Renders patients with their organizations; `at` is the organization the request was narrowed to.
pub(crate) async fn render(
    app: &App,
    work: &mut Work,
    actor: &Actor,
    patients: Vec<Patient>,
    at: Option<OrganizationId>,
) -> Result<Vec<PatientJson>, Error> {
    let mut ids: Vec<OrganizationId> =
        patients.iter().flat_map(|patient| patient.organizations.iter().copied()).collect();
    ids.sort_unstable();
    ids.dedup();
    let scope = Authorizer::new(actor, work).organizations();
    let organizations: HashMap<OrganizationId, Organization> =
        work.organizations().by_ids(&scope, &ids).await?.into_iter().map(|row| (row.id, row)).collect();
    let site = app.settings().site_url();
    Ok(patients.into_iter().map(|patient| one(patient, &organizations, &site, at)).collect())
}

fn one(
    patient: Patient,
    organizations: &HashMap<OrganizationId, Organization>,
    site: &str,
    at: Option<OrganizationId>,
) -> PatientJson {
    let (status, organization_id) = match patient.disclosure {
        Disclosure::Full => {
            let narrowed = at.filter(|at| patient.organizations.contains(at));
            let status = (!patient.organizations.is_empty()).then_some("active");
            (status, narrowed.or_else(|| patient.organizations.iter().min().copied()))
        }
        Disclosure::Pending(organization) => (Some("pending"), Some(organization)),
        Disclosure::Unlinked => (None, None),
    };
    let own = patient.identifiers.iter().find(|identifier| identifier.system.reveal() == site);
    let identifier = own.or_else(|| patient.identifiers.first()).map(|identifier| identifier.value.reveal().clone());
    PatientJson {
        id: patient.id.0,
        patient_id: patient.id.0,
        jhe_user_id: patient.user_id.map(|id| id.0),
        identifier,
        identifiers: patient.identifiers.into_iter().map(Into::into).collect(),
        name_family: plain(patient.name_family),
        name_given: plain(patient.name_given),
        birth_date: patient.birth_date.map(|date| date.reveal().to_string()),
        telecom_phone: plain(patient.telecom_phone),
        telecom_email: plain(patient.telecom_email),
        organization_id: organization_id.map(|id| id.0),
        membership_status: status,
        organizations: patient
            .organizations
            .iter()
            .filter_map(|id| organizations.get(id))
            .map(|organization| OrganizationJson::new(organization.clone(), Roster::default()))
            .collect(),
    }
}

async fn render_one(
    app: &App,
    work: &mut Work,
    actor: &Actor,
    patient: Patient,
    at: Option<OrganizationId>,
) -> Result<Option<PatientJson>, Error> {
    Ok(render(app, work, actor, vec![patient], at).await?.into_iter().next())
}

/// A patient inside a link.
pub(crate) fn nested(patient: &Patient) -> Value {
    let plain = |value: &Option<Phi<String>>| value.as_ref().map(|value| value.reveal().clone());
    json!({
        "id": patient.id.0,
        "nameFamily": plain(&patient.name_family),
        "nameGiven": plain(&patient.name_given),
        "birthDate": patient.birth_date.as_ref().map(|date| date.reveal().to_string()),
        "telecomPhone": plain(&patient.telecom_phone),
        "lastUpdated": timestamp(patient.last_updated),
        "jheUser": patient.user_id.map(|id| id.0),
        "organizations": patient.organizations.iter().map(|id| id.0).collect::<Vec<_>>(),
    })
}

/// Patients shared with the caller, by id.
#[utoipa::path(get, path = "/api/v1/patients", tag = "patients",
    params(("organization_id" = Option<i64>, Query), ("study_id" = Option<i64>, Query), ("patient_id" = Option<i64>, Query),
           ("patient_identifier_value" = Option<String>, Query), ("identifier" = Option<String>, Query, description = "`system|value`, or a value"),
           ("search" = Option<String>, Query), ("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query),
           ("page" = Option<String>, Query), ("pageSize" = Option<i64>, Query), ("cursor" = Option<String>, Query, description = "Empty for the first page of keyset paging")),
    responses((status = 200, body = PageJson<PatientJson>)))]
#[tracing::instrument(name = "admin.patients.list", skip_all)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    SentPath(path): SentPath,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let organization = query.integer("organizationId")?.map(OrganizationId);
    let study = query.integer("studyId")?.map(StudyId);
    let patient = query.integer("patientId")?.map(PatientId);
    let mut person = PersonFilter::default();
    if let Some(value) = query.get("patient_identifier_value") {
        person.identifiers.push(vec![identifier_token(None, value)]);
    }
    if let Some(identifier) = query.get("identifier") {
        let token = match identifier.rsplit_once('|') {
            Some((system, value)) => identifier_token(Some(system), value),
            None => identifier_token(None, identifier),
        };
        person.identifiers.push(vec![token]);
    }
    person.search = query.get("search").map(|text| Phi::new(text.to_owned()));
    let filter = PatientQuery { person, awaiting: true, ..PatientQuery::default() };
    let paging = Paging::new(&app, &query, &path, DEFAULT_SIZE, false)?;
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).patients(Location::one(organization, study, patient));
    let mut page = work.patients().list(&scope, &filter, paging.window()?).await?;
    if let Some(last) = paging.last_window(page.count) {
        page = work.patients().list(&scope, &filter, last).await?;
    }
    let rows = render(&app, &mut work, &actor, page.rows, organization).await?;
    let response = paging.respond(&origin, Page { count: page.count, rows, next: page.next })?;
    let account = Authorizer::new(&actor, &mut work).account();
    drop(work);
    if !query.is_probe {
        app.store().remember(&account, organization, study.map_or(Remember::Clear, Remember::Set)).await?;
    }
    Ok(response)
}

fn identifier_token(system: Option<&str>, value: &str) -> Token {
    Token {
        system: system.map_or(TokenSystem::Any, |system| TokenSystem::OneOf(vec![system.to_owned()])),
        value: Some(Phi::new(value.to_owned())),
    }
}

/// One patient.
#[utoipa::path(get, path = "/api/v1/patients/{id}", tag = "patients",
    params(("id" = i64, Path), ("organization_id" = Option<i64>, Query)),
    responses((status = 200, body = PatientJson), (status = 403, description = "Not shared with the caller"), (status = 404, description = "No such patient")))]
#[tracing::instrument(name = "admin.patients.get", skip_all)]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).patient(PatientId(id)).await?;
    let at = query.integer("organizationId")?.map(OrganizationId);
    let patient = work.patients().find(&scope, PatientId(id)).await?;
    let patient = patient.ok_or(Error::NotFound(Lookup::Entity("Patient")))?;
    Ok(ok(&render_one(&app, &mut work, &actor, patient, at).await?))
}

/// The caller's own patient record.
#[utoipa::path(get, path = "/api/v1/patients/me", tag = "patients",
    responses((status = 200, body = PatientJson), (status = 403, description = "The caller is no patient")))]
#[tracing::instrument(name = "admin.patients.me", skip_all)]
pub(crate) async fn me(State(app): State<App>, Caller(actor): Caller) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).own_patient()?;
    let own = actor.patient().unwrap_or(PatientId(0));
    let patient = work.patients().find(&scope, own).await?.ok_or(Error::NotFound(Lookup::Entity("Patient")))?;
    Ok(ok(&render_one(&app, &mut work, &actor, patient, None).await?))
}

/// Identifier pairs; items without a system or a value are skipped.
fn identifiers(fields: &Fields, faults: &mut Violations) -> Option<Vec<(Phi<String>, Phi<String>)>> {
    match fields.get("identifiers")? {
        Sent::Null => {
            faults.push("identifiers", "This field may not be null.");
            None
        }
        Sent::List(items) => {
            let mut pairs = Vec::with_capacity(items.len());
            for item in items {
                let part = |name: &str| item.get(name).map_or(Ok(None), text);
                match (item.is_object(), part("system"), part("value")) {
                    (true, Ok(Some(system)), Ok(Some(value))) if !system.is_empty() && !value.is_empty() => {
                        pairs.push((Phi::new(system), Phi::new(value)));
                    }
                    (true, Ok(_), Ok(_)) => {}
                    (false, ..) => faults.push("identifiers", "Expected an object with system and value."),
                    (true, Err(message), _) | (true, _, Err(message)) => faults.push("identifiers", message),
                }
            }
            Some(pairs)
        }
        other => {
            let kind = other.type_name();
            faults.push("identifiers", format!("Expected a list of items but got type \"{kind}\"."));
            None
        }
    }
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    let well_formed = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    well_formed.then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten().filter(|date| date.year() > 0)
}

/// Makes a patient of an organization, with a login account.
#[utoipa::path(post, path = "/api/v1/patients", tag = "patients", request_body = body::patient::NewPatient,
    responses((status = 201, body = PatientJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.patients.create", skip_all)]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    fields: Fields,
) -> Result<Response, AdminError> {
    let organization = fields.id("organizationId").map(OrganizationId);
    let site = app.settings().site_url();
    let validate = |known: bool| {
        if !known {
            let message = match fields.reference("organizationId") {
                Ok(Some(id)) => format!("Invalid pk \"{id}\" - object does not exist."),
                Ok(None) => "This field is required.".to_owned(),
                Err(message) => message,
            };
            return Err(Error::invalid("organizationId", message));
        }
        let email = fields.get("telecomEmail").map_or(Ok(None), text);
        let email = email.map_err(|message| Error::invalid("telecomEmail", message))?.unwrap_or_default();
        if email.is_empty() {
            return Err(Error::sentence_at("telecomEmail", "Email is required to create a patient."));
        }
        let email = normalize_email(&email)
            .ok_or_else(|| Error::sentence_at("telecomEmail", "Enter a valid email address."))?;
        let birth_date = match fields.get("birthDate").map_or(Ok(None), text) {
            Ok(None) => None,
            Ok(Some(text)) => Some(parse_date(&text)),
            Err(_) => Some(None),
        };
        if birth_date == Some(None) {
            return Err(Error::sentence_at("birthDate", "Enter a valid birth date (YYYY-MM-DD)."));
        }
        let mut faults = Violations::default();
        let name_family = fields.nullable_text("nameFamily", &mut faults).flatten();
        let name_given = fields.nullable_text("nameGiven", &mut faults).flatten();
        let telecom_phone = fields.nullable_text("telecomPhone", &mut faults).flatten();
        let mut pairs = identifiers(&fields, &mut faults).unwrap_or_default();
        if let Some(own) = fields.nullable_text("identifier", &mut faults).flatten() {
            pairs.push((Phi::new(site.clone()), Phi::new(own)));
        }
        faults.into_result()?;
        Ok(NewPatient {
            email: Phi::new(email),
            organization_id: organization.unwrap_or(OrganizationId::ROOT),
            name_family: name_family.map(Phi::new),
            name_given: name_given.map(Phi::new),
            birth_date: birth_date.flatten().map(Phi::new),
            telecom_phone: telecom_phone.map(Phi::new),
            identifiers: pairs,
        })
    };
    let patient = usecase::create(&app, &actor, organization, validate).await?;
    let mut work = app.store().read().await?;
    Ok(created(true, &render_one(&app, &mut work, &actor, patient, organization).await?))
}

/// Changes a patient; what is not sent stays.
#[utoipa::path(patch, path = "/api/v1/patients/{id}", tag = "patients",
    params(("id" = i64, Path), ("organization_id" = Option<i64>, Query)), request_body = body::patient::PatientChange,
    responses((status = 200, body = PatientJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "No such patient")))]
#[tracing::instrument(name = "admin.patients.patch", skip_all)]
pub(crate) async fn patch(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    query: AdminQuery,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &query, &fields).await
}

/// The same as PATCH: what is not sent stays.
#[utoipa::path(put, path = "/api/v1/patients/{id}", tag = "patients",
    params(("id" = i64, Path), ("organization_id" = Option<i64>, Query)), request_body = body::patient::PatientChange,
    responses((status = 200, body = PatientJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "No such patient")))]
#[tracing::instrument(name = "admin.patients.put", skip_all)]
pub(crate) async fn put(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    query: AdminQuery,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &query, &fields).await
}

async fn update(
    app: &App,
    actor: &Actor,
    id: i64,
    query: &AdminQuery,
    fields: &Fields,
) -> Result<Response, AdminError> {
    // Who may not change the patient is told so before what is wrong with the request.
    let (at, fault) = match query.integer("organizationId") {
        Ok(at) => (at.map(OrganizationId), None),
        Err(fault) => (None, Some(fault)),
    };
    let validate = || {
        if let Some(fault) = fault {
            return Err(fault);
        }
        let mut faults = Violations::default();
        let phi = |value: Option<Option<String>>| value.map(|value| value.map(Phi::new));
        let birth_date = match fields.get("birthDate").map(text) {
            None => None,
            Some(Ok(None)) => Some(None),
            Some(Ok(Some(text))) if parse_date(&text).is_some() => Some(parse_date(&text)),
            Some(_) => {
                let message = "Date has wrong format. Use one of these formats instead: YYYY-MM-DD.";
                faults.push("birthDate", message);
                None
            }
        };
        let email = fields.nullable_text("telecomEmail", &mut faults).map(|email| {
            email.map(|email| {
                normalize_email(&email).unwrap_or_else(|| {
                    // Others may not change it anyway, and are told that.
                    if actor.is_superuser() {
                        faults.push("telecomEmail", "Enter a valid email address.");
                    }
                    email
                })
            })
        });
        let change = PatientChange {
            name_family: phi(fields.nullable_text("nameFamily", &mut faults)),
            name_given: phi(fields.nullable_text("nameGiven", &mut faults)),
            birth_date: birth_date.map(|date| date.map(Phi::new)),
            telecom_phone: phi(fields.nullable_text("telecomPhone", &mut faults)),
            telecom_email: phi(email),
            identifiers: identifiers(fields, &mut faults),
            site_identifier: phi(fields.nullable_text("identifier", &mut faults)),
        };
        faults.into_result()?;
        Ok(change)
    };
    let patient = usecase::update(app, actor, PatientId(id), at, validate).await?;
    let mut work = app.store().read().await?;
    Ok(ok(&render_one(app, &mut work, actor, patient, at).await?))
}

/// Takes a patient out of an organization; the last one takes the record with it.
#[utoipa::path(delete, path = "/api/v1/patients/{id}", tag = "patients",
    params(("id" = i64, Path), ("organization_id" = i64, Query)),
    responses((status = 204, description = "Out"), (status = 400, description = "No organization named"), (status = 403, description = "Not permitted"), (status = 404, description = "Not a patient of that organization")))]
#[tracing::instrument(name = "admin.patients.delete", skip_all)]
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    query: AdminQuery,
    fields: Fields,
) -> Result<Response, AdminError> {
    let from = || {
        let id = query.integer("organizationId")?.or_else(|| fields.id("organizationId"));
        id.map(OrganizationId).ok_or_else(|| Error::sentence("organizationId required"))
    };
    usecase::remove(&app, &actor, PatientId(id), from).await?;
    Ok(no_content())
}

/// Looks a patient up by exact e-mail address: one or none. A stranger's record is confirmed, not shown.
#[utoipa::path(get, path = "/api/v1/patients/global_lookup", tag = "patients", params(("email" = String, Query)),
    responses((status = 200, body = Vec<PatientJson>), (status = 400, description = "No address"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.patients.global_lookup", skip_all)]
pub(crate) async fn global_lookup(
    State(app): State<App>,
    Caller(actor): Caller,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let grant = Authorizer::new(&actor, &mut work).look_up_patient().await?;
    let email = query.get("email").ok_or_else(|| Error::sentence("email parameter required"))?;
    let viewer = Authorizer::new(&actor, &mut work).patients(Location::default());
    let found = work.patients().look_up(&grant, &viewer, &Phi::new(email.trim().to_owned())).await?;
    Ok(ok(&render(&app, &mut work, &actor, found.into_iter().collect(), None).await?))
}

/// Attaches an existing patient to an organization; pending until the patient agrees, unless already shared.
#[utoipa::path(patch, path = "/api/v1/patients/{id}/global_add_organization", tag = "patients",
    params(("id" = i64, Path), ("organization_id" = i64, Query)),
    responses((status = 200, body = PatientJson), (status = 400, description = "Already there"), (status = 403, description = "Not permitted"), (status = 404, description = "No such patient")))]
#[tracing::instrument(name = "admin.patients.global_add_organization", skip_all)]
pub(crate) async fn global_add_organization(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let to = || {
        let id = query.integer("organizationId")?;
        id.map(OrganizationId).ok_or_else(|| Error::sentence("organizationId parameter required"))
    };
    account::will_answer(StatusCode::OK, StatusCode::BAD_REQUEST);
    let patient = usecase::attach(&app, &actor, PatientId(id), to).await?;
    let at = query.integer("organizationId")?.map(OrganizationId);
    let mut work = app.store().read().await?;
    Ok(ok(&render_one(&app, &mut work, &actor, patient, at).await?))
}

/// A client of a patient, with the invitations to it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConsolidatedClientJson {
    #[serde(flatten)]
    client: ClientJson,
    patient_invitations: Vec<InvitationJson>,
}

/// Patient clients of the studies a patient is enrolled in, with the invitations to each.
#[utoipa::path(get, path = "/api/v1/patients/{id}/consolidated_clients", tag = "patients", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<ConsolidatedClientJson>), (status = 403, description = "Not shared with the caller"), (status = 404, description = "No such patient")))]
#[tracing::instrument(name = "admin.patients.consolidated_clients", skip_all)]
pub(crate) async fn consolidated_clients(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).patient_clients(PatientId(id)).await?;
    let clients = work.clients().of_patient(&scope, PatientId(id)).await?;
    let mut invitations = work.invitations().of_patient(&scope, PatientId(id)).await?;
    let rows: Vec<ConsolidatedClientJson> = clients
        .into_iter()
        .map(|client| {
            let (own, rest) = invitations.drain(..).partition(|invitation| invitation.application_id == client.id);
            invitations = rest;
            let own: Vec<jhe_domain::invitation::Invitation> = own;
            ConsolidatedClientJson {
                client: client.into(),
                patient_invitations: own.into_iter().map(Into::into).collect(),
            }
        })
        .collect();
    Ok(ok(&rows))
}

/// A connection with a provider of wearables, as the service that gathers its readings describes it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WearableConnectionJson {
    id: Option<String>,
    user_id: Option<String>,
    #[schema(example = "oura")]
    provider: Option<String>,
    provider_user_id: Option<String>,
    provider_username: Option<String>,
    scope: Option<String>,
    /// `active`, `revoked` or `expired`.
    #[schema(example = "active")]
    status: Option<String>,
    last_synced_at: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl From<Connection> for WearableConnectionJson {
    fn from(connection: Connection) -> Self {
        Self {
            id: connection.id,
            user_id: connection.user_id,
            provider: connection.provider,
            provider_user_id: connection.provider_user_id,
            provider_username: connection.provider_username,
            scope: connection.scope,
            status: connection.status,
            last_synced_at: connection.last_synced_at,
            created_at: connection.created_at,
            updated_at: connection.updated_at,
        }
    }
}

/// Wearables of a patient.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct WearableStatusJson {
    connections: Vec<WearableConnectionJson>,
    /// Whether one of them is active.
    connected: bool,
    /// Why nothing is known: `OW unreachable` or `OW integration not configured`.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

impl From<Status> for WearableStatusJson {
    fn from(status: Status) -> Self {
        match status {
            Status::Unlinked => Self::default(),
            Status::NotConfigured => Self { error: Some("OW integration not configured"), ..Self::default() },
            Status::Unreachable => Self { error: Some("OW unreachable"), ..Self::default() },
            Status::Known(connections) => Self {
                connected: connections.iter().any(Connection::is_active),
                connections: connections.into_iter().map(Into::into).collect(),
                error: None,
            },
        }
    }
}

/// Wearables of a patient: for the patient, practitioners who share it, superusers. Of patients who are linked to the service
/// that gathers their readings it is asked now.
#[utoipa::path(get, path = "/api/v1/patients/{id}/wearable-status", tag = "patients", params(("id" = i64, Path)),
    responses((status = 200, description = "Connections", body = WearableStatusJson), (status = 403, description = "Not shared with the caller"), (status = 404, description = "No such patient")))]
#[tracing::instrument(name = "admin.patients.wearable_status", skip_all)]
pub(crate) async fn wearable_status(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    let status = wearable::status(&app, &actor, PatientId(id)).await?;
    Ok(ok(&WearableStatusJson::from(status)))
}
