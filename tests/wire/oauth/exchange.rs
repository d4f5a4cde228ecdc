//! Token exchange: an EHR's id token becomes an access token of its practitioner.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jhe_testkit::{Reply, TestIssuer, TestServer};
use serde_json::{Value, json};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const AUDIENCE: &str = "our-registration";
const CLIENT: &str = "sof-ehr-launch";
const SECRET: &str = "sof-ehr-launch-dev-secret";
/// Mary's identifier in the demo data.
const MARY: &str = "Practitioner/fhir-222";

/// A server that trusts an issuer of its own.
async fn start() -> (TestServer, TestIssuer) {
    let issuer = TestIssuer::start().await;
    let file = issuer.ca_file.display().to_string();
    let server = TestServer::with(&[("JHE_SOF_ALLOW_PRIVATE", "1"), ("JHE_SOF_CA_FILE", &file)]).await;
    server.set("auth.sof.trusted_issuers", "json", &format!("'[\"https://other.example\", \"{}\"]'", issuer.url)).await;
    server.set("auth.sof.trusted_audience", "string", &format!("'{AUDIENCE}'")).await;
    (server, issuer)
}

/// Claims of an id token with changes; null leaves one out.
fn claims(server: &TestServer, issuer: &TestIssuer, changes: &Value) -> Value {
    let now = server.app().now().timestamp();
    let mut claims =
        json!({"iss": issuer.url, "aud": AUDIENCE, "iat": now, "exp": now + 300, "sub": "x", "fhirUser": MARY});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

async fn ask(server: &TestServer, path: &str, id_token: &str, changes: &[(&str, &str)]) -> Reply {
    let mut fields = vec![
        ("grant_type", GRANT),
        ("subject_token", id_token),
        ("subject_token_type", ID_TOKEN),
        ("requested_token_type", ACCESS_TOKEN),
        ("audience", server.base.as_str()),
        ("client_id", CLIENT),
        ("client_secret", SECRET),
    ];
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        if !value.is_empty() {
            fields.push((name, value));
        }
    }
    server.post(path).form(&fields).send().await
}

const EXCHANGE: &str = "/o/token-exchange";

#[tokio::test]
async fn a_practitioner_of_a_trusted_issuer_gets_an_access_token() {
    let (server, issuer) = start().await;
    let id_token = issuer.sign(&claims(&server, &issuer, &json!({})));
    let reply = ask(&server, EXCHANGE, &id_token, &[]).await.expect(200);
    assert_eq!(reply.header("cache-control"), "no-store");
    let body = reply.json();
    assert_eq!(body["issued_token_type"], ACCESS_TOKEN);
    assert_eq!(
        (&body["token_type"], &body["scope"], &body["expires_in"]),
        (&json!("Bearer"), &json!("openid"), &json!(36000))
    );
    assert!(body.get("refresh_token").is_none() && body.get("id_token").is_none());
    let access = body["access_token"].as_str().unwrap();
    assert_eq!(server.get("/api/v1/users/profile").bearer(access).send().await.expect(200).at("/id"), 10002);
    let owner = "SELECT a.client_id FROM oauth2_provider_accesstoken AS t JOIN oauth2_provider_application AS a ON a.id = t.application_id
                  ORDER BY t.id DESC LIMIT 1";
    assert_eq!(server.scalar(owner).await, CLIENT);

    // Basic authentication, a slash at the end of path and issuer, an absolute reference, and clocks that differ a bit.
    let now = server.app().now().timestamp();
    server.set("auth.sof.trusted_issuers", "json", &format!("'[\"{}/\"]'", issuer.url)).await;
    for changes in [
        json!({"iss": format!("{}/", issuer.url)}),
        json!({"fhirUser": "https://ehr.example/R4/Practitioner/fhir-222/"}),
        json!({"exp": now - 10}),
        json!({"aud": ["x", AUDIENCE]}),
    ] {
        let id_token = issuer.sign(&claims(&server, &issuer, &changes));
        ask(&server, "/o/token-exchange/", &id_token, &[]).await.expect(200);
    }
    let basic = STANDARD.encode(format!("{CLIENT}:{SECRET}"));
    let fields = [
        ("grant_type", GRANT),
        ("subject_token", id_token.as_str()),
        ("subject_token_type", ID_TOKEN),
        ("requested_token_type", ACCESS_TOKEN),
        ("audience", server.base.as_str()),
        ("scope", "openid"),
    ];
    server.post(EXCHANGE).header("authorization", &format!("Basic {basic}")).form(&fields).send().await.expect(200);
    // The same grant where RFC 8693 puts it.
    ask(&server, "/o/token/", &id_token, &[]).await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn a_practitioner_whose_id_cannot_be_one_is_not_found() {
    let (server, issuer) = start().await;
    let sign = |user: &str| issuer.sign(&claims(&server, &issuer, &json!({"fhirUser": user})));
    for user in ["Practitioner/fhir-222\0", "Practitioner/\0", "Practitioner/unknown"] {
        let reply = ask(&server, EXCHANGE, &sign(user), &[]).await.expect(404);
        assert_eq!(reply.at("/error"), "Practitioner not found", "{user:?}");
    }
    ask(&server, EXCHANGE, &sign(MARY), &[]).await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn each_wrong_parameter_is_named() {
    let (server, issuer) = start().await;
    let id_token = issuer.sign(&claims(&server, &issuer, &json!({})));
    let check = async |changes: &[(&str, &str)], status: u16, text: &str| {
        let reply = ask(&server, EXCHANGE, &id_token, changes).await.expect(status);
        let said = reply.at("/error").as_str().unwrap_or_default().to_owned();
        assert!(said.contains(text), "{changes:?}: {said}");
        assert!(reply.at("/oauth_error").is_string(), "{changes:?}");
    };
    check(&[("audience", ""), ("subject_token", "")], 400, "Missing required argument: audience").await;
    for name in ["requested_token_type", "subject_token_type", "subject_token", "grant_type"] {
        check(&[(name, "")], 400, &format!("Missing required argument: {name}")).await;
    }
    check(&[("grant_type", "password")], 400, "grant_type must be token-exchange, not password").await;
    check(&[("subject_token_type", ACCESS_TOKEN)], 400, "subject_token_type must be").await;
    check(&[("requested_token_type", ID_TOKEN)], 400, "requested_token_type must be").await;
    check(&[("audience", "https://other.example")], 400, "audience must be").await;
    check(&[("audience", &format!("{}/", server.base))], 400, "audience must be").await;
    check(&[("scope", "openid email")], 400, "Only 'openid' scope is supported, not openid email").await;
    check(&[("client_secret", "")], 401, "Client authentication failed").await;
    check(&[("client_secret", "wrong")], 401, "Client authentication failed").await;
    check(&[("client_id", "")], 401, "Client authentication failed").await;
    let console = super::console(&server).await;
    check(&[("client_id", &console), ("client_secret", "")], 401, "Client authentication failed").await;
    server.get(EXCHANGE).send().await.expect(405);
    let body = server.post(EXCHANGE).json(&json!({"grant_type": GRANT})).send().await.expect(400);
    assert_eq!(body.at("/error"), "Missing required argument: audience");
    // A key of a practitioner acts for it, but exchanges nothing.
    let key = server.post("/api/v1/practitioner_clients").as_user(jhe_testkit::MARY).json(&json!({})).send().await;
    let key = key.expect(201).at("/key").as_str().unwrap().to_owned();
    let form = [
        ("grant_type", GRANT),
        ("subject_token", id_token.as_str()),
        ("subject_token_type", ID_TOKEN),
        ("requested_token_type", ACCESS_TOKEN),
        ("audience", server.base.as_str()),
    ];
    server.post(EXCHANGE).header("authorization", &format!("Basic {key}")).form(&form).send().await.expect(401);
    server.stop().await;
}

#[tokio::test]
async fn only_a_verified_token_of_a_trusted_issuer_counts() {
    let (server, issuer) = start().await;
    let stranger = TestIssuer::start().await;
    let now = server.app().now().timestamp();
    let check = async |token: &str, status: u16, text: &str| {
        let reply = ask(&server, EXCHANGE, token, &[]).await.expect(status);
        let said = reply.at("/error").as_str().unwrap_or_default().to_owned();
        assert!(said.contains(text), "{said} is not {text}");
    };
    let signed = |changes: Value| issuer.sign(&claims(&server, &issuer, &changes));
    check("no token", 400, "subject_token is not a valid JWT").await;
    check(&signed(json!({"iss": null})), 403, "Issuer not trusted").await;
    check(&signed(json!({"iss": "https://evil.example"})), 403, "Issuer not trusted").await;
    check(&signed(json!({"exp": now - 60})), 401, "id_token failed validation").await;
    check(&signed(json!({"aud": "other"})), 401, "id_token failed validation").await;
    check(&signed(json!({"iat": null})), 401, "id_token failed validation").await;
    // Without a signature, or with an algorithm of another world, it is judged like the others.
    let bare = |alg: &str, changes: Value| {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&json!({"alg": alg})), part(&claims(&server, &issuer, &changes)))
    };
    for alg in ["none", "None", "ZZ"] {
        check(&bare(alg, json!({})), 401, "id_token failed validation").await;
        check(&bare(alg, json!({"iss": "https://evil.example"})), 403, "Issuer not trusted").await;
    }
    // Signed by a key the issuer does not publish.
    check(&stranger.sign(&claims(&server, &issuer, &json!({}))), 502, "Could not resolve signing key").await;
    check(&signed(json!({"fhirUser": null})), 400, "id_token missing fhirUser claim").await;
    check(&signed(json!({"fhirUser": "lonely"})), 400, "Malformed fhirUser reference: 'lonely'").await;
    check(&signed(json!({"fhirUser": "Patient/1"})), 403, "fhirUser is not a Practitioner").await;
    check(&signed(json!({"fhirUser": "Practitioner/nobody"})), 404, "Practitioner not found").await;
    // Peter is known under this id, but is a patient; two accounts under one id are none; nor is a closed one.
    server.execute("UPDATE core_jheuser SET identifier = 'ehr-peter' WHERE id = 10006").await;
    check(&signed(json!({"fhirUser": "Practitioner/ehr-peter"})), 403, "User is not a Practitioner").await;
    server.execute("UPDATE core_jheuser SET identifier = 'twice' WHERE id IN (10003, 10004)").await;
    check(&signed(json!({"fhirUser": "Practitioner/twice"})), 404, "Practitioner not found").await;
    server.execute("UPDATE core_jheuser SET is_active = false WHERE id = 10002").await;
    check(&signed(json!({})), 404, "Practitioner not found").await;
    server.stop().await;
}

#[tokio::test]
async fn keys_are_found_kept_and_found_again() {
    let (server, issuer) = start().await;
    let good = issuer.sign(&claims(&server, &issuer, &json!({})));
    for _ in 0..3 {
        ask(&server, EXCHANGE, &good, &[]).await.expect(200);
    }
    assert_eq!((issuer.asked("/.well-known/smart-configuration"), issuer.asked("/keys")), (1, 1));
    server.stop().await;

    // Without https for its keys an issuer has none; the second document is asked when the first does not help.
    let (server, issuer) = start().await;
    issuer.publish("/.well-known/smart-configuration", &json!({"jwks_uri": "http://localhost/keys"}));
    let good = issuer.sign(&claims(&server, &issuer, &json!({})));
    let reply = ask(&server, EXCHANGE, &good, &[]).await.expect(502);
    assert_eq!(reply.at("/error"), format!("Could not discover jwks_uri for issuer '{}'", issuer.url));
    issuer.publish("/.well-known/openid-configuration", &json!({"jwks_uri": format!("{}/keys", issuer.url)}));
    issuer.withdraw("/keys");
    assert_eq!(ask(&server, EXCHANGE, &good, &[]).await.expect(502).at("/error"), "Could not resolve signing key");
    server.stop().await;

    // Unless the operator allows it, the server reaches public addresses only.
    let file = issuer.ca_file.display().to_string();
    let server = TestServer::with(&[("JHE_SOF_CA_FILE", &file)]).await;
    server.set("auth.sof.trusted_issuers", "json", &format!("'[\"{}\"]'", issuer.url)).await;
    server.set("auth.sof.trusted_audience", "string", &format!("'{AUDIENCE}'")).await;
    let before = issuer.asked("/.well-known/smart-configuration");
    ask(&server, EXCHANGE, &good, &[]).await.expect(502);
    assert_eq!(issuer.asked("/.well-known/smart-configuration"), before);
    server.stop().await;
}

#[tokio::test]
async fn an_exchange_must_be_configured_and_may_be_allowed_once() {
    let (server, issuer) = start().await;
    server.set("auth.sof.single_use_id_tokens", "bool", "true").await;
    for changes in [json!({"jti": "one"}), json!({})] {
        let id_token = issuer.sign(&claims(&server, &issuer, &changes));
        ask(&server, EXCHANGE, &id_token, &[]).await.expect(200);
        assert_eq!(ask(&server, EXCHANGE, &id_token, &[]).await.expect(401).at("/error"), "id_token already used");
    }
    server.set("auth.sof.trusted_audience", "string", "''").await;
    let id_token = issuer.sign(&claims(&server, &issuer, &json!({})));
    let reply = ask(&server, EXCHANGE, &id_token, &[]).await.expect(400);
    assert_eq!(reply.at("/error"), "unsupported_grant_type");
    assert_eq!(reply.at("/error_description"), "Token exchange is not configured.");
    server.stop().await;
}
