//! Removing what counts as absent before a body is stored.

use serde_json::Value;

/// Whether a value holds no data: `null`, or an object or array of nothing but such.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(members) => members.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Removes null members, empty arrays and empty objects, also those that become empty by it, and the `fhir_comments` of
/// older writers. `false` and 0 stay, and so do nulls inside arrays, where they keep primitives aligned with their `_name`
/// companions.
pub fn strip_empty(body: Value) -> Value {
    match body {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(name, value)| !is_empty(value) && name != "fhir_comments")
                .map(|(name, value)| {
                    let aligned = name.starts_with('_');
                    (name, strip_member(value, aligned))
                })
                .collect(),
        ),
        other => other,
    }
}

fn strip_member(value: Value, aligned: bool) -> Value {
    match value {
        Value::Array(items) => Value::Array(
            items
                .into_iter()
                .filter_map(|item| match item {
                    Value::Null => Some(Value::Null),
                    item if is_empty(&item) => aligned.then_some(Value::Null),
                    item => Some(strip_empty(item)),
                })
                .collect(),
        ),
        other => strip_empty(other),
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keeps_data_and_drops_the_rest() {
        let body = json!({
            "a": null, "b": [], "c": {}, "d": {"e": {"f": []}}, "g": false, "h": 0, "i": "",
            "j": [{"k": null}, {"l": 1, "m": {}}], "given": ["x", null], "_given": [{}, {"id": "1"}],
            "fhir_comments": ["old"],
        });
        let expected = json!({
            "g": false, "h": 0, "i": "", "j": [{"l": 1}], "given": ["x", null], "_given": [null, {"id": "1"}],
        });
        assert_eq!(strip_empty(body), expected);
    }
}
