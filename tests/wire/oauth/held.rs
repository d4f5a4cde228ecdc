//! Something is being issued to an account while its access ends: what was issued by then ends with it, and what comes later is
//! not issued.

use jhe_testkit::{ADMIN, MARY as MARY_HERSELF, Reply, TestServer, eventually};
use serde_json::json;

use super::{Browser, authorize_url, code, console, console_tokens, exchange, parameter, text, token};

const MARY: &str = "manager_mary@example.com";
const PASSWORD: &str = "Jhe1234!";

/// Does `first`, which is held once it has done what a gate names (an event, a table), then `second`; lets go when the second
/// waits too, or is done. What both came to.
async fn meet<A, B>(
    server: &TestServer,
    (event, table): (&str, &str),
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
) -> (A, B) {
    let gate = format!(
        "CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN PERFORM pg_advisory_xact_lock_shared(hashtextextended('gate', 0)); RETURN NULL; END $$;
         CREATE TRIGGER z_gate AFTER {event} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION wait_at_gate()"
    );
    server.execute(gate.leak()).await;
    let mut keeper = server.store().begin().await.unwrap();
    keeper.queue_up("gate").await.unwrap();
    let waiting = async |count: usize| {
        let waiting = "SELECT count(*)::text FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let enough = async || server.scalar(waiting).await.parse::<usize>().unwrap() >= count;
        eventually("the gate is reached", enough).await;
    };
    let then = async {
        waiting(1).await;
        let second = std::pin::pin!(second);
        let other = std::pin::pin!(waiting(2));
        match futures_util::future::select(second, other).await {
            futures_util::future::Either::Left((came, _)) => {
                keeper.commit().await.unwrap();
                came
            }
            futures_util::future::Either::Right(((), second)) => {
                keeper.commit().await.unwrap();
                second.await
            }
        }
    };
    let outcome = tokio::join!(first, then);
    server.execute("DROP FUNCTION wait_at_gate() CASCADE").await;
    outcome
}

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
        let gate = ("INSERT", "oauth2_provider_accesstoken");
        let (tokens, _) = meet(&server, gate, token(&server, &form), change_rights(&server)).await;
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
    let (landing, _) = meet(&server, ("INSERT", "jhe_session"), sign_in, change_rights(&server)).await;
    assert_eq!(landing.status, 302);
    let after = browser.get(&authorize_url(&server, &[]).await).await;
    assert!(after.location.contains("/accounts/login/"), "{}", after.location);
    server.stop().await;
}

#[tokio::test]
async fn a_password_that_was_checked_before_access_ended_opens_nothing_after_it() {
    let server = TestServer::start().await;
    let gate = ("DELETE", "jhe_attempt");
    let browser = Browser::new();
    let sign_in = browser.sign_in(&server, MARY, PASSWORD);
    let (landing, _) = meet(&server, gate, sign_in, change_rights(&server)).await;
    assert!(landing.status == 302 && landing.location.starts_with("/accounts/login/"), "{}", landing.location);
    let after = browser.get(&authorize_url(&server, &[]).await).await;
    assert!(after.location.contains("/accounts/login/"), "{}", after.location);

    server.execute("UPDATE core_jheuser SET is_superuser = false WHERE id = 10002").await;
    let form = [("grant_type", "password"), ("username", MARY), ("password", PASSWORD), ("client_id", "demo-notebook")];
    let (refused, _) = meet(&server, gate, token(&server, &form), change_rights(&server)).await;
    assert_eq!(refused.expect(400).at("/error"), "invalid_grant");
    // The same way in once access has ended.
    server.execute("UPDATE core_jheuser SET is_superuser = false WHERE id = 10002").await;
    token(&server, &form).await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn a_code_that_is_being_issued_ends_with_its_session() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let url = authorize_url(&server, &[]).await;
    let logout = format!("{}/accounts/logout/", server.base);
    let gate = ("INSERT", "oauth2_provider_grant");
    let (landing, out) = meet(&server, gate, browser.get(&url), browser.get(&logout)).await;
    assert_eq!(out.status, 302);
    let late = parameter(&landing.location, "code").unwrap();
    exchange(&server, &late, &console(&server).await, &[]).await.expect(400);

    // When the session ends first, no code is issued.
    browser.sign_in(&server, MARY, PASSWORD).await;
    let gate = ("DELETE", "jhe_session");
    let (_, landing) = meet(&server, gate, browser.get(&logout), browser.get(&url)).await;
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
    let gate = ("INSERT", "oauth2_provider_accesstoken");
    let fields = [("id", &*row)];
    let remove = browser.submit(&page, &fields);
    let (tokens, removed) = meet(&server, gate, exchange(&server, &one, &client, &[]), remove).await;
    assert_eq!(removed.status, 302, "{}", removed.text);
    assert!(!opens(&server, &text(&tokens.expect(200).json(), "access_token")).await);
    server.stop().await;
}

/// Each holds one connection of the pool, and none waits for a second.
#[tokio::test]
async fn many_invitations_at_once_need_a_connection_each() {
    let server = TestServer::with(&[("JHE_DB_ACQUIRE_TIMEOUT", "5")]).await;
    let invitation = json!({"patientId": 40001, "clientId": 1});
    let calls = (0..12).map(|_| server.post("/api/v1/invitation").as_user(MARY_HERSELF).json(&invitation).send());
    for reply in futures_util::future::join_all(calls).await {
        reply.expect(201);
    }
    server.stop().await;
}
