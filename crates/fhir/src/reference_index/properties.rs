//! Whatever an import holds: nothing else changes, a second run changes nothing, and what was missing comes back.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::arbitrary;

const BASE: &str = "https://ehr.example/R4";

/// A Reference or something like it.
fn reference() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        4 => "(https://ehr\\.example/R4/)?(Patient|Encounter)/[ab]",
        1 => "(not-found:)?[A-Za-z:/#?. ]{0,12}",
    ];
    let one = prop_oneof![
        6 => (text, any::<bool>()).prop_map(|(text, more)| {
            let mut one = json!({"reference": text});
            if more {
                one["display"] = json!("x");
                one["extension"] = json!([{"url": "urn:x", "valueInteger": 1}]);
            }
            one
        }),
        1 => arbitrary::json(),
    ];
    prop_oneof![3 => one.clone(), 1 => proptest::collection::vec(one, 0..3).prop_map(Value::from)]
}

fn body() -> impl Strategy<Value = Value> {
    (reference(), reference()).prop_map(|(subject, encounter)| json!({"subject": subject, "encounter": encounter}))
}

/// The ids among `known` are of rows, named after them.
fn run(body: &Value, indexed: bool, known: &[&str]) -> (Value, Rewritten) {
    let text = body.to_string();
    let done = rewrite(Row { kind: "Condition", members: &text, indexed }, BASE, &mut |target| {
        let row = known.contains(&target.id.as_str()).then(|| format!("row-{}", target.id));
        Found::decide(target, target.id.starts_with("row-"), row, 40001)
    });
    let mut after = body.clone();
    if let Some(changed) = &done.members {
        let changed: Value = serde_json::from_str(changed).unwrap();
        for (name, value) in changed.as_object().unwrap() {
            after[name] = value.clone();
        }
    }
    (after, done)
}

proptest! {
    #[test]
    fn a_second_run_changes_nothing(body in body()) {
        let (once, first) = run(&body, false, &["a"]);
        for indexed in [true, false] {
            let (twice, second) = run(&once, indexed, &["a"]);
            prop_assert_eq!(&twice, &once);
            prop_assert_eq!((second.rewritten, second.unresolved), (0, first.unresolved));
        }
    }

    #[test]
    fn what_arrives_later_ends_as_if_it_had_been_there(body in body()) {
        let (all, at_once) = run(&body, false, &["a", "b"]);
        let (before, first) = run(&body, false, &[]);
        let (after, second) = run(&before, true, &["a", "b"]);
        prop_assert_eq!(after, all);
        prop_assert_eq!(first.rewritten + second.rewritten, at_once.rewritten);
        prop_assert_eq!(second.unresolved, at_once.unresolved);
    }

    #[test]
    fn any_json_is_walked(body in arbitrary::json_text()) {
        for indexed in [true, false] {
            let row = Row { kind: "Encounter", members: &body, indexed };
            let done = rewrite(row, BASE, &mut |_| Found::Missing);
            prop_assert_eq!(done.rewritten, 0);
        }
    }
}

/// Found by the property above: a number of seventeen digits that a reader of fewer makes another one.
#[test]
fn a_number_that_is_read_and_written_again_is_the_same() {
    for text in ["8.120941882393397e-215", "0.1", "72.30000000000001", "5e-324", "1.7976931348623157e308"] {
        let read: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(read.to_string(), text.replace("e308", "e+308"));
    }
}
