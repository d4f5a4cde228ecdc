//! API keys of practitioners: contract admin-api §6.8.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use jhe_app::practitioner_client::Key;
use jhe_app::{App, practitioner_client as usecase};
use jhe_domain::error::{Error, Violations};
use jhe_http::{Caller, Origin};
use serde::Serialize;
use utoipa::ToSchema;

use crate::body;
use crate::error::AdminError;
use crate::fields::{Fields, Sent, text};
use crate::paging::{DEFAULT_LONG, PageJson, Paging};
use crate::path::{PathId, SentPath};
use crate::query::AdminQuery;
use crate::response::{created, no_content, ok};
use crate::time::timestamp;

/// An API key. `key` is `client_id:client_secret` in Base64, for HTTP Basic at the token endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PractitionerClientJson {
    id: i64,
    label: String,
    #[schema(format = DateTime)]
    created: String,
    name: String,
    /// Null where keys are shown once only.
    key: Option<String>,
}

impl From<Key> for PractitionerClientJson {
    fn from(key: Key) -> Self {
        Self {
            id: key.row.id,
            label: key.row.label,
            created: timestamp(key.row.created),
            name: key.row.name,
            key: key.key.map(jhe_domain::Phi::into_inner),
        }
    }
}

/// Answers with a key in them are kept nowhere.
fn unstored(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The caller's keys, newest first.
#[utoipa::path(get, path = "/api/v1/practitioner_clients", tag = "practitioner clients",
    params(("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query), ("page" = Option<String>, Query), ("pageSize" = Option<i64>, Query), ("cursor" = Option<String>, Query, description = "Empty for the first page of keyset paging")),
    responses((status = 200, body = PageJson<PractitionerClientJson>), (status = 403, description = "The caller is no practitioner")))]
#[tracing::instrument(name = "admin.practitioner_clients.list", skip_all)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    SentPath(path): SentPath,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let paging = Paging::new(&app, &query, &path, DEFAULT_LONG, false)?;
    let mut page = usecase::list(&app, &actor, paging.window()?).await?;
    if let Some(last) = paging.last_window(page.count) {
        page = usecase::list(&app, &actor, last).await?;
    }
    Ok(unstored(paging.respond(&origin, page.map(PractitionerClientJson::from))?))
}

/// One of the caller's keys.
#[utoipa::path(get, path = "/api/v1/practitioner_clients/{id}", tag = "practitioner clients", params(("id" = i64, Path)),
    responses((status = 200, body = PractitionerClientJson), (status = 403, description = "The caller is no practitioner"), (status = 404, description = "Not one of the caller's")))]
#[tracing::instrument(name = "admin.practitioner_clients.get", skip_all)]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
) -> Result<Response, AdminError> {
    let key = usecase::get(&app, &actor, id).await?;
    Ok(unstored(ok(&PractitionerClientJson::from(key))))
}

/// The label of a new key: absent and null are an empty one.
fn first_label(fields: &Fields) -> Result<String, Error> {
    if fields.get("label").is_some_and(Sent::is_null) {
        return Ok(String::new());
    }
    Ok(label(fields)?.unwrap_or_default())
}

/// The label of a body: absent stays absent.
fn label(fields: &Fields) -> Result<Option<String>, Error> {
    let mut faults = Violations::default();
    let label = match fields.get("label").map(text) {
        None => None,
        Some(Ok(Some(label))) => Some(label),
        Some(Ok(None)) => {
            faults.push("label", "This field may not be null.");
            None
        }
        Some(Err(message)) => {
            faults.push("label", message);
            None
        }
    };
    faults.into_result()?;
    Ok(label)
}

/// Makes a key for the caller.
#[utoipa::path(post, path = "/api/v1/practitioner_clients", tag = "practitioner clients", request_body = body::practitioner_client::NewPractitionerClient,
    responses((status = 201, body = PractitionerClientJson), (status = 400, description = "Invalid"), (status = 403, description = "The caller is no practitioner")))]
#[tracing::instrument(name = "admin.practitioner_clients.create", skip_all)]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    fields: Fields,
) -> Result<Response, AdminError> {
    let key = usecase::create(&app, &actor, || first_label(&fields)).await?;
    Ok(unstored(created(true, &PractitionerClientJson::from(key))))
}

/// Labels a key anew; nothing else of it changes.
#[utoipa::path(patch, path = "/api/v1/practitioner_clients/{id}", tag = "practitioner clients", params(("id" = i64, Path)), request_body = body::practitioner_client::PractitionerClientChange,
    responses((status = 200, body = PractitionerClientJson), (status = 400, description = "Invalid"), (status = 403, description = "The caller is no practitioner"), (status = 404, description = "Not one of the caller's")))]
#[tracing::instrument(name = "admin.practitioner_clients.patch", skip_all)]
pub(crate) async fn patch(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    let key = usecase::label(&app, &actor, id, || label(&fields)).await?;
    Ok(unstored(ok(&PractitionerClientJson::from(key))))
}

/// Removes a key; its tokens end at once.
#[utoipa::path(delete, path = "/api/v1/practitioner_clients/{id}", tag = "practitioner clients", params(("id" = i64, Path)),
    responses((status = 204, description = "Gone"), (status = 403, description = "The caller is no practitioner"), (status = 404, description = "Not one of the caller's")))]
#[tracing::instrument(name = "admin.practitioner_clients.delete", skip_all)]
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    // Read like every body, so that one that cannot be read is refused.
    _: Fields,
) -> Result<Response, AdminError> {
    usecase::delete(&app, &actor, id).await?;
    Ok(no_content())
}
