//! Links of pages: the search again, with another place.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Decodes a component as a form is decoded; a broken escape is itself.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let hex = |digit: Option<u8>| digit.and_then(|digit| char::from(digit).to_digit(16));
        match (byte, hex(ahead.next()), hex(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap());
                rest = ahead;
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn pairs(raw: &str) -> Vec<(String, String)> {
    let pair = |part: &str| {
        part.split_once('=').map_or((decoded(part), String::new()), |(name, value)| (decoded(name), decoded(value)))
    };
    raw.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

/// Whether a name is one of the three that say where a page begins.
fn is_place(name: &str) -> bool {
    let letters: String = name.to_lowercase().chars().filter(|letter| !matches!(letter, '-' | '_')).collect();
    ["page", "offset", "cursor"].contains(&letters.as_str())
}

proptest! {
    #[test]
    fn a_link_keeps_the_search_and_names_one_place(
        parts in vec(prop_oneof![
            "(_|%5F|-)?(page|pAge|offset|cur_sor|count)=[0-9+%]{0,8}", "[a-z%+:=._]{0,8}", "[a-zé%]{0,4}=[^&]{0,6}",
        ], 0..6),
        value in any::<String>(),
    ) {
        let raw = parts.join("&");
        let after = pairs(&paging_query(&raw, "_cursor", &value));
        let mut expected: Vec<(String, String)> = pairs(&raw).into_iter().filter(|(name, _)| !is_place(name)).collect();
        for (name, value) in &mut expected {
            let counts = name.to_lowercase().replace(['-', '_'], "") == "count";
            let digits = value.trim();
            if counts && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
                && digits.parse::<usize>().map_or(true, |count| count > MAX_COUNT) {
                *value = MAX_COUNT.to_string();
            }
        }
        expected.push(("_cursor".to_owned(), value));
        prop_assert_eq!(after, expected, "{}", raw);
    }
}
