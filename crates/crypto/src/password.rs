//! Passwords of people: argon2id for new ones, imported Django hashes verified and marked for upgrade, rules for
//! choosing one (identity §4.6).

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::LazyLock;

use argon2::password_hash::phc::{PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{CryptoError, Entropy, token};

/// Memory in KiB, passes, lanes.
const COST: (u32, u32, u32) = (19_456, 2, 1);
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
    let mut salt = [0_u8; 16];
    entropy.fill(&mut salt);
    let hash = argon2()?.hash_password_with_salt(password.as_bytes(), &salt).map_err(|_| CryptoError("argon2"))?;
    let hash: PasswordHash = hash;
    Ok(hash.to_string())
}

/// Checks a password against a stored hash.
pub fn verify(password: &str, stored: &str) -> Verdict {
    if password.len() > MAX_BYTES || stored.is_empty() || stored.starts_with('!') {
        return Verdict::NoMatch;
    }
    if let Some(parts) = stored.strip_prefix("pbkdf2_sha256$") {
        return if verify_pbkdf2(password, parts) { Verdict::MatchNeedsUpgrade } else { Verdict::NoMatch };
    }
    // Django writes argon2 hashes with its own prefix in front of the PHC string.
    let (phc, imported) = match stored.strip_prefix("argon2$") {
        Some(rest) => (format!("${rest}"), true),
        None => (stored.to_owned(), false),
    };
    let Ok(hash) = PasswordHash::new(&phc) else { return Verdict::NoMatch };
    match Argon2::default().verify_password(password.as_bytes(), &hash) {
        Ok(()) if imported => Verdict::MatchNeedsUpgrade,
        Ok(()) => Verdict::Match,
        Err(_) => Verdict::NoMatch,
    }
}

fn verify_pbkdf2(password: &str, parts: &str) -> bool {
    let mut parts = parts.split('$');
    let (Some(iterations), Some(salt), Some(expected), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let Some(iterations) = iterations.parse().ok().filter(|n| *n <= MAX_PBKDF2_ITERATIONS).and_then(NonZeroU32::new)
    else {
        return false;
    };
    let Ok(expected) = STANDARD.decode(expected) else { return false };
    expected.len() == 32
        && pbkdf2::verify(PBKDF2_HMAC_SHA256, iterations, salt.as_bytes(), password.as_bytes(), &expected).is_ok()
}

/// What an account without a password stores; never matches.
pub fn unusable(entropy: &mut impl Entropy) -> String {
    format!("!{}", token::alphanumeric(entropy, 40))
}

/// Takes as long as checking a password does, for an account that does not exist.
pub fn dummy_verify(password: &str) {
    static HASH: LazyLock<String> = LazyLock::new(|| {
        let salt = [7_u8; 16];
        let hashed = argon2()
            .and_then(|argon2| argon2.hash_password_with_salt(b"nobody", &salt).map_err(|_| CryptoError("argon2")));
        hashed.map(|hash: PasswordHash| hash.to_string()).unwrap_or_default()
    });
    let _ = Salt::new(&[7_u8; 16]);
    verify(password, &HASH);
}

/// What is wrong with a password someone chooses; all of it. `personal` are texts it must not resemble.
pub fn faults(password: &str, min_length: usize, personal: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    let length = password.chars().count();
    if length < min_length {
        faults.push(format!("This password is too short. It must contain at least {min_length} characters."));
    }
    if length > 128 {
        faults.push("This password is too long. It must contain at most 128 characters.".to_owned());
    }
    let lower = password.to_lowercase();
    if personal.iter().any(|text| resembles(&lower, &text.to_lowercase())) {
        faults.push("The password is too similar to the Email Address.".to_owned());
    }
    if COMMON.contains(lower.trim()) {
        faults.push("This password is too common.".to_owned());
    }
    if !password.is_empty() && password.chars().all(|c| c.is_ascii_digit()) {
        faults.push("This password is entirely numeric.".to_owned());
    }
    faults
}

static COMMON: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("../data/common-passwords.txt").lines().collect());

/// Whether two texts share so many letters that one gives the other away.
fn resembles(password: &str, text: &str) -> bool {
    if text.chars().count() < 3 {
        return false;
    }
    let counts = |text: &str| {
        let mut counts = std::collections::HashMap::new();
        for letter in text.chars() {
            *counts.entry(letter).or_insert(0_usize) += 1;
        }
        counts
    };
    let (a, b) = (counts(password), counts(text));
    let shared: usize = a.iter().map(|(letter, n)| (*n).min(b.get(letter).copied().unwrap_or_default())).sum();
    let total = password.chars().count() + text.chars().count();
    // As difflib's quick ratio: 2·shared / total ≥ 0.7.
    20 * shared >= 7 * total
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
    fn weak_passwords_are_told_why() {
        let check = |password: &str, part: &str| {
            let faults = faults(password, 8, &["mary.miller", "Mary"]);
            assert!(faults.iter().any(|fault| fault.contains(part)), "{password}: {faults:?}");
        };
        check("short", "too short");
        check("password", "too common");
        check("9182736450", "entirely numeric");
        check("mary.miller1", "too similar");
        assert!(faults("Jhe1234!", 8, &["manager_mary", "ManagerMary", "Miller"]).is_empty());
    }
}
