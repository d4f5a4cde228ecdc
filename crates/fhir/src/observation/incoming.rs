//! An Observation as a client sends it.

use chrono::{DateTime, Datelike as _, Utc};
use serde_json::Value;

use crate::catalogue::{self, Failure};
use crate::time::parse_interval;
use crate::types::{IEEE1752_SYSTEM, OPENMHEALTH_SYSTEM, positive_id, split_reference};

/// A reference to a row of this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectRef {
    /// An id that may exist.
    Numeric(i64),
    /// An id that no native row can have.
    NotNumeric(String),
}

/// A reference to a data source; the same two cases.
pub type DeviceRef = SubjectRef;

/// When the client says it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectiveIn {
    /// `effectiveDateTime` or `effectiveInstant`; a partial date is its first moment.
    Instant(DateTime<Utc>),
    /// `effectivePeriod`, at least one end.
    Period(Option<DateTime<Utc>>, Option<DateTime<Utc>>),
}

/// Whether an Observation goes to the native store: a coding in an Open mHealth or IEEE 1752.1 system.
pub fn is_native(body: &Value) -> bool {
    codings(body)
        .filter_map(|coding| coding.get("system")?.as_str())
        .any(|system| system == OPENMHEALTH_SYSTEM || system == IEEE1752_SYSTEM)
}

/// The parts of a native Observation that are kept, borrowed from a body that passed structural validation.
#[derive(Clone, PartialEq)]
pub struct IncomingObservation<'a> {
    /// `subject.reference`.
    pub subject_reference: Option<&'a str>,
    /// `device.reference`.
    pub device_reference: Option<&'a str>,
    /// `code.coding[]` as (system, code).
    pub codings: Vec<(Option<&'a str>, Option<&'a str>)>,
    /// `identifier[]` as (system, value): those with a value, each pair once.
    pub identifiers: Vec<(Option<&'a str>, &'a str)>,
    /// `status`.
    pub status: &'a str,
    /// `valueAttachment.data`, still Base64.
    pub attachment: Option<&'a str>,
    /// `effective[x]`, for documents without a time of their own.
    pub effective: Option<EffectiveIn>,
}

impl<'a> IncomingObservation<'a> {
    /// Takes the parts out. Whatever is missing or of another shape is absent; the steps below say so where it matters.
    pub fn parse(body: &'a Value) -> Self {
        let mut identifiers = Vec::new();
        for item in list(body.get("identifier")) {
            if let Some(value) = text(item, "value") {
                let pair = (text(item, "system"), value);
                if !identifiers.contains(&pair) {
                    identifiers.push(pair);
                }
            }
        }
        Self {
            subject_reference: body.get("subject").and_then(|subject| text(subject, "reference")),
            device_reference: body.get("device").and_then(|device| text(device, "reference")),
            codings: codings(body).map(|coding| (text(coding, "system"), text(coding, "code"))).collect(),
            identifiers,
            status: text(body, "status").unwrap_or_default(),
            attachment: body.get("valueAttachment").and_then(|attachment| text(attachment, "data")),
            effective: effective(body),
        }
    }

    /// The patient it is about. `is_own_base` decides which absolute URLs are ours, by what precedes `/Patient/id`;
    /// [`crate::types::has_own_base_path`] will do without an origin.
    ///
    /// # Errors
    /// E42.
    pub fn subject_patient(&self, is_own_base: &dyn Fn(&str) -> bool) -> Result<SubjectRef, Failure> {
        let reference = self.subject_reference.ok_or_else(catalogue::subject_missing)?;
        row(reference, "Patient", is_own_base).ok_or_else(catalogue::subject_invalid)
    }

    /// The data source it comes from.
    ///
    /// # Errors
    /// E47.
    pub fn device(&self, is_own_base: &dyn Fn(&str) -> bool) -> Result<DeviceRef, Failure> {
        let reference = self.device_reference.ok_or_else(catalogue::device_missing)?;
        row(reference, "Device", is_own_base).ok_or_else(catalogue::device_invalid)
    }

    /// Its one coding, as (system, code).
    ///
    /// # Errors
    /// E50 for none or several, E51 when a part is missing and so cannot be registered.
    pub fn coding(&self) -> Result<(&'a str, &'a str), Failure> {
        match self.codings.as_slice() {
            [(Some(system), Some(code))] => Ok((system, code)),
            [(system, code)] => Err(catalogue::code_unknown(system.unwrap_or_default(), code.unwrap_or_default())),
            _ => Err(catalogue::one_code_required()),
        }
    }

    /// The document inside the attachment, as text.
    ///
    /// # Errors
    /// E53 or E58.
    pub fn document(&self, max_bytes: usize) -> Result<String, Failure> {
        super::decode_attachment(self.attachment.ok_or_else(catalogue::attachment_missing)?, max_bytes)
    }
}

fn row(reference: &str, kind: &str, is_own_base: &dyn Fn(&str) -> bool) -> Option<SubjectRef> {
    let (found, id) = split_reference(reference, is_own_base)?;
    (found == kind).then(|| positive_id(id).map_or_else(|| SubjectRef::NotNumeric(id.to_owned()), SubjectRef::Numeric))
}

fn codings(body: &Value) -> impl Iterator<Item = &Value> {
    list(body.get("code").and_then(|code| code.get("coding")))
        .filter(|coding| coding.as_object().is_some_and(|members| !members.is_empty()))
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.get(member)?.as_str()
}

fn effective(body: &Value) -> Option<EffectiveIn> {
    // An offset may carry a time out of the years that FHIR can write.
    let writable = |at: &DateTime<Utc>| (1..=9999).contains(&at.year());
    let moment = |value: &Value, member| Some(parse_interval(text(value, member)?)?.low).filter(writable);
    if let Some(at) = moment(body, "effectiveDateTime").or_else(|| moment(body, "effectiveInstant")) {
        return Some(EffectiveIn::Instant(at));
    }
    let period = body.get("effectivePeriod")?;
    match (moment(period, "start"), moment(period, "end")) {
        (None, None) => None,
        (Some(start), Some(end)) if end < start => None,
        (start, end) => Some(EffectiveIn::Period(start, end)),
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::has_own_base_path;
    use serde_json::json;

    fn sample(name: &str) -> Value {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/fhir-samples");
        serde_json::from_slice(&std::fs::read(format!("{folder}/{name}")).unwrap()).unwrap()
    }

    #[test]
    fn reads_a_sample() {
        let body = sample("observation-valid/v02-blood-pressure.json");
        assert!(is_native(&body));
        let observation = IncomingObservation::parse(&body);
        assert_eq!(observation.subject_patient(&has_own_base_path), Ok(SubjectRef::Numeric(40001)));
        assert_eq!(observation.device(&has_own_base_path), Ok(SubjectRef::Numeric(70001)));
        assert_eq!(observation.coding(), Ok((OPENMHEALTH_SYSTEM, "omh:blood-pressure:4.0")));
        assert!(observation.document(1 << 20).unwrap().contains("systolic_blood_pressure"));
        assert_eq!(observation.status, "final");
    }

    #[test]
    fn steps_refuse() {
        let check = |body: Value, expected: [&str; 2]| {
            let observation = IncomingObservation::parse(&body);
            let found = [
                observation.subject_patient(&has_own_base_path).unwrap_err(),
                observation.device(&has_own_base_path).unwrap_err(),
            ];
            assert_eq!(found.map(|failure| failure.issues[0].code.as_str()), expected, "{body}");
        };
        check(json!({}), ["required", "required"]);
        check(json!({"subject": {"identifier": {"value": "x"}}, "device": {"display": "x"}}), ["required", "required"]);
        check(json!({"subject": {"reference": "Group/1"}, "device": {"reference": "70001"}}), ["value", "value"]);
        check(
            json!({"subject": {"reference": "https://h/x/Patient/1"}, "device": {"reference": "Device/"}}),
            ["value", "value"],
        );
        let body = json!({"subject": {"reference": "Patient/abc"}});
        let subject = IncomingObservation::parse(&body).subject_patient(&has_own_base_path);
        assert_eq!(subject, Ok(SubjectRef::NotNumeric("abc".to_owned())));

        let coding = |codings: Value| {
            let body = json!({"code": {"coding": codings}});
            IncomingObservation::parse(&body).coding().unwrap_err().issues[0].diagnostics.clone()
        };
        assert_eq!(coding(json!([])), "Exactly one Code must be provided.");
        assert_eq!(coding(json!([{"code": "a"}, {"code": "b"}])), "Exactly one Code must be provided.");
        assert_eq!(coding(json!([{"code": "a"}])), "Code not found: system= code=a");
        assert!(!is_native(&json!({"code": {"coding": [{"system": "http://loinc.org", "code": "a"}]}})));
        assert_eq!(IncomingObservation::parse(&json!({})).document(9).unwrap_err().issues[0].code.as_str(), "required");
    }

    #[test]
    fn identifiers_and_times() {
        let body =
            json!({"identifier": [{"value": "a"}, {"system": "s"}, {"value": "a"}, {"system": "s", "value": "a"}]});
        assert_eq!(IncomingObservation::parse(&body).identifiers, [(None, "a"), (Some("s"), "a")]);
        let check = |body: Value, expected: Option<EffectiveIn>| {
            assert_eq!(IncomingObservation::parse(&body).effective, expected, "{body}");
        };
        let at = |text: &str| parse_interval(text).unwrap().low;
        check(json!({"effectiveDateTime": "2026-01-02"}), Some(EffectiveIn::Instant(at("2026-01-02T00:00:00Z"))));
        check(
            json!({"effectiveInstant": "2026-01-02T03:04:05+01:00"}),
            Some(EffectiveIn::Instant(at("2026-01-02T02:04:05Z"))),
        );
        check(json!({"effectivePeriod": {"end": "2026"}}), Some(EffectiveIn::Period(None, Some(at("2026")))));
        check(json!({"effectivePeriod": {"start": "2027", "end": "2026"}}), None);
        check(json!({}), None);
    }
}
