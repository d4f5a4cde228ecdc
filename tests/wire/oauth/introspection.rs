//! What clients learn about tokens, and taking tokens back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jhe_domain::client::GrantType;
use jhe_testkit::{MARK, MEGAN, PAMELA, PETER, Reply, TOM, TestServer, VICTOR};
use serde_json::{Value, json};

use super::{Browser, authorize_url, console, console_tokens, exchange, parameter, register, text, token};

const MARY: &str = "manager_mary@example.com";
const PASSWORD: &str = "Jhe1234!";

/// A confidential client with a redirect URI of its own, and the tokens it got for Mary.
struct Broker {
    id: String,
    secret: String,
    tokens: Value,
}

async fn broker(server: &TestServer, name: &str, scope: &str) -> Broker {
    let grants = [GrantType::AuthorizationCode, GrantType::RefreshToken];
    let callback = "https://broker.example/callback";
    let (id, secret) = register(server, name, &grants, &[callback], |request| {
        request.confidential = true;
        request.skip_authorization = true;
    })
    .await;
    let browser = Browser::new();
    browser.sign_in(server, MARY, PASSWORD).await;
    let url = authorize_url(server, &[("client_id", &id), ("redirect_uri", callback), ("scope", scope)]).await;
    let code = parameter(&browser.get(&url).await.location, "code").unwrap();
    let changes = [("redirect_uri", callback), ("client_secret", secret.as_str())];
    let tokens = exchange(server, &code, &id, &changes).await.expect(200).json();
    Broker { id, secret, tokens }
}

async fn introspect(server: &TestServer, client: &str, secret: &str, token: &str) -> Reply {
    server
        .post("/o/introspect/")
        .form(&[("client_id", client), ("client_secret", secret), ("token", token)])
        .send()
        .await
}

#[tokio::test]
async fn a_client_learns_about_its_own_tokens_only() {
    let server = TestServer::start().await;
    let broker = broker(&server, "Broker", "openid email").await;
    let (access, refresh) = (text(&broker.tokens, "access_token"), text(&broker.tokens, "refresh_token"));
    let body = introspect(&server, &broker.id, &broker.secret, &access).await.expect(200).json();
    assert_eq!((&body["active"], &body["client_id"]), (&json!(true), &json!(broker.id)));
    assert_eq!(
        (&body["username"], &body["sub"], &body["scope"]),
        (&json!(MARY), &json!("10002"), &json!("openid email"))
    );
    assert_eq!(body["exp"].as_i64().unwrap() - body["iat"].as_i64().unwrap(), 36000);
    assert_eq!((&body["token_type"], &body["iss"]), (&json!("Bearer"), &json!(format!("{}/o", server.base))));

    let inactive = json!({"active": false});
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let foreign = text(&console_tokens(&server, &browser, "openid").await, "access_token");
    for token in [foreign.as_str(), refresh.as_str(), "nonsense"] {
        assert_eq!(
            introspect(&server, &broker.id, &broker.secret, token).await.expect(200).json(),
            inactive,
            "{token}"
        );
    }
    // A key of a practitioner is a client like any other.
    let key = server.post("/api/v1/practitioner_clients").as_user(jhe_testkit::VICTOR).json(&json!({})).send().await;
    let key = key.expect(201).at("/key").as_str().unwrap().to_owned();
    let call = server.post("/o/introspect/").header("authorization", &format!("Basic {key}"));
    assert_eq!(call.form(&[("token", &access)]).send().await.expect(200).json(), inactive);
    // A client that was registered for it may ask about others.
    server.execute("UPDATE oauth2_provider_application SET can_introspect = true WHERE name = 'Broker'").await;
    assert_eq!(introspect(&server, &broker.id, &broker.secret, &foreign).await.expect(200).at("/active"), true);

    // Nobody else may ask at all, and not in the address.
    let console = console(&server).await;
    introspect(&server, &console, "", &access).await.expect(401);
    introspect(&server, &broker.id, "wrong", &access).await.expect(401);
    server.post("/o/introspect/").form(&[("token", &access)]).send().await.expect(401);
    server.get(&format!("/o/introspect/?token={access}")).send().await.expect(405);
    let missing = server.post("/o/introspect/").form(&[("client_id", &broker.id), ("client_secret", &broker.secret)]);
    assert_eq!(missing.send().await.expect(400).at("/error_description"), "Token parameter is missing.");
    server.clock.advance(chrono::TimeDelta::hours(11));
    assert_eq!(introspect(&server, &broker.id, &broker.secret, &access).await.expect(200).json(), inactive);
    server.stop().await;
}

#[tokio::test]
async fn userinfo_is_for_tokens_with_openid_in_the_header() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let plain = text(&console_tokens(&server, &browser, "openid").await, "access_token");
    assert_eq!(server.get("/o/userinfo/").bearer(&plain).send().await.expect(200).json(), json!({"sub": "10002"}));
    let tokens = console_tokens(&server, &browser, "openid email").await;
    let access = text(&tokens, "access_token");
    let claims = server.post("/o/userinfo").bearer(&access).send().await.expect(200);
    assert_eq!(claims.json(), json!({"sub": "10002", "email": MARY, "email_verified": true}));
    let without = text(&console_tokens(&server, &browser, "read").await, "access_token");
    for bearer in [without.as_str(), "nonsense", &text(&tokens, "id_token")] {
        let refused = server.get("/o/userinfo/").bearer(bearer).send().await.expect(401);
        assert_eq!(refused.at("/error"), "invalid_token");
        assert!(refused.header("www-authenticate").starts_with("Bearer error=\"invalid_token\""));
    }
    server.get(&format!("/o/userinfo/?access_token={access}")).send().await.expect(401);
    server.post("/o/userinfo/").form(&[("access_token", &access)]).send().await.expect(401);
    server.get(&format!("/api/v1/users/profile?access_token={access}")).send().await.expect(401);
    server.get("/api/v1/users/profile").bearer(&text(&tokens, "id_token")).send().await.expect(401);
    server.stop().await;
}

#[tokio::test]
async fn a_client_takes_back_its_own_tokens_only() {
    let server = TestServer::start().await;
    let (one, other) = (broker(&server, "One", "openid").await, broker(&server, "Other", "openid").await);
    let revoke = async |client: &Broker, token: &str| {
        let form = [("client_id", client.id.as_str()), ("client_secret", &client.secret), ("token", token)];
        server.post("/o/revoke_token/").form(&form).send().await
    };
    let works = async |tokens: &Value| {
        server.get("/api/v1/users/profile").bearer(&text(tokens, "access_token")).send().await.status.as_u16()
    };
    // Somebody else's token is left alone, and nobody is told; nor are unknown ones an error.
    revoke(&other, &text(&one.tokens, "access_token")).await.expect(200);
    revoke(&other, &text(&one.tokens, "refresh_token")).await.expect(200);
    revoke(&other, "nonsense").await.expect(200);
    assert_eq!(works(&one.tokens).await, 200);
    // An access token alone; the refresh token beside it goes on.
    revoke(&one, &text(&one.tokens, "access_token")).await.expect(200);
    assert_eq!(works(&one.tokens).await, 401);
    let refresh = text(&one.tokens, "refresh_token");
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.as_str()),
        ("client_id", one.id.as_str()),
        ("client_secret", one.secret.as_str()),
    ];
    let fresh = token(&server, &form).await.expect(200).json();
    assert_eq!(works(&fresh).await, 200);
    // A refresh token with its whole family, also when it is not the newest one.
    revoke(&one, &refresh).await.expect(200);
    assert_eq!(works(&fresh).await, 401);
    let newest = text(&fresh, "refresh_token");
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", newest.as_str()),
        ("client_id", one.id.as_str()),
        ("client_secret", one.secret.as_str()),
    ];
    token(&server, &form).await.expect(400);
    // Who asks must say who it is, and what about.
    server.post("/o/revoke_token/").form(&[("token", "x")]).send().await.expect(401);
    let form = [("client_id", one.id.as_str()), ("client_secret", one.secret.as_str())];
    let missing = server.post("/o/revoke_token/").form(&form).send().await.expect(400);
    assert_eq!(missing.at("/error_description"), "Missing token parameter.");
    server.get("/o/revoke_token/").send().await.expect(405);
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", other.id, other.secret)));
    let call = server.post("/o/revoke_token").header("authorization", &basic);
    let access = text(&other.tokens, "access_token");
    call.form(&[("token", access.as_str()), ("token_type_hint", "magic")]).send().await.expect(200);
    assert_eq!(works(&other.tokens).await, 401);
    server.stop().await;
}

#[tokio::test]
async fn a_person_sees_and_ends_what_clients_hold() {
    let server = TestServer::start().await;
    let list = format!("{}/o/authorized_tokens/", server.base);
    let browser = Browser::new();
    assert!(browser.get(&list).await.location.starts_with("/accounts/login/?next="));
    let one = broker(&server, "Notebook <b>", "openid").await;
    browser.sign_in(&server, MARY, PASSWORD).await;
    let page = browser.get(&list).await;
    assert!(page.text.contains("Notebook &#60;b&#62;") || page.text.contains("Notebook &lt;b&gt;"), "{}", page.text);
    let id = server.scalar("SELECT id::text FROM oauth2_provider_application WHERE name LIKE 'Notebook%'").await;
    let delete = format!("{list}{id}/delete/");
    let access = text(&one.tokens, "access_token");
    let works = async || server.get("/api/v1/users/profile").bearer(&access).send().await.status.as_u16();
    // Not without the form's token, and not for somebody else.
    assert_eq!(browser.forge(&delete, &[]).await.status, 403);
    let stranger = Browser::new();
    stranger.sign_in(&server, "ll_patient_peter@example.com", PASSWORD).await;
    let csrf = |text: &str| {
        text.split("name=\"csrfmiddlewaretoken\" value=\"")
            .nth(1)
            .map(|rest| rest.split('"').next().unwrap().to_owned())
    };
    let foreign = csrf(&stranger.get(&format!("{}/accounts/sessions/", server.base)).await.text).unwrap();
    stranger.forge(&delete, &[("csrfmiddlewaretoken", &foreign)]).await;
    assert_eq!(works().await, 200);
    stranger.forge(&list, &[("csrfmiddlewaretoken", &foreign), ("id", &id)]).await;
    assert_eq!(browser.forge(&list, &[("id", &id)]).await.status, 403);
    assert_eq!(works().await, 200);
    let own = csrf(&page.text).unwrap();
    assert_eq!(browser.forge(&delete, &[("csrfmiddlewaretoken", &own)]).await.location, "/o/authorized_tokens/");
    assert_eq!(works().await, 401);
    assert!(!browser.get(&list).await.text.contains("Notebook"));
    // The form of the page comes to the page itself.
    let other = broker(&server, "Second", "openid").await;
    let access = text(&other.tokens, "access_token");
    let page = browser.get(&list).await.text;
    let id = server.scalar("SELECT id::text FROM oauth2_provider_application WHERE name = 'Second'").await;
    assert!(page.contains(&format!("name=\"id\" value=\"{id}\"")) && !page.contains(" action="), "{page}");
    let removed = browser.forge(&list, &[("csrfmiddlewaretoken", &own), ("id", &id)]).await;
    assert_eq!(removed.location, "/o/authorized_tokens/");
    server.get("/api/v1/users/profile").bearer(&access).send().await.expect(401);
    server.stop().await;
}

/// What is asked at the same moment shares statements: each gets its own answer.
#[tokio::test]
async fn everybody_is_who_they_are_however_many_ask_at_once() {
    let server = TestServer::start().await;
    let people = [jhe_testkit::MARY, MEGAN, VICTOR, TOM, PETER, PAMELA, MARK];
    let who = people.into_iter().cycle().take(140).enumerate().map(|(number, person)| {
        // Some show a token that nobody has.
        let token = if number % 5 == 4 { format!("no-{number}") } else { person.token() };
        let call = server.get("/api/v1/users/profile").bearer(&token);
        tokio::spawn(async move { (number, person.0, call.send().await) })
    });
    for task in who.collect::<Vec<_>>() {
        let (number, id, reply) = task.await.unwrap();
        if number % 5 == 4 {
            reply.expect(401);
        } else {
            assert_eq!(reply.expect(200).at("/id"), id, "{number}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn clients_that_ask_at_once_learn_about_their_own_tokens_only() {
    let server = TestServer::start().await;
    let brokers = [broker(&server, "One", "openid").await, broker(&server, "Two", "email").await];
    let ask = |number: usize| {
        let (client, of) = (&brokers[number % 2], &brokers[number / 2 % 2]);
        let token = text(&of.tokens, "access_token");
        // Few enough wrong secrets that they are not too many.
        let secret = if number % 20 == 7 { "wrong" } else { client.secret.as_str() };
        let form = [("client_id", client.id.as_str()), ("client_secret", secret), ("token", token.as_str())];
        server.post("/o/introspect/").form(&form).send()
    };
    let answers = futures_util::future::join_all((0..100).map(ask)).await;
    for (number, answer) in answers.iter().enumerate() {
        if number % 20 == 7 {
            assert_eq!(answer.clone().expect(401).at("/error"), "invalid_client", "{number}");
            continue;
        }
        let body = answer.clone().expect(200).json();
        if number % 2 == number / 2 % 2 {
            let scope = ["openid", "email"][number % 2];
            assert_eq!((&body["client_id"], &body["scope"]), (&json!(brokers[number % 2].id), &json!(scope)));
        } else {
            assert_eq!(body, json!({"active": false}), "{number}");
        }
    }
    server.stop().await;
}
