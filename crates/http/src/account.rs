//! Accounting for requests: what one did with data of people is in the audit trail before its answer leaves.

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::response::Response;
use jhe_app::App;
use jhe_authz::port::Attribution;
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::{ApplicationId, UserId};
use jhe_store::RequestFacts;

use crate::authenticate::LoggedCaller;
use crate::layers::RequestId;
use crate::origin::{Origin, peer};
use crate::refuse::{Refusal, Refuse};

/// What the trail calls a request of which it says nothing else.
const WHOLE: &str = "Request";

/// Layer: collects what the units of work of a request did, adds refusals and whatever else administrators ask for
/// (data model §2.26), and holds the answer back until that is stored.
pub async fn account(
    app: &App,
    refuse: Refuse,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let id = request.extensions().get::<RequestId>().map(|RequestId(id)| id.clone()).unwrap_or_default();
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str);
    let facts = RequestFacts {
        id,
        template: format!("{} {route}", request.method()),
        ip: Origin::address(request.headers(), peer(&request), app.config()),
    };
    let uri = request.uri().clone();
    let trail = app.store().trail(facts);
    let response = trail.within(next(request)).await;
    let status = response.status();
    if let Some(caller) = response.extensions().get::<LoggedCaller>() {
        let who = Attribution {
            user_id: Some(UserId(caller.user_id)),
            application_id: caller.application_id.map(ApplicationId),
            ..Attribution::default()
        };
        if status == StatusCode::FORBIDDEN {
            trail.note(who, AuditEntry::new(AuditAction::Denied, WHOLE));
        } else if caller.superuser && trail.is_empty() {
            trail.note(who, AuditEntry::new(AuditAction::Read, WHOLE));
        }
    }
    match trail.end(status.as_u16()).await {
        Ok(()) => response,
        Err(error) => refuse(&uri, Refusal::Error(error)),
    }
}
