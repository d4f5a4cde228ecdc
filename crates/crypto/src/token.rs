//! Opaque tokens: random text handed out once, a digest kept.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest as hash};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Entropy;

/// SHA-256 of a token. Enough for tokens, which are too random to guess.
pub fn digest(token: &str) -> [u8; 32] {
    let mut bytes = [0_u8; 32];
    bytes.copy_from_slice(hash(&SHA256, token.as_bytes()).as_ref());
    bytes
}

/// The digest as unpadded base64url: 43 characters.
pub fn digest_base64url(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(token))
}

/// The digest as lower-case hexadecimal.
pub fn digest_hex(token: &str) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest(token) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// 256 random bits as base64url: 43 characters.
pub fn random_base64url(entropy: &mut impl Entropy) -> String {
    let mut bytes = [0_u8; 32];
    entropy.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An access token; the prefix lets scanners for leaked secrets recognise it.
pub fn access_token(entropy: &mut impl Entropy) -> String {
    format!("jhe_at_{}", random_base64url(entropy))
}

/// A refresh token.
pub fn refresh_token(entropy: &mut impl Entropy) -> String {
    format!("jhe_rt_{}", random_base64url(entropy))
}

/// The identifier of a browser session: 256 random bits.
pub fn session_id(entropy: &mut impl Entropy) -> String {
    random_base64url(entropy)
}

/// Letters and digits, each equally likely.
pub fn alphanumeric(entropy: &mut impl Entropy, length: usize) -> String {
    letters(entropy, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", length)
}

/// Letters of an alphabet of at most 256 ASCII letters, each equally likely.
pub fn letters(entropy: &mut impl Entropy, alphabet: &[u8], length: usize) -> String {
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 64];
    let size = alphabet.len().clamp(1, 256);
    // What lies above the largest multiple of the size would favour the first letters.
    let fair_below = 256 / size * size;
    while text.len() < length && !alphabet.is_empty() {
        entropy.fill(&mut bytes);
        let fair = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair_below);
        let drawn = fair.filter_map(|byte| alphabet.get(byte % size));
        text.extend(drawn.take(length - text.len()).map(|letter| char::from(*letter)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OsEntropy;

    #[test]
    fn digests_match_the_published_vectors() {
        let token = "x3VdsqpjayuOQ08G9EnWyAf7LDUor6";
        assert_eq!(digest_hex(token), "9783ddd4e9c8e02d960093a8112e885e53d3f4da20e81f3ff8ed18662a2b0c1c");
        let invitation = "0wYuXvhoyRfko9yFYl9inpBiNkHLVBMy";
        assert_eq!(digest_base64url(invitation), "jpyisI204LChK6hHUOb-PqinMrATrLZho8nHqeN87z4");
    }

    #[test]
    fn tokens_have_their_form() {
        for (token, prefix) in [
            (access_token(&mut OsEntropy), "jhe_at_"),
            (refresh_token(&mut OsEntropy), "jhe_rt_"),
            (session_id(&mut OsEntropy), ""),
        ] {
            let random = token.strip_prefix(prefix).unwrap();
            assert!(crate::pkce::is_valid_challenge(random), "{token}");
        }
        let text = alphanumeric(&mut OsEntropy, 200);
        assert_eq!(text.len(), 200);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(text, alphanumeric(&mut OsEntropy, 200));
    }

    /// Every byte in turn.
    struct Counter(u8);

    impl Entropy for Counter {
        fn fill(&mut self, bytes: &mut [u8]) {
            for byte in bytes {
                *byte = self.0;
                self.0 = self.0.wrapping_add(1);
            }
        }
    }

    #[test]
    fn letters_are_equally_likely() {
        // All 256 values once: 248 are used, four for each of the 62 characters.
        let text = alphanumeric(&mut Counter(0), 248);
        for letter in ('A'..='Z').chain('a'..='z').chain('0'..='9') {
            assert_eq!(text.matches(letter).count(), 4, "{letter}");
        }
        let source: &mut dyn Entropy = &mut Counter(0);
        assert_eq!(alphanumeric(&mut { source }, 3), "ABC");
    }
}
