//! Queries and forms: what is encoded is decoded, and nothing that comes is a fault.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn what_is_encoded_reads_back(sent in vec((any::<String>(), any::<String>()), 0..5)) {
        let parts: Vec<String> = sent.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let raw = parts.join("&");
        prop_assert!(raw.bytes().all(|byte| byte.is_ascii_graphic()));
        prop_assert_eq!(pairs(&raw), sent.clone());
        // As browsers write a form, too.
        let form = raw.replace("%20", "+").replace('~', "%7E");
        prop_assert_eq!(pairs(&form), sent);
    }

    #[test]
    fn any_text_falls_into_pairs(raw in prop_oneof![any::<String>(), "[a-z&=%+0-9A-F]{0,30}"]) {
        let found = pairs(&raw);
        prop_assert_eq!(found.len(), raw.split('&').filter(|part| !part.is_empty()).count());
        let again: Vec<String> = found.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        prop_assert_eq!(pairs(&again.join("&")), found);
    }
}
