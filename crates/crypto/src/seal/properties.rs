//! Any text opens as itself, for its key alone and only as it was sealed.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::OsEntropy;

proptest! {
    #[test]
    fn what_is_sealed_opens_as_it_was(text in any::<String>(), secret in any::<String>(), purpose in any::<String>()) {
        let key = SealKey::from_secret(&secret, &purpose).unwrap();
        let sealed = key.seal(&text, &mut OsEntropy).unwrap();
        prop_assert!(sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
        prop_assert_eq!(key.open(&sealed).unwrap(), text.clone());
        let other = SealKey::from_secret(&secret, &format!("{purpose}2")).unwrap();
        prop_assert!(other.open(&sealed).is_err());
        prop_assert!(key.verify_mac(&text, &key.mac(&text)));
        prop_assert!(!other.verify_mac(&text, &key.mac(&text)));
    }

    #[test]
    fn a_sealed_text_that_was_changed_does_not_open(
        text in any::<String>(), at: Index, other: char, change in 0..4_u8, end in "[A-Za-z0-9_=-]{1,4}",
    ) {
        let key = SealKey::from_secret("secret", "one").unwrap();
        let sealed = key.seal(&text, &mut OsEntropy).unwrap();
        let mut letters: Vec<char> = sealed.chars().collect();
        let at = at.index(letters.len());
        match change {
            0 => letters[at] = other,
            1 => letters.insert(at, other),
            2 => letters.truncate(at),
            _ => letters.extend(end.chars()),
        }
        let changed: String = letters.into_iter().collect();
        prop_assert!(changed == sealed || key.open(&changed).is_err());
    }

    #[test]
    fn other_text_does_not_open(text in prop_oneof![any::<String>(), "[A-Za-z0-9_=-]{0,80}"]) {
        let key = SealKey::from_secret("secret", "one").unwrap();
        prop_assert!(key.open(&text).is_err());
        SealKey::from_base64(&text).ok();
    }
}
