//! The caller's own account: contract admin-api §6.1.

use axum::extract::State;
use axum::response::Response;
use jhe_app::App;
use jhe_authz::{Actor, Authorizer};
use jhe_domain::PatientId;
use jhe_domain::error::{Error, Lookup};
use jhe_domain::practitioner::RememberedView;
use jhe_domain::role::Role;
use jhe_domain::user::{User, UserType};
use jhe_http::Caller;
use jhe_store::Work;
use serde_json::{Map, Value, json};

use crate::error::AdminError;
use crate::organization::{self, OrganizationJson};
use crate::patient::IdentifierJson;
use crate::response::ok;

/// Who the caller is. A patient's own profile names no address, name, birth date or phone.
#[utoipa::path(get, path = "/api/v1/users/profile", tag = "users", responses((status = 200, description = "The caller", body = Object)))]
#[tracing::instrument(name = "admin.users.profile", skip_all)]
pub(crate) async fn profile(State(app): State<App>, Caller(actor): Caller) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).account();
    let user = work.users().find(&scope, actor.user_id()).await?.ok_or(Error::NotFound(Lookup::Entity("JheUser")))?;
    let remembered = work.practitioners().remembered(&scope).await?;
    let mut body = if let Some(patient) = user.patient_id {
        patient_profile(&mut work, &actor, &user, patient).await?
    } else {
        let mut body = Map::new();
        body.insert("id".into(), json!(user.id.0));
        body.insert("email".into(), json!(user.email.reveal()));
        body.insert("firstName".into(), json!(user.first_name.reveal()));
        body.insert("lastName".into(), json!(user.last_name.reveal()));
        body.insert("patient".into(), Value::Null);
        body
    };
    body.insert("userType".into(), json!(user.user_type.map(UserType::as_str)));
    body.insert("isSuperuser".into(), json!(user.is_superuser));
    if let Some(remembered) = remembered {
        body.insert("settings".into(), settings(&remembered));
        body.insert("practitioner".into(), practitioner(&mut work, &actor, &user).await?);
    } else if user.patient_id.is_none() {
        body.insert("practitioner".into(), Value::Null);
    }
    Ok(ok(&body))
}

fn settings(remembered: &RememberedView) -> Value {
    let mut settings = Map::new();
    if let Some(id) = remembered.study_id {
        settings.insert("currentStudyId".into(), json!(id.0));
    }
    if let Some(id) = remembered.organization_id {
        settings.insert("currentOrganizationId".into(), json!(id.0));
    }
    if let Some(resource) = &remembered.fhir_resource {
        settings.insert("currentFhirResource".into(), json!(resource));
    }
    Value::Object(settings)
}

async fn practitioner(work: &mut Work, actor: &Actor, user: &User) -> Result<Value, Error> {
    let scope = Authorizer::new(actor, work).organizations();
    // Memberships only: a superuser acts everywhere, but belongs nowhere.
    let organizations = if user.is_superuser { Vec::new() } else { work.organizations().memberships(&scope).await? };
    let organizations: Vec<Value> = organizations
        .into_iter()
        .map(|organization| {
            json!({
                "id": organization.id.0,
                "name": organization.name,
                "type": organization.type_code,
                "partOf": organization.part_of.map(|id| id.0),
                "role": organization.role.map(Role::as_str),
            })
        })
        .collect();
    Ok(json!({
        "id": user.practitioner_id.map(|id| id.0),
        "jheUserId": user.id.0,
        "organizations": organizations,
    }))
}

async fn patient_profile(
    work: &mut Work,
    actor: &Actor,
    user: &User,
    id: PatientId,
) -> Result<Map<String, Value>, Error> {
    let scope = Authorizer::new(actor, work).own_patient()?;
    let patient = work.patients().find(&scope, id).await?.ok_or(Error::NotFound(Lookup::Entity("Patient")))?;
    let directory = Authorizer::new(actor, work).organizations();
    let organizations = work.organizations().by_ids(&directory, &patient.organizations).await?;
    let organizations: Vec<Value> = organizations
        .into_iter()
        .map(|organization| {
            json!({
                "id": organization.id.0,
                "name": organization.name,
                "type": organization.type_code,
                "partOf": organization.part_of.map(|id| id.0),
                "currentUserRole": organization.role.map(Role::as_str),
                "children": [],
            })
        })
        .collect();
    let identifiers: Vec<IdentifierJson> = patient.identifiers.into_iter().map(Into::into).collect();
    let mut body = Map::new();
    body.insert("id".into(), json!(user.id.0));
    body.insert(
        "patient".into(),
        json!({
            "id": id.0,
            "jheUserId": user.id.0,
            "identifiers": identifiers,
            "organizations": organizations,
        }),
    );
    Ok(body)
}

/// The organizations the caller belongs to; for a superuser all but ROOT.
#[utoipa::path(get, path = "/api/v1/users/organizations", tag = "users", responses((status = 200, body = Vec<OrganizationJson>)))]
#[tracing::instrument(name = "admin.users.organizations", skip_all)]
pub(crate) async fn organizations(State(app): State<App>, Caller(actor): Caller) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).organizations();
    let rows = work.organizations().memberships(&scope).await?;
    Ok(ok(&organization::with_rosters(&mut work, &actor, rows).await?))
}
