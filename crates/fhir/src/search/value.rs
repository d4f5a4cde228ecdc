//! The values of search parameters: comma lists with escapes, tokens, references, strings.

use crate::types::{IEEE1752_SYSTEM, OPENMHEALTH_SYSTEM, positive_id, split_reference};

/// What a token says about the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemMatch {
    /// Nothing: `code`.
    Any,
    /// There must be none: `|code`.
    None,
    /// It must be this one: `system|code` or `system|`.
    Exact(String),
}

/// One value of a token parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenValue {
    /// The system part.
    pub system: SystemMatch,
    /// The code; absent in `system|`.
    pub code: Option<String>,
}

impl TokenValue {
    /// Reads `code`, `system|code`, `system|` or `|code`; `None` when neither part says anything.
    pub fn parse(escaped: &str) -> Option<Self> {
        let (system, code) = match find_unescaped(escaped, '|') {
            None => (SystemMatch::Any, unescape(escaped)),
            Some(at) => {
                let system = match unescape(escaped.get(..at)?) {
                    system if system.is_empty() => SystemMatch::None,
                    system => SystemMatch::Exact(system),
                };
                (system, unescape(escaped.get(at + 1..)?))
            }
        };
        let code = Some(code).filter(|code| !code.is_empty());
        if code.is_none() && !matches!(system, SystemMatch::Exact(_)) {
            return None;
        }
        Some(Self { system, code })
    }

    /// Whether a coding matches: the code where one is named, and the system where one is.
    pub fn matches(&self, system: &str, code: &str) -> bool {
        let system_fits = match &self.system {
            SystemMatch::Any => true,
            SystemMatch::None => false,
            SystemMatch::Exact(wanted) => wanted == system,
        };
        system_fits && self.code.as_deref().is_none_or(|wanted| wanted == code)
    }

    /// The systems under which the token's code may be stored, when it names one: see [`alias_systems`].
    pub fn systems(&self) -> Option<Vec<&str>> {
        match (&self.system, &self.code) {
            (SystemMatch::Exact(system), Some(code)) => Some(alias_systems(system, code)),
            (SystemMatch::Exact(system), None) => Some(vec![system]),
            (SystemMatch::Any | SystemMatch::None, _) => None,
        }
    }
}

/// The given system, and its twin: Open mHealth and IEEE 1752.1 are one system for codes beginning `omh:` or `ieee:`, since
/// clients send either for both.
pub fn alias_systems<'a>(system: &'a str, code: &str) -> Vec<&'a str> {
    let twin = match system {
        OPENMHEALTH_SYSTEM => IEEE1752_SYSTEM,
        IEEE1752_SYSTEM => OPENMHEALTH_SYSTEM,
        _ => return vec![system],
    };
    if code.starts_with("omh:") || code.starts_with("ieee:") { vec![system, twin] } else { vec![system] }
}

/// How a string parameter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StringMode {
    /// Begins with it, case and accents aside (the default).
    StartsWith,
    /// `:contains`: has it anywhere, case and accents aside.
    Contains,
    /// `:exact`: equals it, case and accents included.
    Exact,
}

/// One value of a string parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringMatch {
    /// The literal text.
    pub text: String,
    /// How it is compared.
    pub mode: StringMode,
}

/// Splits a value at unescaped commas, without unescaping the parts; empty parts are dropped.
pub(super) fn split_list(raw: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = raw;
    while let Some(at) = find_unescaped(rest, ',') {
        parts.push(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 1..).unwrap_or_default();
    }
    parts.push(rest);
    parts.retain(|part| !part.is_empty());
    parts
}

/// Resolves `\,`, `\|`, `\$` and `\\`; any other backslash is itself.
pub(super) fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('\\', Some(&next @ (',' | '|' | '$' | '\\'))) => {
                out.push(next);
                characters.next();
            }
            _ => out.push(character),
        }
    }
    out
}

fn find_unescaped(text: &str, wanted: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == wanted {
            return Some(at);
        }
    }
    None
}

/// A reference to a row of `kind`: `Kind/id`, a bare id, or an absolute URL under one of our bases.
pub(super) fn reference(escaped: &str, kind: &str, is_own_base: &dyn Fn(&str) -> bool) -> Option<i64> {
    let text = unescape(escaped);
    if let Some(id) = positive_id(&text) {
        return Some(id);
    }
    let (found, id) = split_reference(&text, is_own_base)?;
    (found == kind).then(|| positive_id(id))?
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::has_own_base_path;

    #[test]
    fn lists_and_escapes() {
        assert_eq!(split_list("a,b"), ["a", "b"]);
        assert_eq!(split_list(r"a\,b,c"), [r"a\,b", "c"]);
        assert_eq!(split_list(r"a\\,c"), [r"a\\", "c"]);
        assert_eq!(split_list(",a,,"), ["a"]);
        assert!(split_list("").is_empty());
        assert_eq!(unescape(r"a\,b\|c\$d\\e\x\"), r"a,b|c$d\e\x\");
    }

    #[test]
    fn tokens() {
        let check = |text: &str, system: SystemMatch, code: Option<&str>| {
            let expected = TokenValue { system, code: code.map(str::to_owned) };
            assert_eq!(TokenValue::parse(text).unwrap(), expected, "{text}");
        };
        check("omh:heart-rate:2.0", SystemMatch::Any, Some("omh:heart-rate:2.0"));
        check("s|c", SystemMatch::Exact("s".to_owned()), Some("c"));
        check("s|", SystemMatch::Exact("s".to_owned()), None);
        check("|c", SystemMatch::None, Some("c"));
        check(r"s\|t|c\,d", SystemMatch::Exact("s|t".to_owned()), Some("c,d"));
        check("s|c|d", SystemMatch::Exact("s".to_owned()), Some("c|d"));
        assert_eq!(TokenValue::parse("|"), None);
        assert_eq!(TokenValue::parse(""), None);
    }

    #[test]
    fn system_twins() {
        let code = "ieee:sleep-stage-summary:1.0";
        assert_eq!(alias_systems(OPENMHEALTH_SYSTEM, code), [OPENMHEALTH_SYSTEM, IEEE1752_SYSTEM]);
        assert_eq!(alias_systems(IEEE1752_SYSTEM, "omh:x:1.0"), [IEEE1752_SYSTEM, OPENMHEALTH_SYSTEM]);
        assert_eq!(alias_systems(OPENMHEALTH_SYSTEM, "8867-4"), [OPENMHEALTH_SYSTEM]);
        assert_eq!(alias_systems("http://loinc.org", code), ["http://loinc.org"]);
        assert_eq!(TokenValue::parse("a|b").unwrap().systems().unwrap(), ["a"]);
        assert_eq!(TokenValue::parse("b").unwrap().systems(), None);
    }

    #[test]
    fn references() {
        for text in ["40001", "Patient/40001", "https://h/FHIR/R5/Patient/40001"] {
            assert_eq!(reference(text, "Patient", &has_own_base_path), Some(40001), "{text}");
        }
        for text in ["abc", "0", "-1", "Group/1", "Patient/abc", "https://h/x/Patient/1", "patient/1"] {
            assert_eq!(reference(text, "Patient", &has_own_base_path), None, "{text}");
        }
    }
}
