//! Failures in the family's words: an object with a string `detail`, and the keys of the fields at fault.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jhe_domain::error::{Conflict, Error, Lookup, Violations, Why};
use jhe_http::authenticate::challenge;
use jhe_http::family::Family;
use serde_json::{Map, Value, json};

use crate::response::json_response;

/// The general refusal.
const NOT_PERMITTED: &str = "You do not have permission to perform this action.";
const NO_CREDENTIALS: &str = "Authentication credentials were not provided.";

/// The Admin API as a family.
#[derive(Debug, Clone, Copy)]
pub enum Admin {}

impl Family for Admin {
    fn oversized(status: StatusCode, text: &str) -> Response {
        detail(status, text)
    }

    fn incomplete(status: StatusCode, text: &str) -> Response {
        detail(status, text)
    }

    fn render(error: Error) -> Response {
        AdminError(error).into_response()
    }

    fn invalid_host() -> Response {
        detail(StatusCode::BAD_REQUEST, "Invalid host.")
    }
}

/// An error on its way to the caller.
#[derive(Debug)]
pub(crate) struct AdminError(pub(crate) Error);

impl From<Error> for AdminError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// `{"detail": …}`.
pub(crate) fn detail(status: StatusCode, text: &str) -> Response {
    json_response(status, &json!({ "detail": text }))
}

impl IntoResponse for AdminError {
    #[deny(clippy::wildcard_enum_match_arm)]
    fn into_response(self) -> Response {
        match self.0 {
            Error::Unauthenticated(fault) => {
                let mut response = detail(StatusCode::UNAUTHORIZED, NO_CREDENTIALS);
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge(fault)));
                response
            }
            Error::Denied(denial) => {
                let (status, text) = denied(&denial.why);
                detail(status, &text)
            }
            Error::NotFound(lookup) => not_found(&lookup),
            Error::Invalid(violations) => invalid(&violations),
            Error::Conflict(conflict) => conflicted(&conflict),
            Error::Throttled { retry_after } => {
                let seconds = retry_after.as_secs().max(1);
                let text = format!("Request was throttled. Expected available in {seconds} seconds.");
                after(detail(StatusCode::TOO_MANY_REQUESTS, &text), seconds)
            }
            Error::Unavailable { retry_after, source } => {
                tracing::error!(error = %source, "a part the server needs does not answer");
                unavailable(retry_after)
            }
            Error::Overloaded { retry_after } => unavailable(retry_after),
            Error::Internal(source) => {
                tracing::error!(error = %source, "internal error");
                detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error.")
            }
        }
    }
}

fn unavailable(retry_after: Duration) -> Response {
    let text = "Service temporarily unavailable.";
    after(detail(StatusCode::SERVICE_UNAVAILABLE, text), retry_after.as_secs().max(1))
}

fn after(mut response: Response, seconds: u64) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

#[deny(clippy::wildcard_enum_match_arm)]
fn denied(why: &Why) -> (StatusCode, String) {
    let text = match why {
        // A list that only practitioners have does not exist for others.
        Why::NotAPractitioner => return (StatusCode::NOT_FOUND, "No Practitioner matches the given query.".to_owned()),
        Why::NotAPatient => "Current user is not a patient.",
        Why::StudyNotVisible => "Current User does not have authorization to access this Study.",
        Why::PatientNotVisible => "Current User does not have authorization to access this Patient.",
        Why::ConsentsNotVisible => "This Practitioner not authorized to access this Patient",
        Why::OtherPatient => "The Patient does not match the current patient user.",
        Why::NotForThisPatient => "Practitioner doesn't have right now for patient.",
        Why::RoleTooLow => "Practitioner role is not valid.",
        Why::TopLevelOrganization => "You don't have permission to create a top-level organization.",
        Why::PractitionerClientsOnly => "Only practitioner users can manage practitioner clients.",
        Why::FhirSourcesOnlyByPatients => "Only patient users can register a FhirSource.",
        Why::InvitationCancelled => "Invitation has been cancelled.",
        Why::NotPermitted
        | Why::OrganizationFilter(_)
        | Why::StudyFilter(_)
        | Why::PatientFilter(_)
        | Why::MayNotWriteForPatient
        | Why::UploaderIsNoPatient
        | Why::SubjectIsNotCaller
        | Why::NotConsented { .. } => NOT_PERMITTED,
    };
    (StatusCode::FORBIDDEN, text.to_owned())
}

#[deny(clippy::wildcard_enum_match_arm)]
fn not_found(lookup: &Lookup) -> Response {
    let text = match lookup {
        Lookup::Entity(entity) => format!("No {entity} matches the given query."),
        Lookup::Address => "Not found.".to_owned(),
        Lookup::Page => "Invalid page.".to_owned(),
        Lookup::Cursor => "Invalid cursor".to_owned(),
        Lookup::Invitation => "Invitation not found or already used.".to_owned(),
        Lookup::PractitionerProfile => {
            let text = "Practitioner not found";
            return json_response(StatusCode::NOT_FOUND, &json!({ "error": text, "detail": text }));
        }
    };
    detail(StatusCode::NOT_FOUND, &text)
}

/// `detail` joins the first message of each field; each field lists all of its messages.
fn invalid(violations: &Violations) -> Response {
    let mut body = Map::new();
    body.insert("detail".to_owned(), Value::Null);
    let mut sentences: Vec<String> = Vec::new();
    for violation in &violations.0 {
        match &violation.field {
            None => sentences.push(violation.message.clone()),
            Some(field) if violation.unlisted => {
                sentences.push(format!("{field}: {}", violation.message));
                body.insert(field.clone(), Value::String(violation.message.clone()));
            }
            Some(field) => {
                let list = body.entry(field.clone()).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    if list.is_empty() {
                        let prefix = if violation.bare { String::new() } else { format!("{field}: ") };
                        sentences.push(format!("{prefix}{}", violation.message));
                    }
                    list.push(Value::String(violation.message.clone()));
                }
            }
        }
    }
    body.insert("detail".to_owned(), Value::String(sentences.join("; ")));
    json_response(StatusCode::BAD_REQUEST, &Value::Object(body))
}

#[deny(clippy::wildcard_enum_match_arm)]
fn conflicted(conflict: &Conflict) -> Response {
    let (field, text, bare) = match conflict {
        Conflict::EmailTaken => ("telecomEmail", "user with this Email Address already exists.".to_owned(), false),
        Conflict::PatientIdentifierTaken { system, value } => (
            "identifiers",
            format!("The external identifier {system}|{value} is already in use by another patient."),
            true,
        ),
        Conflict::ClientIdTaken => ("clientId", "application with this client id already exists.".to_owned(), false),
        Conflict::SettingKeyTaken => ("key", "jhe setting with this key already exists.".to_owned(), false),
        Conflict::DataSourceInUse => {
            return detail(StatusCode::CONFLICT, "This data source is used by FHIR sources and cannot be deleted.");
        }
        Conflict::InvitationUsed => return detail(StatusCode::CONFLICT, "Invitation has already been used."),
        Conflict::InvitationExpired => return detail(StatusCode::GONE, "Invitation has expired."),
        Conflict::ObservationIdentifierTaken { .. } | Conflict::Constraint(_) => {
            return detail(
                StatusCode::CONFLICT,
                "The change conflicts with stored data. Please check the values and try again.",
            );
        }
    };
    let detail = if bare { text.clone() } else { format!("{field}: {text}") };
    json_response(StatusCode::BAD_REQUEST, &json!({ "detail": detail, field: [text] }))
}

/// The answer to a method that a path does not have, and to `OPTIONS`, which describes the path.
pub async fn method_not_allowed(request: Request<Body>) -> Response {
    if request.method() == Method::OPTIONS {
        return json_response(
            StatusCode::OK,
            &json!({
                "name": "JupyterHealth Exchange",
                "description": "",
                "renders": ["application/json"],
                "parses": ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
            }),
        );
    }
    detail(StatusCode::METHOD_NOT_ALLOWED, &format!("Method \"{}\" not allowed.", request.method()))
}

/// The answer to a path of the family that does not exist.
pub fn unknown_path() -> Response {
    not_found(&Lookup::Address)
}

/// The same, for a format that does not exist.
pub(crate) fn unknown_format() -> Response {
    not_found(&Lookup::Address)
}

/// 415 for a body of this media type.
pub(crate) fn unsupported_media_type(media_type: &str) -> Response {
    let text = format!("Unsupported media type \"{media_type}\" in request.");
    detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text)
}

/// 415 for a coding of the body.
pub(crate) fn unsupported_coding(coding: &str) -> Response {
    detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, &format!("Unsupported content coding \"{coding}\" in request."))
}

/// 413.
pub(crate) fn too_large(limit: usize) -> Response {
    detail(StatusCode::PAYLOAD_TOO_LARGE, &format!("Request body exceeds {limit} bytes."))
}

/// Whether a client that sent this `Accept` header can read our answers.
pub(crate) fn accepts_json(headers: &HeaderMap) -> bool {
    let mut accepts = headers.get_all(header::ACCEPT).iter().peekable();
    if accepts.peek().is_none() {
        return true;
    }
    accepts.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|part| {
        let mut pieces = part.split(';').map(str::trim);
        let kind = pieces.next().unwrap_or_default().to_ascii_lowercase();
        let refused = pieces.any(|piece| matches!(piece.strip_prefix("q="), Some("0" | "0.0" | "0.00" | "0.000")));
        !refused && matches!(kind.as_str(), "application/json" | "application/*" | "*/*" | "text/html" | "")
    })
}

/// The header that lists what a path allows.
pub(crate) const ALLOW: HeaderName = header::ALLOW;
