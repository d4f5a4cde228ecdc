//! Scope texts: known ones, each once, in their order; nothing else is granted.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn granted_scopes_are_known_and_were_asked_for(
        words in vec(prop_oneof![4 => "openid|email|read|write", 1 => "[a-z]{0,6}", 1 => any::<String>()], 0..6),
        space in "[ \t]{1,2}",
    ) {
        let asked = words.join(&space);
        let named: Vec<&str> = asked.split_whitespace().collect();
        let known = |scope: &&str| SCOPES.iter().any(|(known, _)| known == scope);
        match parse(Some(&asked)) {
            None => prop_assert!(!named.iter().all(known)),
            Some(granted) if named.is_empty() => prop_assert_eq!(granted.join(" "), DEFAULT),
            Some(granted) => {
                prop_assert!(named.iter().all(known));
                let mut once: Vec<&str> = Vec::new();
                for scope in named {
                    if !once.contains(&scope) { once.push(scope) }
                }
                prop_assert_eq!(&granted, &once);
                prop_assert!(granted.iter().all(|scope| !description(scope).is_empty()));
                // What was granted is asked for again, as with a refresh.
                prop_assert_eq!(parse(Some(&granted.join(" "))), Some(granted));
            }
        }
    }
}
