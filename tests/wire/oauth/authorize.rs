//! The authorization endpoint and the sign-in page.

use jhe_testkit::TestServer;

use super::{Browser, authorize_url, code, parameter};

const MARY: &str = "manager_mary@example.com";
const PASSWORD: &str = "Jhe1234!";

#[tokio::test]
async fn a_stranger_signs_in_and_comes_back_with_a_code() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    let url = authorize_url(&server, &[]).await;
    let login = browser.get(&url).await;
    assert_eq!(login.status, 302);
    assert!(login.location.contains("/accounts/login/?next="), "{}", login.location);
    let login_url = format!("{}{}", server.base, login.location.trim_start_matches(&server.base));
    let wrong = browser.submit(&login_url, &[("username", MARY), ("password", "wrong")]).await;
    assert_eq!(wrong.status, 200);
    assert!(wrong.text.contains("correct"), "{}", wrong.text);
    let landing = browser.submit(&login_url, &[("username", "MANAGER_MARY@example.com"), ("password", PASSWORD)]).await;
    assert_eq!(landing.status, 302);
    let back = format!("{}{}", server.base, landing.location.trim_start_matches(&server.base));
    let done = browser.get(&back).await;
    assert!(done.location.starts_with(&format!("{}/auth/callback?", server.base)), "{}", done.location);
    assert_eq!(parameter(&done.location, "state").unwrap(), "a state");
    assert!(parameter(&done.location, "code").is_some());
    server.stop().await;
}

#[tokio::test]
async fn forms_need_their_token() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    let forged =
        browser.forge(&format!("{}/accounts/login/", server.base), &[("username", MARY), ("password", PASSWORD)]).await;
    assert_eq!(forged.status, 403);
    server.stop().await;
}

#[tokio::test]
async fn an_untrusted_redirect_gets_no_redirect() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let changes = [
        ("client_id", "unknown"),
        ("client_id", ""),
        ("redirect_uri", "https://evil.example.org/callback"),
        ("redirect_uri", "javascript:alert(1)"),
    ];
    for change in changes {
        let landing = browser.get(&authorize_url(&server, &[change]).await).await;
        assert_eq!((landing.status, landing.location.as_str()), (400, ""), "{change:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn faults_of_the_request_go_back_to_the_client() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let check = [
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("scope", "everything"), "invalid_scope"),
    ];
    for (change, error) in check {
        let landing = browser.get(&authorize_url(&server, &[change]).await).await;
        assert_eq!(landing.status, 302, "{change:?}: {}", landing.text);
        assert_eq!(parameter(&landing.location, "error").as_deref(), Some(error), "{change:?}");
        assert_eq!(parameter(&landing.location, "state").as_deref(), Some("a state"));
    }
    let silent = Browser::new().get(&authorize_url(&server, &[("prompt", "none")]).await).await;
    assert_eq!(parameter(&silent.location, "error").as_deref(), Some("login_required"));
    server.stop().await;
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    let landing = browser.sign_in(&server, MARY, PASSWORD).await;
    assert_eq!(landing.status, 302);
    code(&server, &browser).await;
    browser.get(&format!("{}/accounts/logout/", server.base)).await;
    let login = browser.get(&authorize_url(&server, &[]).await).await;
    assert!(login.location.contains("/accounts/login/"), "{}", login.location);
    server.stop().await;
}

#[tokio::test]
async fn a_new_sign_in_can_be_demanded_and_not_skipped() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    for demand in [("prompt", "login"), ("max_age", "0")] {
        let landing = browser.get(&authorize_url(&server, &[demand]).await).await;
        assert!(landing.location.contains("/accounts/login/?next="), "{demand:?}: {}", landing.location);
        let next = parameter(&format!("http://x{}", landing.location), "next").unwrap();
        assert!(!next.contains("prompt=") && !next.contains("max_age="), "{next}");
        let skipped = browser.get(&format!("{}{next}", server.base)).await;
        assert!(skipped.location.contains("/accounts/login/"), "{demand:?}: {}", skipped.location);
        let silent = browser.get(&authorize_url(&server, &[demand, ("prompt", "none")]).await).await;
        if demand.0 == "max_age" {
            assert!(silent.location.contains("error=login_required"), "{}", silent.location);
        }
        server.clock.advance(chrono::TimeDelta::seconds(1));
        let login = format!("{}{}", server.base, landing.location.trim_start_matches(&server.base));
        let back = browser.submit(&login, &[("username", MARY), ("password", PASSWORD)]).await;
        let done = browser.get(&format!("{}{}", server.base, back.location.trim_start_matches(&server.base))).await;
        assert!(parameter(&done.location, "code").is_some(), "{demand:?}: {}", done.location);
    }
    server.stop().await;
}

#[tokio::test]
async fn sessions_end_with_the_account_and_forms_have_a_limit() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    server.execute("UPDATE core_jheuser SET is_active = false WHERE id = 10002").await;
    server.execute("UPDATE core_jheuser SET is_active = true WHERE id = 10002").await;
    let landing = browser.get(&authorize_url(&server, &[]).await).await;
    assert!(landing.location.contains("/accounts/login/"), "{}", landing.location);
    let login = format!("{}/accounts/login/", server.base);
    let long = browser.submit(&login, &[("username", MARY), ("password", &"x".repeat(70_000))]).await;
    assert_eq!(long.status, 200);
    let longer = browser.submit(&login, &[("username", MARY), ("password", &"x".repeat(2_000_000))]).await;
    assert_eq!(longer.status, 413);
    server.stop().await;
}
