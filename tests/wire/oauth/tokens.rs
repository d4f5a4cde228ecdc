//! The token endpoint and what tokens open.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jhe_testkit::TestServer;
use serde_json::Value;

use super::{Browser, VERIFIER, code, console, token};

const MARY: &str = "manager_mary@example.com";
const PASSWORD: &str = "Jhe1234!";

async fn exchange(server: &TestServer, code: &str, verifier: &str, client: &str) -> jhe_testkit::Reply {
    let redirect = format!("{}/auth/callback", server.base);
    token(
        server,
        &[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &redirect),
            ("client_id", client),
            ("code_verifier", verifier),
        ],
    )
    .await
}

async fn signed_in(server: &TestServer) -> Browser {
    let browser = Browser::new();
    assert_eq!(browser.sign_in(server, MARY, PASSWORD).await.status, 302);
    browser
}

#[tokio::test]
async fn a_code_becomes_tokens_once() {
    let server = TestServer::start().await;
    let client = console(&server).await;
    let browser = signed_in(&server).await;
    let first = code(&server, &browser).await;
    let reply = exchange(&server, &first, VERIFIER, &client).await.expect(200);
    assert_eq!(reply.header("cache-control"), "no-store");
    let body = reply.json();
    assert_eq!((&body["token_type"], &body["scope"]), (&"Bearer".into(), &"openid".into()));
    assert!(body["expires_in"].as_i64().unwrap() > 0);
    let access = body["access_token"].as_str().unwrap();
    let profile = server.get("/api/v1/users/profile").bearer(access).send().await.expect(200);
    assert_eq!(profile.at("/id"), 10002);
    let claims = body["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["sub"], "10002");
    assert_eq!(claims["nonce"], "a nonce");
    assert_eq!(claims["aud"], client);
    assert_eq!(claims["iss"], format!("{}/o", server.base));
    assert_eq!(server.get("/o/userinfo/").bearer(access).send().await.expect(200).at("/sub"), "10002");

    // Used again, it is refused, and what it gave is taken back.
    exchange(&server, &first, VERIFIER, &client).await.expect(400);
    server.get("/api/v1/users/profile").bearer(access).send().await.expect(401);
    server.stop().await;
}

#[tokio::test]
async fn a_code_needs_its_verifier_client_and_time() {
    let server = TestServer::start().await;
    let client = console(&server).await;
    let browser = signed_in(&server).await;
    let refused = |reply: jhe_testkit::Reply, error: &str| assert_eq!(reply.expect(400).at("/error"), error);
    let one = code(&server, &browser).await;
    refused(exchange(&server, &one, &"x".repeat(43), &client).await, "invalid_grant");
    refused(exchange(&server, "nonsense", VERIFIER, &client).await, "invalid_grant");
    let other = server.scalar("SELECT client_id FROM oauth2_provider_application WHERE id = 1").await;
    refused(exchange(&server, &one, VERIFIER, &other).await, "invalid_grant");
    let late = code(&server, &browser).await;
    server.execute("UPDATE oauth2_provider_grant SET expires = now() - interval '1 year'").await;
    refused(exchange(&server, &late, VERIFIER, &client).await, "invalid_grant");
    server.stop().await;
}

#[tokio::test]
async fn refresh_tokens_rotate_and_reuse_ends_the_family() {
    let server = TestServer::start().await;
    let sign_in = || async {
        token(
            &server,
            &[("grant_type", "password"), ("username", MARY), ("password", PASSWORD), ("client_id", "demo-notebook")],
        )
        .await
        .expect(200)
        .json()
    };
    let refresh = |text: String| {
        let server = &server;
        async move {
            token(server, &[("grant_type", "refresh_token"), ("refresh_token", &text), ("client_id", "demo-notebook")])
                .await
        }
    };
    let text = |body: &Value, name: &str| body[name].as_str().unwrap().to_owned();
    let first = sign_in().await;
    let second = refresh(text(&first, "refresh_token")).await.expect(200).json();
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    server.get("/api/v1/users/profile").bearer(&text(&second, "access_token")).send().await.expect(200);
    server.clock.advance(chrono::TimeDelta::hours(1));
    assert_eq!(refresh(text(&first, "refresh_token")).await.expect(400).at("/error"), "invalid_grant");
    refresh(text(&second, "refresh_token")).await.expect(400);
    server.get("/api/v1/users/profile").bearer(&text(&second, "access_token")).send().await.expect(401);
    server.stop().await;
}

#[tokio::test]
async fn the_password_grant_is_for_its_client_and_right_passwords() {
    let server = TestServer::start().await;
    let client = console(&server).await;
    let ask = |client: String, password: &'static str| {
        let server = &server;
        async move {
            token(
                server,
                &[("grant_type", "password"), ("username", MARY), ("password", password), ("client_id", &client)],
            )
            .await
        }
    };
    ask("demo-notebook".to_owned(), PASSWORD).await.expect(200);
    assert_eq!(ask("demo-notebook".to_owned(), "wrong").await.expect(400).at("/error"), "invalid_grant");
    assert_eq!(ask(client, PASSWORD).await.expect(400).at("/error"), "unauthorized_client");
    assert_eq!(ask("nobody".to_owned(), PASSWORD).await.expect(401).at("/error"), "invalid_client");
    server.stop().await;
}

#[tokio::test]
async fn an_account_is_locked_for_a_while_after_wrong_passwords() {
    let server = TestServer::start().await;
    let ask = |email: &'static str, password: &'static str| {
        let server = &server;
        async move {
            let form = [
                ("grant_type", "password"),
                ("username", email),
                ("password", password),
                ("client_id", "demo-notebook"),
            ];
            token(server, &form).await
        }
    };
    for spelling in [MARY, "Manager_Mary@Example.com", " manager_mary@example.com", MARY, MARY] {
        ask(spelling, "wrong").await.expect(400);
    }
    assert_eq!(ask(MARY, PASSWORD).await.expect(400).at("/error"), "invalid_grant", "also the right one");
    ask("member_megan@example.com", PASSWORD).await.expect(200);
    let page = Browser::new().sign_in(&server, MARY, PASSWORD).await;
    assert_eq!(page.status, 429);
    server.clock.advance(chrono::TimeDelta::minutes(6));
    ask(MARY, PASSWORD).await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn malformed_requests_are_the_callers_fault() {
    let server = TestServer::start().await;
    let check: &[(&[(&str, &str)], u16, &str)] = &[
        (&[], 400, "unsupported_grant_type"),
        (&[("grant_type", "magic"), ("client_id", "demo-notebook")], 400, "unsupported_grant_type"),
        (&[("grant_type", "password"), ("client_id", "demo-notebook")], 400, "invalid_request"),
        (
            &[("grant_type", "refresh_token"), ("client_id", "demo-notebook"), ("refresh_token", "\0")],
            400,
            "invalid_request",
        ),
        (&[("grant_type", "authorization_code"), ("client_id", "demo-notebook"), ("code", "x")], 400, ""),
    ];
    for (form, status, error) in check {
        let reply = token(&server, form).await.expect(*status);
        assert!(error.is_empty() || reply.at("/error") == *error, "{form:?}: {}", reply.text());
    }
    for (media_type, body) in
        [("application/json", "{}"), ("text/plain", "x"), ("application/x-www-form-urlencoded", "%ff=%00&&&=")]
    {
        let reply = server.post("/o/token/").body(media_type, body).send().await;
        assert!(matches!(reply.status.as_u16(), 400 | 401 | 415), "{media_type}: {}", reply.status);
    }
    assert!(server.get("/o/token/").send().await.status.as_u16() == 405);
    server.stop().await;
}

#[tokio::test]
async fn a_revoked_token_opens_nothing() {
    let server = TestServer::start().await;
    let form = [("grant_type", "password"), ("username", MARY), ("password", PASSWORD), ("client_id", "demo-notebook")];
    let body = token(&server, &form).await.expect(200).json();
    let access = body["access_token"].as_str().unwrap();
    server.get("/api/v1/users/profile").bearer(access).send().await.expect(200);
    server.post("/o/revoke_token/").form(&[("token", access), ("client_id", "demo-notebook")]).send().await.expect(200);
    server.get("/api/v1/users/profile").bearer(access).send().await.expect(401);
    server.stop().await;
}

#[tokio::test]
async fn secrets_are_stored_as_digests() {
    let server = TestServer::start().await;
    let form = [("grant_type", "password"), ("username", MARY), ("password", PASSWORD), ("client_id", "demo-notebook")];
    let body = token(&server, &form).await.expect(200).json();
    let dump = server
        .scalar("SELECT coalesce(string_agg(t::text, ' '), '') || (SELECT coalesce(string_agg(r::text, ' '), '') FROM oauth2_provider_refreshtoken AS r) FROM oauth2_provider_accesstoken AS t")
        .await;
    for name in ["access_token", "refresh_token"] {
        assert!(!dump.contains(body[name].as_str().unwrap()), "{name} is stored as it is");
    }
    server.stop().await;
}

#[tokio::test]
async fn every_spelling_of_an_address_counts_for_its_account() {
    let server = TestServer::start().await;
    let ask = async |username: &str, password: &str| {
        let form = [
            ("grant_type", "password"),
            ("username", username),
            ("password", password),
            ("client_id", "demo-notebook"),
        ];
        token(&server, &form).await.status.as_u16()
    };
    for _ in 0..5 {
        assert_eq!(ask("viewer_victor@example.com", "wrong").await, 400);
    }
    // The database folds these letters to the same address.
    for spelling in ["viewer_victor@example.com", "v\u{130}ewer_victor@example.com", "VIEWER_V\u{130}CTOR@example.com"]
    {
        assert_eq!(ask(spelling, PASSWORD).await, 400, "{spelling}");
    }
    server.stop().await;
}

#[tokio::test]
async fn failures_under_way_do_not_lengthen_a_lock() {
    let server = TestServer::start().await;
    let tries: Vec<_> = (0..20)
        .map(|_| {
            let form =
                [("grant_type", "password"), ("username", MARY), ("password", "wrong"), ("client_id", "demo-notebook")];
            let call = server.post("/o/token/").form(&form);
            tokio::spawn(async move { call.send().await.expect(400) })
        })
        .collect();
    for attempt in tries {
        attempt.await.unwrap();
    }
    assert_eq!(server.scalar("SELECT times::text FROM jhe_lockout").await, "1");
    server.clock.advance(chrono::TimeDelta::seconds(301));
    let form = [("grant_type", "password"), ("username", MARY), ("password", PASSWORD), ("client_id", "demo-notebook")];
    token(&server, &form).await.expect(200);
    server.stop().await;
}
