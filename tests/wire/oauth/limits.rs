//! How often things may be tried (contract: identity §4.9), counted in the database for all processes.

use jhe_domain::client::GrantType;
use jhe_testkit::TestServer;

use super::{Browser, register, token};

#[tokio::test]
async fn an_address_gets_so_many_failures_a_minute() {
    let server = TestServer::start().await;
    for number in 0..10 {
        let page = Browser::new().sign_in(&server, &format!("nobody{number}@example.org"), "wrong").await;
        assert_eq!(page.status, 200, "{number}");
    }
    let page = Browser::new().sign_in(&server, "manager_mary@example.com", "Jhe1234!").await;
    assert_eq!(page.status, 429);
    assert!(
        page.text.contains("You're making requests too quickly. Please wait a moment and try again."),
        "{}",
        page.text
    );
    server.clock.advance(chrono::TimeDelta::seconds(61));
    assert_eq!(Browser::new().sign_in(&server, "manager_mary@example.com", "Jhe1234!").await.status, 302);
    server.stop().await;
}

#[tokio::test]
async fn a_client_gets_ten_wrong_secrets_a_minute() {
    let server = TestServer::start().await;
    let grants = [GrantType::ClientCredentials];
    let (client, secret) = register(&server, "Service", &grants, &[], |request| request.confidential = true).await;
    let ask = async |secret: &str| {
        let form = [("grant_type", "client_credentials"), ("client_id", client.as_str()), ("client_secret", secret)];
        token(&server, &form).await
    };
    for _ in 0..10 {
        ask("wrong").await.expect(401);
    }
    let refused = ask(&secret).await.expect(429);
    assert_eq!(refused.at("/error"), "temporarily_unavailable");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    server.clock.advance(chrono::TimeDelta::seconds(61));
    ask(&secret).await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn pages_that_send_mail_have_limits() {
    let server = TestServer::start().await;
    server.set("site.registration_invite_code", "string", "'harbour'").await;
    let reset = format!("{}/accounts/password_reset/", server.base);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(Browser::new().submit(&reset, &[("email", "Manager_Mary@example.com")]).await.status);
    }
    assert_eq!(statuses, [302, 302, 302, 302, 302, 429]);
    let sign_up = format!("{}/accounts/signup/", server.base);
    for number in 0..21 {
        let status = Browser::new().submit(&sign_up, &[("joincode", "guess"), ("email", "x")]).await.status;
        assert_eq!(status, if number < 20 { 200 } else { 429 }, "{number}");
    }
    server.stop().await;
}

#[tokio::test]
async fn unknown_invitations_are_guessed_ten_times_a_minute() {
    let server = TestServer::start().await;
    for number in 0..10 {
        server.post(&format!("/api/v1/invitation/{}", format!("{number}").repeat(32))).send().await.expect(404);
    }
    let refused = server.post(&format!("/api/v1/invitation/{}", "x".repeat(32))).send().await.expect(429);
    assert!(refused.detail().starts_with("Request was throttled. Expected available in "), "{}", refused.detail());
    server.stop().await;
}

#[tokio::test]
async fn expired_rows_are_removed_after_a_week_and_nothing_else_is() {
    let server = TestServer::start().await;
    let form = [
        ("grant_type", "password"),
        ("username", "manager_mary@example.com"),
        ("password", "Jhe1234!"),
        ("client_id", "demo-notebook"),
    ];
    token(&server, &form).await.expect(200);
    Browser::new().sign_in(&server, "manager_mary@example.com", "Jhe1234!").await;
    let count = "SELECT concat_ws(' ', (SELECT count(*) FROM oauth2_provider_accesstoken WHERE created > '2026-09-01' AND expires < '2027-01-01'),
                   (SELECT count(*) FROM oauth2_provider_refreshtoken), (SELECT count(*) FROM jhe_session))";
    assert_eq!(server.scalar(count).await, "1 1 1");
    server.clock.advance(chrono::TimeDelta::days(6));
    jhe_app::housekeeping::purge(server.app()).await.unwrap();
    assert_eq!(server.scalar(count).await, "1 1 1");
    server.clock.advance(chrono::TimeDelta::days(2));
    jhe_app::housekeeping::purge(server.app()).await.unwrap();
    assert_eq!(server.scalar(count).await, "0 1 1", "the access token lived ten hours");
    server.clock.advance(chrono::TimeDelta::days(200));
    jhe_app::housekeeping::purge(server.app()).await.unwrap();
    assert_eq!(server.scalar(count).await, "0 0 0");
    server.stop().await;
}
