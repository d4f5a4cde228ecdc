//! The `Prefer` header (RFC 7240).

use axum::http::HeaderMap;

/// Preferences as (name in lower case, value without quotes), in order; of a repeated one the first counts (§2).
pub fn preferences(headers: &HeaderMap) -> Vec<(String, &str)> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut found: Vec<(String, &str)> = Vec::new();
    for preference in values.flat_map(|value| value.split([',', ';'])) {
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        let name = name.trim().to_ascii_lowercase();
        if !name.is_empty() && !found.iter().any(|(known, _)| *known == name) {
            found.push((name, value.trim().trim_matches('"')));
        }
    }
    found
}

/// Whether parameters that are not known are to be refused: `handling=strict`.
pub fn is_strict(headers: &HeaderMap) -> bool {
    preferences(headers).iter().any(|(name, value)| name == "handling" && value.eq_ignore_ascii_case("strict"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_values_may_be_quoted_and_the_first_counts() {
        let check = |value: &str, strict: bool| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", value.parse().unwrap());
            assert_eq!(is_strict(&headers), strict, "{value}");
        };
        check("handling=strict", true);
        check("HANDLING=STRICT", true);
        check("respond-async, handling=\"strict\"", true);
        check("return=minimal; handling = strict", true);
        check("handling=lenient, handling=strict", false);
        check("strict", false);
        check("", false);
    }
}
