//! Verifiers meet their own challenge and no other.

use proptest::prelude::*;

use super::*;

/// Text of RFC 7636's unreserved characters.
fn is_unreserved(text: &str, also: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii_alphanumeric() || also.contains(letter))
}

proptest! {
    #[test]
    fn a_verifier_meets_its_challenge_alone(verifier in "[A-Za-z0-9._~-]{43,128}", other in "[A-Za-z0-9._~-]{43,128}") {
        prop_assert!(is_valid_verifier(&verifier));
        let challenge = challenge_s256(&verifier);
        prop_assert!(is_valid_challenge(&challenge));
        prop_assert!(verify_s256(&verifier, &challenge));
        prop_assert_eq!(verify_s256(&other, &challenge), other == verifier);
        prop_assert!(!verify_s256(&verifier, &verifier), "the plain method is none of ours");
    }

    #[test]
    fn other_texts_are_judged_by_their_letters(
        text in prop_oneof![any::<String>(), "[A-Za-z0-9._~-]{0,140}", "[A-Za-z0-9_-]{43}", "[A-Za-z0-9_-]{42}.?"],
        challenge in any::<String>(),
    ) {
        let letters = text.chars().count();
        prop_assert_eq!(is_valid_verifier(&text), (43..=128).contains(&letters) && is_unreserved(&text, "-._~"));
        prop_assert_eq!(is_valid_challenge(&text), letters == 43 && is_unreserved(&text, "-_"));
        prop_assert!(!verify_s256(&text, &challenge));
    }

    #[test]
    fn an_invitation_has_a_verifier_of_its_own(token in "[A-Za-z0-9]{32}", other in "[A-Za-z0-9]{32}") {
        let verifier = invitation_verifier(&token);
        prop_assert!(is_valid_verifier(&verifier));
        prop_assert_eq!(verify_s256(&invitation_verifier(&other), &challenge_s256(&verifier)), token == other);
    }
}
