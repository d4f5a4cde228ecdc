//! Redirect URIs: exactly the registered text; loopback addresses may differ in the port (RFC 8252 §7.3).

use url::Url;

/// Whether a redirect URI is one of the registered ones.
pub(crate) fn matches(registered: &[String], asked: &str) -> bool {
    registered.iter().any(|known| known == asked || same_loopback(known, asked))
}

fn same_loopback(registered: &str, asked: &str) -> bool {
    let (Ok(mut known), Ok(mut asked_url)) = (Url::parse(registered), Url::parse(asked)) else { return false };
    let loopback = |url: &Url| url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "[::1]"));
    if !loopback(&known) || !loopback(&asked_url) || asked.contains('#') || asked.contains('@') {
        return false;
    }
    known.set_port(None).is_ok() && asked_url.set_port(None).is_ok() && known == asked_url
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
        check("http://user@127.0.0.1:5555/cb", false);
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
