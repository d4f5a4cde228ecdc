//! Invitations and invitation links: contract admin-api §6.4, §6.5; identity §2.7.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use jhe_app::identity::invitation::{self as usecase, ClientChoice};
use jhe_authz::{Actor, Authorizer};
use jhe_domain::error::{Error, Lookup, Violations};
use jhe_domain::invitation::{Invitation, InvitationStatus};
use jhe_domain::{ApplicationId, InvitationId, PatientId};
use jhe_http::account;
use jhe_http::authenticate::find_caller;
use jhe_http::{Caller, Origin};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::body;
use crate::error::AdminError;
use crate::fields::{Fields, Sent, lenient_id};
use crate::paging::{DEFAULT_LONG, PageJson, Paging};
use crate::path::{PathId, PathText, SentPath, parse};
use crate::query::AdminQuery;
use crate::response::{json_response, no_content, ok};
use crate::time::timestamp;

/// An invitation. `client_id` and `clientId` are the row of the client; the token is shown once, when it is issued.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InvitationJson {
    id: i64,
    patient_id: i64,
    #[serde(rename = "client_id")]
    client_id_snake: i64,
    client_id: i64,
    token_hash: String,
    token: Option<String>,
    status: &'static str,
    #[schema(format = DateTime)]
    last_updated: String,
}

/// An invitation just issued.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IssuedJson {
    #[serde(flatten)]
    invitation: InvitationJson,
    invitation_link: String,
}

impl From<Invitation> for InvitationJson {
    fn from(invitation: Invitation) -> Self {
        Self {
            id: invitation.id.0,
            patient_id: invitation.patient_id.0,
            client_id_snake: invitation.application_id.0,
            client_id: invitation.application_id.0,
            token_hash: invitation.token_hash,
            token: None,
            status: invitation.status.as_str(),
            last_updated: timestamp(invitation.last_updated),
        }
    }
}

/// Nobody keeps what carries a secret.
fn unstored(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A link that opens the patient's account in its app, once. It has effects although it is a GET.
///
/// The code at the end of the link is exchanged at `/o/token` with `grant_type=authorization_code`, `redirect_uri` of
/// `/auth/callback` on this site, the `client_id` of the client, and as `code_verifier` the one that the operator set or the server
/// made for all links. It lives for two weeks unless the operator says otherwise; the next link to the same client ends it.
#[utoipa::path(get, path = "/api/v1/patients/{id}/invitation_link", tag = "invitations",
    params(("id" = i64, Path), ("send_email" = Option<bool>, Query), ("client_id" = Option<String>, Query)),
    responses((status = 200, description = "The link", body = body::invitation::InvitationLinkJson), (status = 403, description = "Not permitted"), (status = 404, description = "No such patient")))]
#[tracing::instrument(name = "admin.patients.invitation_link", skip_all)]
pub(crate) async fn link(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    make_link(&app, &actor, id, &query, query.is_true("send_email")).await
}

/// The same by POST, which may say `sendEmail` in its body.
#[utoipa::path(post, path = "/api/v1/patients/{id}/invitation_link", tag = "invitations",
    params(("id" = i64, Path), ("send_email" = Option<bool>, Query), ("client_id" = Option<String>, Query)),
    request_body = Option<body::invitation::InvitationLinkDelivery>,
    responses((status = 200, description = "The link", body = body::invitation::InvitationLinkJson), (status = 403, description = "Not permitted"), (status = 404, description = "No such patient")))]
#[tracing::instrument(name = "admin.patients.invitation_link", skip_all)]
pub(crate) async fn link_by_post(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    query: AdminQuery,
    fields: Fields,
) -> Result<Response, AdminError> {
    let mail = fields.get("sendEmail") == Some(&Sent::Bool(true)) || query.is_true("send_email");
    make_link(&app, &actor, id, &query, mail).await
}

async fn make_link(
    app: &App,
    actor: &Actor,
    id: i64,
    query: &AdminQuery,
    send_email: bool,
) -> Result<Response, AdminError> {
    let choice = query.get("client_id").map_or(ClientChoice::Default, |text| ClientChoice::Named(text.to_owned()));
    if query.is_probe {
        let mut work = app.store().read().await?;
        let _grant = Authorizer::new(actor, &mut work).invite(PatientId(id)).await?;
        return Ok(unstored(ok(&json!({}))));
    }
    account::will_answer(StatusCode::OK, StatusCode::BAD_REQUEST);
    let link = usecase::make_link(app, actor, PatientId(id), choice, send_email).await?;
    Ok(unstored(ok(&json!({ "invitationLink": link.reveal() }))))
}

/// Invitations the caller may know of, last changed first.
#[utoipa::path(get, path = "/api/v1/invitation", tag = "invitations",
    params(("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query), ("page" = Option<String>, Query), ("pageSize" = Option<i64>, Query), ("cursor" = Option<String>, Query, description = "Empty for the first page of keyset paging")),
    responses((status = 200, body = PageJson<InvitationJson>), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.invitation.list", skip_all)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    SentPath(path): SentPath,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).invitations()?;
    let paging = Paging::new(&app, &query, &path, DEFAULT_LONG, false)?;
    let mut page = work.invitations().list(&scope, paging.window()?).await?;
    if let Some(last) = paging.last_window(page.count) {
        page = work.invitations().list(&scope, last).await?;
    }
    Ok(paging.respond(&origin, page.map(InvitationJson::from))?)
}

/// Invites a patient to a patient client; earlier invitations to it that wait are superseded.
#[utoipa::path(post, path = "/api/v1/invitation", tag = "invitations", request_body = body::invitation::NewInvitation,
    responses((status = 201, body = IssuedJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "No such patient or client")))]
#[tracing::instrument(name = "admin.invitation.create", skip_all)]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    fields: Fields,
) -> Result<Response, AdminError> {
    // Patients invite nobody, whatever the body says, and nobody a patient of others, whatever else it says.
    {
        let mut work = app.store().read().await?;
        Authorizer::new(&actor, &mut work).manages_somewhere().await?;
        if let Some(patient) = fields.get("patientId").and_then(lenient_id)
            && let Err(denied @ Error::Denied(_)) = Authorizer::new(&actor, &mut work).invite(PatientId(patient)).await
        {
            return Err(denied.into());
        }
    }
    let mut faults = Violations::default();
    let mut number = |name: &str, shown: &str| match fields.get(name) {
        None | Some(Sent::Null) => {
            faults.push(shown, "This field is required.");
            0
        }
        Some(value) => lenient_id(value).unwrap_or_else(|| {
            faults.push(shown, "A valid integer is required.");
            0
        }),
    };
    let patient = number("patientId", "patientId");
    let client = number("clientId", "client_id");
    faults.into_result()?;
    let mail = fields.get("sendEmail") == Some(&Sent::Bool(true));
    let issued = usecase::create(&app, &actor, PatientId(patient), ApplicationId(client), mail).await?;
    let mut invitation = InvitationJson::from(issued.invitation);
    invitation.token = Some(issued.token.reveal().clone());
    let body = IssuedJson { invitation, invitation_link: issued.link.reveal().clone() };
    Ok(unstored(json_response(StatusCode::CREATED, &body)))
}

/// The caller of a route that a token may stand in for.
async fn caller(app: &App, headers: &HeaderMap) -> Result<Actor, AdminError> {
    find_caller(app, headers).await.map_err(AdminError)
}

fn row(text: &str) -> Result<InvitationId, AdminError> {
    parse(text).map(InvitationId).ok_or(AdminError(Error::NotFound(Lookup::Address)))
}

/// One invitation.
#[utoipa::path(get, path = "/api/v1/invitation/{id}", tag = "invitations", params(("id" = String, Path)),
    responses((status = 200, body = InvitationJson), (status = 403, description = "Not permitted"), (status = 404, description = "No such invitation")))]
#[tracing::instrument(name = "admin.invitation.get", skip_all)]
pub(crate) async fn get(
    State(app): State<App>,
    headers: HeaderMap,
    PathText(id): PathText,
) -> Result<Response, AdminError> {
    let actor = caller(&app, &headers).await?;
    let id = row(&id)?;
    let mut work = app.store().read().await?;
    let scope = Authorizer::new(&actor, &mut work).invitations()?;
    let found = work.invitations().find(&scope, id).await?;
    Ok(ok(&InvitationJson::from(found.ok_or(Error::NotFound(Lookup::Entity("PatientInvitation")))?)))
}

/// Redeems an invitation token: no bearer token is needed, the token in the path is one.
///
/// The answer is a grant for the token endpoint: post the members of `grant` (`grant_type=authorization_code`, `code`, `redirect_uri`
/// and `client_id`) to `/o/token` as a form, together with `code_verifier`, which is the token of the invitation in base64url
/// without padding. The code lives for 60 seconds and is used once. Should the hand-over fail, the invitation is redeemed again
/// within a window after the first time (12 hours unless the site has another); the new code replaces the one before.
#[utoipa::path(post, path = "/api/v1/invitation/{id}", tag = "invitations",
    params(("id" = String, Path, description = "The 32 characters of the token")),
    responses((status = 200, description = "A grant for the token endpoint", body = body::invitation::RedeemedInvitation), (status = 403, description = "Cancelled"), (status = 404, description = "Unknown"), (status = 401, description = "An id instead of a token, without a bearer token"), (status = 405, description = "An id, which cannot be redeemed"), (status = 409, description = "Used"), (status = 410, description = "Expired")),
    security(()))]
#[tracing::instrument(name = "admin.invitation.redeem", skip_all)]
pub(crate) async fn redeem(
    State(app): State<App>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    PathText(token): PathText,
) -> Result<Response, AdminError> {
    if !usecase::is_token(&token) {
        // The path of a row, which has no POST.
        caller(&app, &headers).await?;
        let text = "Method \"POST\" not allowed.";
        return Ok(crate::error::detail(StatusCode::METHOD_NOT_ALLOWED, text));
    }
    Ok(redeemed(&app, &token, &origin).await)
}

/// Redeems an invitation token that is sent in the body, where no proxy writes it down.
///
/// The answer is a grant for the token endpoint: post the members of `grant` (`grant_type=authorization_code`, `code`, `redirect_uri`
/// and `client_id`) to `/o/token` as a form, together with `code_verifier`, which is the token of the invitation in base64url
/// without padding. The code lives for 60 seconds and is used once. Should the hand-over fail, the invitation is redeemed again
/// within a window after the first time (12 hours unless the site has another); the new code replaces the one before.
#[utoipa::path(post, path = "/api/v1/invitation/redeem", tag = "invitations", request_body = body::invitation::InvitationRedemption,
    responses((status = 200, description = "A grant for the token endpoint", body = body::invitation::RedeemedInvitation), (status = 400, description = "No token"), (status = 403, description = "Cancelled"), (status = 404, description = "Unknown"), (status = 409, description = "Used"), (status = 410, description = "Expired")),
    security(()))]
#[tracing::instrument(name = "admin.invitation.redeem_from_body", skip_all)]
pub(crate) async fn redeem_from_body(
    State(app): State<App>,
    Extension(origin): Extension<Origin>,
    fields: Fields,
) -> Result<Response, AdminError> {
    let mut faults = Violations::default();
    let token = fields.required_text("token", &mut faults);
    faults.into_result()?;
    Ok(redeemed(&app, &token, &origin).await)
}

async fn redeemed(app: &App, token: &str, origin: &Origin) -> Response {
    account::will_answer(StatusCode::OK, StatusCode::BAD_REQUEST);
    let mut response = match usecase::redeem(app, token, origin.peer).await {
        Ok(redeemed) => unstored(ok(&json!({
            "grant": {
                "grant_type": "authorization_code",
                "redirect_uri": redeemed.redirect_uri,
                "client_id": redeemed.client_id,
                "code": redeemed.code.reveal(),
            },
            "token_endpoint": format!("{}/o/token/", app.settings().site_url()),
            "expires": timestamp(redeemed.expires),
        }))),
        Err(error) => AdminError(error).into_response(),
    };
    // Patients' apps run on other origins; they send nothing but the token, and preflights see to the rest.
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// Cancels an invitation that waits; nothing else of it can be changed.
#[utoipa::path(patch, path = "/api/v1/invitation/{id}", tag = "invitations", params(("id" = String, Path)), request_body = body::invitation::InvitationChange,
    responses((status = 200, body = InvitationJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "No such invitation")))]
#[tracing::instrument(name = "admin.invitation.patch", skip_all)]
pub(crate) async fn patch(
    State(app): State<App>,
    headers: HeaderMap,
    PathText(id): PathText,
    fields: Fields,
) -> Result<Response, AdminError> {
    cancel(&app, &headers, &id, &fields).await
}

/// The same as PATCH.
#[utoipa::path(put, path = "/api/v1/invitation/{id}", tag = "invitations", params(("id" = String, Path)), request_body = body::invitation::InvitationChange,
    responses((status = 200, body = InvitationJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "No such invitation")))]
#[tracing::instrument(name = "admin.invitation.put", skip_all)]
pub(crate) async fn put(
    State(app): State<App>,
    headers: HeaderMap,
    PathText(id): PathText,
    fields: Fields,
) -> Result<Response, AdminError> {
    cancel(&app, &headers, &id, &fields).await
}

async fn cancel(app: &App, headers: &HeaderMap, id: &str, fields: &Fields) -> Result<Response, AdminError> {
    let actor = caller(app, headers).await?;
    let id = row(id)?;
    // Without a status there is nothing to change: show the row to those who may change it.
    if !fields.has("status") {
        let invitation = usecase::changeable(app, &actor, id).await?;
        return Ok(ok(&InvitationJson::from(invitation)));
    }
    let validate = || {
        let mut faults = Violations::default();
        let status = fields.choice("status", |status| InvitationStatus::parse(status).is_some(), &mut faults);
        faults.into_result()?;
        match status.as_deref() {
            Some("cancelled") => Ok(()),
            _ => Err(Error::invalid("status", "Only cancellation is possible.")),
        }
    };
    let invitation = usecase::cancel(app, &actor, id, validate).await?;
    Ok(ok(&InvitationJson::from(invitation)))
}

/// Deletes an invitation.
#[utoipa::path(delete, path = "/api/v1/invitation/{id}", tag = "invitations", params(("id" = String, Path)),
    responses((status = 204, description = "Gone"), (status = 403, description = "Not permitted"), (status = 404, description = "No such invitation")))]
#[tracing::instrument(name = "admin.invitation.delete", skip_all)]
pub(crate) async fn delete(
    State(app): State<App>,
    headers: HeaderMap,
    PathText(id): PathText,
) -> Result<Response, AdminError> {
    let actor = caller(&app, &headers).await?;
    usecase::delete(&app, &actor, row(&id)?).await?;
    Ok(no_content())
}
