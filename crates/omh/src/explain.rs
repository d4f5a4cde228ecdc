//! Turns a validator's error into messages a person can act on.
//!
//! The validator reports a failed choice (`oneOf`, `anyOf`) as one error about the whole value, with the errors of every
//! branch inside. Here the branch is found that the value was meant for, and its errors are reported instead.

use jsonschema::{ValidationError, error::ValidationErrorKind};
use serde_json::Value;

use crate::violation::ViolationKind;

/// Longest rendering of a value inside a message, in characters.
const SHOWN_CHARS: usize = 160;

/// One message about one place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) kind: ViolationKind,
    pub(crate) message: String,
    pub(crate) pointer: String,
}

/// Adds what `error` says to `findings`; what is already there is not repeated, as branches of `allOf` may agree.
pub(crate) fn explain(error: &ValidationError<'_>, findings: &mut Vec<Finding>) {
    let (kind, message) = match error.kind() {
        ValidationErrorKind::Required { property } => {
            (ViolationKind::Required, format!("{} is a required property", shown(property)))
        }
        ValidationErrorKind::Enum { options } => {
            (ViolationKind::Invalid, format!("{} is not one of {options}", shown(error.instance())))
        }
        ValidationErrorKind::OneOfMultipleValid { .. } => {
            (ViolationKind::Invalid, format!("{} matches more than one of the allowed forms", shown(error.instance())))
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context }
            if !context.is_empty() =>
        {
            return explain_choice(error, context, findings);
        }
        _ => (ViolationKind::Invalid, shortened(error.to_string())),
    };
    push(kind, message, error, findings);
}

/// Explains a choice none of whose branches fits.
fn explain_choice(
    error: &ValidationError<'_>,
    branches: &[Vec<ValidationError<'static>>],
    findings: &mut Vec<Finding>,
) {
    let place = error.instance_path().as_str();
    let score = |branch: &Vec<ValidationError<'static>>| {
        let missing = branch.iter().filter(|error| missing_at(error, place).is_some()).count();
        (missing, branch.len())
    };
    let Some(best) = branches.iter().map(score).min() else {
        return;
    };
    let mut closest = branches.iter().filter(|branch| score(branch) == best);
    // Members are missing in every branch: say which ones would do, for nothing tells the branches apart.
    if best.0 > 0 && best.0 == best.1 {
        let mut alternatives: Vec<String> = Vec::new();
        for branch in closest {
            let members: Vec<String> = branch.iter().filter_map(|error| missing_at(error, place)).map(shown).collect();
            let members = members.join(" and ");
            if !alternatives.contains(&members) {
                alternatives.push(members);
            }
        }
        let message = format!("{} is a required property", alternatives.join(" or "));
        push(ViolationKind::Required, message, error, findings);
    } else {
        for error in closest.next().into_iter().flatten() {
            explain(error, findings);
        }
    }
}

/// The member that is missing at `place`, if that is what `error` says.
fn missing_at<'a>(error: &'a ValidationError<'static>, place: &str) -> Option<&'a Value> {
    match error.kind() {
        ValidationErrorKind::Required { property } if error.instance_path().as_str() == place => Some(property),
        _ => None,
    }
}

fn push(kind: ViolationKind, message: String, error: &ValidationError<'_>, findings: &mut Vec<Finding>) {
    let finding = Finding { kind, message, pointer: error.instance_path().as_str().to_owned() };
    if !findings.contains(&finding) {
        findings.push(finding);
    }
}

fn shown(value: &Value) -> String {
    shortened(value.to_string())
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(SHOWN_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: &Value, instance: &Value, expected: &[(ViolationKind, &str, &str)]) {
        let validator = jsonschema::validator_for(schema).unwrap();
        let mut findings = Vec::new();
        for error in validator.iter_errors(instance) {
            explain(&error, &mut findings);
        }
        let found: Vec<_> =
            findings.iter().map(|finding| (finding.kind, finding.message.as_str(), finding.pointer.as_str())).collect();
        assert_eq!(found, expected, "{instance}");
    }

    use ViolationKind::{Invalid, Required};

    #[test]
    fn choice_is_explained_by_the_closest_branch() {
        let schema = json!({
            "oneOf": [
                {"properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]},
                {"properties": {"b": {"oneOf": [{"required": ["c", "d"]}, {"required": ["c", "e"]}, {"required": ["f", "g"]}]}}, "required": ["b"]}
            ]
        });
        check(&schema, &json!({"a": "z"}), &[(Invalid, "\"z\" is not one of [\"x\",\"y\"]", "/a")]);
        check(&schema, &json!({}), &[(Required, "\"a\" or \"b\" is a required property", "")]);
        check(&schema, &json!({"b": {"c": 1}}), &[(Required, "\"d\" or \"e\" is a required property", "/b")]);
        check(&schema, &json!({"b": {"d": 1, "e": 1}}), &[(Required, "\"c\" is a required property", "/b")]);
        check(
            &schema,
            &json!({"b": {}}),
            &[(Required, "\"c\" and \"d\" or \"c\" and \"e\" or \"f\" and \"g\" is a required property", "/b")],
        );
        check(
            &schema,
            &json!({"a": "x", "b": {"c": 1, "d": 2}}),
            &[(Invalid, "{\"a\":\"x\",\"b\":{\"c\":1,\"d\":2}} matches more than one of the allowed forms", "")],
        );
    }

    #[test]
    fn same_finding_is_reported_once() {
        let schema = json!({"allOf": [{"enum": [1]}, {"enum": [1]}]});
        check(&schema, &json!(2), &[(Invalid, "2 is not one of [1]", "")]);
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let message = shown(&json!("é".repeat(500)));
        assert_eq!(message.chars().count(), SHOWN_CHARS + 1);
        assert!(message.ends_with('…'));
    }
}
