//! Whatever is stored is written as JSON that holds it, and the document byte for byte.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::arbitrary::json_text;
use crate::observation::IncomingObservation;
use crate::structure::{self, OBSERVATION_STATUS};

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[^\0\\s]{1,9}", any::<String>()]
}

proptest! {
    #[test]
    fn what_is_stored_comes_out(
        document in json_text(),
        status in prop_oneof![prop::sample::select(&OBSERVATION_STATUS[..]).prop_map(str::to_owned), any::<String>()],
        code in text(), display in text(),
        identifiers in vec((proptest::option::of(text()), text()), 0..3),
        id in 1..i64::MAX, micros in -62_135_596_800_000_000..253_402_300_800_000_000_i64,
    ) {
        let at = DateTime::from_timestamp_micros(micros).unwrap();
        let observation = ObservationOut {
            id, last_updated: at, created: at, status: &status, identifiers: &identifiers, system: "s", code: &code,
            display: &display, patient_id: id, patient_user_id: Some(id), effective: EffectiveOut::Period(Some(at), None),
            data_source_id: Some(id), document: Some(&document),
        };
        let mut bytes = Vec::new();
        observation.write_json(&mut bytes, &Projection::Full);
        let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let read = IncomingObservation::parse(&body);
        prop_assert_eq!(read.document(document.len()).unwrap(), document);
        prop_assert_eq!(read.status, status);
        prop_assert_eq!(read.coding().unwrap(), ("s", code.as_str()));
        prop_assert_eq!(&body["issued"], &instant(at));
        prop_assert_eq!(&body["id"], &id.to_string());
        // What may be stored is what a client may send.
        let texts = identifiers.iter().flat_map(|(system, value)| [system.as_ref().unwrap_or(value), value]);
        let storable = |text: &String| !text.contains('\0') && !text.contains(char::is_whitespace) && !text.is_empty();
        if texts.chain([&code, &display]).all(storable) && OBSERVATION_STATUS.contains(&read.status) {
            prop_assert_eq!(structure::validate("Observation", &body), Ok(()));
        }
    }
}
