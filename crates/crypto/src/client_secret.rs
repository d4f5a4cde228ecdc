//! Secrets of confidential clients. Generated ones are random, so a fast digest keeps them; chosen ones are passwords.

use crate::{constant_time_eq, password, token};

const PREFIX: &str = "sha256$";

/// What is stored of a generated secret.
pub fn digest(secret: &str) -> String {
    format!("{PREFIX}{}", token::digest_hex(secret))
}

/// Whether a presented secret is the stored one. Nothing stored matches nothing.
pub fn verify(presented: &str, stored: &str) -> bool {
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
    }
}
