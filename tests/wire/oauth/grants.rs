//! The other grants: client credentials, password, and what access tokens look like.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jhe_domain::client::GrantType;
use jhe_testkit::TestServer;
use serde_json::json;

use super::{Browser, claims, console, console_tokens, part, register, text, token};

const MARY: &str = "manager_mary@example.com";
const PASSWORD: &str = "Jhe1234!";

#[tokio::test]
async fn a_client_acts_as_its_owner_or_as_nobody() {
    let server = TestServer::start().await;
    let grants = [GrantType::ClientCredentials];
    let (client, secret) = register(&server, "Pipeline", &grants, &[], |request| request.confidential = true).await;
    let basic = format!("Basic {}", STANDARD.encode(format!("{client}:{secret}")));
    let ask = async || {
        let form = [("grant_type", "client_credentials")];
        server.post("/o/token/").header("authorization", &basic).form(&form).send().await.expect(200).json()
    };
    let body = ask().await;
    assert_eq!((&body["scope"], body.get("refresh_token"), body.get("id_token")), (&json!("openid email"), None, None));
    let profile = server.get("/api/v1/users/profile").bearer(&text(&body, "access_token")).send().await.expect(403);
    assert_eq!(profile.detail(), "You do not have permission to perform this action.");
    server.execute("UPDATE oauth2_provider_application SET user_id = 10002 WHERE name = 'Pipeline'").await;
    let access = text(&ask().await, "access_token");
    assert_eq!(server.get("/api/v1/users/profile").bearer(&access).send().await.expect(200).at("/id"), 10002);
    // With the owner's claims, and only while the owner may sign in and the client is in use.
    let userinfo = server.get("/o/userinfo/").bearer(&access).send().await.expect(200);
    assert_eq!((userinfo.at("/sub"), userinfo.at("/email")), (json!("10002"), json!(MARY)));
    server.execute("UPDATE core_jheuser SET is_active = false WHERE id = 10002").await;
    server.get("/api/v1/users/profile").bearer(&access).send().await.expect(401);
    server.execute("UPDATE core_jheuser SET is_active = true WHERE id = 10002").await;
    jhe_app::operator::enable_client(server.store(), &client, false).await.unwrap();
    server.get("/api/v1/users/profile").bearer(&access).send().await.expect(401);
    // A public client has nothing to prove who it is with.
    let form = [("grant_type", "client_credentials"), ("client_id", "demo-notebook")];
    assert_eq!(token(&server, &form).await.expect(400).at("/error"), "unauthorized_client");
    server.stop().await;
}

#[tokio::test]
async fn a_confidential_client_proves_itself_either_way_or_not_at_all() {
    let server = TestServer::start().await;
    let grants = [GrantType::ClientCredentials];
    let (client, secret) = register(&server, "Service", &grants, &[], |request| request.confidential = true).await;
    let grant = ("grant_type", "client_credentials");
    let none = token(&server, &[grant, ("client_id", &client)]).await.expect(401);
    assert_eq!(
        (none.at("/error"), none.header("www-authenticate")),
        (json!("invalid_client"), "Basic realm=\"oauth\"".into())
    );
    token(&server, &[grant, ("client_id", &client), ("client_secret", "wrong")]).await.expect(401);
    token(&server, &[grant, ("client_id", &client), ("client_secret", &secret)]).await.expect(200);
    // Two different proofs are none.
    let basic = format!("Basic {}", STANDARD.encode(format!("{client}:{secret}")));
    let both = [grant, ("client_id", client.as_str()), ("client_secret", "other")];
    server.post("/o/token/").header("authorization", &basic).form(&both).send().await.expect(400);
    // A public client may send an empty secret, but not a wrong one.
    let password =
        [("grant_type", "password"), ("username", MARY), ("password", PASSWORD), ("client_id", "demo-notebook")];
    let with = |secret: &'static str| {
        let mut form = password.to_vec();
        form.push(("client_secret", secret));
        form
    };
    token(&server, &with("")).await.expect(200);
    token(&server, &with("something")).await.expect(401);
    // A new secret ends the old one.
    let new = jhe_app::operator::rotate_client_secret(server.store(), &client).await.unwrap();
    token(&server, &[grant, ("client_id", &client), ("client_secret", &secret)]).await.expect(401);
    token(&server, &[grant, ("client_id", &client), ("client_secret", &new)]).await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn the_password_grant_answers_as_the_founding_guide_shows() {
    let server = TestServer::start().await;
    let form = [
        ("grant_type", "password"),
        ("username", "Manager_Mary@example.com"),
        ("password", PASSWORD),
        ("client_id", "demo-notebook"),
        ("scope", "read write"),
    ];
    let body = token(&server, &form).await.expect(200).json();
    assert_eq!(body["scope"], "read write");
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(36000)));
    assert!(body["refresh_token"].is_string() && body.get("id_token").is_none());
    // Administrators have another way in, unless the client was registered for them.
    let admin = [
        ("grant_type", "password"),
        ("username", "admin@example.com"),
        ("password", PASSWORD),
        ("client_id", "demo-notebook"),
    ];
    assert_eq!(token(&server, &admin).await.expect(400).at("/error"), "invalid_grant");
    server
        .execute("UPDATE oauth2_provider_application SET allow_superuser = true WHERE client_id = 'demo-notebook'")
        .await;
    token(&server, &admin).await.expect(200);
    for (name, said) in
        [("password", "Request is missing password parameter."), ("username", "Request is missing username parameter.")]
    {
        let form: Vec<_> = form.iter().copied().filter(|(field, _)| *field != name).collect();
        let reply = token(&server, &form).await.expect(400);
        assert_eq!((reply.at("/error"), reply.at("/error_description")), (json!("invalid_request"), json!(said)));
    }
    server.stop().await;
    // An operator can close this way in altogether.
    let server = TestServer::with(&[("AUTH_PASSWORD_GRANT", "false")]).await;
    assert_eq!(token(&server, &form).await.expect(400).at("/error"), "unauthorized_client");
    server.stop().await;
}

#[tokio::test]
async fn access_tokens_are_opaque_or_signed_and_revocable_either_way() {
    let server = TestServer::start().await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let body = console_tokens(&server, &browser, "openid").await;
    assert!(text(&body, "access_token").starts_with("jhe_at_") && text(&body, "refresh_token").starts_with("jhe_rt_"));
    server.stop().await;

    let server = TestServer::with(&[("JHE_ACCESS_TOKEN_FORMAT", "jwt")]).await;
    let browser = Browser::new();
    browser.sign_in(&server, MARY, PASSWORD).await;
    let body = console_tokens(&server, &browser, "openid read").await;
    let access = text(&body, "access_token");
    let (header, claims) = (part(&access, 0), claims(&access));
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("RS256")));
    assert_eq!(claims["iss"], format!("{}/o", server.base));
    assert_eq!(claims["aud"], server.base);
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("10002"), &json!(console(&server).await)));
    assert_eq!(claims["scope"], "openid read");
    let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert!(lifetime == 36000 && claims["jti"].is_string());
    server.get("/api/v1/users/profile").bearer(&access).send().await.expect(200);
    // An id token is no access token, however well it is signed.
    server.get("/api/v1/users/profile").bearer(&text(&body, "id_token")).send().await.expect(401);
    let client = console(&server).await;
    server.post("/o/revoke_token/").form(&[("token", &access), ("client_id", &client)]).send().await.expect(200);
    server.get("/api/v1/users/profile").bearer(&access).send().await.expect(401);
    server.stop().await;
}

#[tokio::test]
async fn read_and_write_scopes_bind_only_where_the_site_says_so() {
    let server = TestServer::start().await;
    let ask = async |scope: &str| {
        let form = [
            ("grant_type", "password"),
            ("username", MARY),
            ("password", PASSWORD),
            ("client_id", "demo-notebook"),
            ("scope", scope),
        ];
        text(&token(&server, &form).await.expect(200).json(), "access_token")
    };
    let write = async |access: &str| {
        let body = json!({"label": "x"});
        server.post("/api/v1/practitioner_clients").bearer(access).json(&body).send().await.status.as_u16()
    };
    let (reader, writer, neither) = (ask("read").await, ask("read write").await, ask("openid email").await);
    assert_eq!(write(&reader).await, 201);
    server.set("auth.enforce_rw_scopes", "bool", "true").await;
    assert_eq!((write(&reader).await, write(&writer).await, write(&neither).await), (403, 201, 201));
    let denials = "SELECT string_agg(concat_ws(' ', actor_user_id, application_id IS NOT NULL, status, template), ', ')
                     FROM jhe_audit_event WHERE action = 'denied'";
    let denied = server.scalar(denials).await;
    assert_eq!(denied, "10002 t 403 POST /api/v1/practitioner_clients", "the refusal is in the trail, and it alone");
    server.get("/api/v1/users/profile").bearer(&reader).send().await.expect(200);
    // What makes an invitation lets its reader in as the patient.
    let invite = "/api/v1/patients/40001/invitation_link";
    server.get(invite).bearer(&reader).send().await.expect(403);
    server.get(invite).bearer(&writer).send().await.expect(200);
    // And so does what forgets consents not only read.
    let consents = "/api/v1/patients/40001/consents";
    server.get(consents).bearer(&reader).send().await.expect(200);
    server.get(&format!("{consents}?reset=true")).bearer(&reader).send().await.expect(403);
    server.get(&format!("{consents}?reset=true")).bearer(&writer).send().await.expect(200);
    // A search by POST reads.
    let search = [("patient", "40001")];
    server.post("/fhir/r5/Observation/_search").bearer(&reader).form(&search).send().await.expect(200);
    let refused = server.post("/fhir/r5/").bearer(&reader).json(&json!({})).send().await.expect(403);
    assert_eq!(refused.at("/resourceType"), "OperationOutcome");
    server.stop().await;
}

#[tokio::test]
async fn what_was_issued_before_a_move_goes_on() {
    let server = TestServer::start().await;
    let client = console(&server).await;
    // As another server stored them: by the SHA-256 of whatever text it had handed out.
    let access = "x3VdsqpjayuOQ08G9EnWyAf7LDUor6";
    server
        .execute(
            "INSERT INTO oauth2_provider_accesstoken (token_digest, user_id, application_id, scope, created, expires)
             SELECT decode('9783ddd4e9c8e02d960093a8112e885e53d3f4da20e81f3ff8ed18662a2b0c1c', 'hex'), 10006, id, 'openid',
                    '2026-09-01', '2027-01-01' FROM oauth2_provider_application WHERE name = 'JHE Admin UI';
             INSERT INTO oauth2_provider_refreshtoken (token_digest, family, user_id, application_id, scope, auth_time, created,
                    family_created, expires)
             SELECT sha256('oldRefreshToken30AlphanumericAA'), gen_random_uuid(), 10006, id, 'openid', '2026-09-01', '2026-09-01',
                    '2026-09-01', '2027-01-01' FROM oauth2_provider_application WHERE name = 'JHE Admin UI';
             INSERT INTO oauth2_provider_grant (code_digest, user_id, application_id, redirect_uri, scope, code_challenge, auth_time,
                    created, expires)
             SELECT sha256('oldCodeOfAPatientLink30Chars00'), 10006, id, 'https://old.example.org/auth/callback', 'openid',
                    'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', '2026-09-20', '2026-09-20', '2026-10-04'
               FROM oauth2_provider_application WHERE name = 'JHE Admin UI'",
        )
        .await;
    assert_eq!(server.get("/api/v1/users/profile").bearer(access).send().await.expect(200).at("/patient/id"), 40001);
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "oldRefreshToken30AlphanumericAA"),
        ("client_id", client.as_str()),
    ];
    token(&server, &form).await.expect(200);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", "oldCodeOfAPatientLink30Chars00"),
        ("redirect_uri", "https://old.example.org/auth/callback"),
        ("client_id", client.as_str()),
        ("code_verifier", super::VERIFIER),
    ];
    token(&server, &form).await.expect(200);
    server.stop().await;
}
