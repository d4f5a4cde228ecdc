//! Proof Key for Code Exchange (RFC 7636), method S256 only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{Entropy, constant_time_eq, token};

/// The challenge of a verifier.
pub fn challenge_s256(verifier: &str) -> String {
    token::digest_base64url(verifier)
}

/// Whether a verifier meets a challenge.
pub fn verify_s256(verifier: &str, challenge: &str) -> bool {
    constant_time_eq(challenge_s256(verifier).as_bytes(), challenge.as_bytes())
}

/// Whether a text can be a challenge: 43 characters of base64url.
pub fn is_valid_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Whether a text can be a verifier (RFC 7636 §4.1).
pub fn is_valid_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
}

/// A new verifier and its challenge.
pub fn new_pair(entropy: &mut impl Entropy) -> (String, String) {
    let verifier = token::random_base64url(entropy);
    let challenge = challenge_s256(&verifier);
    (verifier, challenge)
}

/// The verifier a client derives from its invitation token (identity §2.7b).
pub fn invitation_verifier(invitation_token: &str) -> String {
    URL_SAFE_NO_PAD.encode(invitation_token)
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors_hold() {
        let verifier = invitation_verifier("0wYuXvhoyRfko9yFYl9inpBiNkHLVBMy");
        assert_eq!(verifier, "MHdZdVh2aG95UmZrbzl5RllsOWlucEJpTmtITFZCTXk");
        assert_eq!(challenge_s256(&verifier), "IhuJvLASrwLSYTG8YHinLI_Ae9-cUlOk7rs6WcesHHQ");
        let verifier =
            "f28984eaebcf41d881223399fc8eab27eaa374a9a8134eb3a900a3b7c0e6feab5b427479f3284ebe9c15b698849b0de2";
        assert!(verify_s256(verifier, "-2FUJ5UCa7NK9hZWS0bc0W9uJ-Zr_-Pngd4on69oxpU"));
        let inconsistent = "IruBve3zJhEq_-PKePQxkUOkUYnEUTs-BXzfSD5ME7E";
        assert_eq!(challenge_s256(inconsistent), "jHi8-ML_rvH0nMhHWm8Do5tz5ezrafaWVVxJ52lNGB4");
    }

    #[test]
    fn forms_are_checked() {
        assert!(is_valid_challenge(&"a".repeat(43)));
        assert!(!is_valid_challenge(&"a".repeat(44)));
        assert!(!is_valid_challenge(&"~".repeat(43)));
        assert!(is_valid_verifier(&"~".repeat(43)));
        assert!(!is_valid_verifier(&"a".repeat(42)));
        assert!(!is_valid_verifier(&"a".repeat(129)));
    }
}
