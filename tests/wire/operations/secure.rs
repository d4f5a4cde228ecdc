//! TLS in front of the server: redirects and cookies.

use jhe_testkit::TestServer;
use reqwest::Method;

#[tokio::test]
async fn requests_without_tls_are_sent_to_the_same_address_with_it() {
    let server = TestServer::with(&[("SECURE_SSL_REDIRECT", "1"), ("JHE_TRUSTED_PROXIES", "127.0.0.1")]).await;
    let secure = server.base.replace("http://", "https://");
    for (method, path, status) in [
        (Method::GET, "/FHIR/R5/Patient/?name=x%20y", 301),
        (Method::GET, "/accounts/login/", 301),
        (Method::POST, "/o/token/", 308),
    ] {
        let reply = server.call(method.clone(), path).send().await.expect(status);
        assert_eq!(reply.header("location"), format!("{secure}{path}"));
        let reply = server.call(method, path).header("x-forwarded-proto", "https").send().await;
        assert_eq!(reply.header("location"), "", "{path}");
    }
    for probe in ["/health", "/ready"] {
        server.get(probe).send().await.expect(200);
    }
    let reply = server.get("/accounts/login/").header("host", "evil.example.org").send().await.expect(400);
    assert_eq!(reply.header("location"), "");
    server.stop().await;
}

#[tokio::test]
async fn cookies_are_for_tls_alone_when_the_operator_says_so() {
    for (value, expected) in [("1", true), ("0", false)] {
        let server = TestServer::with(&[("CSRF_COOKIE_SECURE", value)]).await;
        let reply = server.get("/accounts/login/").send().await.expect(200);
        assert_eq!(reply.header("set-cookie").contains("; Secure"), expected, "{value}");
        server.stop().await;
    }
}
