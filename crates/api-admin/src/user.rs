//! Accounts: contract admin-api §6.1.

use std::collections::HashMap;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use jhe_app::{App, user as usecase};
use jhe_authz::{Actor, Authorizer, Location};
use jhe_domain::error::{Error, Lookup, Violations};
use jhe_domain::page::{Page, Window};
use jhe_domain::practitioner::RememberedView;
use jhe_domain::role::Role;
use jhe_domain::text::normalize_email;
use jhe_domain::user::{User, UserType};
use jhe_domain::{PatientId, Phi, UserId};
use jhe_http::{Caller, Origin};
use jhe_store::Work;
use jhe_store::patient::PatientQuery;
use jhe_store::user::UserChange;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::body;
use crate::error::AdminError;
use crate::fields::{Fields, Sent, boolean, text};
use crate::organization::{self, OrganizationJson};
use crate::paging::{DEFAULT_SIZE, PageJson, Paging};
use crate::path::{PathId, SentPath};
use crate::patient::{self, IdentifierJson};
use crate::query::AdminQuery;
use crate::response::{created, no_content, ok};

/// Who the caller is. A patient's own profile names no address, name, birth date or phone.
#[utoipa::path(get, path = "/api/v1/users/profile", tag = "users", responses((status = 200, description = "The caller", body = body::user::ProfileJson)))]
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

/// The patients of some accounts: in full where the caller shares or is them, else their id alone.
async fn nested_patients(
    app: &App,
    work: &mut Work,
    actor: &Actor,
    users: &[User],
) -> Result<HashMap<PatientId, Value>, Error> {
    let ids: Vec<PatientId> = users.iter().filter_map(|user| user.patient_id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut nested: HashMap<PatientId, Value> = ids.iter().map(|id| (*id, json!({ "id": id.0 }))).collect();
    let query = PatientQuery { ids: Some(ids.iter().map(|id| id.0).collect()), ..PatientQuery::default() };
    let scope = Authorizer::new(actor, work).patients(Location::default());
    let count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let mut patients = work.patients().list(&scope, &query, Window::first(count)).await?.rows;
    if let Some(own) = actor.patient().filter(|own| ids.contains(own)) {
        let scope = Authorizer::new(actor, work).own_patient()?;
        patients.extend(work.patients().find(&scope, own).await?);
    }
    for (id, shown) in patient::render(app, work, actor, patients, None).await?.into_iter().map(|row| (row.row(), row))
    {
        nested.insert(id, json!(shown));
    }
    Ok(nested)
}

/// An account. `patient` is null for accounts without one.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserJson {
    id: i64,
    email: String,
    first_name: String,
    last_name: String,
    #[schema(value_type = Option<Object>)]
    patient: Option<Value>,
    /// `patient`, `practitioner` or null.
    user_type: Option<&'static str>,
    is_superuser: bool,
}

async fn shown(app: &App, work: &mut Work, actor: &Actor, users: Vec<User>) -> Result<Vec<UserJson>, Error> {
    let mut patients = nested_patients(app, work, actor, &users).await?;
    Ok(users
        .into_iter()
        .map(|user| UserJson {
            id: user.id.0,
            email: user.email.into_inner(),
            first_name: user.first_name.into_inner(),
            last_name: user.last_name.into_inner(),
            patient: user.patient_id.and_then(|id| patients.remove(&id)),
            user_type: user.user_type.map(UserType::as_str),
            is_superuser: user.is_superuser,
        })
        .collect())
}

async fn one(app: &App, work: &mut Work, actor: &Actor, user: User) -> Result<Option<UserJson>, Error> {
    Ok(shown(app, work, actor, vec![user]).await?.into_iter().next())
}

/// Accounts, by last name: all for superusers, the own one for practitioners, or the one with an exact address.
#[utoipa::path(get, path = "/api/v1/users", tag = "users",
    params(("email" = Option<String>, Query, description = "Exact, whatever the case"), ("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query),
           ("page" = Option<String>, Query), ("pageSize" = Option<i64>, Query), ("cursor" = Option<String>, Query, description = "Empty for the first page of keyset paging")),
    responses((status = 200, body = PageJson<UserJson>), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.users.list", skip_all)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    SentPath(path): SentPath,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).users()?;
    let paging = Paging::new(&app, &query, &path, DEFAULT_SIZE, false)?;
    let page = if let Some(email) = query.get("email") {
        let grant = Authorizer::new(&actor, &mut work).look_up_user()?;
        let found = work.users().by_email(&grant, &Phi::new(email.trim().to_owned())).await?;
        let window = paging.window()?;
        let rows: Vec<User> = found.into_iter().collect();
        let count = i64::try_from(rows.len()).unwrap_or(0);
        Page { count, rows: if window == Window::first(window.limit) { rows } else { Vec::new() }, next: None }
    } else {
        let mut page = work.users().list(&scope, paging.window()?).await?;
        if let Some(last) = paging.last_window(page.count) {
            page = work.users().list(&scope, last).await?;
        }
        page
    };
    let rows = shown(&app, &mut work, &actor, page.rows).await?;
    Ok(paging.respond(&origin, Page { count: page.count, rows, next: page.next })?)
}

/// The account with an exact address; without one, the answer has no `id`.
#[utoipa::path(get, path = "/api/v1/users/search_by_email", tag = "users", params(("email" = String, Query)),
    responses((status = 200, description = "The account; all fields but `id` and `patient` without one", body = body::user::FoundUserJson), (status = 400, description = "No address")))]
#[tracing::instrument(name = "admin.users.search_by_email", skip_all)]
pub(crate) async fn search_by_email(
    State(app): State<App>,
    Caller(actor): Caller,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let grant = Authorizer::new(&actor, &mut work).look_up_user()?;
    let email = query.get("email").ok_or_else(|| Error::sentence("email parameter required"))?;
    match work.users().by_email(&grant, &Phi::new(email.trim().to_owned())).await? {
        Some(user) => Ok(ok(&one(&app, &mut work, &actor, user).await?)),
        None => {
            Ok(ok(&json!({ "email": "", "firstName": "", "lastName": "", "userType": null, "isSuperuser": false })))
        }
    }
}

/// One account: the own one, or any for superusers.
#[utoipa::path(get, path = "/api/v1/users/{id}", tag = "users", params(("id" = i64, Path)),
    responses((status = 200, body = UserJson), (status = 403, description = "Somebody else's"), (status = 404, description = "For superusers: no such account")))]
#[tracing::instrument(name = "admin.users.get", skip_all)]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).user(UserId(id))?;
    let user = work.users().find(&scope, UserId(id)).await?.ok_or(Error::NotFound(Lookup::Entity("JheUser")))?;
    Ok(ok(&one(&app, &mut work, &actor, user).await?))
}

/// The longest name, in characters.
const NAME_CHARS: usize = 150;

fn name_of(fields: &Fields, name: &str, faults: &mut Violations) -> Option<Phi<String>> {
    match text(fields.get(name)?) {
        Ok(Some(text)) if text.chars().count() > NAME_CHARS => {
            faults.push(name, format!("Ensure this field has no more than {NAME_CHARS} characters."));
            None
        }
        Ok(Some(text)) => Some(Phi::new(text)),
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

/// The fields of an account. `email_required` for those that replace the whole.
fn change_of(fields: &Fields, email_required: bool) -> Result<UserChange, Error> {
    let mut faults = Violations::default();
    let email = if email_required {
        Some(fields.required_text("email", &mut faults))
    } else {
        fields.optional_text("email", &mut faults)
    };
    let email = email.filter(|email| !email.is_empty()).and_then(|email| {
        let normalized = normalize_email(&email);
        if normalized.is_none() {
            faults.push("email", "Enter a valid email address.");
        }
        normalized.map(Phi::new)
    });
    let first_name = name_of(fields, "firstName", &mut faults);
    let last_name = name_of(fields, "lastName", &mut faults);
    let user_type = match fields.get("userType") {
        None => None,
        Some(Sent::Null) => Some(None),
        Some(_) => fields
            .choice("userType", |kind| UserType::parse(kind).is_some(), &mut faults)
            .map(|kind| UserType::parse(&kind)),
    };
    let is_superuser = fields.get("isSuperuser").and_then(|value| {
        let truth = boolean(value);
        if truth.is_none() {
            faults.push("isSuperuser", "Must be a valid boolean.");
        }
        truth
    });
    faults.into_result()?;
    Ok(UserChange { email, first_name, last_name, user_type, is_superuser })
}

/// Makes an account with the profile of its type: superusers. Its owner chooses a password by mail.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = body::user::NewUser,
    responses((status = 201, body = UserJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.users.create", skip_all)]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    fields: Fields,
) -> Result<Response, AdminError> {
    let user = usecase::create(&app, &actor, || change_of(&fields, true)).await?;
    let mut work = app.store().read().await?;
    Ok(created(true, &one(&app, &mut work, &actor, user).await?))
}

async fn update(app: &App, actor: &Actor, id: i64, fields: &Fields, whole: bool) -> Result<Response, AdminError> {
    let validate = |administers: bool| change_of(fields, whole && administers);
    let user = usecase::update(app, actor, UserId(id), validate).await?;
    let mut work = app.store().read().await?;
    Ok(ok(&one(app, &mut work, actor, user).await?))
}

/// Changes an account: anything for superusers, the own names for others.
#[utoipa::path(patch, path = "/api/v1/users/{id}", tag = "users", params(("id" = i64, Path)), request_body = body::user::UserChange,
    responses((status = 200, body = UserJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "For superusers: no such account")))]
#[tracing::instrument(name = "admin.users.patch", skip_all)]
pub(crate) async fn patch(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &fields, false).await
}

/// The same as PATCH, except that superusers must send the address.
#[utoipa::path(put, path = "/api/v1/users/{id}", tag = "users", params(("id" = i64, Path)), request_body = body::user::UserReplacement,
    responses((status = 200, body = UserJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "For superusers: no such account")))]
#[tracing::instrument(name = "admin.users.put", skip_all)]
pub(crate) async fn put(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &fields, true).await
}

/// Removes an account with its profiles, sessions, tokens and own clients: superusers, never the own one.
#[utoipa::path(delete, path = "/api/v1/users/{id}", tag = "users", params(("id" = i64, Path)),
    responses((status = 204, description = "Gone"), (status = 400, description = "The own account"), (status = 403, description = "Not permitted"), (status = 404, description = "No such account")))]
#[tracing::instrument(name = "admin.users.delete", skip_all)]
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    // Read like every body, so that one that cannot be read is refused.
    _: Fields,
) -> Result<Response, AdminError> {
    usecase::delete(&app, &actor, UserId(id)).await?;
    Ok(no_content())
}
