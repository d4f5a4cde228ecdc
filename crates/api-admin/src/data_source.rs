//! Data sources and data types: contract admin-api §6.10.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use jhe_app::{App, data_source as usecase};
use jhe_authz::{Actor, Authorizer};
use jhe_domain::data_source::{DATA_SOURCE_TYPES, DataSource, ScopeCode};
use jhe_domain::error::{Error, Lookup, Violations};
use jhe_domain::{DataSourceId, ScopeCodeId};
use jhe_http::{Caller, Origin};
use serde::Serialize;
use utoipa::ToSchema;

use crate::body;
use crate::error::AdminError;
use crate::fields::Fields;
use crate::paging::{DEFAULT_SIZE, PageJson, Paging};
use crate::path::{PathId, SentPath};
use crate::query::AdminQuery;
use crate::response::{created, no_content, ok};
use crate::time::timestamp;

/// A data type.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScopeCodeJson {
    id: i64,
    coding_system: String,
    coding_code: String,
    text: String,
}

/// A data source with the data types it can deliver.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DataSourceJson {
    id: i64,
    name: Option<String>,
    r#type: String,
    supported_scopes: Vec<ScopeCodeJson>,
}

/// A data source inside a link.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DataSourceNestedJson {
    id: i64,
    name: Option<String>,
    r#type: String,
    #[schema(format = DateTime)]
    last_updated: String,
}

/// A data source as a study lists it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DataSourceRefJson {
    id: i64,
    name: Option<String>,
    r#type: String,
}

/// A data type that a data source supports.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SupportedScopeJson {
    id: i64,
    data_source: DataSourceNestedJson,
    scope_code: ScopeCodeJson,
}

impl From<ScopeCode> for ScopeCodeJson {
    fn from(code: ScopeCode) -> Self {
        Self { id: code.id.0, coding_system: code.system, coding_code: code.code, text: code.text }
    }
}

impl From<DataSource> for DataSourceJson {
    fn from(source: DataSource) -> Self {
        Self {
            id: source.id.0,
            name: source.name,
            r#type: source.type_code,
            supported_scopes: source.supported_scopes.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<DataSource> for DataSourceNestedJson {
    fn from(source: DataSource) -> Self {
        Self {
            id: source.id.0,
            name: source.name,
            r#type: source.type_code,
            last_updated: timestamp(source.last_updated),
        }
    }
}

impl From<DataSource> for DataSourceRefJson {
    fn from(source: DataSource) -> Self {
        Self { id: source.id.0, name: source.name, r#type: source.type_code }
    }
}

/// Data sources, by name.
#[utoipa::path(get, path = "/api/v1/data_sources", tag = "data sources",
    params(("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query), ("page" = Option<String>, Query),
           ("pageSize" = Option<i64>, Query), ("cursor" = Option<String>, Query, description = "Empty for the first page of keyset paging"), ("paginate" = Option<bool>, Query, description = "`false` answers a bare array")),
    responses((status = 200, body = PageJson<DataSourceJson>)))]
#[tracing::instrument(name = "admin.data_sources.list", skip_all)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    SentPath(path): SentPath,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let array = app.settings().strings("api.plain_array_lists").iter().any(|list| list == "data_sources");
    let paging = Paging::new(&app, &query, &path, DEFAULT_SIZE, array)?;
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).data_sources();
    let mut page = work.data_sources().list(&scope, paging.window()?).await?;
    if let Some(last) = paging.last_window(page.count) {
        page = work.data_sources().list(&scope, last).await?;
    }
    Ok(paging.respond(&origin, page.map(DataSourceJson::from))?)
}

/// All data types, by text.
#[utoipa::path(get, path = "/api/v1/data_sources/all_scopes", tag = "data sources",
    responses((status = 200, body = Vec<ScopeCodeJson>)))]
#[tracing::instrument(name = "admin.data_sources.all_scopes", skip_all)]
pub(crate) async fn all_scopes(State(app): State<App>, Caller(actor): Caller) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).data_sources();
    let codes = work.data_sources().scope_codes(&scope).await?;
    Ok(ok(&codes.into_iter().map(ScopeCodeJson::from).collect::<Vec<_>>()))
}

/// One data source.
#[utoipa::path(get, path = "/api/v1/data_sources/{id}", tag = "data sources", params(("id" = i64, Path)),
    responses((status = 200, body = DataSourceJson), (status = 404, description = "No such data source")))]
#[tracing::instrument(name = "admin.data_sources.get", skip_all)]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).data_sources();
    let source = work.data_sources().find(&scope, DataSourceId(id)).await?;
    Ok(ok(&DataSourceJson::from(source.ok_or(Error::NotFound(Lookup::Entity("DataSource")))?)))
}

/// The data types a data source supports.
#[utoipa::path(get, path = "/api/v1/data_sources/{id}/supported_scopes", tag = "data sources", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<SupportedScopeJson>), (status = 404, description = "No such data source")))]
#[tracing::instrument(name = "admin.data_sources.supported_scopes", skip_all)]
pub(crate) async fn supported_scopes(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    Ok(ok(&supported(&app, &actor, id).await?))
}

async fn supported(app: &App, actor: &Actor, id: i64) -> Result<Vec<SupportedScopeJson>, Error> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(actor, &mut work).data_sources();
    let source = work.data_sources().find(&scope, DataSourceId(id)).await?;
    let source = source.ok_or(Error::NotFound(Lookup::Entity("DataSource")))?;
    let nested = DataSourceNestedJson::from(source);
    let rows = work.data_sources().supported_scopes(&scope, DataSourceId(id)).await?;
    Ok(rows
        .into_iter()
        .map(|(link, code)| SupportedScopeJson { id: link.0, data_source: nested.clone(), scope_code: code.into() })
        .collect())
}

fn is_type(code: &str) -> bool {
    DATA_SOURCE_TYPES.iter().any(|(known, _)| *known == code)
}

/// Makes a data source: superusers.
#[utoipa::path(post, path = "/api/v1/data_sources", tag = "data sources", request_body = body::data_source::NewDataSource,
    responses((status = 201, body = DataSourceJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.data_sources.create", skip_all)]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    fields: Fields,
) -> Result<Response, AdminError> {
    let validate = || {
        let mut faults = Violations::default();
        let name = fields.required_text("name", &mut faults);
        let kind = fields.choice("type", is_type, &mut faults).unwrap_or_else(|| "personal_device".to_owned());
        faults.into_result()?;
        Ok((name, kind))
    };
    Ok(created(true, &DataSourceJson::from(usecase::create(&app, &actor, validate).await?)))
}

async fn update(app: &App, actor: &Actor, id: i64, fields: &Fields, whole: bool) -> Result<Response, AdminError> {
    let validate = || {
        let mut faults = Violations::default();
        let name = if whole {
            Some(fields.required_text("name", &mut faults))
        } else {
            fields.optional_text("name", &mut faults)
        };
        let kind = fields.choice("type", is_type, &mut faults);
        faults.into_result()?;
        Ok((name, kind))
    };
    Ok(ok(&DataSourceJson::from(usecase::update(app, actor, DataSourceId(id), validate).await?)))
}

/// Changes a data source; what is not sent stays. Superusers.
#[utoipa::path(patch, path = "/api/v1/data_sources/{id}", tag = "data sources", params(("id" = i64, Path)), request_body = body::data_source::DataSourceChange,
    responses((status = 200, body = DataSourceJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "No such data source")))]
#[tracing::instrument(name = "admin.data_sources.patch", skip_all)]
pub(crate) async fn patch(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &fields, false).await
}

/// The same as PATCH, with the name required.
#[utoipa::path(put, path = "/api/v1/data_sources/{id}", tag = "data sources", params(("id" = i64, Path)), request_body = body::data_source::NewDataSource,
    responses((status = 200, body = DataSourceJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "No such data source")))]
#[tracing::instrument(name = "admin.data_sources.put", skip_all)]
pub(crate) async fn put(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &fields, true).await
}

/// Removes a data source that no records of outside systems use; observations stay. Superusers.
#[utoipa::path(delete, path = "/api/v1/data_sources/{id}", tag = "data sources", params(("id" = i64, Path)),
    responses((status = 204, description = "Gone"), (status = 403, description = "Not permitted"), (status = 404, description = "No such data source"), (status = 409, description = "In use")))]
#[tracing::instrument(name = "admin.data_sources.delete", skip_all)]
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    // Read like every body, so that one that cannot be read is refused.
    _: Fields,
) -> Result<Response, AdminError> {
    usecase::delete(&app, &actor, DataSourceId(id)).await?;
    Ok(no_content())
}

fn scope_code(fields: &Fields) -> Result<ScopeCodeId, Error> {
    if !fields.has("scopeCodeId") {
        return Err(Error::sentence_at("scopeCodeId", "scope_code_id is required."));
    }
    fields.required_reference("scopeCodeId").map(ScopeCodeId)
}

/// Says that a data source delivers a data type: superusers.
#[utoipa::path(post, path = "/api/v1/data_sources/{id}/supported_scopes", tag = "data sources", params(("id" = i64, Path)), request_body = body::data_source::ScopeCodeChoice,
    responses((status = 201, body = SupportedScopeJson), (status = 200, description = "Said already", body = SupportedScopeJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "No such data source")))]
#[tracing::instrument(name = "admin.data_sources.support", skip_all)]
pub(crate) async fn support(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    let (code, linked) = usecase::support(&app, &actor, DataSourceId(id), || scope_code(&fields)).await?;
    let unknown = || Error::invalid("scopeCodeId", format!("Invalid pk \"{}\" - object does not exist.", code.0));
    let linked = linked.ok_or_else(unknown)?;
    let row = supported(&app, &actor, id).await?.into_iter().find(|row| row.id == linked.id.0);
    Ok(created(linked.created, &row))
}

/// Takes that back: superusers.
#[utoipa::path(delete, path = "/api/v1/data_sources/{id}/supported_scopes", tag = "data sources", params(("id" = i64, Path)), request_body = body::data_source::ScopeCodeChoice,
    responses((status = 204, description = "Not said any more"), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "No such data source")))]
#[tracing::instrument(name = "admin.data_sources.drop_support", skip_all)]
pub(crate) async fn drop_support(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    usecase::drop_support(&app, &actor, DataSourceId(id), || scope_code(&fields)).await?;
    Ok(no_content())
}
