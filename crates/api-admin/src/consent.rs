//! Consents of a patient: contract admin-api §6.4, data model §6.

use std::collections::HashSet;

use axum::extract::State;
use axum::response::Response;
use jhe_app::App;
use jhe_app::consent as usecase;
use jhe_authz::{Actor, Authorizer};
use jhe_domain::consent::{Consent, ConsentAction, ConsentBatch, ConsentItem, ScopeAnswer, StudyConsents};
use jhe_domain::error::{Error, Lookup, Violations};
use jhe_domain::{PatientId, StudyId};
use jhe_http::Caller;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::body;
use crate::data_source::{DataSourceJson, ScopeCodeJson};
use crate::error::AdminError;
use crate::fields::{Fields, Sent, boolean, lenient_id, text};
use crate::organization::OrganizationRefJson;
use crate::path::PathId;
use crate::patient::{self, PatientJson};
use crate::query::AdminQuery;
use crate::response::{created, no_content, ok};
use crate::time::timestamp;

/// The consents of a patient.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ConsentsJson {
    patient: Option<PatientJson>,
    /// Data types released in any of the studies.
    consolidated_consented_scopes: Vec<ScopeCodeJson>,
    /// Studies with requests the patient has not answered.
    studies_pending_consent: Vec<PendingStudyJson>,
    /// Studies with requests the patient has answered.
    studies: Vec<AnsweredStudyJson>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PendingStudyJson {
    id: i64,
    name: String,
    description: String,
    organization: OrganizationRefJson,
    data_sources: Vec<DataSourceJson>,
    pending_scope_consents: Vec<ScopeConsentJson>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AnsweredStudyJson {
    id: i64,
    name: String,
    description: String,
    organization: OrganizationRefJson,
    data_sources: Vec<DataSourceJson>,
    scope_consents: Vec<ScopeConsentJson>,
}

/// A requested data type and the answer to it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ScopeConsentJson {
    code: ScopeCodeJson,
    consented: Option<bool>,
    #[schema(format = DateTime)]
    consented_time: Option<String>,
}

/// The answers just written.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WrittenConsentsJson {
    study_scope_consents: Vec<WrittenConsentJson>,
}

/// A written consent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WrittenConsentJson {
    id: i64,
    /// `{id, study, patient}` of the enrolment.
    #[schema(value_type = Object)]
    study_patient: Value,
    scope_code: ScopeCodeJson,
    consented: bool,
    #[schema(format = DateTime)]
    consented_time: String,
}

impl From<ScopeAnswer> for ScopeConsentJson {
    fn from(answer: ScopeAnswer) -> Self {
        Self {
            code: answer.code.into(),
            consented: answer.answer.map(|(consented, _)| consented),
            consented_time: answer.answer.map(|(_, time)| timestamp(time)),
        }
    }
}

impl From<Consent> for WrittenConsentJson {
    fn from(consent: Consent) -> Self {
        Self {
            id: consent.id.0,
            study_patient: json!({
                "id": consent.study_patient_id.0,
                "study": consent.study_id.0,
                "patient": consent.patient_id.0,
            }),
            scope_code: consent.code.into(),
            consented: consent.consented,
            consented_time: timestamp(consent.consented_time),
        }
    }
}

/// Splits a study into what is answered and what is pending; each part only when it holds something.
fn split(study: StudyConsents) -> (Option<PendingStudyJson>, Option<AnsweredStudyJson>) {
    let organization = OrganizationRefJson {
        id: study.organization_id.0,
        name: study.organization_name,
        r#type: study.organization_type,
    };
    let data_sources: Vec<DataSourceJson> = study.data_sources.into_iter().map(Into::into).collect();
    let (answered, pending): (Vec<ScopeAnswer>, Vec<ScopeAnswer>) =
        study.scopes.into_iter().partition(|scope| scope.answer.is_some());
    let pending = (!pending.is_empty()).then(|| PendingStudyJson {
        id: study.study_id.0,
        name: study.name.clone(),
        description: study.description.clone(),
        organization: organization.clone(),
        data_sources: data_sources.clone(),
        pending_scope_consents: pending.into_iter().map(Into::into).collect(),
    });
    let answered = (!answered.is_empty()).then(|| AnsweredStudyJson {
        id: study.study_id.0,
        name: study.name,
        description: study.description,
        organization,
        data_sources,
        scope_consents: answered.into_iter().map(Into::into).collect(),
    });
    (pending, answered)
}

/// What studies ask a patient for, and what it answered.
#[utoipa::path(get, path = "/api/v1/patients/{id}/consents", tag = "consents",
    params(("id" = i64, Path), ("reset" = Option<bool>, Query, description = "Forgets all answers, where the site allows that, and tells in `resetCount` how many there were")),
    responses((status = 200, body = ConsentsJson), (status = 403, description = "Not this caller's patient"), (status = 404, description = "No such patient")))]
#[tracing::instrument(name = "admin.consents.get", skip_all)]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let patient = PatientId(id);
    if query.is_true("reset")
        && !query.is_probe
        && let Some(count) = usecase::reset(&app, &actor, patient).await?
    {
        return Ok(ok(&json!({ "resetCount": count })));
    }
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).consents(patient).await?;
    let overview = work.consents().overview(&scope, patient).await?;
    let record = Authorizer::new(&actor, &mut work).patient(patient).await?;
    let found = work.patients().find(&record, patient).await?.ok_or(Error::NotFound(Lookup::Entity("Patient")))?;
    let rendered = patient::render(&app, &mut work, &actor, vec![found], None).await?;
    let (pending, answered): (Vec<_>, Vec<_>) = overview.studies.into_iter().map(split).unzip();
    Ok(ok(&ConsentsJson {
        patient: rendered.into_iter().next(),
        consolidated_consented_scopes: overview.consolidated.into_iter().map(Into::into).collect(),
        studies_pending_consent: pending.into_iter().flatten().collect(),
        studies: answered.into_iter().flatten().collect(),
    }))
}

/// Grants or declines; overwrites earlier answers.
#[utoipa::path(post, path = "/api/v1/patients/{id}/consents", tag = "consents", params(("id" = i64, Path)), request_body = body::consent::ConsentAnswers,
    responses((status = 201, description = "Written", body = WrittenConsentsJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.consents.create", skip_all)]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    let written = write(&app, &actor, id, ConsentAction::Record, &fields).await?;
    Ok(created(true, &WrittenConsentsJson { study_scope_consents: written }))
}

/// Changes answers that were given before.
#[utoipa::path(patch, path = "/api/v1/patients/{id}/consents", tag = "consents", params(("id" = i64, Path)), request_body = body::consent::ConsentAnswers,
    responses((status = 200, description = "Written", body = WrittenConsentsJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "Not answered yet")))]
#[tracing::instrument(name = "admin.consents.change", skip_all)]
pub(crate) async fn change(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    let written = write(&app, &actor, id, ConsentAction::Change, &fields).await?;
    Ok(ok(&WrittenConsentsJson { study_scope_consents: written }))
}

/// Takes answers back: pending again.
#[utoipa::path(delete, path = "/api/v1/patients/{id}/consents", tag = "consents", params(("id" = i64, Path)), request_body = body::consent::ConsentRemovals,
    responses((status = 204, description = "Pending again"), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.consents.delete", skip_all)]
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    write(&app, &actor, id, ConsentAction::Delete, &fields).await?;
    Ok(no_content())
}

async fn write(
    app: &App,
    actor: &Actor,
    id: i64,
    action: ConsentAction,
    fields: &Fields,
) -> Result<Vec<WrittenConsentJson>, AdminError> {
    let written = usecase::write(app, actor, PatientId(id), action, || batch(fields, action)).await?;
    Ok(written.into_iter().map(Into::into).collect())
}

fn list<'a>(value: Option<&'a Sent>, name: &str) -> Result<&'a [Sent], Error> {
    match value {
        None => Err(Error::invalid(name, "This field is required.")),
        Some(Sent::List(items)) => Ok(items),
        Some(other) => {
            let text = format!("Expected a list of items but got type \"{}\".", other.type_name());
            Err(Error::invalid(name, text))
        }
    }
}

const REQUIRED: &str = "This field is required.";

/// The studies and answers of a body. All that is wrong with the first bad one is told.
fn batch(fields: &Fields, action: ConsentAction) -> Result<ConsentBatch, Error> {
    let mut batch = ConsentBatch::default();
    let mut known = HashSet::new();
    for study in list(fields.get("studyScopeConsents"), "studyScopeConsents")? {
        let mut faults = Violations::default();
        let study_id = study.get("study_id").filter(|id| !id.is_null());
        let study_id = study_id.map_or(Err(REQUIRED), |id| lenient_id(id).ok_or("A valid integer is required."));
        let study_id = told(study_id, "studyId", &mut faults);
        let scopes = match list(study.get("scope_consents"), "scopeConsents") {
            Ok(scopes) => scopes,
            Err(Error::Invalid(violations)) => {
                faults.0.extend(violations.0);
                &[]
            }
            Err(error) => return Err(error),
        };
        for scope in scopes {
            let part = |name: &str| match scope.get(name).map(text) {
                Some(Ok(Some(text))) if !text.is_empty() => Ok(text),
                Some(Err(message)) => Err(message),
                _ => Err(REQUIRED),
            };
            let consented = match scope.get("consented") {
                _ if action == ConsentAction::Delete => Ok(false),
                None => Err(REQUIRED),
                Some(value) => boolean(value).ok_or("Must be a valid boolean."),
            };
            let system = told(part("coding_system"), "codingSystem", &mut faults);
            let code = told(part("coding_code"), "codingCode", &mut faults);
            let consented = told(consented, "consented", &mut faults);
            if let (Some(study_id), Some(system), Some(code), Some(consented)) = (study_id, system, code, consented) {
                batch.items.push(ConsentItem { study_id: StudyId(study_id), system, code, consented });
            } else {
                break;
            }
        }
        faults.into_result()?;
        batch.studies.extend(study_id.map(StudyId).filter(|id| known.insert(*id)));
    }
    Ok(batch)
}

/// What was read of a field; else its fault is noted.
fn told<T>(read: Result<T, &str>, name: &str, faults: &mut Violations) -> Option<T> {
    read.map_err(|message| faults.push(name, message)).ok()
}
