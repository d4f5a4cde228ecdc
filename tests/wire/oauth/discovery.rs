//! What clients learn about the server by asking it.

use jhe_testkit::TestServer;

#[tokio::test]
async fn endpoints_are_those_of_the_site() {
    let server = TestServer::start().await;
    let reply = server.get("/o/.well-known/openid-configuration").send().await.expect(200);
    let document = reply.json();
    assert_eq!(document["issuer"], format!("{}/o", server.base));
    assert_eq!(document["authorization_endpoint"], format!("{}/o/authorize/", server.base));
    assert_eq!(document["token_endpoint"], format!("{}/o/token/", server.base));
    assert_eq!(document["code_challenge_methods_supported"], serde_json::json!(["S256"]));
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    let keys = server.get("/o/.well-known/jwks.json").send().await.expect(200);
    let key = keys.at("/keys/0");
    assert!(key["kid"].is_string() && key.get("d").is_none(), "only public parts");
    server.stop().await;
}

#[tokio::test]
async fn a_new_signing_key_is_published_beside_the_old_one() {
    let server = TestServer::start().await;
    let keys = async || {
        let set = server.get("/o/.well-known/jwks.json").send().await.expect(200);
        set.at("/keys")
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let before = keys().await;
    assert_eq!(before.len(), 1);
    jhe_app::operator::retire_signing_key(server.store()).await.unwrap();
    let mut after = Vec::new();
    for _ in 0..100 {
        after = keys().await;
        if after.len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(after.len() == 2 && after[0] != before[0] && after[1] == before[0], "{before:?} {after:?}");
    server.stop().await;
}

#[tokio::test]
async fn preflights_are_answered_under_every_public_path() {
    let server = TestServer::start().await;
    for path in ["/o/", "/o/token/", "/o/nothing", "/FHIR/R5/metadata", "/fhir/r5/.well-known/smart-configuration"] {
        let reply = server.call(reqwest::Method::OPTIONS, path).send().await.expect(204);
        assert_eq!(reply.header("access-control-allow-origin"), "*", "{path}");
        assert!(reply.header("access-control-allow-methods").contains("POST"), "{path}");
        assert_eq!(reply.header("access-control-max-age"), "86400", "{path}");
    }
    server.get("/nowhere").header("host", "evil.example.org").send().await.expect(400);
    server.stop().await;
}
