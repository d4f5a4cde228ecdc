//! What a password someone chooses must not be.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// The longest password, in characters.
const LONGEST: usize = 128;

/// What is wrong with a password someone chooses; all of it. `personal` are texts it must not resemble.
pub fn faults(password: &str, min_length: usize, personal: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    let length = password.chars().count();
    if length < min_length {
        faults.push(format!("This password is too short. It must contain at least {min_length} characters."));
    }
    if length > LONGEST {
        faults.push(format!("This password is too long. It must contain at most {LONGEST} characters."));
    }
    let lower = password.to_lowercase();
    if personal.iter().any(|text| gives_away(&lower, &text.to_lowercase())) {
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
    LazyLock::new(|| include_str!("../../data/common-passwords.txt").lines().collect());

/// Whether a password resembles a text or one of the words in it, as the original judges.
fn gives_away(password: &str, text: &str) -> bool {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.chain([text]).any(|word| resembles(password, word))
}

/// Whether two texts share so many letters that one gives the other away.
fn resembles(password: &str, text: &str) -> bool {
    if text.chars().count() < 3 {
        return false;
    }
    let counts = |text: &str| {
        let mut counts = HashMap::new();
        for letter in text.chars() {
            *counts.entry(letter).or_insert(0_usize) += 1;
        }
        counts
    };
    let (a, b) = (counts(password), counts(text));
    let shared: usize = a.iter().map(|(letter, n)| (*n).min(b.get(letter).copied().unwrap_or_default())).sum();
    let total = password.chars().count() + text.chars().count();
    // As the quick ratio of Python's difflib: 2·shared / total ≥ 0.7.
    20 * shared >= 7 * total
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERSONAL: [&str; 2] = ["mary.miller", "Mary"];

    #[test]
    fn weak_passwords_are_told_why() {
        let check = |password: &str, part: &str| {
            let faults = faults(password, 8, &PERSONAL);
            assert!(faults.iter().any(|fault| fault.contains(part)), "{password}: {faults:?}");
        };
        check("short", "too short");
        check(&"x".repeat(129), "too long");
        check("password", "too common");
        check("PassWord", "too common");
        check("9182736450", "entirely numeric");
        check("mary.miller1", "too similar");
        // Far from the whole, close to a word of it.
        check("Miller12", "too similar");
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let expected = [
            "This password is too short. It must contain at least 8 characters.",
            "This password is too common.",
            "This password is entirely numeric.",
        ];
        assert_eq!(faults("123456", 8, &PERSONAL), expected);
    }

    #[test]
    fn good_passwords_pass() {
        assert!(faults("Jhe1234!", 8, &["manager_mary", "ManagerMary", "Miller"]).is_empty());
        assert!(faults("correct horse battery staple", 8, &PERSONAL).is_empty());
        assert!(faults(&"§".repeat(128), 8, &["", "é"]).is_empty());
    }

    #[test]
    fn the_list_is_long_and_in_lower_case() {
        assert!(COMMON.len() >= 10_000, "{}", COMMON.len());
        assert!(COMMON.iter().all(|password| password.to_lowercase() == **password && !password.is_empty()));
    }
}
