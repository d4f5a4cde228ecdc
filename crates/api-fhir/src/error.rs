//! Refusals as OperationOutcomes: one table from the Exchange's errors to the FHIR catalogue.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jhe_domain::error::{Conflict, CredentialFault, Error, Lookup, Why};
use jhe_fhir::{Failure, Issue, IssueCode, catalogue};
use jhe_http::authenticate::challenge;
use jhe_http::family::Family;

use crate::negotiate::JSON;

/// The FHIR API as a family.
#[derive(Debug, Clone, Copy)]
pub enum Fhir {}

impl Family for Fhir {
    fn oversized(status: StatusCode, text: &str) -> Response {
        outcome(&Failure::new(status.as_u16(), Issue::error(IssueCode::TooLong, text)))
    }

    fn incomplete(status: StatusCode, text: &str) -> Response {
        let code = if status == StatusCode::REQUEST_TIMEOUT { IssueCode::Timeout } else { IssueCode::Incomplete };
        outcome(&Failure::new(status.as_u16(), Issue::error(code, text)))
    }

    fn render(error: Error) -> Response {
        FhirError::from(error).into_response()
    }

    fn invalid_host() -> Response {
        FhirError::from(catalogue::invalid_host()).into_response()
    }
}

/// A refusal on its way to the caller.
#[derive(Debug)]
pub(crate) enum FhirError {
    /// One of the catalogue.
    Failure(Failure),
    /// One of the Exchange, not yet in FHIR's words.
    Error(Error),
}

impl From<Failure> for FhirError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Error> for FhirError {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Marks a defect of the server, so that the answer can name the request it belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unexpected;

impl IntoResponse for FhirError {
    fn into_response(self) -> Response {
        match self {
            Self::Failure(failure) => outcome(&failure),
            Self::Error(error) => render(error),
        }
    }
}

/// The answer for a refusal of the catalogue.
pub(crate) fn outcome(failure: &Failure) -> Response {
    let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // What is refused before the caller's wishes are read is plain JSON; the layer that reads them says so otherwise.
    let headers = [(header::CONTENT_TYPE, JSON)];
    (status, headers, failure.outcome().to_json()).into_response()
}

#[deny(clippy::wildcard_enum_match_arm)]
fn render(error: Error) -> Response {
    match error {
        Error::Unauthenticated(fault) => unauthorized(fault),
        Error::Denied(denial) => outcome(&denied(&denial.why)),
        Error::NotFound(lookup) => outcome(&not_found(&lookup)),
        Error::Invalid(violations) => {
            let issues = violations.0.into_iter().map(|violation| Issue::error(IssueCode::Invalid, violation.message));
            outcome(&Failure::bad_request(issues.collect()))
        }
        Error::Conflict(conflict) => outcome(&conflicted(&conflict)),
        Error::Throttled { retry_after } => after(outcome(&catalogue::throttled()), retry_after.as_secs()),
        Error::Unavailable { retry_after, source } => {
            tracing::error!(error = %source, "a part the server needs does not answer");
            after(outcome(&catalogue::unavailable()), retry_after.as_secs())
        }
        Error::Overloaded { retry_after } => after(outcome(&catalogue::unavailable()), retry_after.as_secs()),
        Error::Internal(source) => {
            tracing::error!(error = %source, "internal error");
            let mut response = outcome(&catalogue::internal(""));
            response.extensions_mut().insert(Unexpected);
            response
        }
    }
}

fn unauthorized(fault: CredentialFault) -> Response {
    let mut response = outcome(&catalogue::unauthorized());
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge(fault)));
    response
}

fn after(mut response: Response, seconds: u64) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

#[deny(clippy::wildcard_enum_match_arm)]
fn denied(why: &Why) -> Failure {
    match why {
        Why::OrganizationFilter(id) => catalogue::organization_not_authorized(*id),
        Why::StudyFilter(id) => catalogue::study_not_authorized(*id),
        Why::PatientFilter(id) => catalogue::patient_not_authorized(*id),
        Why::MayNotWriteForPatient => catalogue::patient_not_writable(),
        Why::UploaderIsNoPatient => catalogue::not_a_patient(),
        Why::SubjectIsNotCaller => catalogue::other_patient(),
        Why::NotConsented { system, code } => catalogue::not_consented(system, code),
        Why::NotPermitted
        | Why::NotAPractitioner
        | Why::NotAPatient
        | Why::StudyNotVisible
        | Why::PatientNotVisible
        | Why::ConsentsNotVisible
        | Why::OtherPatient
        | Why::NotForThisPatient
        | Why::RoleTooLow
        | Why::TopLevelOrganization
        | Why::PractitionerClientsOnly
        | Why::FhirSourcesOnlyByPatients
        | Why::InvitationCancelled => catalogue::forbidden(),
    }
}

fn not_found(lookup: &Lookup) -> Failure {
    match lookup {
        Lookup::Page => catalogue::invalid_page(),
        Lookup::Cursor => catalogue::invalid_cursor(),
        _ => Failure::new(404, Issue::error(IssueCode::NotFound, "Not found.")),
    }
}

fn conflicted(conflict: &Conflict) -> Failure {
    match conflict {
        Conflict::ObservationIdentifierTaken { system, value } => {
            catalogue::identifier_in_use(system.as_deref().unwrap_or_default(), value)
        }
        _ => catalogue::contradiction(),
    }
}

/// A method that a path of ours does not have.
pub(crate) async fn method_not_allowed(request: Request) -> Response {
    let method = request.method().clone();
    let mut segments = request.uri().path().split('/').filter(|part| !part.is_empty()).skip(2);
    let failure = match (segments.next(), segments.next()) {
        (Some(kind), id) if matches!(method, Method::PUT | Method::PATCH | Method::DELETE) && is_type(kind) => {
            let deletes = method == Method::DELETE;
            match id {
                Some("_search") => catalogue::method_not_allowed(method.as_str()),
                None if deletes => catalogue::delete_needs_id(),
                None => catalogue::update_needs_id(),
                Some(id) if !is_integer(id) => catalogue::not_found(kind, id),
                Some(_) if kind == "Observation" && deletes => catalogue::observation_delete_not_supported(),
                Some(_) if kind == "Observation" => catalogue::observation_update_not_supported(),
                Some(_) => catalogue::interaction_not_allowed(interaction(&method), kind),
            }
        }
        // Records other than observations are managed elsewhere, and outside records need a source.
        (Some(kind), None) if method == Method::POST && is_type(kind) => {
            catalogue::interaction_not_allowed("create", kind)
        }
        _ => catalogue::method_not_allowed(method.as_str()),
    };
    outcome(&failure)
}

/// Not a document about the server.
fn is_type(segment: &str) -> bool {
    !matches!(segment, "metadata" | ".well-known")
}

fn is_integer(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit())
}

fn interaction(method: &Method) -> &'static str {
    match *method {
        Method::PUT => "update",
        Method::PATCH => "patch",
        _ => "delete",
    }
}

/// A path below the base that no type of ours has.
pub(crate) async fn unsupported_type(request: Request) -> Response {
    unknown(&request)
}

/// The same outside the routes of the family.
pub fn unknown_path(request: &Request) -> Response<Body> {
    unknown(request)
}

fn unknown(request: &Request) -> Response {
    if request.uri().path().starts_with("/fhir-import") {
        let issue = Issue::error(IssueCode::NotSupported, "Importing records of other FHIR releases is not supported.");
        return outcome(&Failure::new(404, issue));
    }
    let mut segments = request.uri().path().split('/').filter(|part| !part.is_empty()).skip(2);
    let kind = segments.next().unwrap_or_default();
    outcome(&match (kind, segments.nth(1)) {
        ("Observation" | "Patient" | "Group" | "Device" | "Organization" | "Practitioner", Some(below)) => {
            catalogue::below_resource_not_supported(below, kind)
        }
        _ => catalogue::unsupported_type(kind),
    })
}
