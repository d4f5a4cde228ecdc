//! The Admin REST API, `/api/v1`: JSON in camelCase for practitioners, patients and operators.
//!
//! Floor 5. One module for each entity, with its handlers and its wire types. What all share: [`fields`] reads bodies,
//! which [`body`] describes, [`query`] and [`paging`] read query strings, [`error`] renders failures. Start with [`router`].

mod audit_event;
mod body;
mod client;
mod consent;
mod data_source;
mod error;
mod fhir_source;
mod fields;
mod invitation;
mod observation;
mod organization;
mod paging;
mod path;
mod patient;
mod practitioner;
mod practitioner_client;
mod query;
mod response;
mod root;
mod setting;
mod study;
mod time;
mod user;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use jhe_app::App;
use jhe_http::{DocumentedRouter, account, authenticate, origin, routes, with_method_fallback};

pub use error::{Admin, method_not_allowed, unknown_path};

/// All routes of the family. Paths are complete; trailing slashes and `.json` are gone before routing.
pub fn router(app: &App) -> DocumentedRouter<App> {
    with_method_fallback(protected(), error::method_not_allowed)
        .layer(from_fn_with_state(app.clone(), around_protected))
        .merge(
            with_method_fallback(public(), error::method_not_allowed)
                .layer(from_fn_with_state(app.clone(), around_public)),
        )
}

/// What a request goes through that needs a caller, outermost first.
async fn around_protected(State(app): State<App>, request: Request, next: Next) -> Response {
    origin::require_origin::<Admin>(&app, request, |request| {
        response::describe(request, |request| {
            authenticate::authenticate::<Admin>(&app, request, |request| within_form(request, next))
        })
    })
    .await
}

/// The same where anybody may call.
async fn around_public(State(app): State<App>, request: Request, next: Next) -> Response {
    origin::require_origin::<Admin>(&app, request, |request| {
        response::describe(request, |request| within_form(request, next))
    })
    .await
}

async fn within_form(request: Request, next: Next) -> Response {
    // What methods mean here; handlers that answer otherwise say so.
    let done = match *request.method() {
        Method::POST => StatusCode::CREATED,
        Method::DELETE => StatusCode::NO_CONTENT,
        _ => StatusCode::OK,
    };
    account::will_answer(done, StatusCode::BAD_REQUEST);
    response::require_json(request, |request| response::refuse_unknown(request, |request| next.run(request))).await
}

/// The routes without what needs a running application, for the API document.
pub fn documented() -> DocumentedRouter<App> {
    protected().merge(public())
}

fn protected() -> DocumentedRouter<App> {
    DocumentedRouter::new()
        .routes(routes!(root::index))
        .routes(routes!(audit_event::list))
        .routes(routes!(audit_event::get))
        .routes(routes!(user::list, user::create))
        .routes(routes!(user::profile))
        .routes(routes!(user::organizations))
        .routes(routes!(user::search_by_email))
        .routes(routes!(user::get, user::patch, user::put, user::delete))
        .routes(routes!(organization::list, organization::create))
        .routes(routes!(organization::types))
        .routes(routes!(organization::get, organization::patch, organization::put, organization::delete))
        .routes(routes!(organization::tree))
        .routes(routes!(organization::users))
        .routes(routes!(organization::studies))
        .routes(routes!(organization::add_user))
        .routes(routes!(organization::remove_user))
        .routes(routes!(study::list, study::create))
        .routes(routes!(study::get, study::patch, study::put, study::delete))
        .routes(routes!(study::patients, study::enrol, study::unenrol))
        .routes(routes!(study::scope_requests, study::request_scope, study::drop_scope))
        .routes(routes!(study::data_sources, study::attach_data_source, study::detach_data_source))
        .routes(routes!(study::clients, study::attach_client, study::detach_client))
        .routes(routes!(patient::list, patient::create))
        .routes(routes!(patient::me))
        .routes(routes!(patient::global_lookup))
        .routes(routes!(patient::get, patient::patch, patient::put, patient::delete))
        .routes(routes!(patient::global_add_organization))
        .routes(routes!(patient::consolidated_clients))
        .routes(routes!(consent::get, consent::create, consent::change, consent::delete))
        .routes(routes!(invitation::link, invitation::link_by_post))
        .routes(routes!(invitation::list, invitation::create))
        .routes(routes!(observation::list))
        .routes(routes!(observation::get, observation::patch, observation::delete))
        .routes(routes!(practitioner::list, practitioner::create))
        .routes(routes!(practitioner::get, practitioner::patch, practitioner::put, practitioner::delete))
        .routes(routes!(data_source::list, data_source::create))
        .routes(routes!(data_source::all_scopes))
        .routes(routes!(data_source::get, data_source::patch, data_source::put, data_source::delete))
        .routes(routes!(data_source::supported_scopes, data_source::support, data_source::drop_support))
        .routes(routes!(client::list, client::create))
        .routes(routes!(client::get, client::patch, client::put, client::delete))
        .routes(routes!(client::data_sources, client::attach_data_source, client::detach_data_source))
        .routes(routes!(fhir_source::list, fhir_source::create))
        .routes(routes!(fhir_source::get, fhir_source::patch, fhir_source::put, fhir_source::delete))
        .routes(routes!(fhir_source::index_refs))
        .routes(routes!(patient::wearable_status))
        .routes(routes!(setting::list, setting::create))
        .routes(routes!(setting::get, setting::patch, setting::put, setting::delete))
        .routes(routes!(practitioner_client::list, practitioner_client::create))
        .routes(routes!(practitioner_client::get, practitioner_client::patch, practitioner_client::delete))
}

/// What needs no bearer token. An invitation is addressed by its token or, with a bearer token, by its id: both share
/// one path, so these handlers authenticate themselves.
#[expect(clippy::disallowed_methods, reason = "an address that only leads to the one with a slash")]
fn public() -> DocumentedRouter<App> {
    DocumentedRouter::new()
        .routes(routes!(invitation::get, invitation::redeem, invitation::patch, invitation::put, invitation::delete))
        .routes(routes!(invitation::redeem_from_body))
        .route("/api/v1", get(root::slash))
}
