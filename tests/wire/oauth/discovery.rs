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
