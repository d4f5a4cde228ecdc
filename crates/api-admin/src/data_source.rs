//! Data sources and data types: contract admin-api §6.10.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use jhe_app::App;
use jhe_authz::Authorizer;
use jhe_domain::DataSourceId;
use jhe_domain::data_source::{DataSource, ScopeCode};
use jhe_domain::error::{Error, Lookup};
use jhe_http::{Caller, Origin};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::AdminError;
use crate::paging::{DEFAULT_SIZE, PageJson, Paging};
use crate::path::{PathId, SentPath};
use crate::query::AdminQuery;
use crate::response::ok;
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
           ("pageSize" = Option<i64>, Query), ("paginate" = Option<bool>, Query, description = "`false` answers a bare array")),
    responses((status = 200, body = PageJson<DataSourceJson>)))]
#[tracing::instrument(name = "admin.data_sources.list", skip_all)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    SentPath(path): SentPath,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    query.check_names(&[])?;
    let array = app.settings().strings("api.plain_array_lists").iter().any(|list| list == "data_sources");
    let paging = Paging::new(&query, &path, DEFAULT_SIZE, array)?;
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
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).data_sources();
    let source = work.data_sources().find(&scope, DataSourceId(id)).await?;
    let source = source.ok_or(Error::NotFound(Lookup::Entity("DataSource")))?;
    let nested = DataSourceNestedJson::from(source);
    let rows = work.data_sources().supported_scopes(&scope, DataSourceId(id)).await?;
    let rows: Vec<SupportedScopeJson> = rows
        .into_iter()
        .map(|(link, code)| SupportedScopeJson { id: link.0, data_source: nested.clone(), scope_code: code.into() })
        .collect();
    Ok(ok(&rows))
}
