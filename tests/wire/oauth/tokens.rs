//! The token endpoint and what tokens open.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jhe_testkit::{TestServer, eventually};
use serde_json::{Value, json};

use super::{Browser, VERIFIER, authorize_url, claims, code, console, parameter, text, token};

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
async fn a_verifier_of_letters_that_none_has_is_a_wrong_one() {
    let server = TestServer::start().await;
    let browser = signed_in(&server).await;
    let client = console(&server).await;
    let code = code(&server, &browser).await;
    for verifier in ["\0", &format!("{VERIFIER}\0"), "short"] {
        let refused = exchange(&server, &code, verifier, &client).await.expect(400);
        assert_eq!(refused.at("/error"), "invalid_grant", "{verifier:?}");
        assert!(refused.at("/error_description").is_null(), "{verifier:?}");
    }
    exchange(&server, &code, VERIFIER, &client).await.expect(200);
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

#[tokio::test]
async fn a_code_answers_with_everything_a_strict_client_checks() {
    let server = TestServer::start().await;
    let browser = signed_in(&server).await;
    let client = console(&server).await;
    let landing = browser.get(&authorize_url(&server, &[("scope", "openid email")]).await).await;
    let code = parameter(&landing.location, "code").unwrap();
    let reply = super::exchange(&server, &code, &client, &[]).await.expect(200);
    assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store".into(), "no-cache".into()));
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    let body = reply.json();
    let mut keys: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"]);
    assert_eq!(body["expires_in"], 36000);
    let claims = claims(&text(&body, "id_token"));
    assert_eq!((&claims["email"], &claims["email_verified"]), (&json!(MARY), &json!(true)));
    assert!(claims.get("azp").is_none() && claims["aud"].is_string());
    let now = server.app().now().timestamp();
    assert_eq!((&claims["iat"], &claims["exp"], &claims["auth_time"]), (&json!(now), &json!(now + 36000), &json!(now)));
    // The left half of the token's SHA-256 (OpenID Connect Core §3.1.3.6).
    let digest = jhe_crypto::token::digest(&text(&body, "access_token"));
    assert_eq!(claims["at_hash"], URL_SAFE_NO_PAD.encode(&digest[..16]));
    assert!(uuid_like(claims["jti"].as_str().unwrap()));
    // Without `email` and without a nonce neither is told.
    let landing = browser.get(&authorize_url(&server, &[("nonce", "")]).await).await;
    let code = parameter(&landing.location, "code").unwrap();
    let body = super::exchange(&server, &code, &client, &[]).await.expect(200).json();
    let plain = super::claims(&text(&body, "id_token"));
    assert!(plain.get("email").is_none() && plain.get("nonce").is_none());
    // Without `openid` there is no id token.
    let body = super::console_tokens(&server, &browser, "read write").await;
    assert!(body.get("id_token").is_none() && body["scope"] == "read write");
    server.stop().await;
}

fn uuid_like(text: &str) -> bool {
    text.len() == 36 && text.matches('-').count() == 4
}

#[tokio::test]
async fn each_fault_of_an_exchange_has_its_words() {
    let server = TestServer::start().await;
    let browser = signed_in(&server).await;
    let client = console(&server).await;
    let code = code(&server, &browser).await;
    let check: &[(&[(&str, &str)], u16, &str, Option<&str>)] = &[
        (&[("code", "")], 400, "invalid_request", Some("Missing code parameter.")),
        (&[("client_id", "")], 401, "invalid_client", None),
        (&[("client_id", "unknown")], 401, "invalid_client", None),
        (&[("client_id", "demo-notebook")], 400, "unauthorized_client", None),
        (&[("client_secret", "guess")], 401, "invalid_client", None),
        (&[("code_verifier", "")], 400, "invalid_request", Some("Code verifier required.")),
        (&[("code_verifier", "too-short")], 400, "invalid_grant", None),
        (&[("redirect_uri", "https://evil.example/")], 400, "invalid_request", Some("Mismatching redirect URI.")),
        (&[("scope", "openid read write")], 400, "invalid_scope", None),
        (&[("scope", "bogus")], 400, "invalid_scope", None),
    ];
    for (changes, status, error, description) in check {
        let reply = super::exchange(&server, &code, &client, changes).await.expect(*status);
        assert_eq!(reply.at("/error"), *error, "{changes:?}");
        assert_eq!(reply.at("/error_description").as_str(), *description, "{changes:?}");
        assert_eq!(reply.header("cache-control"), "no-store", "{changes:?}");
    }
    // None of this used the code up; time does.
    let late = super::code(&server, &browser).await;
    let granted = super::exchange(&server, &code, &client, &[("scope", "openid")]).await.expect(200);
    assert_eq!(granted.at("/scope"), "openid");
    server.clock.advance(chrono::TimeDelta::seconds(61));
    assert_eq!(super::exchange(&server, &late, &client, &[]).await.expect(400).at("/error"), "invalid_grant");
    // Parameters stand in the body, once each, as a form.
    let query = server.post("/o/token/?grant_type=authorization_code").form(&[("client_id", &client)]).send().await;
    assert_eq!(query.expect(400).at("/error_description"), "URL query parameters are not allowed");
    let form = [("grant_type", "refresh_token"), ("client_id", "a"), ("client_id", "b")];
    assert_eq!(token(&server, &form).await.expect(400).at("/error_description"), "Duplicate client_id parameter.");
    let body = json!({"grant_type": "authorization_code", "code": code});
    assert_eq!(server.post("/o/token/").json(&body).send().await.expect(400).at("/error"), "unsupported_grant_type");
    let get = server.get("/o/token").send().await.expect(405);
    assert_eq!(get.header("allow"), "POST, OPTIONS");
    server.post("/o/token").form(&[("grant_type", "magic")]).send().await.expect(400);
    server.stop().await;
}

#[tokio::test]
async fn a_guessed_verifier_does_not_use_a_code_up_but_five_burn_it() {
    let server = TestServer::start().await;
    let browser = signed_in(&server).await;
    let client = console(&server).await;
    let wrong = "x".repeat(43);
    for (tries, expected) in [(4, 200), (5, 400)] {
        let code = code(&server, &browser).await;
        for _ in 0..tries {
            super::exchange(&server, &code, &client, &[("code_verifier", &wrong)]).await.expect(400);
        }
        super::exchange(&server, &code, &client, &[]).await.expect(expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn one_of_many_exchanges_at_once_wins() {
    let server = TestServer::start().await;
    let browser = signed_in(&server).await;
    let client = console(&server).await;
    let code = code(&server, &browser).await;
    let redirect = format!("{}/auth/callback", server.base);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", redirect.as_str()),
        ("client_id", client.as_str()),
        ("code_verifier", VERIFIER),
    ];
    let tries: Vec<_> = (0..20).map(|_| tokio::spawn(server.post("/o/token/").form(&form).send())).collect();
    let mut won = Vec::new();
    for attempt in tries {
        let reply = attempt.await.unwrap();
        assert!(matches!(reply.status.as_u16(), 200 | 400), "{}", reply.status);
        won.extend((reply.status.as_u16() == 200).then_some(reply));
    }
    assert_eq!(won.len(), 1);
    // The others looked like a second use, which takes back what the first one gave.
    let access = text(&won[0].json(), "access_token");
    server.get("/api/v1/users/profile").bearer(&access).send().await.expect(401);
    server.stop().await;
}

#[tokio::test]
async fn a_refresh_keeps_who_signed_in_when_and_may_narrow() {
    let server = TestServer::start().await;
    let browser = signed_in(&server).await;
    let client = console(&server).await;
    let first = super::console_tokens(&server, &browser, "openid email read").await;
    let refresh = async |body: &Value, scope: &str| {
        let text = text(body, "refresh_token");
        let mut form =
            vec![("grant_type", "refresh_token"), ("refresh_token", text.as_str()), ("client_id", client.as_str())];
        if !scope.is_empty() {
            form.push(("scope", scope));
        }
        token(&server, &form).await
    };
    // The same person signs in once more meanwhile.
    server.clock.advance(chrono::TimeDelta::minutes(30));
    signed_in(&server).await;
    let second = refresh(&first, "").await.expect(200).json();
    let (before, after) = (claims(&text(&first, "id_token")), claims(&text(&second, "id_token")));
    assert_eq!(
        (&after["auth_time"], &after["sub"], &after["aud"]),
        (&before["auth_time"], &before["sub"], &before["aud"])
    );
    assert!(after.get("nonce").is_none() && after.get("azp").is_none());
    server.get("/api/v1/users/profile").bearer(&text(&first, "access_token")).send().await.expect(401);
    // Narrowed once, the refresh token still holds everything.
    let third = refresh(&second, "openid").await.expect(200).json();
    assert_eq!(third["scope"], "openid");
    assert_eq!(refresh(&third, "openid write").await.expect(400).at("/error"), "invalid_scope");
    let fourth = refresh(&third, "").await.expect(200).json();
    assert_eq!(fourth["scope"], "openid email read");
    // Only by its client, and only for those who may sign in.
    let held = text(&fourth, "refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", held.as_str()), ("client_id", "demo-notebook")];
    token(&server, &form[..2]).await.expect(401);
    assert_eq!(token(&server, &form).await.expect(400).at("/error"), "invalid_grant");
    server.execute("UPDATE core_jheuser SET is_active = false WHERE id = 10002").await;
    assert_eq!(refresh(&fourth, "").await.expect(400).at("/error"), "invalid_grant");
    server.get("/api/v1/users/profile").bearer(&text(&fourth, "access_token")).send().await.expect(401);
    server.stop().await;
}

#[tokio::test]
async fn a_lost_answer_may_be_asked_for_again_for_a_minute() {
    let server = TestServer::start().await;
    let browser = signed_in(&server).await;
    let client = console(&server).await;
    let first = text(&super::console_tokens(&server, &browser, "openid").await, "refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", first.as_str()), ("client_id", client.as_str())];
    let mut siblings = Vec::new();
    for _ in 0..6 {
        siblings.push(token(&server, &form).await.expect(200).json());
    }
    token(&server, &form).await.expect(400);
    for body in &siblings {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", body["refresh_token"].as_str().unwrap()),
            ("client_id", client.as_str()),
        ];
        token(&server, &form).await.expect(200);
    }
    server.stop().await;
}

#[tokio::test]
async fn families_end_unused_and_altogether_when_configured() {
    let server = TestServer::with(&[("REFRESH_TOKEN_TTL", "1000"), ("REFRESH_TOKEN_MAX", "2500")]).await;
    server.execute("UPDATE oauth2_provider_application SET refresh_token_seconds = NULL").await;
    let form = [("grant_type", "password"), ("username", MARY), ("password", PASSWORD), ("client_id", "demo-notebook")];
    let mut held = text(&token(&server, &form).await.expect(200).json(), "refresh_token");
    let refresh = async |held: &str| {
        token(&server, &[("grant_type", "refresh_token"), ("refresh_token", held), ("client_id", "demo-notebook")])
            .await
    };
    for _ in 0..2 {
        server.clock.advance(chrono::TimeDelta::seconds(900));
        held = text(&refresh(&held).await.expect(200).json(), "refresh_token");
    }
    server.clock.advance(chrono::TimeDelta::seconds(900));
    refresh(&held).await.expect(400);
    let unused = text(&token(&server, &form).await.expect(200).json(), "refresh_token");
    server.clock.advance(chrono::TimeDelta::seconds(1001));
    refresh(&unused).await.expect(400);
    server.stop().await;
}

#[tokio::test]
async fn without_a_signing_key_there_are_no_id_tokens_and_no_halves() {
    let server = TestServer::with(&[("JHE_GENERATE_KEYS", "0")]).await;
    server.execute("UPDATE jhe_signing_key SET active = false, private_sealed = NULL").await;
    eventually("the key is forgotten", async || server.app().identity().kid().is_none()).await;
    let browser = signed_in(&server).await;
    let client = console(&server).await;
    let one = code(&server, &browser).await;
    let failed = super::exchange(&server, &one, &client, &[]).await.expect(500);
    assert_eq!(failed.at("/error"), "server_error");
    assert_eq!(
        failed.at("/error_description"),
        "The authorization server encountered an error processing the request."
    );
    assert_eq!(server.scalar("SELECT count(*)::text FROM oauth2_provider_refreshtoken").await, "0");
    // What needs no id token works.
    super::console_tokens(&server, &browser, "read").await;
    server.stop().await;
}
