//! What the audit trail holds of signing in and of tokens: who, through which client, from where, and no secrets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jhe_app::operator::{self, ClientRequest};
use jhe_testkit::{MARY, TestClock, TestServer, eventually};
use serde_json::json;

use super::{Browser, console, console_tokens, exchange, text, token};

const EMAIL: &str = "manager_mary@example.com";
const PASSWORD: &str = "Jhe1234!";

/// What a question about the trail answers once no more entries come: some follow their commit.
async fn settled(server: &TestServer, question: &'static str) -> String {
    let mut before = String::new();
    eventually("no more entries come", async || {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let now = server.scalar(question).await;
        let same = !now.is_empty() && now == before;
        before = now;
        same
    })
    .await;
    before
}

async fn trail(server: &TestServer) -> String {
    let question =
            "SELECT string_agg(concat_ws(' ', action, resource, actor_user_id,
                                         CASE WHEN application_id IS NOT NULL THEN 'client' END, host(ip)), E'\n' ORDER BY id)
               FROM jhe_audit_event
              WHERE action NOT IN ('read', 'create', 'update', 'delete')";
    settled(server, question).await
}

#[tokio::test]
async fn events_of_identity_are_recorded() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, EMAIL, "wrong").await;
    browser.sign_in(&server, "nobody@example.org", "wrong").await;
    browser.sign_in(&server, EMAIL, PASSWORD).await;
    let tokens = console_tokens(&server, &browser, "openid").await;
    let client = console(&server).await;
    let refresh = text(&tokens, "refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str()), ("client_id", client.as_str())];
    let fresh = token(&server, &form).await.expect(200).json();
    server.clock.advance(chrono::TimeDelta::minutes(5));
    token(&server, &form).await.expect(400);
    let second = console_tokens(&server, &browser, "openid").await;
    let access = text(&second, "access_token");
    server.post("/o/revoke_token/").form(&[("token", &access), ("client_id", &client)]).send().await.expect(200);
    browser.get(&format!("{}/accounts/logout/", server.base)).await;
    let trail = trail(&server).await;
    let expected = [
        "login_failed JheUser 127.0.0.1",
        "login_failed JheUser 127.0.0.1",
        "login JheUser 10002 127.0.0.1",
        "token_issue JheUser 10002 client 127.0.0.1",
        "token_refresh JheUser 10002 client 127.0.0.1",
        "token_reuse RefreshToken 10002 client 127.0.0.1",
        "token_issue JheUser 10002 client 127.0.0.1",
        "token_revoke AccessToken client 127.0.0.1",
        "logout JheUser 10002 127.0.0.1",
    ];
    let mut found: Vec<&str> = trail.lines().collect();
    // Entries that follow a commit may come a moment late.
    let mut wanted = expected.to_vec();
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted, "{trail}");
    let all = server.scalar("SELECT string_agg(e::text, ' ') FROM jhe_audit_event AS e").await;
    for secret in [access, refresh, text(&fresh, "refresh_token"), "wrong".to_owned(), EMAIL.to_owned()] {
        assert!(!all.contains(&secret), "{secret} is in the trail");
    }
    server.stop().await;
}

#[tokio::test]
async fn lock_outs_invitations_and_used_codes_are_recorded() {
    let server = TestServer::start().await;
    let form = [("grant_type", "password"), ("username", EMAIL), ("password", "wrong"), ("client_id", "demo-notebook")];
    for _ in 0..5 {
        token(&server, &form).await.expect(400);
    }
    let body = json!({"patientId": 40001, "clientId": 1});
    let made = server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201).json();
    let secret = text(&made, "token");
    let grant = server.post("/api/v1/invitation/redeem").json(&json!({"token": secret})).send().await.expect(200);
    let grant = grant.at("/grant");
    let verifier = URL_SAFE_NO_PAD.encode(secret.as_bytes());
    let (code, client) = (text(&grant, "code"), text(&grant, "client_id"));
    exchange(&server, &code, &client, &[("code_verifier", &verifier)]).await.expect(200);
    exchange(&server, &code, &client, &[("code_verifier", &verifier)]).await.expect(400);
    let other = server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201).at("/id");
    let cancel = json!({"status": "cancelled"});
    server.patch(&format!("/api/v1/invitation/{other}")).as_user(MARY).json(&cancel).send().await.expect(200);
    let trail = trail(&server).await;
    for entry in [
        "login_failed JheUser client 127.0.0.1",
        "lockout JheUser client 127.0.0.1",
        "invite ",
        "redeem ",
        "token_reuse Grant 10006 client 127.0.0.1",
        "cancel PatientInvitation 10002",
    ] {
        assert!(trail.lines().any(|line| line.starts_with(entry)), "{entry} is not in\n{trail}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_operators_make_is_recorded() {
    let server = TestServer::start().await;
    let before = server.scalar("SELECT coalesce(max(id), 0)::text FROM jhe_audit_event").await;
    let user = operator::create_user(server.store(), "op@example.org", "Quite-long-1", None, true).await.unwrap();
    let request = ClientRequest { name: "Made at the shell".to_owned(), ..ClientRequest::default() };
    let (client, _) = operator::create_client(server.store(), request, None).await.unwrap();
    let client = format!("SELECT id::text FROM oauth2_provider_application WHERE client_id = '{client}'");
    let client = server.scalar(client.leak()).await;
    // As `jhe keys rotate` does it.
    operator::retire_signing_key(server.store()).await.unwrap();
    let (config, clock) = (server.app().config().clone(), std::sync::Arc::new(TestClock::default()));
    jhe_app::App::start(server.store().clone(), config, clock).await.unwrap();
    let trail = format!(
        "SELECT string_agg(concat_ws(' ', action, resource, resource_id, actor_user_id, status, template), E'\n' ORDER BY id)
           FROM jhe_audit_event WHERE id > {before}"
    );
    let trail = server.scalar(trail.leak()).await;
    let expected = [
        format!("create JheUser {user}"),
        format!("create Application {client}"),
        "update SigningKey".to_owned(),
        "create SigningKey".to_owned(),
    ];
    assert_eq!(trail.lines().collect::<Vec<_>>(), expected, "by nobody who has an account, in no request");
    server.stop().await;
}

#[tokio::test]
async fn the_trail_cannot_be_rewritten() {
    let server = TestServer::start().await;
    Browser::new().sign_in(&server, EMAIL, PASSWORD).await;
    for statement in ["UPDATE jhe_audit_event SET action = 'read'", "DELETE FROM jhe_audit_event"] {
        assert!(server.store().execute_raw(statement).await.is_err(), "{statement}");
    }
    server.stop().await;
}

#[tokio::test]
async fn entries_of_identity_tell_how_the_request_was_answered() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    assert_eq!(browser.sign_in(&server, EMAIL, "wrong").await.status, 200);
    assert_eq!(browser.sign_in(&server, EMAIL, PASSWORD).await.status, 302);
    let tokens = console_tokens(&server, &browser, "openid").await;
    let client = console(&server).await;
    let access = text(&tokens, "access_token");
    let form = [("grant_type", "password"), ("username", EMAIL), ("password", "wrong"), ("client_id", "demo-notebook")];
    token(&server, &form).await.expect(400);
    server.post("/o/revoke_token/").form(&[("token", &access), ("client_id", &client)]).send().await.expect(200);
    assert_eq!(browser.get(&format!("{}/accounts/logout/", server.base)).await.status, 302);
    let question = "SELECT string_agg(concat_ws(' ', action, status, template), E'\n' ORDER BY action, template)
               FROM jhe_audit_event WHERE action NOT IN ('read', 'create', 'update', 'delete')";
    let trail = settled(&server, question).await;
    assert_eq!(
        trail.lines().collect::<Vec<_>>(),
        [
            "login 302 POST /accounts/login/",
            "login_failed 200 POST /accounts/login/",
            "login_failed 400 POST /o/token",
            "logout 302 GET /accounts/logout/",
            "token_issue 200 POST /o/token",
            "token_revoke 200 POST /o/revoke_token",
        ]
    );
    server.stop().await;
}

/// Whoever does not wait for the answer has the tokens in the trail all the same.
#[tokio::test]
async fn what_is_issued_to_a_client_that_has_left_is_recorded() {
    const TOKENS: &str = "SELECT count(*)::text FROM oauth2_provider_accesstoken";
    let server = TestServer::start().await;
    let before: i64 = server.scalar(TOKENS).await.parse().unwrap();
    let gate = "CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$
        BEGIN PERFORM pg_advisory_xact_lock_shared(hashtextextended('gate', 0)); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER z_gate AFTER INSERT ON oauth2_provider_accesstoken DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION wait_at_gate()";
    server.execute(gate).await;
    let mut keeper = server.store().begin().await.unwrap();
    keeper.queue_up("gate").await.unwrap();
    let form =
        [("grant_type", "password"), ("username", EMAIL), ("password", PASSWORD), ("client_id", "demo-notebook")];
    {
        let asked = std::pin::pin!(token(&server, &form));
        let committing = "SELECT count(*)::text FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ILIKE 'commit%'";
        let held = eventually("the commit is held", async || server.scalar(committing).await == "1");
        // The request is given up with this block.
        futures_util::future::select(asked, std::pin::pin!(held)).await;
    }
    // The server has noticed that by now.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    keeper.commit().await.unwrap();
    let issued = "SELECT count(*)::text FROM jhe_audit_event WHERE action = 'token_issue'";
    eventually("the entry is there", async || server.scalar(issued).await == "1").await;
    assert_eq!(server.scalar(TOKENS).await.parse::<i64>().unwrap(), before + 1);
    server.stop().await;
}
