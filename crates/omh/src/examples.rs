//! Data points for demonstrations, tests and benchmarks.
//!
//! They are deterministic: the caller gives the identifiers and times, and nothing is drawn at random.

use serde_json::{Map, Value, json};

/// The embedded examples by code.
static EXAMPLES: [(&str, &str); 7] = [
    ("omh:blood-glucose:4.0", include_str!("../examples/omh_blood-glucose_4-0.json")),
    ("omh:blood-pressure:4.0", include_str!("../examples/omh_blood-pressure_4-0.json")),
    ("omh:body-temperature:4.0", include_str!("../examples/omh_body-temperature_4-0.json")),
    ("omh:heart-rate:2.0", include_str!("../examples/omh_heart-rate_2-0.json")),
    ("omh:oxygen-saturation:2.0", include_str!("../examples/omh_oxygen-saturation_2-0.json")),
    ("omh:respiratory-rate:2.0", include_str!("../examples/omh_respiratory-rate_2-0.json")),
    ("omh:rr-interval:1.0", include_str!("../examples/omh_rr-interval_1-0.json")),
];

/// The codes that have an example, in alphabetical order.
pub fn codes() -> impl Iterator<Item = &'static str> {
    EXAMPLES.iter().map(|(code, _)| *code)
}

/// The example data point of a code, as its file has it.
pub fn example(code: &str) -> Option<&'static str> {
    EXAMPLES.iter().find(|(key, _)| *key == code).map(|(_, text)| *text)
}

/// The example data point of a code with an identity and times of its own: `header.uuid`,
/// `header.source_creation_date_time` and `body.effective_time_frame`, which becomes a point in time.
///
/// The order of the members is that of the example, and so are the values; that of blood glucose is an integer in mg/dL.
/// `None` for a code without an example.
pub fn document(code: &str, uuid: &str, source_creation: &str, date_time: &str) -> Option<String> {
    Some(template(code, uuid, source_creation, date_time)?.to_string())
}

/// The `index`-th synthetic data point of a code, measured and created at `date_time`.
///
/// Values go through the range of a healthy adult as `index` grows, and the uuid (version 4 in form) tells code and
/// index, so no two are equal. `None` for a code without an example.
pub fn synthetic(code: &str, index: u64, date_time: &str) -> Option<String> {
    let ordinal = codes().position(|key| key == code)?;
    let uuid = format!("{:08x}-{ordinal:04x}-4000-8000-{:012x}", index >> 48, index & 0xffff_ffff_ffff);
    let mut document = template(code, &uuid, date_time, date_time)?;
    let body = member(document.as_object_mut()?, "body")?;
    match code {
        "omh:blood-glucose:4.0" => set_value(body, "blood_glucose", json!(75 + index % 90))?,
        "omh:blood-pressure:4.0" => {
            set_value(body, "systolic_blood_pressure", json!(105 + index % 35))?;
            set_value(body, "diastolic_blood_pressure", json!(65 + index % 25))?;
        }
        "omh:body-temperature:4.0" => set_value(body, "body_temperature", json!(97 + index % 3))?,
        "omh:heart-rate:2.0" => set_value(body, "heart_rate", json!(55 + index % 50))?,
        "omh:oxygen-saturation:2.0" => set_value(body, "oxygen_saturation", json!(94 + index % 6))?,
        "omh:respiratory-rate:2.0" => set_value(body, "respiratory_rate", json!(12 + index % 9))?,
        "omh:rr-interval:1.0" => set_value(body, "rr_interval", json!(650 + index % 350))?,
        _ => return None,
    }
    Some(document.to_string())
}

fn template(code: &str, uuid: &str, source_creation: &str, date_time: &str) -> Option<Value> {
    let mut document: Value = serde_json::from_str(example(code)?).ok()?;
    let members = document.as_object_mut()?;
    let header = member(members, "header")?;
    // Inserting under a key that exists keeps its place.
    header.insert("uuid".to_owned(), json!(uuid));
    header.insert("source_creation_date_time".to_owned(), json!(source_creation));
    let body = member(members, "body")?;
    body.insert("effective_time_frame".to_owned(), json!({"date_time": date_time}));
    Some(document)
}

fn member<'a>(members: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    members.get_mut(name)?.as_object_mut()
}

fn set_value(body: &mut Map<String, Value>, measure: &str, value: Value) -> Option<()> {
    member(body, measure)?.insert("value".to_owned(), value);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Schemas, validate};

    const UUID: &str = "09532218-b07f-44c9-84aa-f11d2368c1f6";

    fn assert_valid(code: &str, text: &str) {
        let document = serde_json::from_str(text).unwrap();
        assert_eq!(validate(Schemas::embedded(), code, &document), Ok(()), "{text}");
    }

    #[test]
    fn examples_are_valid() {
        assert_eq!(codes().count(), 7);
        for code in codes() {
            assert_valid(code, example(code).unwrap());
        }
        assert_eq!(example("omh:body-weight:3.0"), None);
    }

    #[test]
    fn documents_are_valid_and_keep_the_order() {
        for code in codes() {
            let text = document(code, UUID, "2026-04-15T07:31:05Z", "2026-04-15T07:30:00Z").unwrap();
            assert_valid(code, &text);
            let parsed: Value = serde_json::from_str(example(code).unwrap()).unwrap();
            let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            let made: Value = serde_json::from_str(&text).unwrap();
            for part in ["header", "body"] {
                assert_eq!(names(made.get(part).unwrap()), names(parsed.get(part).unwrap()));
            }
        }
    }

    #[test]
    fn documents_replace_identity_and_times_only() {
        assert_eq!(
            document("omh:blood-glucose:4.0", UUID, "2026-04-15T07:31:05Z", "2026-04-15T07:30:00Z").unwrap(),
            concat!(
                r#"{"header":{"uuid":"09532218-b07f-44c9-84aa-f11d2368c1f6","#,
                r#""schema_id":{"name":"blood-glucose","version":"4.0","namespace":"omh"},"#,
                r#""source_creation_date_time":"2026-04-15T07:31:05Z","modality":"sensed","#,
                r#""external_datasheets":[{"datasheet_type":"manufacturer","datasheet_reference":"iHealth"}]},"#,
                r#""body":{"blood_glucose":{"unit":"mg/dL","value":129},"#,
                r#""effective_time_frame":{"date_time":"2026-04-15T07:30:00Z"}}}"#
            )
        );
        let heart_rate = document("omh:heart-rate:2.0", UUID, "", "").unwrap();
        assert!(heart_rate.contains(r#""value":67.5"#), "{heart_rate}");
        assert_eq!(document("omh:mood:1.0", UUID, "", ""), None);
    }

    #[test]
    fn synthetic_documents_are_valid_and_differ() {
        let mut seen = std::collections::HashSet::new();
        for code in codes() {
            for index in (0..400).chain([u64::MAX - 1, u64::MAX]) {
                let text = synthetic(code, index, "2026-04-15T07:30:00Z").unwrap();
                assert_valid(code, &text);
                let parsed: Value = serde_json::from_str(&text).unwrap();
                let uuid = parsed.pointer("/header/uuid").unwrap().as_str().unwrap();
                assert_eq!(uuid.len(), 36);
                assert!(seen.insert(uuid.to_owned()), "{uuid}");
            }
        }
        assert_eq!(synthetic("omh:heart-rate:2.0", 7, "2026-04-15"), synthetic("omh:heart-rate:2.0", 7, "2026-04-15"));
        assert_eq!(synthetic("omh:body-weight:3.0", 0, "2026-04-15"), None);
    }
}
