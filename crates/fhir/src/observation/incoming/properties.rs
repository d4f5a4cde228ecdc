//! Any body is taken apart without a fault, and each part is the client's own.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::arbitrary;
use crate::time::properties::written;
use crate::types::has_own_base_path;

/// Bodies in which the parts that are looked at hold anything.
fn body() -> impl Strategy<Value = Value> {
    let part = || {
        let reference = "(https://h/fhir/)?(Patient|Device|Group)/[a-z0-9]{0,20}";
        prop_oneof![
            2 => arbitrary::json(),
            1 => reference.prop_map(|text| {
                json!({"reference": text, "coding": [{"system": "s", "code": text}, {}], "data": "e30="})
            }),
            1 => (arbitrary::json(), arbitrary::json()).prop_map(|(one, two)| {
                json!([{"system": one, "value": "v"}, two, {"value": "v"}])
            }),
            1 => (written(), written()).prop_map(|(one, two)| json!({"start": one.text, "end": two.text})),
        ]
    };
    let names = [
        "subject",
        "device",
        "code",
        "identifier",
        "status",
        "valueAttachment",
        "effectiveDateTime",
        "effectiveInstant",
        "effectivePeriod",
    ];
    let members = names.map(|name| proptest::option::of(part()).prop_map(move |part| (name, part)));
    members
        .to_vec()
        .prop_map(|members| members.into_iter().filter_map(|(name, part)| Some((name.to_owned(), part?))).collect())
}

proptest! {
    #[test]
    fn any_body_is_taken_apart(body in body()) {
        is_native(&body);
        let observation = IncomingObservation::parse(&body);
        for row in [observation.subject_patient(&has_own_base_path), observation.device(&has_own_base_path)] {
            match row {
                Ok(SubjectRef::Numeric(id)) => prop_assert!(id > 0),
                Ok(SubjectRef::NotNumeric(id)) => prop_assert!(!id.is_empty() && positive_id(&id).is_none()),
                Err(failure) => prop_assert_eq!(failure.status, 400),
            }
        }
        observation.coding().ok();
        observation.document(1000).ok();
        for (at, pair) in observation.identifiers.iter().enumerate() {
            prop_assert!(!observation.identifiers[..at].contains(pair), "each pair once");
        }
        if let Some(EffectiveIn::Period(Some(start), Some(end))) = observation.effective {
            prop_assert!(start <= end);
        }
    }

    #[test]
    fn a_time_is_the_first_moment_of_what_was_sent(written in written()) {
        let body = json!({"effectiveDateTime": written.text});
        let found = IncomingObservation::parse(&body).effective;
        let expected = DateTime::from_timestamp_micros(written.low).unwrap();
        let expected = (1..=9999).contains(&expected.year()).then_some(EffectiveIn::Instant(expected));
        prop_assert_eq!(found, expected);
    }
}
