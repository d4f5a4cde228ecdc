//! Every refusal of the FHIR API: HTTP status, issue code and text, each written once.
//!
//! The numbers are those of the project's error catalogue. Structural problems (E40) come from [`crate::structure`]; what
//! is only known elsewhere (OMH documents) passes its message in.

use crate::outcome::{Issue, IssueCode, OperationOutcome};

/// A refusal: what a single request answers with, and what a Bundle entry records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status.
    pub status: u16,
    /// What is wrong; at least one.
    pub issues: Vec<Issue>,
}

impl Failure {
    /// A refusal with one issue.
    pub fn new(status: u16, issue: Issue) -> Self {
        Self { status, issues: vec![issue] }
    }

    /// Status 400 with all the given issues (E40 and its kin).
    pub fn bad_request(issues: Vec<Issue>) -> Self {
        Self { status: 400, issues }
    }

    /// The body of the answer.
    pub fn outcome(&self) -> OperationOutcome {
        OperationOutcome { issues: self.issues.clone() }
    }

    /// The first issue's text, for logs and tests.
    pub fn diagnostics(&self) -> &str {
        self.issues.first().map_or("", |issue| &issue.diagnostics)
    }

    /// The single issue of a failure made here.
    pub(crate) fn into_issue(self) -> Issue {
        self.issues.into_iter().next().unwrap_or_else(|| Issue::error(IssueCode::Processing, ""))
    }
}

/// Number and reason phrase, as `Bundle.entry.response.status` shows them.
pub const fn status_line(status: u16) -> &'static str {
    match status {
        200 => "200 OK",
        201 => "201 Created",
        204 => "204 No Content",
        304 => "304 Not Modified",
        400 => "400 Bad Request",
        401 => "401 Unauthorized",
        403 => "403 Forbidden",
        404 => "404 Not Found",
        405 => "405 Method Not Allowed",
        406 => "406 Not Acceptable",
        409 => "409 Conflict",
        412 => "412 Precondition Failed",
        413 => "413 Content Too Large",
        415 => "415 Unsupported Media Type",
        422 => "422 Unprocessable Entity",
        429 => "429 Too Many Requests",
        503 => "503 Service Unavailable",
        _ => "500 Internal Server Error",
    }
}

fn error(status: u16, code: IssueCode, diagnostics: impl Into<String>) -> Failure {
    Failure::new(status, Issue::error(code, diagnostics))
}

fn error_at(status: u16, code: IssueCode, diagnostics: impl Into<String>, expression: &str) -> Failure {
    Failure::new(status, Issue::error(code, diagnostics).at(expression))
}

/// E01: no credentials, or unusable ones.
pub fn unauthorized() -> Failure {
    error(401, IssueCode::Login, "Authentication credentials were not provided.")
}

/// E03: a denial that says no more.
pub fn forbidden() -> Failure {
    error(403, IssueCode::Forbidden, "You do not have permission to perform this action.")
}

/// E04: the organization filter names one the caller does not belong to, or none.
pub fn organization_not_authorized(id: i64) -> Failure {
    error(403, IssueCode::Forbidden, format!("Current user is not authorized to access Organization/{id}."))
}

/// E05: the study filter names one of another organization, or none.
pub fn study_not_authorized(id: i64) -> Failure {
    error(403, IssueCode::Forbidden, format!("Current user is not authorized to access Group/{id}."))
}

/// E06: the patient filter names one the caller shares no organization with, or none.
pub fn patient_not_authorized(id: i64) -> Failure {
    error(403, IssueCode::Forbidden, format!("Current user is not authorized to access Patient/{id}."))
}

/// E10: a resource type the server does not have.
pub fn unsupported_type(kind: &str) -> Failure {
    error(404, IssueCode::NotSupported, format!("Unsupported FHIR resource type: {kind}."))
}

/// E11: no such row, or not for this caller.
pub fn not_found(kind: &str, id: &str) -> Failure {
    error(404, IssueCode::NotFound, format!("{kind}/{id} not found."))
}

/// E12: a page that does not exist.
pub fn invalid_page() -> Failure {
    error(404, IssueCode::NotFound, "Invalid page.")
}

/// E13: the type does not offer the interaction (`update`, `delete`, …).
pub fn interaction_not_allowed(interaction: &str, kind: &str) -> Failure {
    error(405, IssueCode::NotSupported, format!("The '{interaction}' interaction is not allowed for {kind}."))
}

/// E14: PUT or PATCH of a native Observation.
pub fn observation_update_not_supported() -> Failure {
    error(405, IssueCode::NotSupported, "Update of a Observation record is not supported.")
}

/// E14: DELETE of a native Observation.
pub fn observation_delete_not_supported() -> Failure {
    error(405, IssueCode::NotSupported, "Delete of a Observation record is not supported.")
}

/// E15: PUT or PATCH on a type.
pub fn update_needs_id() -> Failure {
    error(405, IssueCode::NotSupported, "An id is required to update a resource.")
}

/// E15: DELETE on a type.
pub fn delete_needs_id() -> Failure {
    error(405, IssueCode::NotSupported, "An id is required to delete a resource.")
}

/// E16: any other method.
pub fn method_not_allowed(method: &str) -> Failure {
    error(405, IssueCode::NotSupported, format!("Method \"{method}\" not allowed."))
}

/// E17: no media type we can write is accepted.
pub fn not_acceptable() -> Failure {
    error(406, IssueCode::NotSupported, "Could not satisfy the request Accept header.")
}

/// E18: a body of a media type we cannot read.
pub fn unsupported_media_type(content_type: &str) -> Failure {
    error(415, IssueCode::NotSupported, format!("Unsupported media type \"{content_type}\" in request."))
}

/// E18: a body in a coding we cannot decode.
pub fn unsupported_encoding(coding: &str) -> Failure {
    error(415, IssueCode::NotSupported, format!("Unsupported content encoding \"{}\" in request.", shown(coding)))
}

/// What an answer repeats of a caller's text.
fn shown(text: &str) -> &str {
    const LONGEST: usize = 200;
    text.char_indices().nth(LONGEST).map_or(text, |(end, _)| text.get(..end).unwrap_or_default())
}

/// An operation below a resource that is not offered.
pub fn below_resource_not_supported(what: &str, kind: &str) -> Failure {
    error(404, IssueCode::NotSupported, format!("'{}' is not supported for {kind}.", shown(what)))
}

/// E19: the body is not JSON.
pub fn json_syntax(detail: &str) -> Failure {
    error(400, IssueCode::Structure, format!("JSON parse error - {detail}"))
}

/// E20: the body is JSON but no object.
pub fn not_an_object() -> Failure {
    error(400, IssueCode::Structure, "Expected a JSON object.")
}

/// E21: the body is larger than the limit.
pub fn body_too_large(limit: usize) -> Failure {
    error(413, IssueCode::TooLong, format!("Request body exceeds {limit} bytes."))
}

/// E22: the Bundle has more entries than the limit.
pub fn too_many_entries(limit: usize) -> Failure {
    error(413, IssueCode::TooCostly, format!("Bundle has more than {limit} entries."))
}

/// E23: rate limit; the caller adds `Retry-After`.
pub fn throttled() -> Failure {
    error(429, IssueCode::Throttled, "Too many requests.")
}

/// E24: a host the server does not answer for.
pub fn invalid_host() -> Failure {
    error(400, IssueCode::Invalid, "Invalid host header.")
}

/// E25: an unexpected failure, named by the request id alone.
pub fn internal(request_id: &str) -> Failure {
    error(500, IssueCode::Exception, format!("Internal server error. Request id: {request_id}"))
}

/// E26: the database cannot answer now; the caller adds `Retry-After`.
pub fn unavailable() -> Failure {
    error(503, IssueCode::Transient, "Service temporarily unavailable.")
}

/// A refusal of the database, of which no rule of ours knew.
pub fn contradiction() -> Failure {
    error(409, IssueCode::Conflict, "The request contradicts what is stored.")
}

/// E30: an Observation search by a practitioner without any narrowing parameter.
pub fn observation_search_needs_scope() -> Failure {
    error(
        400,
        IssueCode::Required,
        "Request parameter patient._has:Group:member:_id=<study_id> or patient=<patient_id> or patient.identifier=<system>|<value> must be provided.",
    )
}

/// E31: an unreadable `_lastUpdated`.
pub fn invalid_last_updated(raw: &str) -> Failure {
    error(400, IssueCode::Value, format!("Invalid _lastUpdated value: '{raw}'."))
}

/// E32: an unreadable date.
pub fn invalid_date(raw: &str) -> Failure {
    error(400, IssueCode::Value, format!("Invalid date value: '{raw}'."))
}

/// E33: any other unreadable value.
pub fn invalid_value(parameter: &str, raw: &str) -> Failure {
    error(400, IssueCode::Value, format!("Invalid value for {parameter}: '{raw}'."))
}

/// E34: a modifier the parameter does not have.
pub fn unsupported_modifier(modifier: &str, parameter: &str) -> Failure {
    error(400, IssueCode::NotSupported, format!("Modifier ':{modifier}' is not supported for parameter '{parameter}'."))
}

/// E35: unknown parameters under strict handling, as a comma-separated list.
pub fn unknown_parameters(list: &str) -> Failure {
    error(400, IssueCode::NotSupported, format!("Unknown search parameter: {list}."))
}

/// E36: a cursor that is not ours, or belongs to another search.
pub fn invalid_cursor() -> Failure {
    error(400, IssueCode::Value, "Invalid _cursor.")
}

/// E37: a chain, `_has` or `_include` that is not supported.
pub fn unsupported_parameter(parameter: &str) -> Failure {
    error(400, IssueCode::NotSupported, format!("Search parameter '{parameter}' is not supported."))
}

/// E41: the body is of another type than the URL.
pub fn resource_type_mismatch(expected: &str, found: &str) -> Failure {
    error(400, IssueCode::Invalid, format!("Expected resourceType {expected} but got {found}."))
}

/// E42: no subject reference.
pub fn subject_missing() -> Failure {
    error_at(
        400,
        IssueCode::Required,
        "Subject is required and must be a reference to a Patient ID and start with 'Patient/'",
        "Observation.subject",
    )
}

/// E42: a subject that is not a Patient of this server.
pub fn subject_invalid() -> Failure {
    error_at(
        400,
        IssueCode::Value,
        "Subject is required and must be a reference to a Patient ID and start with 'Patient/'",
        "Observation.subject.reference",
    )
}

/// E43: no patient has the id of the subject.
pub fn patient_unknown(id: &str) -> Failure {
    error_at(400, IssueCode::NotFound, format!("Patient id={id} can not be found."), "Observation.subject.reference")
}

/// E44: a practitioner who does not manage the patient.
pub fn patient_not_writable() -> Failure {
    error(403, IssueCode::Forbidden, "Current user doesn't have access to the Patient.")
}

/// E45: an account without patient profile uploads for itself.
pub fn not_a_patient() -> Failure {
    error(403, IssueCode::Forbidden, "Current user is not a Patient.")
}

/// E46: a patient uploads for somebody else.
pub fn other_patient() -> Failure {
    error(403, IssueCode::Forbidden, "The Subject Patient does not match the current user.")
}

/// E47: no device reference.
pub fn device_missing() -> Failure {
    error_at(
        400,
        IssueCode::Required,
        "Device is required and must be a reference to a Data Source ID and start with 'Device/'",
        "Observation.device",
    )
}

/// E47: a device reference that is not a Device of this server.
pub fn device_invalid() -> Failure {
    error_at(
        400,
        IssueCode::Value,
        "Device is required and must be a reference to a Data Source ID and start with 'Device/'",
        "Observation.device.reference",
    )
}

/// E48: no data source has that id, or it is of a type that cannot upload.
pub fn device_unknown(id: &str) -> Failure {
    error_at(
        400,
        IssueCode::NotFound,
        format!("Device Data Source id={id} can not be found."),
        "Observation.device.reference",
    )
}

/// E49: an identifier belongs to another observation; a missing system is the empty text.
pub fn identifier_in_use(system: &str, value: &str) -> Failure {
    error_at(
        409,
        IssueCode::Duplicate,
        format!("Identifier already exists: system={} value={}", shown(system), shown(value)),
        "Observation.identifier",
    )
}

/// E50: none or several codings.
pub fn one_code_required() -> Failure {
    error_at(400, IssueCode::Invariant, "Exactly one Code must be provided.", "Observation.code.coding")
}

/// E51: the code is not registered.
pub fn code_unknown(system: &str, code: &str) -> Failure {
    error_at(
        400,
        IssueCode::CodeInvalid,
        format!("Code not found: system={} code={}", shown(system), shown(code)),
        "Observation.code.coding",
    )
}

/// E52: no study holds the patient's consent for the code.
pub fn not_consented(system: &str, code: &str) -> Failure {
    error(
        403,
        IssueCode::Forbidden,
        format!(
            "Observation data with coding_system={system} coding_code={code} has not been consented for any studies by this Patient."
        ),
    )
}

/// E53: no attachment data.
pub fn attachment_missing() -> Failure {
    error_at(
        400,
        IssueCode::Required,
        "valueAttachment.data must be Base 64 Encoded Binary JSON.",
        "Observation.valueAttachment.data",
    )
}

/// E53: attachment data that is no Base64 of UTF-8 JSON.
pub fn attachment_invalid() -> Failure {
    error_at(
        400,
        IssueCode::Value,
        "valueAttachment.data must be Base 64 Encoded Binary JSON.",
        "Observation.valueAttachment.data",
    )
}

/// E56: the document's time frame cannot be read.
pub fn time_frame_invalid(reason: &str) -> Failure {
    error_at(422, IssueCode::Value, format!("effective_time_frame: {reason}"), "Observation.valueAttachment.data")
}

/// E57: the code is registered, but there is no schema to check against.
pub fn schema_not_installed(code: &str) -> Failure {
    error_at(
        422,
        IssueCode::NotSupported,
        format!("No JSON schema is installed for {code}."),
        "Observation.code.coding",
    )
}

/// E58: the decoded document is larger than the limit.
pub fn attachment_too_large(limit: usize) -> Failure {
    error_at(
        413,
        IssueCode::TooLong,
        format!("valueAttachment.data exceeds {limit} bytes."),
        "Observation.valueAttachment.data",
    )
}

/// E60: a write that needs a FhirSource names none.
pub fn source_required() -> Failure {
    error(
        400,
        IssueCode::Required,
        "A FhirSource is required to write this resource: send the 'X-JHE-FHIR-Source-ID' header or set the resource's meta.source to 'https://jupyterhealth.org/fhir/fhir-source/<id>'.",
    )
}

/// E61: the named FhirSource does not exist.
pub fn source_unknown(id: &str) -> Failure {
    error(400, IssueCode::NotFound, format!("FhirSource '{id}' does not exist."))
}

/// E62: a patient names somebody else's FhirSource.
pub fn source_of_another_user() -> Failure {
    error(403, IssueCode::Forbidden, "The FhirSource does not belong to the current user.")
}

/// E63: a practitioner does not manage the patient of the FhirSource.
pub fn source_not_writable() -> Failure {
    error(403, IssueCode::Forbidden, "Current user does not have access to this FhirSource's patient.")
}

/// E64: `If-Match` names another version.
pub fn version_conflict(current: &str) -> Failure {
    error(412, IssueCode::Conflict, format!("The resource has changed (current version {current})."))
}

/// E65: the body's id is not the one of the URL.
pub fn id_mismatch() -> Failure {
    error(400, IssueCode::Invalid, "The id in the body does not match the URL.")
}

/// E66: a conditional create found several resources.
pub fn multiple_matches() -> Failure {
    error(412, IssueCode::MultipleMatches, "If-None-Exist matched more than one resource.")
}

/// E70: the body posted to the base is no Bundle.
pub fn not_a_bundle() -> Failure {
    error(400, IssueCode::Structure, "Expected a Bundle.")
}

/// E72: a Bundle that is neither batch nor transaction.
pub fn bundle_type_not_supported(kind: &str) -> Failure {
    error_at(
        400,
        IssueCode::NotSupported,
        format!("Bundle type '{kind}' is not supported; use batch or transaction."),
        "Bundle.type",
    )
}

/// E73: an entry that is not a create.
pub fn entry_method_not_supported() -> Failure {
    error(400, IssueCode::NotSupported, "Only POST/Create method supported.")
}

/// E74: an entry without method or URL.
pub fn entry_request_missing() -> Failure {
    error(400, IssueCode::Required, "Bundle.entry.request with method and url is required.")
}

/// E75: an entry that carries no resource.
pub fn entry_resource_missing() -> Failure {
    error(400, IssueCode::Structure, "Bundle entry is not an object with a 'resource' object.")
}

/// E54: one violation of the document's header; `missing` when a member is absent, else a bad value.
pub fn omh_header(missing: bool, message: &str, pointer: &str) -> Failure {
    omh("header", "ieee:header:1.0", missing, message, pointer)
}

/// E55: one violation of the document's body against the schema of `code`.
pub fn omh_body(code: &str, missing: bool, message: &str, pointer: &str) -> Failure {
    omh("body", code, missing, message, pointer)
}

fn omh(part: &str, code: &str, missing: bool, message: &str, pointer: &str) -> Failure {
    let kind = if missing { IssueCode::Required } else { IssueCode::Invalid };
    let text = format!("OMH {part} does not conform to {code}: {message} (at {pointer})");
    error_at(422, kind, text, "Observation.valueAttachment.data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_literal() {
        let check = |failure: Failure, status, code: IssueCode, text: &str| {
            assert_eq!((failure.status, failure.diagnostics()), (status, text));
            assert_eq!(failure.issues.first().map(|issue| issue.code), Some(code));
        };
        check(unauthorized(), 401, IssueCode::Login, "Authentication credentials were not provided.");
        check(not_found("Observation", "60001"), 404, IssueCode::NotFound, "Observation/60001 not found.");
        check(method_not_allowed("PUT"), 405, IssueCode::NotSupported, "Method \"PUT\" not allowed.");
        check(
            observation_search_needs_scope(),
            400,
            IssueCode::Required,
            "Request parameter patient._has:Group:member:_id=<study_id> or patient=<patient_id> or \
             patient.identifier=<system>|<value> must be provided.",
        );
        check(
            omh_body("omh:heart-rate:2.0", true, "\"heart_rate\" is missing", "/"),
            422,
            IssueCode::Required,
            "OMH body does not conform to omh:heart-rate:2.0: \"heart_rate\" is missing (at /)",
        );
        check(identifier_in_use("", "a"), 409, IssueCode::Duplicate, "Identifier already exists: system= value=a");
    }
}
