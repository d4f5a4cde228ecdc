//! The `Prefer` header (RFC 7240).

use axum::http::HeaderMap;

/// The value of a preference, without quotes; its name has no case, and of a repeated one the first counts (§2).
pub fn preference<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split([',', ';'])).find_map(|preference| {
        let (found, value) = preference.split_once('=').unwrap_or((preference, ""));
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// What is to become of parameters that are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// They are refused.
    Strict,
    /// They are ignored.
    Lenient,
}

/// What the caller says of parameters that are not known.
pub fn handling(headers: &HeaderMap) -> Option<Handling> {
    let value = preference(headers, "handling")?;
    let is = |text: &str| value.eq_ignore_ascii_case(text);
    if is("strict") { Some(Handling::Strict) } else { is("lenient").then_some(Handling::Lenient) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_values_may_be_quoted_and_the_first_counts() {
        let check = |value: &str, expected: Option<Handling>| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", value.parse().unwrap());
            assert_eq!(handling(&headers), expected, "{value}");
        };
        check("handling=strict", Some(Handling::Strict));
        check("HANDLING=STRICT", Some(Handling::Strict));
        check("respond-async, handling=\"strict\"", Some(Handling::Strict));
        check("return=minimal; handling = strict", Some(Handling::Strict));
        check("handling=lenient, handling=strict", Some(Handling::Lenient));
        check("handling=other", None);
        check("strict", None);
        check("", None);
    }
}
