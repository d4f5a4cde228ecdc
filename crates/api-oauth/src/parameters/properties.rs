//! Parameters of any text: each is found as it was sent, and repetitions are seen.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn any_text_is_parameters(raw in prop_oneof![any::<String>(), "[ab]=[0-9%+]{0,4}(&[abc]?=?[x0%]{0,4}){0,4}"]) {
        let parameters = Parameters::parse(&raw);
        let names: Vec<&str> = parameters.pairs().iter().map(|(name, _)| name.as_str()).collect();
        let distinct: HashSet<&str> = names.iter().copied().collect();
        prop_assert_eq!(parameters.duplicate().is_some(), distinct.len() < names.len());
        for name in &distinct {
            let twice = names.iter().filter(|other| *other == name).count() > 1;
            prop_assert_eq!(parameters.duplicate_of(&[name]).is_some(), twice);
            prop_assert!(parameters.get(name).is_none_or(|value| !value.is_empty()));
        }
    }

    #[test]
    fn what_is_sent_once_is_found(sent in vec((any::<String>(), any::<String>()), 0..5)) {
        let parts: Vec<String> =
            sent.iter().map(|(name, value)| format!("{}={}", query::encode(name), query::encode(value))).collect();
        let parameters = Parameters::parse(&parts.join("&"));
        prop_assert_eq!(parameters.pairs(), &sent[..]);
        prop_assert_eq!(parameters.has_zero(|_| true), sent.iter().any(|(name, value)| format!("{name}{value}").contains('\0')));
        if parameters.duplicate().is_none() {
            for (name, value) in &sent {
                prop_assert_eq!(parameters.get(name), Some(value.as_str()).filter(|value| !value.is_empty()));
            }
        }
    }
}
