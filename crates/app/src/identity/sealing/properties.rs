//! What is sealed or signed for one purpose is worth nothing for another.

use proptest::prelude::*;

use super::*;

fn purpose() -> impl Strategy<Value = String> {
    "[a-z.]{1,6}"
}

proptest! {
    #[test]
    fn a_text_is_for_its_purpose_alone(purpose in purpose(), other in purpose(), text in any::<String>()) {
        let sealing = Sealing::new(SealKey::from_secret("secret", "test").unwrap());
        let sealed = sealing.seal(&purpose, &text).unwrap();
        let mac = sealing.mac(&purpose, &text);
        prop_assert_eq!(sealing.open(&purpose, &sealed), Some(text.clone()));
        prop_assert!(sealing.verify_mac(&purpose, &text, &mac));
        for other in [other, format!("{purpose}x"), String::new()] {
            if other != purpose {
                prop_assert_eq!(sealing.open(&other, &sealed), None);
                prop_assert!(!sealing.verify_mac(&other, &text, &mac));
            }
        }
    }
}
