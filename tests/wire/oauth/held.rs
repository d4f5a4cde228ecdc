//! Something is being issued to an account while its access ends: what was issued by then ends with it, and what comes later is
//! not issued.

use jhe_app::identity::account::password::{self, Change};
use jhe_app::identity::session::{self, Method};
use jhe_domain::Phi;
use jhe_testkit::{ADMIN, MARY as MARY_HERSELF, Reply, TestServer};
use serde_json::json;

use super::{Browser, authorize_url, code, console, console_tokens, exchange, parameter, text, token};
use crate::gate::meet;

const MARY: &str = "manager_mary@example.com";
const PASSWORD: &str = "Jhe1234!";

/// What a change of rights answers; it ends all access of the account.
async fn change_rights(server: &TestServer) -> Reply {
    let change = json!({"isSuperuser": true});
    server.patch("/api/v1/users/10002").as_user(ADMIN).json(&change).send().await.expect(200)
}

/// Whether a token opens anything.
async fn opens(server: &TestServer, access: &str) -> bool {
    server.get("/o/userinfo/").bearer(access).send().await.status == 200
}

#[tokio::test]
async fn a_token_that_is_being_refreshed_ends_with_the_others() {
    let server = TestServer::start().await;
    let client = console(&server).await;
    // Once as it is issued with others, once in a transaction of its own, for an id token with the address.
    for scope in ["read", "openid email"] {
        server.execute("UPDATE core_jheuser SET is_superuser = false WHERE id = 10002").await;
        let browser = Browser::new();
        browser.sign_in(&server, MARY, PASSWORD).await;
        let refresh = text(&console_tokens(&server, &browser, scope).await, "refresh_token");
        let form = [("grant_type", "refresh_token"), ("refresh_token", &*refresh), ("client_id", &*client)];
        let gate = [("INSERT", "oauth2_provider_accesstoken")];
        let (tokens, _) = Box::pin(meet(&server, &gate, token(&server, &form), change_rights(&server))).await;
        let tokens = tokens.expect(200).json();
        assert!(!opens(&server, &text(&tokens, "access_token")).await, "{scope}");
        let refresh = text(&tokens, "refresh_token");
        let form = [("grant_type", "refresh_token"), ("refresh_token", &*refresh), ("client_id", &*client)];
        token(&server, &form).await.expect(400);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_session_that_is_just_beginning_ends_with_the_others() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    let sign_in = browser.sign_in(&server, MARY, PASSWORD);
    let (landing, _) = Box::pin(meet(&server, &[("INSERT", "jhe_session")], sign_in, change_rights(&server))).await;
    assert_eq!(landing.status, 302);
    let after = browser.get(&authorize_url(&server, &[]).await).await;
    assert!(after.location.contains("/accounts/login/"), "{}", after.location);
    server.stop().await;
}

#[tokio::test]
async fn a_password_that_was_checked_before_access_ended_opens_nothing_after_it() {
    let server = TestServer::start().await;
    let gate = [("DELETE", "jhe_attempt")];
    let browser = Browser::new();
    let sign_in = browser.sign_in(&server, MARY, PASSWORD);
    let (landing, _) = Box::pin(meet(&server, &gate, sign_in, change_rights(&server))).await;
    assert!(landing.status == 302 && landing.location.starts_with("/accounts/login/"), "{}", landing.location);
    let after = browser.get(&authorize_url(&server, &[]).await).await;
    assert!(after.location.contains("/accounts/login/"), "{}", after.location);

    server.execute("UPDATE core_jheuser SET is_superuser = false WHERE id = 10002").await;
    let form = [("grant_type", "password"), ("username", MARY), ("password", PASSWORD), ("client_id", "demo-notebook")];
    let (refused, _) = Box::pin(meet(&server, &gate, token(&server, &form), change_rights(&server))).await;
    assert_eq!(refused.expect(400).at("/error"), "invalid_grant");
    // The same way in once access has ended.
    server.execute("UPDATE core_jheuser SET is_superuser = false WHERE id = 10002").await;
    token(&server, &form).await.expect(200);
    server.stop().await;
}

/// Whoever has read an old password does not choose the next one once the owner has.
#[tokio::test]
async fn a_password_is_not_changed_by_a_session_that_has_ended() {
    let server = TestServer::start().await;
    let app = server.app();
    let account = server.store().read().await.unwrap().account_by_email(&Phi::new(MARY.to_owned())).await.unwrap();
    let begun =
        session::begin(app, &account.unwrap(), Method::Password, session::Browser::default()).await.unwrap().unwrap();
    let visitor = session::visitor(app, begun.cookie.reveal()).await.unwrap().unwrap();
    let chosen = "a quiet harbour at dusk";
    let change = async || password::change(app, &visitor, PASSWORD, chosen, chosen, None).await.unwrap();
    change_rights(&server).await;
    assert!(matches!(change().await, Change::Refused { old: true, .. }));
    assert_eq!(Browser::new().sign_in(&server, MARY, PASSWORD).await.status, 302);
    server.stop().await;
}

#[tokio::test]
async fn a_code_that_is_being_issued_ends_with_its_session() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let url = authorize_url(&server, &[]).await;
    let logout = format!("{}/accounts/logout/", server.base);
    let gate = [("INSERT", "oauth2_provider_grant")];
    let (landing, out) = Box::pin(meet(&server, &gate, browser.get(&url), browser.get(&logout))).await;
    assert_eq!(out.status, 302);
    let late = parameter(&landing.location, "code").unwrap();
    exchange(&server, &late, &console(&server).await, &[]).await.expect(400);

    // When the session ends first, no code is issued.
    browser.sign_in(&server, MARY, PASSWORD).await;
    let gate = [("DELETE", "jhe_session")];
    let (_, landing) = Box::pin(meet(&server, &gate, browser.get(&logout), browser.get(&url))).await;
    assert_eq!(parameter(&landing.location, "code"), None, "{}", landing.location);
    assert_eq!(parameter(&landing.location, "error").as_deref(), Some("login_required"));
    server.stop().await;
}

#[tokio::test]
async fn a_code_that_is_being_exchanged_ends_with_its_client() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let client = console(&server).await;
    console_tokens(&server, &browser, "openid").await;
    let one = code(&server, &browser).await;
    let row = server.scalar("SELECT id::text FROM oauth2_provider_application WHERE name = 'JHE Admin UI'").await;
    let page = format!("{}/o/authorized_tokens/", server.base);
    let gate = [("INSERT", "oauth2_provider_accesstoken")];
    let fields = [("id", &*row)];
    let remove = browser.submit(&page, &fields);
    let (tokens, removed) = Box::pin(meet(&server, &gate, exchange(&server, &one, &client, &[]), remove)).await;
    assert_eq!(removed.status, 302, "{}", removed.text);
    assert!(!opens(&server, &text(&tokens.expect(200).json(), "access_token")).await);
    server.stop().await;
}

/// Each holds one connection of the pool, and none waits for a second.
#[tokio::test]
async fn many_invitations_at_once_need_a_connection_each() {
    let server = TestServer::with(&[("JHE_DB_ACQUIRE_TIMEOUT", "30")]).await;
    let invitation = json!({"patientId": 40001, "clientId": 1});
    let calls = (0..12).map(|_| server.post("/api/v1/invitation").as_user(MARY_HERSELF).json(&invitation).send());
    for reply in futures_util::future::join_all(calls).await {
        reply.expect(201);
    }
    server.stop().await;
}
