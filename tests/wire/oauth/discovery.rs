//! What clients learn about the server by asking it.

use jhe_testkit::{MARY, TestServer, eventually};
use serde_json::json;

use super::{Browser, console_tokens, part, text};

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
    eventually("there are two keys", async || {
        after = keys().await;
        after.len() == 2
    })
    .await;
    assert!(after[0] != before[0] && after[1] == before[0], "{before:?} {after:?}");
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

#[tokio::test]
async fn all_documents_tell_the_same_story_under_the_configured_address() {
    let server = TestServer::start().await;
    let get = async |path: &str| server.get(path).send().await.expect(200);
    let openid = get("/o/.well-known/openid-configuration").await;
    assert_eq!(openid.json()["grant_types_supported"], json!(["authorization_code", "refresh_token"]));
    assert_eq!(get("/o/.well-known/openid-configuration/").await.bytes, openid.bytes);
    for (name, path) in [
        ("authorization_endpoint", "/o/authorize/"),
        ("token_endpoint", "/o/token/"),
        ("userinfo_endpoint", "/o/userinfo/"),
    ] {
        assert!(openid.json()[name].as_str().unwrap().ends_with(path), "{name}");
    }
    // A host nobody configured is refused, however it is told; a forwarded one is not believed.
    server.get("/o/.well-known/openid-configuration").header("host", "evil.example").send().await.expect(400);
    let forwarded = server.get("/o/.well-known/openid-configuration").header("x-forwarded-host", "evil.example").send();
    assert_eq!(forwarded.await.expect(200).at("/issuer"), format!("{}/o", server.base));

    let server_metadata = get("/o/.well-known/oauth-authorization-server").await.json();
    let grants = server_metadata["grant_types_supported"].to_string();
    for grant in ["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange", "password"] {
        assert!(grants.contains(grant), "{grant} is not in {grants}");
    }
    assert!(!grants.contains("implicit"));
    assert_eq!(get("/.well-known/oauth-authorization-server/o").await.json(), server_metadata);
    // The password grant is told of only while some client has it.
    server.execute("UPDATE oauth2_provider_application SET enabled = false WHERE client_id = 'demo-notebook'").await;
    let grants = get("/o/.well-known/oauth-authorization-server").await.at("/grant_types_supported").to_string();
    assert!(!grants.contains("password"), "{grants}");

    let smart = get("/FHIR/R5/.well-known/smart-configuration").await.json();
    let capability = get("/fhir/r5/metadata").await.text();
    for name in ["authorization_endpoint", "token_endpoint"] {
        assert_eq!(smart[name], openid.json()[name]);
        assert!(capability.contains(smart[name].as_str().unwrap()), "{name}");
    }
    let resource = get("/.well-known/oauth-protected-resource").await.json();
    assert_eq!(resource["authorization_servers"], json!([openid.json()["issuer"]]));
    assert_eq!(get("/o/.well-known/oauth-protected-resource").await.json(), resource);
    server.get("/o/register/").send().await.expect(404);
    // The address is a setting: what changes there is told everywhere, as soon as it is written.
    server.set("site.url", "string", "'https://moved.example.org'").await;
    let moved = get("/o/.well-known/openid-configuration").await;
    assert_eq!(moved.at("/issuer"), "https://moved.example.org/o");
    assert_eq!(moved.header("strict-transport-security"), "max-age=31536000");
    let login = get("/accounts/login/").await;
    assert!(login.header("set-cookie").ends_with("; Secure"), "{}", login.header("set-cookie"));
    let link = server.get("/api/v1/patients/40001/invitation_link").as_user(MARY).send().await.expect(200);
    assert!(link.at("/invitationLink").as_str().unwrap().starts_with("moved.example.org|"), "{}", link.text());
    server.stop().await;
}

#[tokio::test]
async fn published_keys_verify_and_are_named_by_their_thumbprint() {
    let server = TestServer::start().await;
    let reply = server.get("/o/.well-known/jwks.json").send().await.expect(200);
    assert!(reply.header("cache-control").contains("max-age=3600"));
    let keys = reply.at("/keys").as_array().unwrap().clone();
    assert_eq!(keys.len(), 1);
    let key = &keys[0];
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        assert!(key.get(private).is_none(), "{private}");
    }
    // RFC 7638 §3.2: the required members in their order.
    let canonical = format!(r#"{{"e":{},"kty":"RSA","n":{}}}"#, key["e"], key["n"]);
    assert_eq!(key["kid"], jhe_crypto::token::digest_base64url(&canonical));
    let browser = Browser::new();
    browser.sign_in(&server, "manager_mary@example.com", "Jhe1234!").await;
    let id_token = text(&console_tokens(&server, &browser, "openid").await, "id_token");
    assert_eq!(part(&id_token, 0), json!({"typ": "JWT", "alg": "RS256", "kid": key["kid"]}));
    jhe_crypto::signing::PublicKey::from_jwk(key).unwrap().verify(&id_token).unwrap();
    server.stop().await;
}

#[tokio::test]
async fn only_public_documents_are_open_to_every_origin() {
    let server = TestServer::start().await;
    let anonymous = server.get("/o/authorize/?client_id=x").send().await.expect(302);
    assert_eq!(anonymous.header("access-control-allow-origin"), "*");
    assert!(anonymous.header("access-control-allow-credentials").is_empty());
    for path in ["/health", "/api/v1/users/profile", "/accounts/login/"] {
        let reply = server.get(path).header("origin", "https://app.example").send().await;
        assert!(reply.header("access-control-allow-origin").is_empty(), "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn phones_read_which_apps_open_our_links() {
    let server = TestServer::start().await;
    let apple = server.get("/.well-known/apple-app-site-association").send().await.expect(200);
    assert_eq!(apple.header("content-type"), "application/json");
    assert_eq!(apple.at("/applinks/details/0/appIDs/0"), "KZJSZ95597.com.jupyter.health");
    let android = server.get("/.well-known/assetlinks.json").send().await.expect(200);
    assert_eq!(android.at("/2/target/package_name"), "com.jupyter.health.preprod");
    for path in ["/.well-known/apple-app-site-association/", "/.well-known/assetlinks.json/"] {
        server.get(path).send().await.expect(404);
    }
    let head = server.call(reqwest::Method::HEAD, "/.well-known/assetlinks.json").send().await.expect(200);
    assert_eq!(head.header("content-length"), android.bytes.len().to_string());
    server.stop().await;
    // An operator's own files win, each by itself.
    let folder = std::env::temp_dir().join(format!("jhe-test-links-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("assetlinks.json"), "[ ]\n").unwrap();
    let server = TestServer::with(&[("JHE_WELL_KNOWN_DIR", folder.to_str().unwrap())]).await;
    assert_eq!(server.get("/.well-known/assetlinks.json").send().await.expect(200).text(), "[ ]\n");
    server.get("/.well-known/apple-app-site-association").send().await.expect(200);
    server.stop().await;
    std::fs::remove_dir_all(folder).unwrap();
}
