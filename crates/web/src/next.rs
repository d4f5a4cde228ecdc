//! Where to go after signing in: only to our own pages (identity §4.2).

/// The address asked for, if it is one of ours.
pub(crate) fn own<'a>(asked: Option<&'a str>, site: &str) -> Option<&'a str> {
    let asked = asked?;
    if asked.chars().any(|letter| letter.is_control() || letter == '\\') {
        return None;
    }
    let path = match asked.strip_prefix(site) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        Some(_) => return None,
        None => asked,
    };
    (path.starts_with('/') && !path.starts_with("//")).then_some(asked)
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_addresses_are_followed() {
        let check = |asked: &str, expected: bool| {
            assert_eq!(own(Some(asked), "https://jhe.example").is_some(), expected, "{asked}");
        };
        check("/o/authorize/?x=1", true);
        check("https://jhe.example/clients/", true);
        for bad in [
            "https://evil",
            "//evil",
            "/\\evil",
            "https://jhe.example.evil/",
            "javascript:alert(1)",
            "",
            "o/authorize",
            "/a\nb",
            "https://jhe.example//evil",
        ] {
            check(bad, false);
        }
        assert_eq!(own(None, "https://jhe.example"), None);
    }
}
