//! What is removed holds no data, and what is left stays at its place.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::arbitrary;

/// All that a value holds besides `null`, objects and arrays.
fn data(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().flat_map(data).collect(),
        Value::Object(members) => {
            members.iter().filter(|(name, _)| *name != "fhir_comments").flat_map(|(_, value)| data(value)).collect()
        }
        scalar => vec![scalar],
    }
}

proptest! {
    #[test]
    fn no_data_is_lost(body in arbitrary::json()) {
        let stripped = strip_empty(body.clone());
        prop_assert_eq!(data(&stripped), data(&body));
        if let Value::Object(members) = &stripped {
            prop_assert!(!members.values().any(is_empty));
        }
    }

    #[test]
    fn primitives_and_what_describes_them_stay_aligned(items in vec((any::<bool>(), 0..4_usize), 1..6)) {
        let descriptions = [json!(null), json!({}), json!({"extension": [], "id": null}), json!({"id": "x"})];
        let values: Vec<Value> = items.iter().map(|(there, _)| if *there { json!("x") } else { Value::Null }).collect();
        let described: Vec<Value> = items.iter().map(|(_, which)| descriptions[*which].clone()).collect();
        let stripped = strip_empty(json!({"given": values, "_given": described}));
        for (name, sent) in [("given", values), ("_given", described)] {
            let kept: Vec<Value> = sent.into_iter().map(|item| if is_empty(&item) { Value::Null } else { item }).collect();
            let expected = kept.iter().any(|item| !item.is_null()).then(|| Value::Array(kept));
            prop_assert_eq!(stripped.get(name), expected.as_ref());
        }
    }
}
