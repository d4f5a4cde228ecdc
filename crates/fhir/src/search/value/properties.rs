//! Tokens, lists, strings and references: what is printed reads back, and whatever comes is read or refused.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::arbitrary::nearly;
use crate::types::has_own_base_path;

/// A text as a value of a parameter: `,`, `|`, `$` and `\` are escaped.
fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|letter| matches!(letter, ',' | '|' | '$' | '\\').then_some('\\').into_iter().chain([letter]))
        .collect()
}

fn printed(token: &TokenValue) -> String {
    let system = match &token.system {
        SystemMatch::Any => String::new(),
        SystemMatch::None => "|".to_owned(),
        SystemMatch::Exact(system) => format!("{}|", escaped(system)),
    };
    format!("{system}{}", escaped(token.code.as_deref().unwrap_or_default()))
}

/// Text in which what must be escaped is common.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![r"[a-z,|$\\:/]{1,8}", any::<String>()]
}

fn token() -> impl Strategy<Value = TokenValue> {
    let system = prop_oneof![Just(SystemMatch::Any), Just(SystemMatch::None), text().prop_map(SystemMatch::Exact)];
    (system, proptest::option::of(text()))
        .prop_filter("a token says something", |(system, code)| {
            let empty = code.as_ref().is_none_or(String::is_empty);
            match system {
                SystemMatch::Exact(system) => !system.is_empty() && (code.is_none() || !empty),
                SystemMatch::Any | SystemMatch::None => !empty,
            }
        })
        .prop_map(|(system, code)| TokenValue { system, code })
}

/// The parts of a list, by walking over it once.
fn parts(raw: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = raw.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ',' => parts.push(String::new()),
            '\\' => parts.last_mut().unwrap().extend([Some('\\'), letters.next()].into_iter().flatten()),
            _ => parts.last_mut().unwrap().push(letter),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

proptest! {
    #[test]
    fn a_printed_token_reads_back(token in token()) {
        prop_assert_eq!(TokenValue::parse(&printed(&token)), Some(token));
    }

    #[test]
    fn any_text_is_a_token_or_none(text in text()) {
        if let Some(token) = TokenValue::parse(&text) {
            prop_assert_eq!(TokenValue::parse(&printed(&token)), Some(token));
        }
    }

    #[test]
    fn a_token_matches_what_it_names(token in token(), system in text(), code in text()) {
        let expected = token.code.as_ref().is_none_or(|named| *named == code) && match &token.system {
            SystemMatch::Any => true,
            SystemMatch::None => false,
            SystemMatch::Exact(named) => *named == system,
        };
        prop_assert_eq!(token.matches(&system, &code), expected);
        if let (SystemMatch::Exact(system), Some(code)) = (&token.system, &token.code) {
            prop_assert!(token.matches(system, code));
            prop_assert!(token.systems().unwrap().contains(&system.as_str()));
        }
    }

    #[test]
    fn an_escaped_text_is_itself(text in text()) {
        prop_assert_eq!(unescape(&escaped(&text)), text);
    }

    #[test]
    fn a_list_falls_apart_at_its_own_commas_only(items in vec(text(), 0..5), raw in text()) {
        let list: Vec<String> = items.iter().map(|item| escaped(item)).collect();
        let expected: Vec<&str> = list.iter().map(String::as_str).filter(|item| !item.is_empty()).collect();
        let joined = list.join(",");
        prop_assert_eq!(split_list(&joined), expected);
        prop_assert_eq!(split_list(&raw), parts(&raw));
    }

    #[test]
    fn a_reference_reads_back_in_every_form(id in 1..=i64::MAX, version in 0..99_u32) {
        for form in [
            id.to_string(), format!("Group/{id}"), format!("Group/{id}/_history/{version}"),
            format!("https://host:8000/fhir/r5/Group/{id}"), format!("http://host/FHIR/Group/{id}"),
        ] {
            prop_assert_eq!(reference(&escaped(&form), "Group", &has_own_base_path), Some(id), "{}", form);
            if form.contains("Group") {
                prop_assert_eq!(reference(&form, "Patient", &has_own_base_path), None, "{}", form);
            }
        }
    }

    #[test]
    fn other_references_are_refused_or_name_a_row(
        text in prop_oneof![any::<String>(), nearly("(https?://h/fhir/(r5/)?)?Patient/[0-9]{1,20}(/_history/1)?")],
    ) {
        if let Some(id) = reference(&text, "Patient", &has_own_base_path) {
            prop_assert!(id > 0);
            prop_assert!(unescape(&text).contains(id.to_string().as_str()), "{text}");
        }
    }
}
