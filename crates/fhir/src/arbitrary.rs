//! Foreign text for properties: JSON of any shape and in any spelling, and text that is nearly right.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Any JSON value, a few levels deep.
pub(crate) fn json() -> impl Strategy<Value = Value> {
    let number = prop_oneof![any::<i64>().prop_map(Value::from), any::<f64>().prop_map(Value::from)];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number,
        any::<String>().prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((".{0,6}", inner), 0..4).prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

/// The text of a JSON document as some writer may spell it: white space, numbers and escapes of every kind.
pub(crate) fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "null|true|false",
        r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        r#""([^"\\\p{Cc}]|\\["\\/bfnrt]|\\u00[0-9a-fA-F]{2}|\\uD83D\\ude00){0,12}""#,
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let member = (r#"[ \n]{0,2}"[^"\\\p{Cc}]{0,4}"[ \t]?:"#, inner.clone());
        let members = vec(member.prop_map(|(name, value)| format!("{name}{value}")), 0..4);
        prop_oneof![
            (vec(inner, 0..4), "[ \t\r\n]{0,2}").prop_map(|(items, space)| format!("[{space}{}]", items.join(","))),
            members.prop_map(|members| format!("{{{} }}", members.join(","))),
        ]
    })
    .prop_flat_map(|text| {
        ("[ \t\r\n]{0,2}", "[ \t\r\n]{0,2}").prop_map(move |(left, right)| format!("{left}{text}{right}"))
    })
}

/// A text with one character inserted, removed or replaced.
pub(crate) fn nearly(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (text, any::<prop::sample::Index>(), any::<char>(), 0..3_u8).prop_map(|(text, at, other, change)| {
        let mut letters: Vec<char> = text.chars().collect();
        let at = at.index(letters.len() + 1);
        if change != 0 && at < letters.len() {
            letters.remove(at);
        }
        if change != 1 {
            letters.insert(at, other);
        }
        letters.into_iter().collect()
    })
}
