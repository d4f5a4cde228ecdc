//! The FHIR R5 API, under `/fhir/r5` and its aliases.
//!
//! Floor 5. What FHIR says is in `jhe-fhir`; here it meets HTTP and the store. [`search`] reads what all searches share,
//! [`observation`] and [`patient`] answer for their types, [`record`] for the others, [`bundle`] takes uploads, [`negotiate`] decides about media
//! types around all of them, [`error`] renders refusals. Start with [`router`].

mod audit_event;
mod body;
mod bundle;
mod condition;
mod cursor;
mod device;
mod discovery;
mod error;
mod group;
mod negotiate;
mod observation;
mod organization;
mod path;
mod patient;
mod practitioner;
mod prefer;
mod record;
mod representation;
mod search;
mod translate;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use jhe_app::App;
use jhe_http::{DocumentedRouter, authenticate, origin, routes, with_method_fallback};
use tower_http::decompression::RequestDecompressionLayer;

pub use error::{Fhir, unknown_path};

/// All routes of the family. The three bases and trailing slashes are one before routing.
pub fn router(app: &App) -> DocumentedRouter<App> {
    with_method_fallback(protected(), error::method_not_allowed)
        .layer(RequestDecompressionLayer::new())
        .layer(from_fn_with_state(app.clone(), around_protected))
        .merge(
            with_method_fallback(public(), error::method_not_allowed)
                .layer(from_fn_with_state(app.clone(), around_public)),
        )
}

/// What a request goes through that needs a caller, outermost first.
async fn around_protected(State(app): State<App>, request: Request, next: Next) -> Response {
    negotiate::negotiate(request, |request| {
        origin::require_origin::<Fhir>(&app, request, |request| {
            authenticate::authenticate::<Fhir>(&app, request, |request| {
                negotiate::refuse_unacceptable(request, |request| {
                    body::require_known_coding(request, |request| next.run(request))
                })
            })
        })
    })
    .await
}

/// The same where anybody may call.
async fn around_public(State(app): State<App>, request: Request, next: Next) -> Response {
    negotiate::negotiate(request, |request| {
        origin::require_origin::<Fhir>(&app, request, |request| {
            negotiate::refuse_unacceptable(request, |request| next.run(request))
        })
    })
    .await
}

/// The routes without what needs a running application, for the API document.
pub fn documented() -> DocumentedRouter<App> {
    protected().merge(public())
}

fn protected() -> DocumentedRouter<App> {
    DocumentedRouter::new()
        .routes(routes!(bundle::post))
        .routes(routes!(observation::search, observation::create))
        .routes(routes!(observation::search_by_post, observation::search_by_get))
        .routes(routes!(observation::lastn))
        .routes(routes!(observation::read))
        .routes(routes!(patient::search))
        .routes(routes!(patient::search_by_post, patient::search_by_get))
        .routes(routes!(patient::read))
        .routes(routes!(group::search))
        .routes(routes!(group::search_by_post, group::search_by_get))
        .routes(routes!(group::read))
        .routes(routes!(device::search))
        .routes(routes!(device::search_by_post, device::search_by_get))
        .routes(routes!(device::read))
        .routes(routes!(organization::search))
        .routes(routes!(organization::search_by_post, organization::search_by_get))
        .routes(routes!(organization::read))
        .routes(routes!(practitioner::search))
        .routes(routes!(practitioner::search_by_post, practitioner::search_by_get))
        .routes(routes!(practitioner::read))
        .routes(routes!(audit_event::search))
        .routes(routes!(audit_event::search_by_post, audit_event::search_by_get))
        .routes(routes!(audit_event::read))
        .merge(others())
}

/// Types that are not served, known or not, answer alike for every method.
#[expect(clippy::disallowed_methods, reason = "what is not there is not in the API document")]
fn others() -> DocumentedRouter<App> {
    DocumentedRouter::new().route("/fhir/r5/{*rest}", axum::routing::any(error::unsupported_type))
}

fn public() -> DocumentedRouter<App> {
    DocumentedRouter::new()
        .routes(routes!(discovery::metadata))
        .routes(routes!(discovery::smart_configuration))
        .routes(routes!(discovery::smart_configuration_of_site))
}
