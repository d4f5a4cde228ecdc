//! What the element table allows is accepted; one fault is an issue that names its place.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, json};

use super::primitive::Primitive;
use super::sample::{Place, places, valid};
use super::table::{Element, Kind, Type};
use super::*;
use crate::arbitrary;

/// A valid resource, one of its objects, and a number to choose something in that with.
fn at_a_place() -> impl Strategy<Value = (&'static str, Value, Place, Index)> {
    at_a_place_where(|_| true)
}

/// The same, of the objects whose type is as wanted; an extension must be so.
fn at_a_place_where(wanted: fn(&Type) -> bool) -> impl Strategy<Value = (&'static str, Value, Place, Index)> {
    (valid(), any::<Index>(), any::<Index>()).prop_map(move |((name, mut body), place, choice)| {
        let mut places = places(name, &body);
        places.retain(|place| wanted(place.kind));
        if places.is_empty() {
            body["extension"] = json!([{"url": "urn:x", "valueString": "x"}]);
            places = super::sample::places(name, &body);
            places.retain(|place| wanted(place.kind));
        }
        let place = place.get(&places).clone();
        (name, body, place, choice)
    })
}

/// Forms of a choice that are text, so that any word is a valid value.
fn words(kind: &Type, choice: usize) -> Vec<&'static str> {
    let is_word = |element: &Element| {
        matches!(element.kind, Kind::Primitive(Primitive::Text | Primitive::Code | Primitive::Uri | Primitive::Id))
    };
    let of_choice = |element: &Element| element.choice == Some(choice) && !element.many && is_word(element);
    let mut found: Vec<&str> =
        kind.elements.iter().filter(|(_, element)| of_choice(element)).map(|(n, _)| *n).collect();
    found.sort_unstable();
    found
}

/// Choices of a type with two forms that are text.
fn choices_of_words(kind: &Type) -> Vec<usize> {
    (0..kind.choices.len()).filter(|choice| words(kind, *choice).len() > 1).collect()
}

fn members<'a>(body: &'a mut Value, place: &Place) -> &'a mut Map<String, Value> {
    body.pointer_mut(&place.pointer).unwrap().as_object_mut().unwrap()
}

fn remove(members: &mut Map<String, Value>, name: &str) {
    members.shift_remove(name);
    members.shift_remove(&format!("_{name}"));
}

/// Elements of the place's type, by a condition, in order.
fn elements(place: &Place, wanted: impl Fn(&str, &Element) -> bool) -> Vec<(&'static str, Element)> {
    let mut found: Vec<(&'static str, Element)> =
        place.kind.elements.iter().filter(|(name, element)| wanted(name, element)).map(|(n, e)| (*n, *e)).collect();
    found.sort_unstable_by_key(|(name, _)| *name);
    found
}

/// What the place's type requires, as issues name it, with the members that satisfy it.
fn required(place: &Place) -> Vec<(String, Vec<&'static str>)> {
    let forms =
        |index: usize| elements(place, |_, element| element.choice == Some(index)).into_iter().map(|(name, _)| name);
    let choices = place.kind.choices.iter().enumerate().filter(|(_, choice)| choice.required);
    let choices = choices.map(|(index, choice)| (format!("{}[x]", choice.name), forms(index).collect()));
    choices.chain(place.kind.required.iter().map(|name| ((*name).to_owned(), vec![*name]))).collect()
}

/// Something is left in the object, which else would count as absent as a whole.
fn keep_filled(members: &mut Map<String, Value>) {
    members.entry("id").or_insert_with(|| json!("x"));
}

/// Expects issues, one of which has the code and the place.
#[track_caller]
fn check(name: &str, body: &Value, code: IssueCode, expression: &str) {
    let issues = validate(name, body).unwrap_err();
    let named = |issue: &Issue| issue.code == code && issue.expression == [expression];
    assert!(issues.iter().any(named), "{expression} {}: {issues:?}", code.as_str());
    assert!(issues.len() <= 2, "one fault: {issues:?}");
}

/// Values of another JSON type than an element's.
fn wrong(kind: Kind) -> Vec<(Value, IssueCode)> {
    use IssueCode::{Structure, Value as Syntax};
    match kind {
        Kind::Complex(_) | Kind::Resource => {
            vec![(json!("x"), Structure), (json!(1), Structure), (json!(true), Structure)]
        }
        Kind::Primitive(Primitive::Boolean) => {
            vec![(json!("true"), Syntax), (json!(1), Syntax), (json!({"a": 1}), Structure)]
        }
        Kind::Primitive(Primitive::Decimal) => {
            vec![(json!("1"), Syntax), (json!(true), Syntax), (json!({"a": 1}), Structure)]
        }
        Kind::Primitive(Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt) => {
            vec![
                (json!("1"), Syntax),
                (json!(1.5), Syntax),
                (json!(4_294_967_296_i64), Syntax),
                (json!({"a": 1}), Structure),
            ]
        }
        Kind::Primitive(Primitive::Integer64) => {
            vec![(json!(true), Syntax), (json!(1.5), Syntax), (json!("x"), Syntax)]
        }
        Kind::Primitive(_) => vec![(json!(5), Syntax), (json!(true), Syntax), (json!({"a": 1}), Structure)],
    }
}

proptest! {
    #[test]
    fn what_the_table_allows_is_accepted((name, mut body) in valid()) {
        prop_assert_eq!(validate(name, &body), Ok(()));
        prop_assert_eq!(validate_as(name, &body, Strictness::Imported), Ok(()));
        let stripped = strip_empty(body.clone());
        prop_assert_eq!(validate(name, &stripped), Ok(()));
        prop_assert_eq!(strip_empty(stripped.clone()), stripped);
        body["resourceType"] = json!(name);
        prop_assert_eq!(validate(name, &body), Ok(()));
    }

    #[test]
    fn an_unknown_element_is_named(
        (name, mut body, place, _) in at_a_place(), unknown in "_?[a-zA-Z]{1,6}[0-9]{3}", value in arbitrary::json(),
    ) {
        let members = members(&mut body, &place);
        keep_filled(members);
        members.insert(unknown.clone(), value);
        check(name, &body, IssueCode::Structure, &format!("{}.{unknown}", place.expression));
    }

    #[test]
    fn a_value_of_another_type_is_named((name, mut body, place, choice) in at_a_place(), which: Index) {
        let (member, element) = *choice.get(&elements(&place, |_, _| true));
        let members = members(&mut body, &place);
        // No second form of a choice.
        for (other, _) in elements(&place, |_, other| element.choice.is_some() && other.choice == element.choice) {
            remove(members, other);
        }
        remove(members, member);
        let (value, code) = which.get(&wrong(element.kind)).clone();
        let value = if element.many { json!([value]) } else { value };
        members.insert(member.to_owned(), value);
        let index = if element.many { "[0]" } else { "" };
        check(name, &body, code, &format!("{}.{member}{index}", place.expression));
    }

    #[test]
    fn one_instead_of_many_and_many_instead_of_one_are_named((name, mut body, place, choice) in at_a_place()) {
        let (member, element) = *choice.get(&elements(&place, |_, element| element.choice.is_none()));
        let members = members(&mut body, &place);
        let value = if element.many { json!({"id": "x"}) } else { json!([{"id": "x"}]) };
        members.insert(member.to_owned(), value);
        check(name, &body, IssueCode::Structure, &format!("{}.{member}", place.expression));
    }

    #[test]
    fn what_is_required_and_missing_is_named(
        (name, mut body, place, choice) in
            at_a_place_where(|kind| !kind.required.is_empty() || kind.choices.iter().any(|choice| choice.required)),
        absent in 0..4_u8,
    ) {
        let required = required(&place);
        let (shown, names) = choice.get(&required);
        let members = members(&mut body, &place);
        for name in names {
            remove(members, name);
        }
        keep_filled(members);
        let code = match absent {
            1 if names.len() == 1 => {
                members.insert(names[0].to_owned(), Value::Null);
                IssueCode::Structure
            }
            2 => {
                members.insert(names[0].to_owned(), json!([]));
                IssueCode::Required
            }
            3 => {
                members.insert(names[0].to_owned(), json!({}));
                IssueCode::Required
            }
            _ => IssueCode::Required,
        };
        check(name, &body, code, &format!("{}.{shown}", place.expression));
    }

    #[test]
    fn an_optional_element_without_data_is_absent(
        // What describes a primitive stands for it by its extensions, so those are not optional.
        (name, mut body, place, choice) in at_a_place_where(|kind| kind.elements.len() > 2), empty in 0..3_u8,
    ) {
        let optional = elements(&place, |name, element| {
            name != "id" && element.choice.is_none() && !place.kind.required.contains(&name)
        });
        let (member, element) = *choice.get(&optional);
        let members = members(&mut body, &place);
        remove(members, member);
        keep_filled(members);
        let value = match empty {
            0 => Value::Null,
            1 if !element.many => json!({}),
            _ => json!([]),
        };
        members.insert(member.to_owned(), value);
        prop_assert_eq!(validate(name, &body), Ok(()));
        let stripped = strip_empty(body);
        let left = stripped.pointer(&place.pointer).and_then(|object| object.get(member));
        prop_assert_eq!(left, None);
    }

    #[test]
    fn two_forms_of_a_choice_are_named(
        (name, mut body, place, choice) in at_a_place_where(|kind| !choices_of_words(kind).is_empty()),
        one: Index, by: Index,
    ) {
        let group = *choice.get(&choices_of_words(place.kind));
        let forms = words(place.kind, group);
        let one = one.index(forms.len());
        let two = (one + 1 + by.index(forms.len() - 1)) % forms.len();
        let object = members(&mut body, &place);
        for (form, _) in elements(&place, |_, element| element.choice == Some(group)) {
            remove(object, form);
        }
        object.insert(forms[one].to_owned(), json!("x"));
        prop_assert_eq!(validate(name, &body), Ok(()));
        members(&mut body, &place).insert(forms[two].to_owned(), json!("y"));
        check(name, &body, IssueCode::Structure, &format!("{}.{}", place.expression, forms[two]));
    }

    #[test]
    fn any_json_is_answered(name in prop::sample::select(auxiliary_types()), body in arbitrary::json()) {
        answered(name, &body)?;
    }

    #[test]
    fn any_json_within_a_resource_is_answered((name, mut body, place, choice) in at_a_place(), value in arbitrary::json()) {
        let (member, _) = *choice.get(&elements(&place, |_, _| true));
        members(&mut body, &place).insert(member.to_owned(), value);
        answered(name, &body)?;
    }

    #[test]
    fn nesting_beyond_the_limit_is_refused(depth in 1..200_usize, arrays: bool, envelope: bool) {
        let mut inner = json!("x");
        for _ in 1..depth {
            inner = if arrays { json!([inner]) } else { json!({"extension": inner}) };
        }
        let name = if envelope { "Bundle" } else { "Observation" };
        let body = json!({"resourceType": name, "type": "batch", "extension": inner});
        let issues = if envelope {
            validate_bundle_envelope(&body, 1).unwrap_err().issues
        } else {
            validate_native_observation(&body).unwrap_err()
        };
        prop_assert_eq!(issues.iter().any(|issue| issue.code == IssueCode::TooCostly), depth > MAX_DEPTH);
        if depth > MAX_DEPTH {
            prop_assert!(validate_bundle_entry(0, &body).is_err());
        }
    }
}

/// Every question about a body has an answer, and every issue is of that body.
fn answered(name: &str, body: &Value) -> Result<(), TestCaseError> {
    for result in [validate(name, body), validate_as(name, body, Strictness::Imported)] {
        let issues = result.err().unwrap_or_default();
        prop_assert!(issues.len() <= MAX_ISSUES);
        for issue in issues {
            prop_assert!(issue.expression.iter().all(|expression| expression.starts_with(name)), "{issue:?}");
        }
    }
    validate_native_observation(body).ok();
    validate_bundle_envelope(body, 3).ok();
    validate_bundle_entry(0, body).ok();
    let stripped = strip_empty(body.clone());
    prop_assert_eq!(strip_empty(stripped.clone()), stripped);
    Ok(())
}
