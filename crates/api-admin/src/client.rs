//! Patient clients: contract admin-api §6.9.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use jhe_app::App;
use jhe_authz::Authorizer;
use jhe_domain::ApplicationId;
use jhe_domain::client::{Client, GrantType};
use jhe_domain::error::{Error, Lookup};
use jhe_http::{Caller, Origin};
use serde::Serialize;
use utoipa::ToSchema;

use crate::data_source::DataSourceJson;
use crate::error::AdminError;
use crate::paging::{DEFAULT_LONG, PageJson, Paging};
use crate::path::{PathId, SentPath};
use crate::query::AdminQuery;
use crate::response::ok;
use crate::time::timestamp;

/// A patient client. `clientId` is its public OAuth identifier, `id` its row.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientJson {
    pub(crate) id: i64,
    name: String,
    client_id: String,
    /// Link template with the literal `CODE`.
    invitation_url: String,
}

impl From<Client> for ClientJson {
    fn from(client: Client) -> Self {
        Self {
            id: client.id.0,
            name: client.name,
            client_id: client.client_id,
            invitation_url: client.invitation_url.unwrap_or_default(),
        }
    }
}

/// A client inside a study link: its registration without anything secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientDetailJson {
    id: i64,
    #[serde(rename = "client_id")]
    client_id_snake: String,
    client_id: String,
    name: String,
    client_type: &'static str,
    authorization_grant_type: &'static str,
    redirect_uris: String,
    post_logout_redirect_uris: String,
    skip_authorization: bool,
    algorithm: String,
    allowed_origins: String,
    created: String,
    updated: String,
    user: Option<i64>,
}

impl From<Client> for ClientDetailJson {
    fn from(client: Client) -> Self {
        let grant = if client.may(GrantType::AuthorizationCode) {
            "authorization-code"
        } else if client.may(GrantType::ClientCredentials) {
            "client-credentials"
        } else {
            "password"
        };
        Self {
            id: client.id.0,
            client_id_snake: client.client_id.clone(),
            client_id: client.client_id,
            name: client.name,
            client_type: if client.confidential { "confidential" } else { "public" },
            authorization_grant_type: grant,
            redirect_uris: client.redirect_uris.join(" "),
            post_logout_redirect_uris: client.post_logout_redirect_uris,
            skip_authorization: client.skip_authorization,
            algorithm: client.algorithm,
            allowed_origins: client.allowed_origins,
            created: timestamp(client.created),
            updated: timestamp(client.updated),
            user: client.owner.map(|id| id.0),
        }
    }
}

/// Patient clients, newest first: all for practitioners, those of its studies for a patient.
#[utoipa::path(get, path = "/api/v1/clients", tag = "clients",
    params(("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query), ("page" = Option<String>, Query), ("pageSize" = Option<i64>, Query)),
    responses((status = 200, body = PageJson<ClientJson>)))]
#[tracing::instrument(name = "admin.clients.list", skip_all)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    SentPath(path): SentPath,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    query.check_names(&[])?;
    let paging = Paging::new(&query, &path, DEFAULT_LONG, false)?;
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).clients();
    let mut page = work.clients().list(&scope, paging.window()?).await?;
    if let Some(last) = paging.last_window(page.count) {
        page = work.clients().list(&scope, last).await?;
    }
    Ok(paging.respond(&origin, page.map(ClientJson::from))?)
}

/// One patient client.
#[utoipa::path(get, path = "/api/v1/clients/{id}", tag = "clients", params(("id" = i64, Path)),
    responses((status = 200, body = ClientJson), (status = 404, description = "No such patient client")))]
#[tracing::instrument(name = "admin.clients.get", skip_all)]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).clients();
    let client = work.clients().find(&scope, ApplicationId(id)).await?;
    Ok(ok(&ClientJson::from(client.ok_or(Error::NotFound(Lookup::Entity("Application")))?)))
}

/// Data sources of a patient client, by id.
#[utoipa::path(get, path = "/api/v1/clients/{id}/data_sources", tag = "clients", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<DataSourceJson>), (status = 404, description = "No such patient client")))]
#[tracing::instrument(name = "admin.clients.data_sources", skip_all)]
pub(crate) async fn data_sources(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).clients();
    if work.clients().find(&scope, ApplicationId(id)).await?.is_none() {
        return Err(AdminError(Error::NotFound(Lookup::Entity("Application"))));
    }
    let sources = work.clients().data_sources(&scope, ApplicationId(id)).await?;
    Ok(ok(&sources.into_iter().map(DataSourceJson::from).collect::<Vec<_>>()))
}
