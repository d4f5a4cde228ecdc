//! Signing out at the wish of a client (OpenID Connect RP-Initiated Logout 1.0).

use jhe_testkit::{Mailbox, TestServer};

use super::{Browser, authorize_url, console_tokens, text};

const MARY: &str = "manager_mary@example.com";
const PASSWORD: &str = "Jhe1234!";
const AFTER: &str = "https://app.example/bye";

async fn is_in(server: &TestServer, browser: &Browser) -> bool {
    !browser.get(&authorize_url(server, &[]).await).await.location.contains("/accounts/login/")
}

#[tokio::test]
async fn a_client_that_shows_whom_it_means_signs_that_person_out() {
    let server = TestServer::start().await;
    server
        .execute("UPDATE oauth2_provider_application SET post_logout_redirect_uris = 'https://app.example/bye' WHERE name = 'JHE Admin UI'")
        .await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let hint = text(&console_tokens(&server, &browser, "openid").await, "id_token");
    let logout = format!("{}/o/logout/", server.base);
    let with = |uri: &str| {
        let fields = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", uri), ("state", "s 1")];
        reqwest::Url::parse_with_params(&logout, fields).unwrap().to_string()
    };
    // Only to an address registered for it, and only for a hint we signed.
    for url in [with("https://evil.example/"), with(&format!("{AFTER}/")), format!("{logout}?id_token_hint=x.y.z")] {
        let page = browser.get(&url).await;
        assert_eq!((page.status, page.location.as_str()), (400, ""), "{url}");
    }
    assert!(is_in(&server, &browser).await);
    assert_eq!(browser.get(&with(AFTER)).await.location, format!("{AFTER}?state=s%201"));
    assert!(!is_in(&server, &browser).await);
    server.stop().await;
}

#[tokio::test]
async fn otherwise_the_person_is_asked() {
    let server = TestServer::start().await;
    let (mary, peter) = (Browser::new(), Browser::new());
    mary.sign_in(&server, MARY, PASSWORD).await;
    peter.sign_in(&server, "ll_patient_peter@example.com", PASSWORD).await;
    let hint = text(&console_tokens(&server, &peter, "openid").await, "id_token");
    let logout = format!("{}/o/logout/", server.base);
    for url in [logout.clone(), format!("{logout}?id_token_hint={hint}")] {
        let page = mary.get(&url).await;
        assert!(page.status == 200 && page.text.contains("Log out?"), "{}", page.text);
    }
    // A post of somebody else's page asks, too.
    assert_eq!(mary.forge(&logout, &[("allow", "Log Out")]).await.status, 200);
    assert!(is_in(&server, &mary).await);
    assert_eq!(mary.submit(&logout, &[("allow", "Log Out")]).await.location, "/");
    assert!(!is_in(&server, &mary).await);
    server.stop().await;
}

#[tokio::test]
async fn a_request_for_a_head_signs_nobody_out_and_uses_no_link_up() {
    let mailbox = Mailbox::start().await;
    let port = mailbox.port.to_string();
    let server = TestServer::with(&[("SMTP_HOST", "127.0.0.1"), ("SMTP_PORT", &port)]).await;
    server.execute("UPDATE core_jheuser SET email_is_verified = false WHERE id = 10002").await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let hint = text(&console_tokens(&server, &browser, "openid").await, "id_token");
    browser.submit(&format!("{}/accounts/verify_email/", server.base), &[]).await;
    let link = mailbox.wait(MARY, 1).await.link(&format!("{}/accounts/verify_email_confirm/", server.base));
    let complete = "/accounts/verify_email_complete/";
    assert_eq!(browser.head(&link).await.location, complete, "as if it were opened");
    assert_eq!(browser.head(&link.replace("confirm/", "confirm/x")).await.status, 200);
    let verified = "SELECT email_is_verified::text FROM core_jheuser WHERE id = 10002";
    assert_eq!(server.scalar(verified).await, "false");
    for path in ["/accounts/logout/", "/allauth/logout/", &format!("/o/logout/?id_token_hint={hint}"), "/o/logout/"] {
        let landing = browser.head(&format!("{}{path}", server.base)).await;
        assert!(matches!(landing.status, 200 | 302), "{path}: {}", landing.status);
        assert!(is_in(&server, &browser).await, "{path}");
    }
    assert_eq!(server.scalar("SELECT count(*)::text FROM jhe_session").await, "1");
    // What they ask about works.
    assert_eq!(browser.get(&link).await.location, complete);
    assert_eq!(server.scalar(verified).await, "true");
    assert_eq!(browser.get(&format!("{}/accounts/logout/", server.base)).await.location, "/");
    assert!(!is_in(&server, &browser).await);
    server.stop().await;
}

#[tokio::test]
async fn clients_are_not_registered_on_pages() {
    let server = TestServer::start().await;
    for path in ["/o/applications/", "/o/applications/register/"] {
        server.post(path).send().await.expect(302);
        let url = format!("{}{path}", server.base);
        assert!(Browser::new().get(&url).await.location.starts_with("/accounts/login/?next="));
        for (email, status) in [(MARY, 403), ("ll_patient_peter@example.com", 403), ("admin@example.com", 404)] {
            let browser = Browser::new();
            browser.sign_in(&server, email, PASSWORD).await;
            assert_eq!(browser.get(&url).await.status, status, "{email} {path}");
        }
    }
    server.stop().await;
}
