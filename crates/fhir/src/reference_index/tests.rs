//! One reference after the other.

use serde_json::{Value, json};

use super::*;

const BASE: &str = "https://ehr.example/R4";
const UUID: &str = "0b0e6f3c-1111-4222-8333-444455556666";

/// Knows the patient `pat-1`, the location `loc-1` and a row of its own.
fn known(target: &Target) -> Found {
    let row = matches!((target.kind.as_str(), target.id.as_str()), ("Patient", "pat-1") | ("Location", "loc-1"));
    Found::decide(target, target.id == UUID, row.then(|| UUID.to_owned()), 40001)
}

fn run(kind: &str, members: &Value, indexed: bool) -> (Value, Rewritten) {
    let text = members.to_string();
    let done = rewrite(Row { kind, members: &text, indexed }, BASE, &mut known);
    let mut after = members.clone();
    if let Some(changed) = &done.members {
        let changed: Value = serde_json::from_str(changed).unwrap();
        for (name, value) in changed.as_object().unwrap() {
            after[name] = value.clone();
        }
    }
    (after, done)
}

fn missing(id: &str, original: &str) -> Value {
    json!({"reference": format!("{NOT_FOUND}{id}"), "extension": [{"url": UPSTREAM_REFERENCE, "valueString": original}]})
}

/// A condition about `subject`: what becomes of that, and what is counted: rewritten, not found.
#[track_caller]
fn check(subject: &Value, expected: &Value, counts: (u64, u64)) {
    let (after, done) = run("Condition", &json!({"subject": subject}), false);
    assert_eq!((&after["subject"], (done.rewritten, done.not_found)), (expected, counts));
    assert_eq!(done.unresolved, counts.1 > 0);
    assert_eq!(done.members.is_some(), subject != expected, "what did not change is not written");
}

#[test]
fn every_listed_path_is_a_reference_in_r5() {
    let source: Value = serde_json::from_str(include_str!("../../data/r5-elements.json")).unwrap();
    assert!(REFERENCES.is_sorted());
    for (kind, paths) in REFERENCES {
        assert!(crate::types::AUXILIARY_TYPES.contains(&kind), "{kind}");
        for path in paths {
            let mut at = kind.to_owned();
            for step in path.split('.') {
                let notation =
                    source["types"][&at]["elements"][step].as_str().unwrap_or_else(|| panic!("{kind}.{path}"));
                at = notation.split(['*', '!', '|']).next().unwrap().to_owned();
            }
            assert_eq!(at, "Reference", "{kind}.{path}");
        }
    }
}

#[test]
fn members_begin_the_paths() {
    let of = |wanted| members().filter(|(kind, _)| *kind == wanted).map(|(_, member)| member).collect::<Vec<_>>();
    assert_eq!(of("Encounter"), ["subject", "location"]);
    assert_eq!(of("Condition"), ["subject", "encounter"]);
    assert!(of("Patient").is_empty());
}

#[test]
fn what_a_row_holds_is_pointed_at() {
    let found = json!({"reference": format!("Patient/{UUID}")});
    for text in ["Patient/pat-1", "https://ehr.example/R4/Patient/pat-1"] {
        check(&json!({"reference": text}), &found, (1, 0));
    }
    check(
        &json!({"reference": "Patient/pat-1", "type": "Patient", "display": "P"}),
        &json!({"reference": format!("Patient/{UUID}"), "type": "Patient", "display": "P"}),
        (1, 0),
    );
}

#[test]
fn what_is_ours_stays() {
    for text in ["Patient/40001", &format!("Patient/{UUID}"), "https://ehr.example/R4/Patient/40001"] {
        check(&json!({"reference": text}), &json!({"reference": text}), (0, 0));
    }
}

#[test]
fn what_is_missing_is_kept_beside() {
    for (text, id) in [
        ("Patient/missing", "missing"),
        ("Patient/40002", "40002"),
        ("Location/pat-1", "pat-1"),
        ("Account/1", "1"),
        ("https://ehr.example/R4/Patient/x", "x"),
    ] {
        check(&json!({"reference": text}), &missing(id, text), (0, 1));
    }
    // Other extensions stay, one of an earlier body does not.
    let stale = json!({"url": UPSTREAM_REFERENCE, "valueString": "Patient/other"});
    let other = json!({"url": "urn:x", "valueDecimal": 1});
    check(
        &json!({"reference": "Patient/x", "extension": [other, stale]}),
        &json!({"reference": "not-found:x", "extension": [other, {"url": UPSTREAM_REFERENCE, "valueString": "Patient/x"}]}),
        (0, 1),
    );
    check(
        &json!({"reference": "Patient/pat-1", "extension": [other, stale]}),
        &json!({"reference": format!("Patient/{UUID}"), "extension": [other]}),
        (1, 0),
    );
}

#[test]
fn what_is_no_reference_of_the_form_stays() {
    for text in [
        "https://ehr.example/R42/Patient/pat-1",
        "https://ehr.example/R4Patient/pat-1",
        "https://other.example/Patient/pat-1",
        "urn:uuid:0b0e6f3c-1111-4222-8333-444455556666",
        "#p",
        "Patient/pat-1/_history/1",
        "Patient?identifier=pat-1",
        "Patient/",
        "/pat-1",
        "patient/pat-1",
        "Patient/pat 1",
        "not-found:pat-1",
        "",
    ] {
        check(&json!({"reference": text}), &json!({"reference": text}), (0, 0));
    }
    for subject in
        [json!({"display": "P"}), json!({"reference": 1}), json!("Patient/pat-1"), json!(null), json!([[{}]])]
    {
        check(&subject, &subject, (0, 0));
    }
}

#[test]
fn without_an_address_no_absolute_url_is_below_it() {
    let text = json!({"subject": {"reference": "/Patient/pat-1"}}).to_string();
    for base in ["", "/"] {
        let done = rewrite(Row { kind: "Condition", members: &text, indexed: false }, base, &mut known);
        assert!(done.members.is_none());
    }
}

#[test]
fn arrays_are_walked() {
    let before = json!({"subject": {"reference": "Patient/pat-1"},
        "location": [{"location": {"reference": "Location/loc-1"}, "status": "active"}, {"status": "planned"},
            {"location": [{"reference": "Location/none"}, {"reference": "Location/loc-1"}]}]});
    let (after, done) = run("Encounter", &before, false);
    let here = json!({"reference": format!("Location/{UUID}")});
    assert_eq!(
        after["location"],
        json!([{"location": here, "status": "active"}, {"status": "planned"},
            {"location": [missing("none", "Location/none"), here]}])
    );
    assert_eq!((done.rewritten, done.not_found), (3, 1));
}

#[test]
fn only_listed_members_are_looked_at() {
    let before = json!({"subject": {"reference": "Patient/pat-1"}, "recorder": {"reference": "Patient/pat-1"}});
    for kind in ["Patient", "Provenance", "Nothing"] {
        assert_eq!(run(kind, &before, false).0, before);
    }
    assert_eq!(run("Condition", &before, false).0["recorder"], before["recorder"]);
}

#[test]
fn a_row_indexed_before_is_looked_at_for_what_was_missing() {
    let before = json!({"subject": missing("pat-1", "Patient/pat-1"), "encounter": {"reference": "Encounter/enc-1"}});
    let (after, done) = run("Condition", &before, true);
    assert_eq!(after, json!({"subject": {"reference": format!("Patient/{UUID}")}, "encounter": before["encounter"]}));
    assert_eq!((done.rewritten, done.not_found, done.unresolved), (1, 0, false));
    // Still missing: nothing changes and nothing is counted.
    let before = json!({"subject": missing("x", "Patient/x")});
    let (after, done) = run("Condition", &before, true);
    assert_eq!((&after, done.members.is_some(), done.unresolved), (&before, false, true));
    assert_eq!((done.rewritten, done.not_found), (0, 0));
    // The source's patient by now.
    let (after, _) = run("Condition", &json!({"subject": missing("40001", "Patient/40001")}), true);
    assert_eq!(after["subject"], json!({"reference": "Patient/40001"}));
}

#[test]
fn what_else_a_reference_holds_keeps_its_digits() {
    let text = r#"{"subject":{"reference":"Patient/pat-1","extension":[{"url":"urn:x","valueDecimal":1.50000000000000000000100}]}}"#;
    let done = rewrite(Row { kind: "Condition", members: text, indexed: false }, BASE, &mut known);
    assert!(done.members.unwrap().contains("1.50000000000000000000100"));
}

#[test]
fn an_upstream_number_is_not_taken_for_our_patient() {
    let target = Target { kind: "Patient".to_owned(), id: "40001".to_owned() };
    assert_eq!(Found::decide(&target, false, Some(UUID.to_owned()), 40001), Found::Row(UUID.to_owned()));
    assert_eq!(Found::decide(&target, false, None, 40001), Found::Own);
    assert_eq!(Found::decide(&target, false, None, 40002), Found::Missing);
    assert_eq!(Found::decide(&target, true, Some(UUID.to_owned()), 1), Found::Own);
}
