//! Redirect URIs: exactly the registered text; loopback addresses may differ in the port (RFC 8252 §7.3).

/// Whether a redirect URI is one of the registered ones.
pub(crate) fn matches(registered: &[String], asked: &str) -> bool {
    registered.iter().any(|known| known == asked || same_loopback(known, asked))
}

fn same_loopback(registered: &str, asked: &str) -> bool {
    without_port(registered).is_some_and(|known| without_port(asked) == Some(known))
}

/// A loopback address as host and what follows the port, by its text alone: no spelling is turned into another.
fn without_port(uri: &str) -> Option<(&str, &str)> {
    let (host, rest) = ["http://127.0.0.1", "http://[::1]"]
        .into_iter()
        .find_map(|host| uri.strip_prefix(host).map(|rest| (host, rest)))?;
    let rest = match rest.strip_prefix(':') {
        Some(rest) => {
            let path = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            let port = rest.get(..rest.len() - path.len())?;
            (port.len() <= 5 && port.parse::<u16>().is_ok()).then_some(path)?
        }
        None => rest,
    };
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((host, rest))
}

/// A redirect URI with parameters added to its query.
pub(crate) fn with(uri: &str, parameters: &[(&str, &str)]) -> String {
    let mut url = uri.to_owned();
    for (name, value) in parameters {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(name);
        url.push('=');
        url.push_str(&jhe_http::query::encode(value));
    }
    url
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_registered_text_matches_but_loopback_ports_vary() {
        let registered: Vec<String> =
            ["https://app.example/cb", "http://127.0.0.1/cb", "http://localhost:8000/auth/callback"]
                .map(str::to_owned)
                .into();
        let check = |asked: &str, expected: bool| assert_eq!(matches(&registered, asked), expected, "{asked}");
        check("https://app.example/cb", true);
        check("https://app.example/cb/", false);
        check("https://app.example/cb?x=1", false);
        check("https://evil.example/cb", false);
        check("http://127.0.0.1:5555/cb", true);
        check("http://127.0.0.1:5555/other", false);
        check("http://[::1]:5555/cb", false);
        for spelling in [
            "http://user@127.0.0.1:5555/cb",
            "http://127.1/cb",
            "http://0x7f.1/cb",
            "HTTP://127.0.0.1/cb",
            "http://127.0.0.1:5555/a/../cb",
            "http://127.0.0.1:5555\\cb",
            " http://127.0.0.1:1/cb",
            "http://127.0.0.1:1/c\tb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:555555/cb",
            "http://127.0.0.1:65536/cb",
            "http://127.0.0.1.evil.example/cb",
            "http://127.0.0.1:1@evil.example/cb",
            "http://127.0.0.1/cb#x",
        ] {
            check(spelling, false);
        }
        check("http://localhost:5555/cb", false);
        check("http://localhost:8000/auth/callback", true);
        check("http://localhost:8001/auth/callback", false);
    }

    #[test]
    fn parameters_join_an_existing_query() {
        assert_eq!(with("https://a/cb", &[("code", "x y"), ("state", "s")]), "https://a/cb?code=x%20y&state=s");
        assert_eq!(with("https://a/cb?q=1", &[("code", "x")]), "https://a/cb?q=1&code=x");
    }
}
