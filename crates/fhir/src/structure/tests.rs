//! The walk, by table, and the project's sample payloads.

use super::*;
use serde_json::json;

fn minimal() -> Value {
    json!({"resourceType": "Observation", "status": "final", "code": {"coding": [{"system": "s", "code": "c"}]}})
}

/// Sets one member of the minimal Observation and expects one issue (code, path, part of the reason), or none.
fn check(member: &str, value: &Value, expected: Option<(IssueCode, &str, &str)>) {
    let mut body = minimal();
    body[member] = value.clone();
    match (validate("Observation", &body), expected) {
        (Ok(()), None) => {}
        (Err(issues), Some((code, path, reason))) => {
            assert_eq!(issues.len(), 1, "{member} {value}: {issues:?}");
            assert_eq!(issues[0].code, code, "{member} {value}");
            assert_eq!(issues[0].expression, [path], "{member} {value}");
            let start = format!("Invalid FHIR Observation: {path}: ");
            assert!(issues[0].diagnostics.starts_with(&start) && issues[0].diagnostics.contains(reason), "{issues:?}");
        }
        (result, _) => panic!("{member} {value}: {result:?}"),
    }
}

#[test]
fn rules() {
    use IssueCode::{Required, Structure, Value as Syntax};
    check("bogus", &json!(1), Some((Structure, "Observation.bogus", "unknown element")));
    check("status", &json!(null), Some((Structure, "Observation.status", "null")));
    check("status", &json!(""), Some((Syntax, "Observation.status", "code")));
    check("status", &json!([]), Some((Required, "Observation.status", "missing")));
    check("code", &json!({"coding": []}), Some((Required, "Observation.code", "missing")));
    check("code", &json!({"coding": [{"bogus": 1}]}), Some((Structure, "Observation.code.coding[0].bogus", "unknown")));
    check("code", &json!([{"text": "x"}]), Some((Structure, "Observation.code", "not be an array")));
    check("code", &json!("x"), Some((Structure, "Observation.code", "object")));
    check("identifier", &json!({"value": "x"}), Some((Structure, "Observation.identifier", "must be an array")));
    check("identifier", &json!([null]), Some((Structure, "Observation.identifier", "null")));
    check("identifier", &json!([{"value": "x"}, null]), Some((Structure, "Observation.identifier[1]", "null")));
    check("identifier", &json!([]), None);
    check("subject", &json!(null), None);
    check("subject", &json!({}), None);
    check("component", &json!([{"valueString": "x"}]), Some((Required, "Observation.component[0].code", "missing")));
    check("effectiveDateTime", &json!("04/15/2026"), Some((Syntax, "Observation.effectiveDateTime", "dateTime")));
    check("effectiveDateTime", &json!("2026-04-15T10:00:00"), None);
    check("issued", &json!("2026-04-15"), Some((Syntax, "Observation.issued", "instant")));
    check("id", &json!("a_b"), Some((Syntax, "Observation.id", "letters")));
    check("id", &json!(5), Some((Syntax, "Observation.id", "string")));
    check("valueInteger", &json!("12"), Some((Syntax, "Observation.valueInteger", "whole")));
    check("valueQuantity", &json!({"value": 71.35}), None);
    check("text", &json!({"status": "generated"}), Some((Required, "Observation.text.div", "missing")));
}

#[test]
fn nested_resources_extensions_and_companions() {
    use IssueCode::{Required, Structure};
    check("contained", &json!([{"resourceType": "Questionnaire", "status": "draft"}]), None);
    check("contained", &json!([{"id": "x"}]), Some((Structure, "Observation.contained[0]", "resourceType")));
    check(
        "contained",
        &json!([{"resourceType": "Bogus"}]),
        Some((Structure, "Observation.contained[0]", "resourceType")),
    );
    check(
        "contained",
        &json!([{"resourceType": "CanonicalResource", "status": "draft"}]),
        Some((Structure, "Observation.contained[0]", "resourceType")),
    );
    check(
        "contained",
        &json!([{"resourceType": "Period"}]),
        Some((Structure, "Observation.contained[0]", "resourceType")),
    );
    check("extension", &json!([{"valueString": "x"}]), Some((Required, "Observation.extension[0].url", "missing")));
    check(
        "extension",
        &json!([{"url": "u", "valueString": "x", "valueInteger": 1}]),
        Some((Structure, "Observation.extension[0].valueInteger", "value[x]")),
    );
    check("_status", &json!({"id": "x"}), None);
    check("_status", &json!([]), None);
    check("_status", &json!({"bogus": "x"}), Some((Structure, "Observation._status.bogus", "unknown")));
    check("_bogus", &json!({"id": "x"}), Some((Structure, "Observation._bogus", "unknown")));
    check("_subject", &json!({"id": "x"}), Some((Structure, "Observation._subject", "unknown")));
    check("fhir_comments", &json!(["x"]), None);
}

#[test]
fn choices_and_companions() {
    let mut body = minimal();
    body["valueString"] = json!("x");
    body["valueInteger"] = json!(1);
    assert_eq!(validate("Observation", &body).unwrap_err()[0].code, IssueCode::Structure);
    body["valueInteger"] = json!(null);
    assert_eq!(validate("Observation", &body), Ok(()));

    let unknown = json!({"extension": [{"url": "u", "valueCode": "unknown"}]});
    let mut body = minimal();
    body.as_object_mut().unwrap().remove("status");
    assert_eq!(validate("Observation", &body).unwrap_err()[0].code, IssueCode::Required);
    body["_status"] = unknown.clone();
    assert_eq!(validate("Observation", &body), Ok(()));

    let patient = |given: Value, companion: Value| json!({"name": [{"given": given, "_given": companion}]});
    assert_eq!(validate("Patient", &patient(json!(["a", null]), json!([null, unknown.clone()]))), Ok(()));
    assert!(validate("Patient", &patient(json!(["a", null]), json!([unknown, null]))).is_err());

    let immunization =
        json!({"status": "completed", "patient": {"reference": "Patient/1"}, "vaccineCode": {"text": "x"}});
    let issues = validate("Immunization", &immunization).unwrap_err();
    assert_eq!(issues[0].expression, ["Immunization.occurrence[x]"]);
}

#[test]
fn root_and_limits() {
    assert_eq!(validate("Observation", &json!([])).unwrap_err()[0].code, IssueCode::Structure);
    let mismatch = validate("Observation", &json!({"resourceType": "Patient"})).unwrap_err();
    assert_eq!(mismatch[0].diagnostics, "Expected resourceType Observation but got Patient.");
    assert_eq!(validate("Bogus", &json!({})).unwrap_err()[0].code, IssueCode::Structure);

    let mut body = minimal();
    for index in 0..50 {
        body[format!("bogus{index}")] = json!(1);
    }
    assert_eq!(validate("Observation", &body).unwrap_err().len(), MAX_ISSUES);

    let mut deep = json!({"url": "u"});
    for _ in 0..70 {
        deep = json!({"extension": [deep]});
    }
    let mut body = minimal();
    body["extension"] = json!([deep]);
    assert_eq!(validate("Observation", &body).unwrap_err()[0].code, IssueCode::TooCostly);
    let mut body = minimal();
    body["identifier"] = Value::Array(vec![json!({"value": "x"}); MAX_NODES]);
    assert_eq!(validate("Observation", &body).unwrap_err()[0].code, IssueCode::TooCostly);
}

#[test]
fn choices_fit_the_bit_set() {
    assert!(auxiliary_types().iter().all(|name| Table::r5().find(name).unwrap().choices.len() < 64));
}

#[test]
fn envelope() {
    let check = |body: Value, status: u16, text: &str| {
        let failure = validate_bundle_envelope(&body, 2).unwrap_err();
        assert_eq!((failure.status, failure.diagnostics().contains(text)), (status, true), "{body} {failure:?}");
    };
    check(json!([]), 400, "Expected a JSON object.");
    check(json!({"resourceType": "Observation"}), 400, "Expected a Bundle.");
    check(json!({"resourceType": "Bundle"}), 400, "Bundle.type: required");
    check(json!({"resourceType": "Bundle", "type": "searchset"}), 400, "'searchset' is not supported");
    check(json!({"resourceType": "Bundle", "type": "batch", "bogus": 1}), 400, "Bundle.bogus");
    check(json!({"resourceType": "Bundle", "type": "batch", "entry": [1, 2, 3]}), 413, "more than 2");
    check(json!({"resourceType": "Bundle", "type": "batch", "entry": {}}), 400, "Bundle.entry");
    let good = json!({"resourceType": "Bundle", "type": "transaction", "entry": ["junk", {"resource": {"bogus": 1}}]});
    assert_eq!(validate_bundle_envelope(&good, 2), Ok(BundleKind::Transaction));

    assert_eq!(validate_bundle_entry(1, &json!({"fullUrl": "urn:x", "resource": {"bogus": 1}})), Ok(()));
    let issues = validate_bundle_entry(1, &json!({"bogus": 1, "resource": {}})).unwrap_err();
    assert_eq!(issues[0].expression, ["Bundle.entry[1].bogus"]);
}

#[test]
fn samples() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/fhir-samples");
    let read =
        |name: &str| -> Value { serde_json::from_slice(&std::fs::read(format!("{folder}/{name}")).unwrap()).unwrap() };
    let index = read("index.json");
    let mut seen = 0;
    for sample in index["samples"].as_array().unwrap() {
        let file = sample["file"].as_str().unwrap();
        let body = read(file);
        if file.starts_with("observation-") {
            seen += 1;
            let structurally_valid = sample["verified"]["fhir_structure"] == "valid";
            let result = validate("Observation", &body);
            assert_eq!(result.is_ok(), structurally_valid, "{file}: {result:?}");
            if let Err(issues) = result {
                assert_eq!(issues[0].code.as_str(), sample["expect"]["issue_code"], "{file}");
                let part = sample["expect"]["diagnostics_contains"].as_str().unwrap();
                assert!(issues[0].diagnostics.contains(part), "{file}: {issues:?}");
            } else {
                let native = validate_native_observation(&body);
                let refused = sample["expect"]["issue_code"] == "code-invalid" && file.contains("status");
                assert_eq!(native.is_err(), refused, "{file}: {native:?}");
            }
        } else if file.starts_with("bundle/") {
            seen += 1;
            let result = validate_bundle_envelope(&body, 5000);
            let expected = sample["expect"]["issue_code"].as_str().filter(|_| sample["expect"]["status"] == 400);
            assert_eq!(
                result.as_ref().err().map(|failure| failure.issues[0].code.as_str()),
                expected,
                "{file}: {result:?}"
            );
        }
    }
    assert_eq!(seen, 57);
}
