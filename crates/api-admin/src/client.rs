//! Patient clients: contract admin-api §6.9.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use jhe_app::{App, client as usecase};
use jhe_authz::{Actor, Authorizer};
use jhe_domain::client::{Client, GrantType};
use jhe_domain::error::{Error, Lookup, Violations};
use jhe_domain::{ApplicationId, DataSourceId};
use jhe_http::{Caller, Origin};
use jhe_store::client::{NewPatientClient, PatientClientChange};
use serde::Serialize;
use utoipa::ToSchema;

use crate::body;
use crate::data_source::DataSourceJson;
use crate::error::AdminError;
use crate::fields::{Fields, text};
use crate::paging::{DEFAULT_LONG, PageJson, Paging};
use crate::path::{PathId, SentPath};
use crate::query::AdminQuery;
use crate::response::{created, no_content, ok};
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
    #[schema(format = DateTime)]
    created: String,
    #[schema(format = DateTime)]
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
    params(("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query), ("page" = Option<String>, Query), ("pageSize" = Option<i64>, Query), ("cursor" = Option<String>, Query, description = "Empty for the first page of keyset paging")),
    responses((status = 200, body = PageJson<ClientJson>)))]
#[tracing::instrument(name = "admin.clients.list", skip_all)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    SentPath(path): SentPath,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let paging = Paging::new(&app, &query, &path, DEFAULT_LONG, false)?;
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

/// The length of a public OAuth identifier, in characters.
const CLIENT_ID_CHARS: usize = 255;

fn check_client_id(client_id: &str, faults: &mut Violations) {
    if client_id.chars().count() > CLIENT_ID_CHARS {
        faults.push("clientId", "Ensure this field has no more than 255 characters.");
    }
}

fn check_invitation_url(url: &str, faults: &mut Violations) {
    if url.matches("CODE").count() != 1 {
        faults.push("invitationUrl", "Must contain CODE exactly once.");
    }
    // Web addresses and the schemes of apps; not what a browser would run or show as a page of its own.
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    if ["javascript", "data", "vbscript", "file", "blob", "about"].contains(&scheme.as_str()) {
        faults.push("invitationUrl", "Enter a valid URL.");
    }
}

/// Registers a patient client: superusers.
#[utoipa::path(post, path = "/api/v1/clients", tag = "clients", request_body = body::client::NewClient,
    responses((status = 201, body = ClientJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.clients.create", skip_all)]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    fields: Fields,
) -> Result<Response, AdminError> {
    let site = app.settings().site_url();
    let validate = || {
        let mut faults = Violations::default();
        let name = fields.required_text("name", &mut faults);
        let client_id = fields.required_text("clientId", &mut faults);
        let invitation_url = fields.required_text("invitationUrl", &mut faults);
        check_client_id(&client_id, &mut faults);
        if !invitation_url.is_empty() {
            check_invitation_url(&invitation_url, &mut faults);
        }
        faults.into_result()?;
        Ok(NewPatientClient { name, client_id, invitation_url, redirect_uri: format!("{site}/auth/callback") })
    };
    Ok(created(true, &ClientJson::from(usecase::create(&app, &actor, validate).await?)))
}

/// Changes a patient client; what is not sent stays. Superusers.
#[utoipa::path(patch, path = "/api/v1/clients/{id}", tag = "clients", params(("id" = i64, Path)), request_body = body::client::ClientChange,
    responses((status = 200, body = ClientJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "No such patient client")))]
#[tracing::instrument(name = "admin.clients.patch", skip_all)]
pub(crate) async fn patch(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &fields).await
}

/// The same as PATCH: what is not sent stays.
#[utoipa::path(put, path = "/api/v1/clients/{id}", tag = "clients", params(("id" = i64, Path)), request_body = body::client::ClientChange,
    responses((status = 200, body = ClientJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "No such patient client")))]
#[tracing::instrument(name = "admin.clients.put", skip_all)]
pub(crate) async fn put(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &fields).await
}

async fn update(app: &App, actor: &Actor, id: i64, fields: &Fields) -> Result<Response, AdminError> {
    let validate = || {
        let mut faults = Violations::default();
        let name = fields.optional_text("name", &mut faults);
        let client_id = fields.optional_text("clientId", &mut faults);
        if let Some(client_id) = &client_id {
            check_client_id(client_id, &mut faults);
        }
        // Null changes nothing, an empty text takes the template away.
        let invitation_url = match fields.get("invitationUrl").map_or(Ok(None), text) {
            Ok(url) => url,
            Err(message) => {
                faults.push("invitationUrl", message);
                None
            }
        };
        if let Some(url) = invitation_url.as_deref().filter(|url| !url.is_empty()) {
            check_invitation_url(url, &mut faults);
        }
        faults.into_result()?;
        Ok(PatientClientChange { name, client_id, invitation_url })
    };
    Ok(ok(&ClientJson::from(usecase::update(app, actor, ApplicationId(id), validate).await?)))
}

/// Removes a patient client with its links, tokens and invitations: superusers.
#[utoipa::path(delete, path = "/api/v1/clients/{id}", tag = "clients", params(("id" = i64, Path)),
    responses((status = 204, description = "Gone"), (status = 403, description = "Not permitted"), (status = 404, description = "No such patient client")))]
#[tracing::instrument(name = "admin.clients.delete", skip_all)]
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    // Read like every body, so that one that cannot be read is refused.
    _: Fields,
) -> Result<Response, AdminError> {
    usecase::delete(&app, &actor, ApplicationId(id)).await?;
    Ok(no_content())
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

/// A data source that a patient client reads from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientDataSourceJson {
    id: i64,
    #[serde(rename = "client_id")]
    client_id_snake: i64,
    client_id: i64,
    data_source_id: i64,
}

/// Links a patient client to a data source: superusers and managers of some organization.
#[utoipa::path(post, path = "/api/v1/clients/{id}/data_sources", tag = "clients", params(("id" = i64, Path)), request_body = body::data_source::DataSourceChoice,
    responses((status = 201, body = ClientDataSourceJson), (status = 200, description = "Linked already", body = ClientDataSourceJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "No such patient client")))]
#[tracing::instrument(name = "admin.clients.attach_data_source", skip_all)]
pub(crate) async fn attach_data_source(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    let validate = || fields.required_reference("dataSourceId").map(DataSourceId);
    let (source, linked) = usecase::attach_data_source(&app, &actor, ApplicationId(id), validate).await?;
    let unknown = || Error::invalid("dataSourceId", format!("Invalid pk \"{}\" - object does not exist.", source.0));
    let linked = linked.ok_or_else(unknown)?;
    let body = ClientDataSourceJson { id: linked.id.0, client_id_snake: id, client_id: id, data_source_id: source.0 };
    Ok(created(linked.created, &body))
}

/// Takes such a link away: superusers and managers of some organization.
#[utoipa::path(delete, path = "/api/v1/clients/{id}/data_sources", tag = "clients", params(("id" = i64, Path)), request_body = body::data_source::DataSourceChoice,
    responses((status = 204, description = "Not linked any more"), (status = 403, description = "Not permitted"), (status = 404, description = "No such patient client")))]
#[tracing::instrument(name = "admin.clients.detach_data_source", skip_all)]
pub(crate) async fn detach_data_source(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    let validate = || fields.required_reference("dataSourceId").map(DataSourceId);
    usecase::detach_data_source(&app, &actor, ApplicationId(id), validate).await?;
    Ok(no_content())
}
