//! Bodies of any shape are fields or a refusal, and names mean the same in both spellings.

use jhe_domain::error::Violations;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,4}([A-Z][a-z]{0,3}){0,2}", "[a-z]{1,4}(_[a-z]{1,3}){0,2}", any::<String>()]
}

fn json() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from)
    ];
    let text = prop_oneof![any::<String>(), " {0,2}[+-]?[0-9]{1,20} {0,2}", "true|FALSE|on|0"].prop_map(Value::from);
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number, text];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name(), inner), 0..4).prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

/// Asks every question about a field.
fn ask(fields: &Fields, name: &str) {
    let mut faults = Violations::default();
    fields.required_text(name, &mut faults);
    fields.optional_text(name, &mut faults);
    fields.nullable_text(name, &mut faults);
    fields.choice(name, |text| text.len() == 1, &mut faults);
    fields.reference(name).ok();
    fields.required_reference(name).ok();
    fields.required_ids(name).ok();
    fields.get(name).and_then(boolean);
    assert_eq!(fields.has(name), fields.get(name).is_some());
}

/// Whether every name in a value is one that its own spelling is left with.
fn is_snake(value: &Sent) -> bool {
    match value {
        Sent::Object(members) => members.iter().all(|(name, value)| {
            !name.bytes().any(|byte| byte.is_ascii_uppercase())
                && (VERBATIM.contains(&name.as_str()) || is_snake(value))
        }),
        Sent::List(items) => items.iter().all(is_snake),
        _ => true,
    }
}

proptest! {
    #[test]
    fn any_body_is_fields_or_refused(body in json(), name in name()) {
        match Fields::from_json(body.to_string().as_bytes()) {
            Ok(fields) => {
                let sent = body.as_object().unwrap();
                prop_assert!(is_snake(&Sent::Object(fields.members.clone())));
                for name in sent.keys().chain([&name]) {
                    ask(&fields, name);
                }
                for name in sent.keys() {
                    prop_assert!(fields.has(name), "{name}");
                    prop_assert!(fields.has(&to_snake(name)));
                }
            }
            Err(AdminError(error)) => {
                prop_assert!(!body.is_object());
                prop_assert!(matches!(error, Error::Invalid(_)));
            }
        }
    }

    #[test]
    fn bytes_that_are_no_object_are_refused(
        bytes in prop_oneof![vec(any::<u8>(), 0..40), any::<String>().prop_map(String::into_bytes)],
    ) {
        let is_object = serde_json::from_slice::<Map<String, Value>>(&bytes).is_ok();
        prop_assert_eq!(Fields::from_json(&bytes).is_ok(), is_object);
    }

    #[test]
    fn any_form_is_fields(
        raw in prop_oneof![
            any::<String>(), "(patientIds|patient_ids|name|a)=[0-9a,%+]{0,6}(&patientIds=[0-9,]{0,4}){0,2}",
        ],
    ) {
        let pairs = query::pairs(&raw);
        let fields = Fields::from_pairs(pairs.clone());
        for (name, _) in &pairs {
            prop_assert!(fields.has(name));
            ask(&fields, name);
        }
        ask(&fields, "patientIds");
    }

    #[test]
    fn a_name_in_snake_case_stays(name in name()) {
        let snake = to_snake(&name);
        prop_assert_eq!(to_snake(&snake), snake.clone());
        prop_assert_eq!(snake.replace('_', ""), name.to_ascii_lowercase().replace('_', ""));
    }

    #[test]
    fn what_is_verbatim_keeps_its_names(
        value in json(), name in prop::sample::select(vec!["omhData", "omh_data", "valueAttachmentData", "value"]),
    ) {
        let mut body = Map::new();
        body.insert(name.to_owned(), value.clone());
        let fields = Fields::from_json(Value::Object(body).to_string().as_bytes()).unwrap();
        prop_assert_eq!(fields.json(name), Some(value.to_string()));
        // A double is written so that it reads back as itself.
        let read: Value = serde_json::from_str(&fields.get(name).unwrap().to_string()).unwrap();
        prop_assert_eq!(read, value);
    }

    #[test]
    fn an_id_is_read_in_both_forms(id: i64, space in " {0,2}") {
        prop_assert_eq!(lenient_id(&Sent::Number(id.to_string())), Some(id));
        prop_assert_eq!(lenient_id(&Sent::Text(format!("{space}{id}{space}"))), Some(id));
    }
}
