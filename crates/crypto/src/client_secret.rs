//! Secrets of confidential clients. Generated ones are random, so a fast digest keeps them; chosen ones are passwords.

use crate::{constant_time_eq, password, token};

const PREFIX: &str = "sha256$";

/// What is stored of a generated secret.
pub fn digest(secret: &str) -> String {
    format!("{PREFIX}{}", token::digest_hex(secret))
}

/// Whether checking against this stored form costs next to nothing.
pub fn is_fast(stored: &str) -> bool {
    stored.is_empty() || stored.starts_with(PREFIX)
}

/// Whether a presented secret is the stored one. Nothing stored matches nothing, and neither does nothing presented:
/// an imported public client may hold the hash of an empty secret.
pub fn verify(presented: &str, stored: &str) -> bool {
    if presented.is_empty() {
        return false;
    }
    match stored.strip_prefix(PREFIX) {
        Some(digest) => constant_time_eq(token::digest_hex(presented).as_bytes(), digest.as_bytes()),
        None => !matches!(password::verify(presented, stored), password::Verdict::NoMatch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_match_their_digest_alone() {
        let stored = digest("s3cret");
        assert!(verify("s3cret", &stored));
        assert!(!verify("S3cret", &stored));
        assert!(!verify("", ""));
        assert!(!verify("s3cret", ""));
        assert!(!verify("", &digest("")));
        assert!(is_fast(&stored));
        assert!(!is_fast("$argon2id$v=19"));
    }

    #[test]
    fn imported_secrets_match_as_passwords_do() {
        let stored = "pbkdf2_sha256$1000$testsalt$rxId5JAnijGXWeXyqPpwmArDSjJodtuYmixzaBuvAyI=";
        assert!(verify("Jhe1234!", stored));
        assert!(!verify("jhe1234!", stored));
        let stored = password::hash("chosen", &mut crate::OsEntropy).unwrap();
        assert!(verify("chosen", &stored));
    }

    #[test]
    fn the_imported_hash_of_nothing_is_recognised_and_lets_nobody_in() {
        let stored = "pbkdf2_sha256$870000$Hrxk93CVKgRSGJdyusw4go$umXWiaCn152vXWiXl1bQZwupccDt18QiQcotff+hBmQ=";
        assert_eq!(password::verify("", stored), password::Verdict::MatchNeedsUpgrade);
        assert!(!verify("", stored));
    }
}
