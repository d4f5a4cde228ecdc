//! Practitioners: contract admin-api §6.7.

use std::collections::HashMap;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use jhe_app::App;
use jhe_app::practitioner::{self as usecase, Names, NewPractitioner};
use jhe_authz::{Actor, Authorizer};
use jhe_domain::error::{Error, Lookup, Violations};
use jhe_domain::organization::{Organization, Roster};
use jhe_domain::page::Page;
use jhe_domain::text::normalize_email;
use jhe_domain::{OrganizationId, Phi, PractitionerId};
use jhe_http::{Caller, Origin};
use jhe_store::Work;
use jhe_store::practitioner::Listed;
use serde::Serialize;
use utoipa::ToSchema;

use crate::body;
use crate::error::AdminError;
use crate::fields::{Fields, lenient_id};
use crate::organization::OrganizationJson;
use crate::paging::{DEFAULT_LONG, PageJson, Paging};
use crate::path::{PathId, SentPath};
use crate::query::AdminQuery;
use crate::response::{created, no_content, ok};

/// A practitioner.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PractitionerJson {
    id: i64,
    jhe_user_id: i64,
    name_family: Option<String>,
    name_given: Option<String>,
    telecom_email: String,
    /// Memberships, by id.
    organizations: Vec<OrganizationJson>,
}

async fn shown(work: &mut Work, actor: &Actor, rows: Vec<Listed>) -> Result<Vec<PractitionerJson>, Error> {
    let mut ids: Vec<OrganizationId> = rows.iter().flat_map(|row| row.organizations.iter().copied()).collect();
    ids.sort_unstable();
    ids.dedup();
    let scope = Authorizer::new(actor, work).organizations();
    let found: HashMap<OrganizationId, Organization> =
        work.organizations().by_ids(&scope, &ids).await?.into_iter().map(|row| (row.id, row)).collect();
    Ok(rows
        .into_iter()
        .map(|row| PractitionerJson {
            id: row.practitioner.id.0,
            jhe_user_id: row.practitioner.user_id.0,
            name_family: row.practitioner.name_family.map(Phi::into_inner),
            name_given: row.practitioner.name_given.map(Phi::into_inner),
            telecom_email: row.email.into_inner(),
            organizations: row
                .organizations
                .iter()
                .filter_map(|id| found.get(id))
                .map(|organization| OrganizationJson::new(organization.clone(), Roster::default()))
                .collect(),
        })
        .collect())
}

async fn one(app: &App, actor: &Actor, row: Listed) -> Result<Option<PractitionerJson>, Error> {
    let mut work = app.store().read().await?;
    Ok(shown(&mut work, actor, vec![row]).await?.into_iter().next())
}

/// All practitioners, by id: superusers.
#[utoipa::path(get, path = "/api/v1/practitioners", tag = "practitioners",
    params(("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query), ("page" = Option<String>, Query), ("pageSize" = Option<i64>, Query), ("cursor" = Option<String>, Query, description = "Empty for the first page of keyset paging")),
    responses((status = 200, body = PageJson<PractitionerJson>), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.practitioners.list", skip_all)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    SentPath(path): SentPath,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let admin = Authorizer::new(&actor, &mut work).administer()?;
    let paging = Paging::new(&app, &query, &path, DEFAULT_LONG, false)?;
    let mut page = work.practitioners().list(&admin, paging.window()?).await?;
    if let Some(last) = paging.last_window(page.count) {
        page = work.practitioners().list(&admin, last).await?;
    }
    let rows = shown(&mut work, &actor, page.rows).await?;
    Ok(paging.respond(&origin, Page { count: page.count, rows, next: page.next })?)
}

/// One practitioner: superusers.
#[utoipa::path(get, path = "/api/v1/practitioners/{id}", tag = "practitioners", params(("id" = i64, Path)),
    responses((status = 200, body = PractitionerJson), (status = 403, description = "Not permitted"), (status = 404, description = "No such practitioner")))]
#[tracing::instrument(name = "admin.practitioners.get", skip_all)]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    let row = {
        let mut work = app.store().read().await?;
        let admin = Authorizer::new(&actor, &mut work).administer()?;
        work.practitioners().find(&admin, PractitionerId(id)).await?
    };
    let row = row.ok_or(Error::NotFound(Lookup::Entity("Practitioner")))?;
    Ok(ok(&one(&app, &actor, row).await?))
}

fn new_practitioner(fields: &Fields) -> Result<NewPractitioner, Error> {
    const NO_EMAIL: &str = "Email is required to create a practitioner.";
    let mut faults = Violations::default();
    let email = fields.get("telecomEmail").and_then(|value| value.as_str()).map(str::trim).unwrap_or_default();
    if email.is_empty() {
        return Err(Error::sentence_at("telecomEmail", NO_EMAIL));
    }
    let email =
        normalize_email(email).ok_or_else(|| Error::sentence_at("telecomEmail", "Enter a valid email address."))?;
    let name_family = fields.nullable_text("nameFamily", &mut faults).flatten().map(Phi::new);
    let name_given = fields.nullable_text("nameGiven", &mut faults).flatten().map(Phi::new);
    faults.into_result()?;
    let organization = match fields.get("organizationId").filter(|value| !value.is_null()) {
        None => None,
        Some(value) => Some(OrganizationId(
            lenient_id(value).ok_or_else(|| Error::sentence_at("organizationId", "Organization not found."))?,
        )),
    };
    Ok(NewPractitioner { email: Phi::new(email), name_family, name_given, organization })
}

/// Makes a practitioner, with an account where there is none, which gets a link to choose a password: superusers.
#[utoipa::path(post, path = "/api/v1/practitioners", tag = "practitioners", request_body = body::practitioner::NewPractitioner,
    responses((status = 201, body = PractitionerJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.practitioners.create", skip_all)]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    fields: Fields,
) -> Result<Response, AdminError> {
    let row = usecase::create(&app, &actor, || new_practitioner(&fields)).await?;
    Ok(created(true, &one(&app, &actor, row).await?))
}

async fn update(app: &App, actor: &Actor, id: i64, fields: &Fields) -> Result<Response, AdminError> {
    let validate = || {
        let mut faults = Violations::default();
        let family = fields.nullable_text("nameFamily", &mut faults).map(|name| name.map(Phi::new));
        let given = fields.nullable_text("nameGiven", &mut faults).map(|name| name.map(Phi::new));
        faults.into_result()?;
        Ok(Names { family, given })
    };
    let row = usecase::update(app, actor, PractitionerId(id), validate).await?;
    Ok(ok(&one(app, actor, row).await?))
}

/// Changes a practitioner's names; what is not sent stays. Superusers.
#[utoipa::path(patch, path = "/api/v1/practitioners/{id}", tag = "practitioners", params(("id" = i64, Path)), request_body = body::practitioner::PractitionerChange,
    responses((status = 200, body = PractitionerJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "No such practitioner")))]
#[tracing::instrument(name = "admin.practitioners.patch", skip_all)]
pub(crate) async fn patch(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &fields).await
}

/// The same as PATCH.
#[utoipa::path(put, path = "/api/v1/practitioners/{id}", tag = "practitioners", params(("id" = i64, Path)), request_body = body::practitioner::PractitionerChange,
    responses((status = 200, body = PractitionerJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "No such practitioner")))]
#[tracing::instrument(name = "admin.practitioners.put", skip_all)]
pub(crate) async fn put(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &fields).await
}

/// Removes a practitioner, and the account unless it is still needed: superusers.
#[utoipa::path(delete, path = "/api/v1/practitioners/{id}", tag = "practitioners", params(("id" = i64, Path)),
    responses((status = 204, description = "Gone"), (status = 403, description = "Not permitted"), (status = 404, description = "No such practitioner")))]
#[tracing::instrument(name = "admin.practitioners.delete", skip_all)]
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    // Read like every body, so that one that cannot be read is refused.
    _: Fields,
) -> Result<Response, AdminError> {
    usecase::delete(&app, &actor, PractitionerId(id)).await?;
    Ok(no_content())
}
