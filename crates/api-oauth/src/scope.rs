//! OAuth scopes: recorded and echoed; they neither widen nor narrow what an account may do (identity §2.8).

/// All scopes, with what a person reads about each.
pub(crate) const SCOPES: &[(&str, &str)] = &[
    ("openid", "OpenID Connect scope"),
    ("email", "Email address"),
    ("read", "Reading scope"),
    ("write", "Writing scope"),
];

/// Granted when a request names none.
pub(crate) const DEFAULT: &str = "openid email";

/// The scopes asked for, each once, in the order asked. `None` when one is unknown.
pub(crate) fn parse(asked: Option<&str>) -> Option<Vec<String>> {
    let mut scopes: Vec<String> = Vec::new();
    let asked = asked.filter(|asked| !asked.trim().is_empty());
    for scope in asked.unwrap_or(DEFAULT).split_whitespace() {
        if !SCOPES.iter().any(|(known, _)| *known == scope) {
            return None;
        }
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    Some(scopes)
}

/// What a person reads about a scope.
pub(crate) fn description(scope: &str) -> &'static str {
    SCOPES.iter().find(|(known, _)| *known == scope).map_or("", |(_, text)| text)
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_keep_their_order_and_unknown_ones_are_refused() {
        let check = |asked: Option<&str>, expected: Option<&str>| {
            assert_eq!(parse(asked).map(|scopes| scopes.join(" ")).as_deref(), expected, "{asked:?}");
        };
        check(None, Some("openid email"));
        check(Some("write read write"), Some("write read"));
        check(Some("read bogus"), None);
    }
}
