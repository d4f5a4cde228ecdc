//! Organizations: contract admin-api §6.2.

use std::collections::HashMap;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use jhe_app::App;
use jhe_app::organization::{self as usecase, NewOrganization};
use jhe_authz::{Actor, Authorizer};
use jhe_domain::error::{Error, Lookup, Violations};
use jhe_domain::organization::{ORGANIZATION_TYPES, Organization, OrganizationChange, Roster, RosterEntry};
use jhe_domain::role::Role;
use jhe_domain::{OrganizationId, UserId};
use jhe_http::{Caller, Origin};
use jhe_store::Work;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::body;
use crate::error::AdminError;
use crate::fields::{Fields, Sent, lenient_id};
use crate::paging::{DEFAULT_SIZE, PageJson, Paging};
use crate::path::{PathId, SentPath};
use crate::query::AdminQuery;
use crate::response::{created, no_content, ok};
use crate::study::StudyWriteJson;
use crate::time::timestamp;

/// An organization.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrganizationJson {
    pub(crate) id: i64,
    name: String,
    /// One of the codes of `/organizations/types`.
    r#type: String,
    /// The organization above; 0 is ROOT.
    part_of: Option<i64>,
    /// The caller's role in it.
    current_user_role: Option<&'static str>,
    /// Filled in `/tree` only.
    #[schema(no_recursion)]
    children: Vec<OrganizationJson>,
    /// Patient ids, for callers who belong here.
    patients: Vec<i64>,
    /// Practitioners, for callers who belong here.
    practitioners: Vec<RosterJson>,
    #[schema(format = DateTime)]
    last_updated: String,
}

/// A practitioner of an organization.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RosterJson {
    id: i64,
    jhe_user_id: i64,
    email: String,
    first_name: String,
    last_name: String,
    role: &'static str,
}

/// A practitioner of an organization, by account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrganizationUserJson {
    id: i64,
    email: String,
    first_name: String,
    last_name: String,
    role: &'static str,
    practitioner_id: i64,
}

/// An organization as other objects name it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct OrganizationRefJson {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// Type code.
    pub(crate) r#type: String,
}

impl OrganizationJson {
    pub(crate) fn new(organization: Organization, roster: Roster) -> Self {
        Self {
            id: organization.id.0,
            name: organization.name,
            r#type: organization.type_code,
            part_of: organization.part_of.map(|id| id.0),
            current_user_role: organization.role.map(Role::as_str),
            children: Vec::new(),
            patients: roster.patients.into_iter().map(|id| id.0).collect(),
            practitioners: roster.practitioners.into_iter().map(Into::into).collect(),
            last_updated: timestamp(organization.last_updated),
        }
    }
}

impl From<RosterEntry> for RosterJson {
    fn from(entry: RosterEntry) -> Self {
        Self {
            id: entry.practitioner_id.0,
            jhe_user_id: entry.user_id.0,
            email: entry.email.into_inner(),
            first_name: entry.first_name.into_inner(),
            last_name: entry.last_name.into_inner(),
            role: entry.role.as_str(),
        }
    }
}

/// Adds the rosters the caller may see.
pub(crate) async fn with_rosters(
    work: &mut Work,
    actor: &Actor,
    organizations: Vec<Organization>,
) -> Result<Vec<OrganizationJson>, Error> {
    let scope = Authorizer::new(actor, work).organizations();
    let ids: Vec<OrganizationId> = organizations.iter().map(|organization| organization.id).collect();
    let mut rosters = work.organizations().rosters(&scope, &ids).await?;
    Ok(organizations
        .into_iter()
        .map(|organization| {
            let roster = rosters.remove(&organization.id).unwrap_or_default();
            OrganizationJson::new(organization, roster)
        })
        .collect())
}

/// Organizations, by name. The directory is open to every account; who belongs to an organization is not.
#[utoipa::path(get, path = "/api/v1/organizations", tag = "organizations",
    params(("part_of" = Option<i64>, Query, description = "Children of this organization; 0 for the top level"),
           ("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query), ("page" = Option<String>, Query),
           ("pageSize" = Option<i64>, Query), ("cursor" = Option<String>, Query, description = "Empty for the first page of keyset paging"), ("paginate" = Option<bool>, Query, description = "`false` answers a bare array")),
    responses((status = 200, body = PageJson<OrganizationJson>)))]
#[tracing::instrument(name = "admin.organizations.list", skip_all)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    SentPath(path): SentPath,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let part_of = query.integer("partOf")?.map(OrganizationId);
    let array = app.settings().strings("api.plain_array_lists").iter().any(|list| list == "organizations");
    let paging = Paging::new(&app, &query, &path, DEFAULT_SIZE, array)?;
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).organizations();
    let mut page = work.organizations().list(&scope, part_of, paging.window()?).await?;
    if let Some(last) = paging.last_window(page.count) {
        page = work.organizations().list(&scope, part_of, last).await?;
    }
    let rows = with_rosters(&mut work, &actor, page.rows).await?;
    Ok(paging.respond(&origin, jhe_domain::page::Page { count: page.count, rows, next: page.next })?)
}

/// Organization types: code and label.
#[utoipa::path(get, path = "/api/v1/organizations/types", tag = "organizations",
    responses((status = 200, description = "Label of each type code", body = HashMap<String, String>)))]
pub(crate) async fn types() -> Response {
    let map: Map<String, Value> =
        ORGANIZATION_TYPES.iter().map(|(code, label)| ((*code).to_owned(), json!(label))).collect();
    ok(&map)
}

/// One organization.
#[utoipa::path(get, path = "/api/v1/organizations/{id}", tag = "organizations", params(("id" = i64, Path)),
    responses((status = 200, body = OrganizationJson), (status = 404, description = "No such organization")))]
#[tracing::instrument(name = "admin.organizations.get", skip_all)]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).organizations();
    let organization = work.organizations().find(&scope, OrganizationId(id)).await?;
    let organization = organization.ok_or(Error::NotFound(Lookup::Entity("Organization")))?;
    let seen = with_rosters(&mut work, &actor, vec![organization]).await?;
    Ok(ok(&seen.first()))
}

/// An organization with everything below it.
#[utoipa::path(get, path = "/api/v1/organizations/{id}/tree", tag = "organizations", params(("id" = i64, Path)),
    responses((status = 200, body = OrganizationJson), (status = 404, description = "No such organization")))]
#[tracing::instrument(name = "admin.organizations.tree", skip_all)]
pub(crate) async fn tree(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).organizations();
    let rows = work.organizations().tree(&scope, OrganizationId(id)).await?;
    let mut below: HashMap<i64, Vec<OrganizationJson>> = HashMap::new();
    let mut root = None;
    for row in rows {
        let node = OrganizationJson::new(row, Roster::default());
        match node.part_of {
            _ if node.id == id => root = Some(node),
            Some(parent) => below.entry(parent).or_default().push(node),
            None => {}
        }
    }
    let mut root = root.ok_or(Error::NotFound(Lookup::Entity("Organization")))?;
    grow(&mut root, &mut below);
    Ok(ok(&root))
}

/// Hangs children below their parents. Each list is taken out once, so a circle in imported data ends.
fn grow(node: &mut OrganizationJson, below: &mut HashMap<i64, Vec<OrganizationJson>>) {
    node.children = below.remove(&node.id).unwrap_or_default();
    for child in &mut node.children {
        grow(child, below);
    }
}

/// Practitioners of an organization, by last name.
#[utoipa::path(get, path = "/api/v1/organizations/{id}/users", tag = "organizations", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<OrganizationUserJson>), (status = 403, description = "Not for this caller")))]
#[tracing::instrument(name = "admin.organizations.users", skip_all)]
pub(crate) async fn users(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let grant = Authorizer::new(&actor, &mut work).roster(OrganizationId(id)).await?;
    let rows = work.organizations().practitioners(&grant).await?;
    let rows: Vec<OrganizationUserJson> = rows
        .into_iter()
        .map(|entry| OrganizationUserJson {
            id: entry.user_id.0,
            email: entry.email.into_inner(),
            first_name: entry.first_name.into_inner(),
            last_name: entry.last_name.into_inner(),
            role: entry.role.as_str(),
            practitioner_id: entry.practitioner_id.0,
        })
        .collect();
    Ok(ok(&rows))
}

/// Studies of an organization, by name.
#[utoipa::path(get, path = "/api/v1/organizations/{id}/studies", tag = "organizations", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<StudyWriteJson>), (status = 403, description = "Not for this caller")))]
#[tracing::instrument(name = "admin.organizations.studies", skip_all)]
pub(crate) async fn studies(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let grant = Authorizer::new(&actor, &mut work).roster(OrganizationId(id)).await?;
    let studies = work.studies().of_organization(&grant).await?;
    Ok(ok(&studies.into_iter().map(StudyWriteJson::from).collect::<Vec<_>>()))
}

fn is_type(code: &str) -> bool {
    code != "root" && ORGANIZATION_TYPES.iter().any(|(known, _)| *known == code)
}

/// The parent named in a body, for the permission check; judged later.
fn named_parent(fields: &Fields) -> Option<OrganizationId> {
    fields.id("partOf").map(OrganizationId)
}

/// Makes an organization: at the top of the tree for superusers, below another one for its managers.
#[utoipa::path(post, path = "/api/v1/organizations", tag = "organizations", request_body = body::organization::NewOrganization,
    responses((status = 201, body = OrganizationJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.organizations.create", skip_all)]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    fields: Fields,
) -> Result<Response, AdminError> {
    let validate = || {
        let mut faults = Violations::default();
        let name = fields.required_text("name", &mut faults);
        if !fields.has("type") {
            faults.push("type", "This field is required.");
        }
        let type_code = fields.choice("type", is_type, &mut faults);
        let part_of = match fields.get("partOf") {
            None | Some(Sent::Null) => None,
            Some(_) => fields.reference("partOf").unwrap_or_else(|message| {
                faults.push("partOf", message);
                None
            }),
        };
        faults.into_result()?;
        Ok(NewOrganization { name, type_code: type_code.unwrap_or_default(), part_of: part_of.map(OrganizationId) })
    };
    let (organization, roster) = usecase::create(&app, &actor, named_parent(&fields), validate).await?;
    Ok(created(true, &OrganizationJson::new(organization, roster)))
}

/// Changes an organization.
#[utoipa::path(patch, path = "/api/v1/organizations/{id}", tag = "organizations", params(("id" = i64, Path)), request_body = body::organization::OrganizationChange,
    responses((status = 200, body = OrganizationJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.organizations.patch", skip_all)]
pub(crate) async fn patch(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &fields, false).await
}

/// Replaces an organization.
#[utoipa::path(put, path = "/api/v1/organizations/{id}", tag = "organizations", params(("id" = i64, Path)), request_body = body::organization::NewOrganization,
    responses((status = 200, body = OrganizationJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.organizations.put", skip_all)]
pub(crate) async fn put(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &fields, true).await
}

async fn update(app: &App, actor: &Actor, id: i64, fields: &Fields, whole: bool) -> Result<Response, AdminError> {
    let parent = match fields.get("partOf") {
        None => None,
        Some(Sent::Null) => Some(None),
        Some(value) => lenient_id(value).map(|id| Some(OrganizationId(id))),
    };
    let validate = || {
        let mut faults = Violations::default();
        if whole {
            for name in ["name", "type"] {
                if !fields.has(name) {
                    faults.push(name, "This field is required.");
                }
            }
        }
        let name = fields.optional_text("name", &mut faults);
        let type_code = fields.choice("type", is_type, &mut faults);
        if parent.is_none()
            && fields.has("partOf")
            && let Err(message) = fields.reference("partOf")
        {
            faults.push("partOf", message);
        }
        faults.into_result()?;
        Ok(OrganizationChange { name, type_code, part_of: parent })
    };
    let (organization, roster) = usecase::update(app, actor, OrganizationId(id), parent, validate).await?;
    Ok(ok(&OrganizationJson::new(organization, roster)))
}

/// Deletes an organization with everything below it. Patients stay.
#[utoipa::path(delete, path = "/api/v1/organizations/{id}", tag = "organizations", params(("id" = i64, Path)),
    responses((status = 204, description = "Gone"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.organizations.delete", skip_all)]
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    // Read like every body, so that one that cannot be read is refused.
    _: Fields,
) -> Result<Response, AdminError> {
    usecase::delete(&app, &actor, OrganizationId(id)).await?;
    Ok(no_content())
}

/// The account named by `jheUserId`; the family's oldest clients read the fault under `error`.
fn user_id(fields: &Fields) -> Result<UserId, Error> {
    match fields.get("jheUserId") {
        None | Some(Sent::Null) => Err(Error::invalid("jheUserId", "This field is required.")),
        Some(value) => {
            lenient_id(value).map(UserId).ok_or_else(|| Error::invalid("jheUserId", "A valid integer is required."))
        }
    }
}

fn missing_user(fields: &Fields) -> bool {
    matches!(fields.get("jheUserId"), None | Some(Sent::Null))
}

fn say_missing_user(error: Error, fields: &Fields) -> Result<Response, AdminError> {
    if matches!(error, Error::Invalid(_)) && missing_user(fields) {
        let text = "jhe_user_id is required";
        let body = json!({ "error": text, "detail": text });
        return Ok(crate::response::json_response(axum::http::StatusCode::BAD_REQUEST, &body));
    }
    Err(AdminError(error))
}

/// Adds a practitioner to an organization, or changes its role.
#[utoipa::path(post, path = "/api/v1/organizations/{id}/user", tag = "organizations", params(("id" = i64, Path)), request_body = body::organization::MembershipChange,
    responses((status = 201, description = "Added", body = body::organization::MembershipJson), (status = 200, description = "Role changed", body = body::organization::MembershipJson), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.organizations.add_user", skip_all)]
pub(crate) async fn add_user(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    let validate = || {
        let user = user_id(&fields)?;
        let name = ["organizationPartitionerRole", "organizationPractitionerRole", "role"]
            .into_iter()
            .find(|name| fields.has(name));
        let mut faults = Violations::default();
        let role = name.and_then(|name| fields.choice(name, |role| Role::parse_stored(role).is_some(), &mut faults));
        for fault in &mut faults.0 {
            // Whatever name it came under.
            fault.field = Some("organizationPartitionerRole".to_owned());
        }
        faults.into_result()?;
        Ok((user, role.as_deref().and_then(Role::parse_stored).unwrap_or(Role::Member)))
    };
    let seen = match usecase::set_role(&app, &actor, OrganizationId(id), validate).await {
        Ok(seen) => seen,
        Err(error) => return say_missing_user(error, &fields),
    };
    let (organization, practitioner) = (seen.organization, seen.practitioner);
    let text = |value: Option<jhe_domain::Phi<String>>| value.map(jhe_domain::Phi::into_inner);
    let body = json!({
        "id": seen.membership.id.0,
        "organization": {
            "id": organization.id.0,
            "name": organization.name,
            "type": organization.type_code,
            "lastUpdated": timestamp(organization.last_updated),
            "partOf": organization.part_of.map(|id| id.0),
        },
        "practitioner": {
            "id": practitioner.id.0,
            "identifier": text(practitioner.identifier),
            "nameFamily": text(practitioner.name_family),
            "nameGiven": text(practitioner.name_given),
            "lastUpdated": timestamp(practitioner.last_updated),
            "settings": {},
            "jheUser": practitioner.user_id.0,
            "organizations": seen.shared.iter().map(|id| id.0).collect::<Vec<_>>(),
        },
        "role": seen.membership.role.as_str(),
    });
    Ok(created(seen.membership.created, &body))
}

/// Removes a practitioner from an organization.
#[utoipa::path(delete, path = "/api/v1/organizations/{id}/remove_user", tag = "organizations", params(("id" = i64, Path)), request_body = body::organization::MembershipRemoval,
    responses((status = 204, description = "Removed"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.organizations.remove_user", skip_all)]
pub(crate) async fn remove_user(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    match usecase::remove_practitioner(&app, &actor, OrganizationId(id), || user_id(&fields)).await {
        Ok(()) => Ok(no_content()),
        Err(error) => say_missing_user(error, &fields),
    }
}
