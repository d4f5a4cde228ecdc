//! Small rules about texts that several entities share.

/// Normalizes an e-mail address: trims it and lower-cases the domain. `None` when it is not one.
///
/// The local part keeps its spelling; comparison ignores case everywhere (data model §1).
pub fn normalize_email(text: &str) -> Option<String> {
    let text = text.trim();
    let (local, domain) = text.rsplit_once('@')?;
    let fits = !local.is_empty()
        && local.len() <= 64
        && text.len() <= 254
        && !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';' | '"'))
        && !local.contains('@')
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    (fits && is_domain(domain)).then(|| format!("{local}@{}", domain.to_lowercase()))
}

fn is_domain(domain: &str) -> bool {
    domain.contains('.')
        && domain.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        })
        && domain.rsplit('.').next().is_some_and(|top| top.len() >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn email_addresses_are_normalized_or_refused() {
        let check =
            |input: &str, expected: Option<&str>| assert_eq!(normalize_email(input).as_deref(), expected, "{input}");
        check(" Mary@Example.COM ", Some("Mary@example.com"));
        check("a.b+c@x-y.org", Some("a.b+c@x-y.org"));
        for bad in [
            "",
            "notanemail",
            "a@b",
            "@x.org",
            "a@",
            "a b@x.org",
            "a@x..org",
            "a@-x.org",
            "a..b@x.org",
            "a@x.org\nBcc: c@x.org",
        ] {
            check(bad, None);
        }
    }
}
