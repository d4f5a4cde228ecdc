//! Passwords of people: argon2id for new ones, imported Django hashes verified and marked for upgrade, rules for
//! choosing one (identity §4.6).

mod rules;

pub use rules::faults;

use std::num::NonZeroU32;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{CryptoError, Entropy, token};

/// Memory in KiB, passes, lanes.
const COST: (u32, u32, u32) = (19_456, 2, 1);
/// More than any honest import has.
const MAX_COST: (u32, u32, u32) = (1 << 18, 16, 16);
/// Longer than any password; longer input is not hashed.
const MAX_BYTES: usize = 4096;
/// More iterations than any honest import has.
const MAX_PBKDF2_ITERATIONS: u32 = 10_000_000;

/// Whether a password is the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Match,
    /// It is, and its hash is of an older kind: hash it anew.
    MatchNeedsUpgrade,
    /// It is not, or the account has none.
    NoMatch,
}

fn argon2() -> Result<Argon2<'static>, CryptoError> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, Some(32)).map_err(|_| CryptoError("argon2 parameters"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Hashes a password: argon2id as a PHC string.
pub fn hash(password: &str, entropy: &mut impl Entropy) -> Result<String, CryptoError> {
    if password.len() > MAX_BYTES {
        return Err(CryptoError("the password is too long"));
    }
    let mut salt = [0_u8; 16];
    entropy.fill(&mut salt);
    let hash = argon2()?.hash_password_with_salt(password.as_bytes(), &salt).map_err(|_| CryptoError("argon2"))?;
    let hash: PasswordHash = hash;
    Ok(hash.to_string())
}

/// Checks a password against a stored hash. One that cannot match takes as long as one that might.
pub fn verify(password: &str, stored: &str) -> Verdict {
    if password.len() > MAX_BYTES {
        return Verdict::NoMatch;
    }
    compare(password, stored).unwrap_or_else(|| {
        dummy_verify(password);
        Verdict::NoMatch
    })
}

/// `None` when the stored text is no hash that is tried.
fn compare(password: &str, stored: &str) -> Option<Verdict> {
    if let Some(parts) = stored.strip_prefix("pbkdf2_sha256$") {
        let matches = verify_pbkdf2(password, parts)?;
        return Some(if matches { Verdict::MatchNeedsUpgrade } else { Verdict::NoMatch });
    }
    // Django writes argon2 hashes with its own prefix in front of the PHC string.
    let (phc, imported) = match stored.strip_prefix("argon2$") {
        Some(rest) => (format!("${rest}"), true),
        None => (stored.to_owned(), false),
    };
    let hash = PasswordHash::new(&phc).ok()?;
    let params = Params::try_from(&hash).ok()?;
    let (memory, passes, lanes) = MAX_COST;
    let is_sane = params.m_cost() <= memory && params.t_cost() <= passes && params.p_cost() <= lanes;
    if hash.algorithm != Algorithm::Argon2id.ident() || !is_sane {
        return None;
    }
    let is_weak = params.m_cost() < COST.0 || params.t_cost() < COST.1;
    Some(match Argon2::default().verify_password(password.as_bytes(), &hash) {
        Ok(()) if imported || is_weak => Verdict::MatchNeedsUpgrade,
        Ok(()) => Verdict::Match,
        Err(_) => Verdict::NoMatch,
    })
}

fn verify_pbkdf2(password: &str, parts: &str) -> Option<bool> {
    let mut parts = parts.split('$');
    let (Some(iterations), Some(salt), Some(expected), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let iterations = iterations.parse().ok().filter(|n| *n <= MAX_PBKDF2_ITERATIONS).and_then(NonZeroU32::new)?;
    let expected = STANDARD.decode(expected).ok().filter(|expected| expected.len() == 32)?;
    let verified = pbkdf2::verify(PBKDF2_HMAC_SHA256, iterations, salt.as_bytes(), password.as_bytes(), &expected);
    Some(verified.is_ok())
}

/// What an account without a password stores; never matches.
pub fn unusable(entropy: &mut impl Entropy) -> String {
    format!("!{}", token::alphanumeric(entropy, 40))
}

/// Takes as long as checking a password does, for an account that does not exist.
pub fn dummy_verify(password: &str) {
    if password.len() > MAX_BYTES {
        return;
    }
    let mut output = [0_u8; 32];
    if let Ok(argon2) = argon2() {
        argon2.hash_password_into(password.as_bytes(), &[7_u8; 16], &mut output).ok();
    }
    // Keeps the work from being optimized away.
    std::hint::black_box(output);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OsEntropy;

    #[test]
    fn new_hashes_are_argon2id_and_verify() {
        let stored = hash("Jhe1234!", &mut OsEntropy).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_eq!(verify("Jhe1234!", &stored), Verdict::Match);
        assert_eq!(verify("jhe1234!", &stored), Verdict::NoMatch);
        assert_eq!(verify("Jhe1234!", &format!("argon2{stored}")), Verdict::MatchNeedsUpgrade);
    }

    #[test]
    fn imported_hashes_verify() {
        let vectors = [
            ("Jhe1234!", "pbkdf2_sha256$1000$testsalt$rxId5JAnijGXWeXyqPpwmArDSjJodtuYmixzaBuvAyI="),
            (
                "correct horse battery staple",
                "pbkdf2_sha256$260000$Zs7cF0mA$ISxV9ZsiqC/yxUM02bRa4HKIvv1U6kcJIZ4rt2H9cec=",
            ),
        ];
        for (password, stored) in vectors {
            assert_eq!(verify(password, stored), Verdict::MatchNeedsUpgrade);
            assert_eq!(verify("wrong", stored), Verdict::NoMatch);
        }
    }

    #[test]
    fn unusable_and_malformed_hashes_match_nothing() {
        let unusable = unusable(&mut OsEntropy);
        for stored in ["", "!", unusable.as_str(), "plain", "pbkdf2_sha256$0$s$eA==", "pbkdf2_sha256$99999999$s$eA=="] {
            assert_eq!(verify("", stored), Verdict::NoMatch, "{stored}");
            assert_eq!(verify("plain", stored), Verdict::NoMatch, "{stored}");
        }
    }

    #[test]
    fn weaker_hashes_are_marked_and_absurd_ones_are_not_tried() {
        let cheap = |memory: u32, passes: u32, lanes: u32| {
            let params = Params::new(memory, passes, lanes, Some(32)).unwrap();
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let hash: PasswordHash = argon2.hash_password_with_salt(b"Jhe1234!", &[7_u8; 16]).unwrap();
            hash.to_string()
        };
        assert_eq!(verify("Jhe1234!", &cheap(64, 1, 1)), Verdict::MatchNeedsUpgrade);
        assert_eq!(verify("wrong", &cheap(64, 1, 1)), Verdict::NoMatch);
        assert_eq!(verify("Jhe1234!", &cheap(64, 17, 1)), Verdict::NoMatch);
        let vast = cheap(64, 1, 1).replace("m=64", "m=4000000000");
        assert_eq!(verify("Jhe1234!", &vast), Verdict::NoMatch);
        let other_kind = cheap(64, 1, 1).replace("argon2id", "argon2d");
        assert_eq!(verify("Jhe1234!", &other_kind), Verdict::NoMatch);
    }

    #[test]
    fn what_is_too_long_is_neither_hashed_nor_checked() {
        let long = "x".repeat(MAX_BYTES + 1);
        assert!(hash(&long, &mut OsEntropy).is_err());
        dummy_verify(&long);
        assert_eq!(verify(&long, &hash("x", &mut OsEntropy).unwrap()), Verdict::NoMatch);
    }
}
