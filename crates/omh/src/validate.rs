//! Checks a data point against the schemas.

use serde_json::Value;

use crate::{
    explain::explain,
    schemas::Schemas,
    violation::{HEADER_CODE, OmhViolation, Part, ViolationKind},
};

/// How many violations are reported at most.
pub const MAX_VIOLATIONS: usize = 10;

/// Checks that `document` is a data point: its `header` conforms to `ieee:header:1.0`, its `body` to the schema of `code`.
///
/// The code is the one the data point was sent under. `header.schema_id` is not compared with it: deployed apps send
/// an older version there. Members that a schema does not know are allowed, and formats are not asserted.
///
/// # Errors
///
/// The first [`MAX_VIOLATIONS`] violations, those of the header before those of the body.
pub fn validate(schemas: &Schemas, code: &str, document: &Value) -> Result<(), Vec<OmhViolation>> {
    let Some(members) = document.as_object() else {
        return Err(vec![OmhViolation {
            part: Part::Document,
            kind: ViolationKind::Invalid,
            message: format!("{} is not an object with header and body", type_name(document)),
            pointer: String::new(),
            code: code.to_owned(),
        }]);
    };
    let mut violations = Vec::new();
    check_part(schemas, HEADER_CODE, Part::Header, members.get("header"), &mut violations);
    check_part(schemas, code, Part::Body, members.get("body"), &mut violations);
    if violations.is_empty() {
        return Ok(());
    }
    violations.truncate(MAX_VIOLATIONS);
    Err(violations)
}

fn check_part(schemas: &Schemas, code: &str, part: Part, value: Option<&Value>, violations: &mut Vec<OmhViolation>) {
    let violation = |kind, message, pointer| OmhViolation { part, kind, message, pointer, code: code.to_owned() };
    let name = if part == Part::Header { "header" } else { "body" };
    let Some(value) = value else {
        let message = format!("{name} is missing");
        return violations.push(violation(ViolationKind::Invalid, message, String::new()));
    };
    if !value.is_object() {
        let message = format!("{name} must be an object, not {}", type_name(value));
        return violations.push(violation(ViolationKind::Invalid, message, String::new()));
    }
    let Some(validator) = schemas.validator(code) else {
        return violations.push(violation(ViolationKind::NotInstalled, String::new(), String::new()));
    };
    // Nearly every data point is valid, and this test allocates nothing.
    if validator.is_valid(value) {
        return;
    }
    let mut findings = Vec::new();
    for error in validator.iter_errors(value) {
        explain(&error, &mut findings);
        if findings.len() >= MAX_VIOLATIONS {
            break;
        }
    }
    violations.extend(findings.into_iter().map(|finding| violation(finding.kind, finding.message, finding.pointer)));
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use ViolationKind::{Invalid, NotInstalled, Required};

    const GLUCOSE: &str = "omh:blood-glucose:4.0";

    fn header() -> Value {
        json!({
            "uuid": "09532218-b07f-44c9-84aa-f11d2368c1f6",
            "schema_id": {"namespace": "omh", "name": "blood-glucose", "version": "3.1"},
            "source_creation_date_time": "2026-04-15T07:31:05-07:00",
            "creation_date_time": "2026-04-15T07:31:05-07:00",
            "modality": "sensed",
            "external_datasheets": [{"datasheet_type": "manufacturer", "datasheet_reference": "iHealth"}]
        })
    }

    fn glucose(unit: &str, member: &str, value: &str) -> Value {
        let mut body = json!({
            "blood_glucose": {"value": 104, "unit": unit},
            "effective_time_frame": {"date_time": "2026-04-15T07:30:00-07:00"}
        });
        if !member.is_empty() {
            body.as_object_mut().unwrap().insert(member.to_owned(), json!(value));
        }
        body
    }

    fn measure(name: &str, value: f64, unit: &str, frame: &Value) -> Value {
        json!({name: {"value": value, "unit": unit}, "effective_time_frame": frame})
    }

    fn now() -> Value {
        json!({"date_time": "2026-04-15T07:30:00-07:00"})
    }

    fn violations(code: &str, document: &Value) -> Vec<OmhViolation> {
        validate(Schemas::embedded(), code, document).err().unwrap_or_default()
    }

    #[track_caller]
    fn check_document(code: &str, document: &Value, expected: &[(ViolationKind, &str)]) {
        let found = violations(code, document);
        let texts: Vec<_> = found.iter().map(|violation| (violation.kind, violation.diagnostics())).collect();
        let texts: Vec<_> = texts.iter().map(|(kind, text)| (*kind, text.as_str())).collect();
        assert_eq!(texts, expected, "{document}");
    }

    #[track_caller]
    fn check_body(code: &str, body: &Value, expected: &[(ViolationKind, &str)]) {
        check_document(code, &json!({"header": header(), "body": body}), expected);
    }

    #[test]
    fn accepted_bodies() {
        for (member, values) in [
            ("", &[""][..]),
            (
                "temporal_relationship_to_meal",
                &["fasting", "not fasting", "before meal", "after meal", "2 hours postprandial"],
            ),
            ("specimen_source", &["interstitial fluid", "capillary blood"]),
            ("unknown_member", &["anything"]),
        ] {
            for value in values {
                check_body(GLUCOSE, &glucose("mg/dL", member, value), &[]);
            }
        }
        check_body(GLUCOSE, &glucose("mmol/L", "", ""), &[]);
        check_body("omh:forced-vital-capacity:1.0", &measure("forced_vital_capacity", 4.1, "L", &now()), &[]);
        check_body(
            "omh:forced-expiratory-volume-1-second:1.0",
            &measure("forced_expiratory_volume_1_second", 3.2, "L", &now()),
            &[],
        );
        // Formats are annotations: text that is no timestamp passes here, and fails as a time frame.
        check_body(GLUCOSE, &measure("blood_glucose", 104.0, "mg/dL", &json!({"date_time": "15/04/2026 07:30"})), &[]);
        for relation in ["at rest", "active", "before exercise", "after exercise", "during exercise"] {
            let mut body = measure("heart_rate", 58.0, "beats/min", &now());
            body.as_object_mut()
                .unwrap()
                .insert("temporal_relationship_to_physical_activity".to_owned(), json!(relation));
            check_body("omh:heart-rate:2.0", &body, &[]);
        }
    }

    #[test]
    fn value_outside_the_list_is_named() {
        check_body(
            GLUCOSE,
            &glucose("MGDL", "", ""),
            &[(
                Invalid,
                "OMH body does not conform to omh:blood-glucose:4.0: \"MGDL\" is not one of [\"mg/dL\",\"mmol/L\"] (at /blood_glucose/unit)",
            )],
        );
        for (code, body, value, pointer) in [
            (
                GLUCOSE,
                glucose("mg/dL", "temporal_relationship_to_meal", "unknown"),
                "unknown",
                "/temporal_relationship_to_meal",
            ),
            (GLUCOSE, glucose("mg/dL", "specimen_source", "blood"), "blood", "/specimen_source"),
            (
                "omh:forced-vital-capacity:1.0",
                measure("forced_vital_capacity", 4.1, "mL", &now()),
                "mL",
                "/forced_vital_capacity/unit",
            ),
            (
                "omh:forced-expiratory-volume-1-second:1.0",
                measure("forced_expiratory_volume_1_second", 3.2, "mL", &now()),
                "mL",
                "/forced_expiratory_volume_1_second/unit",
            ),
            (
                "omh:heart-rate:2.0",
                json!({"heart_rate": {"value": 58, "unit": "beats/min"}, "effective_time_frame": now(),
                       "temporal_relationship_to_physical_activity": "sometimes"}),
                "sometimes",
                "/temporal_relationship_to_physical_activity",
            ),
        ] {
            let found = violations(code, &json!({"header": header(), "body": body}));
            let [violation] = found.as_slice() else {
                unreachable!("one violation expected: {found:?}");
            };
            assert_eq!((violation.part, violation.kind), (Part::Body, Invalid));
            assert_eq!(violation.pointer, pointer);
            assert!(violation.message.starts_with(&format!("\"{value}\" is not one of [")), "{}", violation.message);
        }
    }

    #[test]
    fn missing_member_is_named_and_required() {
        let mut without_uuid = header();
        without_uuid.as_object_mut().unwrap().remove("uuid");
        check_document(
            GLUCOSE,
            &json!({"header": without_uuid, "body": glucose("mg/dL", "", "")}),
            &[(Required, "OMH header does not conform to ieee:header:1.0: \"uuid\" is a required property (at /)")],
        );
        check_body(
            GLUCOSE,
            &json!({"blood_glucose": {"value": 104, "unit": "mg/dL"}}),
            &[(
                Required,
                "OMH body does not conform to omh:blood-glucose:4.0: \"effective_time_frame\" is a required property (at /)",
            )],
        );
        check_body(
            "omh:sleep-duration:2.0",
            &measure("sleep_duration", 6.9, "h", &now()),
            &[(
                Required,
                "OMH body does not conform to omh:sleep-duration:2.0: \"time_interval\" is a required property (at /effective_time_frame)",
            )],
        );
        check_body(
            GLUCOSE,
            &measure("blood_glucose", 104.0, "mg/dL", &json!({})),
            &[(
                Required,
                "OMH body does not conform to omh:blood-glucose:4.0: \"date_time\" or \"time_interval\" is a required property (at /effective_time_frame)",
            )],
        );
        check_body(
            GLUCOSE,
            &measure("blood_glucose", 104.0, "mg/dL", &json!({"time_interval": {"start_date_time": "2026-04-15"}})),
            &[(
                Required,
                "OMH body does not conform to omh:blood-glucose:4.0: \"duration\" or \"end_date_time\" is a required property (at /effective_time_frame/time_interval)",
            )],
        );
    }

    #[test]
    fn choice_inside_a_choice_is_explained_where_it_fails() {
        let interval = json!({"time_interval": {
            "start_date_time": "2026-04-14T23:10:00Z",
            "end_date_time": "2026-04-15T06:40:00Z",
            "duration": {"value": 27000, "unit": "sec"}
        }});
        check_body(
            "omh:heart-rate:2.0",
            &measure("heart_rate", 58.0, "beats/min", &interval),
            &[(
                Invalid,
                concat!(
                    "OMH body does not conform to omh:heart-rate:2.0: ",
                    r#"{"start_date_time":"2026-04-14T23:10:00Z","end_date_time":"2026-04-15T06:40:00Z","#,
                    r#""duration":{"value":27000,"unit":"sec"}} matches more than one of the allowed forms "#,
                    "(at /effective_time_frame/time_interval)"
                ),
            )],
        );
        let interval =
            json!({"time_interval": {"start_date_time": "2026-04-14", "duration": {"value": 1, "unit": "hours"}}});
        let found = violations(
            "omh:heart-rate:2.0",
            &json!({"header": header(), "body": measure("heart_rate", 58.0, "beats/min", &interval)}),
        );
        assert_eq!(found.len(), 1, "{found:?}");
        let text = found.first().unwrap().diagnostics();
        assert!(text.contains("\"hours\" is not one of"), "{text}");
        assert!(text.ends_with("(at /effective_time_frame/time_interval/duration/unit)"), "{text}");
    }

    #[test]
    fn document_without_its_parts() {
        for (document, texts) in [
            (json!([1, 2]), &["OMH document is invalid: an array is not an object with header and body"][..]),
            (json!("x"), &["OMH document is invalid: a string is not an object with header and body"]),
            (json!(null), &["OMH document is invalid: null is not an object with header and body"]),
            (
                json!({}),
                &[
                    "OMH header does not conform to ieee:header:1.0: header is missing (at /)",
                    "OMH body does not conform to omh:blood-glucose:4.0: body is missing (at /)",
                ],
            ),
            (
                json!({"body": glucose("mg/dL", "", "")}),
                &["OMH header does not conform to ieee:header:1.0: header is missing (at /)"],
            ),
            (
                json!({"header": header(), "body": [1]}),
                &["OMH body does not conform to omh:blood-glucose:4.0: body must be an object, not an array (at /)"],
            ),
        ] {
            let expected: Vec<_> = texts.iter().map(|text| (Invalid, *text)).collect();
            check_document(GLUCOSE, &document, &expected);
        }
    }

    #[test]
    fn code_without_schema() {
        check_body("omh:mood:1.0", &json!({}), &[(NotInstalled, "No JSON schema is installed for omh:mood:1.0.")]);
    }

    #[test]
    fn header_and_body_are_both_reported() {
        let mut wrong = header();
        wrong.as_object_mut().unwrap().insert("modality".to_owned(), json!("guessed"));
        check_document(
            GLUCOSE,
            &json!({"header": wrong, "body": glucose("MGDL", "", "")}),
            &[
                (
                    Invalid,
                    "OMH header does not conform to ieee:header:1.0: \"guessed\" is not one of [\"sensed\",\"self-reported\"] (at /modality)",
                ),
                (
                    Invalid,
                    "OMH body does not conform to omh:blood-glucose:4.0: \"MGDL\" is not one of [\"mg/dL\",\"mmol/L\"] (at /blood_glucose/unit)",
                ),
            ],
        );
    }

    #[test]
    fn violations_are_limited() {
        let mut wrong = header();
        let sheets = vec![json!({}); 50];
        wrong.as_object_mut().unwrap().insert("external_datasheets".to_owned(), json!(sheets));
        let found = violations(GLUCOSE, &json!({"header": wrong, "body": {}}));
        assert_eq!(found.len(), MAX_VIOLATIONS);
    }
}
