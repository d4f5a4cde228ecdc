//! Data points that are anything: valid, or with violations that name a place in them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, json};

use super::*;
use crate::examples;

fn any_json() -> impl Strategy<Value = Value> {
    let number = prop_oneof![any::<i64>().prop_map(Value::from), any::<f64>().prop_map(Value::from)];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number,
        any::<String>().prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((".{0,6}", inner), 0..3).prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

/// The pointers of all values in a document.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| pointers(value, &format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| pointers(value, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn a_data_point_changed_anywhere_is_valid_or_has_violations(code: Index, place: Index, value in any_json()) {
        let codes: Vec<&str> = examples::codes().collect();
        let code = *code.get(&codes);
        let mut document: Value = serde_json::from_str(examples::example(code).unwrap()).unwrap();
        let mut places = Vec::new();
        pointers(&document, "", &mut places);
        *document.pointer_mut(place.get::<String>(&places)).unwrap() = value;
        if let Err(violations) = validate(Schemas::embedded(), code, &document) {
            prop_assert!((1..=MAX_VIOLATIONS).contains(&violations.len()));
            for violation in violations {
                let part = match violation.part {
                    Part::Header => document.get("header"),
                    Part::Body => document.get("body"),
                    Part::Document => Some(&document),
                };
                // What is missing is named by where it should be.
                let parent = violation.pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                prop_assert!(part.is_none_or(|part| part.pointer(parent).is_some()), "{violation:?}");
            }
        }
    }

    #[test]
    fn a_code_without_a_schema_is_not_installed(code in "[a-z:0-9.]{0,20}", body in any_json()) {
        prop_assume!(Schemas::embedded().validator(&code).is_none());
        let mut document: Value = serde_json::from_str(examples::example("omh:heart-rate:2.0").unwrap()).unwrap();
        document["body"] = json!({"value": body});
        let violations = validate(Schemas::embedded(), &code, &document).unwrap_err();
        prop_assert!(violations.iter().any(|violation| violation.kind == ViolationKind::NotInstalled));
    }
}
