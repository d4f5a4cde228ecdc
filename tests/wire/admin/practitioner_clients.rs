//! API keys of practitioners: whose they are, and what they open.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jhe_testkit::{ADMIN, MARY, NOBODY, PETER, TestServer, VICTOR};
use serde_json::json;

const KEYS: &str = "/api/v1/practitioner_clients";

#[tokio::test]
async fn a_key_is_its_owners_alone() {
    let server = TestServer::start().await;
    let body = json!({"label": "my laptop"});
    server.post(KEYS).json(&body).send().await.expect(401);
    for person in [PETER, NOBODY] {
        let denied = server.post(KEYS).as_user(person).json(&body).send().await.expect(403);
        assert_eq!(denied.detail(), "Only practitioner users can manage practitioner clients.");
        server.get(KEYS).as_user(person).send().await.expect(403);
    }
    let made = server.post(KEYS).as_user(MARY).json(&body).send().await.expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    assert!(made.at("/name").as_str().unwrap().starts_with("_practitioner_client_80002_"));
    let pair = String::from_utf8(STANDARD.decode(made.at("/key").as_str().unwrap()).unwrap()).unwrap();
    let (client_id, secret) = pair.split_once(':').unwrap();
    assert_eq!((client_id.len(), secret.len(), made.at("/label")), (16, 32, json!("my laptop")));
    let stored = server.scalar("SELECT string_agg(a::text, ' ') FROM oauth2_provider_application AS a").await;
    assert!(stored.contains(client_id) && !stored.contains(secret), "the secret is not stored as it is");

    let path = format!("{KEYS}/{}", made.at("/id"));
    assert_eq!(server.get(&path).as_user(MARY).send().await.expect(200).json(), made.json());
    assert_eq!(server.get(KEYS).as_user(MARY).send().await.expect(200).at("/results/0"), made.json());
    assert_eq!(server.get(KEYS).as_user(VICTOR).send().await.expect(200).at("/count"), 0);
    for person in [VICTOR, ADMIN] {
        let unseen = server.get(&path).as_user(person).send().await.expect(404);
        assert_eq!(unseen.detail(), "No PractitionerClient matches the given query.");
        server.patch(&path).as_user(person).json(&body).send().await.expect(404);
        server.delete(&path).as_user(person).send().await.expect(404);
    }
    server.put(&path).as_user(MARY).json(&body).send().await.expect(405);
    let change = json!({"label": "desk", "name": "x", "key": "y"});
    let changed = server.patch(&path).as_user(MARY).json(&change).send().await.expect(200);
    assert_eq!(
        (changed.at("/label"), changed.at("/name"), changed.at("/key")),
        (json!("desk"), made.at("/name"), made.at("/key"))
    );
    for wrong in [json!({"label": null}), json!({"label": true})] {
        server.patch(&path).as_user(MARY).json(&wrong).send().await.expect(400);
    }
    let clients = server.get("/api/v1/clients").as_user(ADMIN).send().await.expect(200).text();
    assert!(!clients.contains("_practitioner_client_"), "keys are no patient clients");
    for none in [json!({}), json!({"label": null})] {
        assert_eq!(server.post(KEYS).as_user(MARY).json(&none).send().await.expect(201).at("/label"), "");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_token_of_a_key_acts_as_its_owner_until_the_key_goes() {
    let server = TestServer::start().await;
    let made = server.post(KEYS).as_user(MARY).json(&json!({})).send().await.expect(201);
    let basic = format!("Basic {}", made.at("/key").as_str().unwrap());
    let ask = || {
        server.post("/o/token/").header("authorization", &basic).form(&[("grant_type", "client_credentials")]).send()
    };
    let tokens = ask().await.expect(200);
    assert_eq!((tokens.at("/refresh_token"), tokens.at("/scope")), (json!(null), json!("openid email")));
    let access = tokens.at("/access_token").as_str().unwrap().to_owned();
    let profile = || server.get("/api/v1/users/profile").bearer(&access).send();
    assert_eq!(profile().await.expect(200).at("/id"), 10002);
    server.delete(&format!("{KEYS}/{}", made.at("/id"))).as_user(MARY).send().await.expect(204);
    profile().await.expect(401);
    ask().await.expect(401);
    server.stop().await;
}

#[tokio::test]
async fn a_key_may_be_shown_once_only_and_keys_are_few() {
    let server = TestServer::start().await;
    server.execute("INSERT INTO core_jhesetting (key, value_type, value_bool) VALUES ('auth.practitioner_client.reveal_once', 'bool', true)").await;
    server.app().settings().reload().await.unwrap();
    let made = server.post(KEYS).as_user(MARY).json(&json!({})).send().await.expect(201);
    assert!(made.at("/key").is_string());
    let again = server.get(&format!("{KEYS}/{}", made.at("/id"))).as_user(MARY).send().await.expect(200);
    assert_eq!(again.at("/key"), json!(null));
    for _ in 1..20 {
        server.post(KEYS).as_user(MARY).json(&json!({})).send().await.expect(201);
    }
    server.post(KEYS).as_user(MARY).json(&json!({})).send().await.expect(400);
    server.stop().await;
}

#[tokio::test]
async fn keys_are_shown_again_by_the_key_for_that_and_by_no_other() {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let server = TestServer::with(&[("DATA_ENCRYPTION_KEY", key)]).await;
    let made =
        server.post("/api/v1/practitioner_clients").as_user(MARY).json(&json!({"label": "k"})).send().await.expect(201);
    let path = format!("/api/v1/practitioner_clients/{}", made.at("/id"));
    let shown = made.json();
    assert_eq!(server.get(&path).as_user(MARY).send().await.expect(200).json(), shown);
    let database = server.database();
    let other =
        TestServer::on(database, &[("DATA_ENCRYPTION_KEY", "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")]).await;
    let hidden = other.get(&path).as_user(MARY).send().await.expect(200);
    assert_ne!(hidden.json(), shown);
    other.stop().await;
    server.stop().await;
}
