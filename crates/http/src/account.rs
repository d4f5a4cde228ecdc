//! Accounting for requests: what one did with data of people is in the audit trail before its answer leaves.

use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use jhe_app::App;
use jhe_authz::port::Attribution;
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_store::{Answers, RequestFacts};

use crate::authenticate::only_reads;
use crate::known::{self, Known};
use crate::layers::RequestId;
use crate::origin::{Origin, peer};
use crate::refuse::{Refusal, Refuse};
use crate::route;
use crate::target::{Target, WHOLE};

/// How many entries of a Bundle were refused as not permitted, in the extensions of an answer that is no refusal itself.
#[derive(Debug, Clone, Copy)]
pub struct RefusedEntries(pub usize);

/// Says what the request that is running is about to be answered with, for entries of the audit trail that are stored with a
/// change: when it does what it was asked for, and when somebody is not let in.
pub fn will_answer(done: StatusCode, refused: StatusCode) {
    // What was to be made and was there is not made.
    let there_already = if done == StatusCode::CREATED { StatusCode::OK } else { done };
    jhe_store::announce(Answers {
        done: done.as_u16(),
        there_already: there_already.as_u16(),
        refused: refused.as_u16(),
    });
}

/// Layer: collects what the units of work of a request did, adds refusals and whatever else administrators ask for
/// (data model §2.26), and holds the answer back until that is stored.
pub async fn account(
    app: &App,
    refuse: Refuse,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let id = request.extensions().get::<RequestId>().map(|RequestId(id)| id.clone()).unwrap_or_default();
    let route = route::of(&request).to_owned();
    let facts = RequestFacts {
        id,
        template: format!("{} {route}", request.method()),
        ip: Origin::address(request.headers(), peer(&request), app.config()),
    };
    let (uri, method) = (request.uri().clone(), request.method().clone());
    let trail = app.store().trail(facts);
    let response = trail.within(next(request)).await;
    let status = response.status();
    let Known { user_id, application_id, superuser } = known::current();
    let who = Attribution { user_id, application_id, ..Attribution::default() };
    let denied = || Target::of(&route, uri.path()).complete(AuditEntry::new(AuditAction::Denied, WHOLE));
    if status == StatusCode::FORBIDDEN {
        trail.note(who, denied());
    } else if let Some(RefusedEntries(rows)) = response.extensions().get() {
        let entry = denied().rows(i64::try_from(*rows).unwrap_or(i64::MAX));
        trail.note(who, entry.status(StatusCode::FORBIDDEN.as_u16()));
    } else if superuser && trail.is_empty() {
        trail.note(who, AuditEntry::new(asked_for(&method, &uri), WHOLE));
    }
    match trail.end(status.as_u16()).await {
        Ok(()) => response,
        Err(error) => refuse(&uri, Refusal::Error(error)),
    }
}

/// What a request of which the trail says nothing else wanted to do.
fn asked_for(method: &Method, uri: &Uri) -> AuditAction {
    if only_reads(method, uri) {
        return AuditAction::Read;
    }
    match *method {
        Method::POST => AuditAction::Create,
        Method::PUT | Method::PATCH => AuditAction::Update,
        Method::DELETE => AuditAction::Delete,
        // What made an invitation or forgot consents says so itself; methods that nobody has change nothing.
        _ => AuditAction::Read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_called_by_what_its_method_would_do() {
        let check = |method: Method, path: &'static str, expected: AuditAction| {
            assert_eq!(asked_for(&method, &Uri::from_static(path)), expected, "{method} {path}");
        };
        check(Method::GET, "/api/v1/users", AuditAction::Read);
        check(Method::HEAD, "/api/v1/users", AuditAction::Read);
        check(Method::POST, "/api/v1/users", AuditAction::Create);
        check(Method::PUT, "/api/v1/users/1", AuditAction::Update);
        check(Method::PATCH, "/api/v1/users/1", AuditAction::Update);
        check(Method::DELETE, "/api/v1/users/1", AuditAction::Delete);
        check(Method::POST, "/fhir/r5/Patient/_search", AuditAction::Read);
        check(Method::POST, "/o/userinfo", AuditAction::Read);
        check(Method::TRACE, "/api/v1/users", AuditAction::Read);
    }
}
