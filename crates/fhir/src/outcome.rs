//! `OperationOutcome`: how the FHIR API describes a problem.
//!
//! Only the shape. The fixed texts are those of [`crate::catalogue`].

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

/// FHIR's issue-type codes, as far as the server uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IssueCode {
    /// `structure`
    Structure,
    /// `required`
    Required,
    /// `value`
    Value,
    /// `invalid`
    Invalid,
    /// `code-invalid`
    CodeInvalid,
    /// `invariant`
    Invariant,
    /// `not-found`
    NotFound,
    /// `forbidden`
    Forbidden,
    /// `login`
    Login,
    /// `duplicate`
    Duplicate,
    /// `not-supported`
    NotSupported,
    /// `too-long`
    TooLong,
    /// `too-costly`
    TooCostly,
    /// `throttled`
    Throttled,
    /// `exception`
    Exception,
    /// `transient`
    Transient,
    /// `conflict`
    Conflict,
    /// `multiple-matches`
    MultipleMatches,
    /// `informational`
    Informational,
    /// `processing`
    Processing,
    /// `incomplete`
    Incomplete,
    /// `timeout`
    Timeout,
}

impl IssueCode {
    /// The code as FHIR spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Required => "required",
            Self::Value => "value",
            Self::Invalid => "invalid",
            Self::CodeInvalid => "code-invalid",
            Self::Invariant => "invariant",
            Self::NotFound => "not-found",
            Self::Forbidden => "forbidden",
            Self::Login => "login",
            Self::Duplicate => "duplicate",
            Self::NotSupported => "not-supported",
            Self::TooLong => "too-long",
            Self::TooCostly => "too-costly",
            Self::Throttled => "throttled",
            Self::Exception => "exception",
            Self::Transient => "transient",
            Self::Conflict => "conflict",
            Self::MultipleMatches => "multiple-matches",
            Self::Informational => "informational",
            Self::Incomplete => "incomplete",
            Self::Timeout => "timeout",
            Self::Processing => "processing",
        }
    }
}

impl Serialize for IssueCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// How much an issue matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The server failed.
    Fatal,
    /// The request failed.
    Error,
    /// The request succeeded, with a loss.
    Warning,
    /// Nothing is wrong.
    Information,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Issue {
    /// How much it matters.
    pub severity: Severity,
    /// What kind it is.
    pub code: IssueCode,
    /// The text for humans.
    pub diagnostics: String,
    /// Where in the resource, as simple FHIRPath; may be empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expression: Vec<String>,
}

impl Issue {
    /// An issue of severity `error` without expression.
    pub fn error(code: IssueCode, diagnostics: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, diagnostics: diagnostics.into(), expression: Vec::new() }
    }

    /// An issue of severity `information` without expression.
    pub fn information(code: IssueCode, diagnostics: impl Into<String>) -> Self {
        Self { severity: Severity::Information, ..Self::error(code, diagnostics) }
    }

    /// The same issue, with one more expression.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        self.expression.push(expression.into());
        self
    }
}

/// The resource that carries issues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationOutcome {
    /// What is wrong; FHIR wants at least one.
    pub issues: Vec<Issue>,
}

impl OperationOutcome {
    /// The JSON as bytes.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        crate::write::value(&mut out, self);
        out
    }
}

impl From<Issue> for OperationOutcome {
    fn from(issue: Issue) -> Self {
        Self { issues: vec![issue] }
    }
}

impl Serialize for OperationOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("OperationOutcome", 2)?;
        object.serialize_field("resourceType", "OperationOutcome")?;
        object.serialize_field("issue", &self.issues)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serializes_in_fhir_order() {
        let outcome = OperationOutcome {
            issues: vec![
                Issue::error(IssueCode::Required, "gone").at("Observation.status"),
                Issue::information(IssueCode::Informational, "fine"),
            ],
        };
        assert_eq!(
            String::from_utf8(outcome.to_json()).ok().as_deref(),
            Some(concat!(
                r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"required","#,
                r#""diagnostics":"gone","expression":["Observation.status"]},"#,
                r#"{"severity":"information","code":"informational","diagnostics":"fine"}]}"#
            ))
        );
    }
}
