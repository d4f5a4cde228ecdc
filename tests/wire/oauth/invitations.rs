//! From a practitioner's invitation to a patient's token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jhe_testkit::{MARK, MARY, PETER, TestServer, VICTOR};
use serde_json::json;

use super::{console, token};

#[tokio::test]
async fn a_link_opens_the_patients_own_record_once() {
    let server = TestServer::start().await;
    let link = server
        .get("/api/v1/patients/40001/invitation_link")
        .as_user(MARY)
        .send()
        .await
        .expect(200)
        .at("/invitationLink");
    let link = link.as_str().unwrap();
    let code = link.rsplit(['|', '~']).next().unwrap().rsplit("%7C").next().unwrap();
    let verifier = server.app().identity().static_verifier().unwrap();
    let client = console(&server).await;
    let redirect = format!("{}/auth/callback", server.base);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect.as_str()),
        ("client_id", client.as_str()),
        ("code_verifier", verifier.as_str()),
    ];
    let access = token(&server, &form).await.expect(200).at("/access_token");
    let profile = server.get("/api/v1/users/profile").bearer(access.as_str().unwrap()).send().await.expect(200);
    assert_eq!(profile.at("/patient/id"), 40001);
    token(&server, &form).await.expect(400);
    for person in [VICTOR, MARK, PETER] {
        server.get("/api/v1/patients/40001/invitation_link").as_user(person).send().await.expect(403);
    }
    server.stop().await;
}

#[tokio::test]
async fn an_invitation_of_a_client_is_redeemed_within_its_window() {
    let server = TestServer::start().await;
    let body = json!({"patientId": 40001, "clientId": 1});
    for person in [VICTOR, MARK, PETER] {
        server.post("/api/v1/invitation").as_user(person).json(&body).send().await.expect(403);
    }
    let made = server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201).json();
    let secret = made["token"].as_str().unwrap();
    let grant = server.post(&format!("/api/v1/invitation/{secret}")).send().await.expect(200).json();
    let text = |name: &str| grant["grant"][name].as_str().unwrap().to_owned();
    let verifier = URL_SAFE_NO_PAD.encode(secret.as_bytes());
    let (code, redirect, client) = (text("code"), text("redirect_uri"), text("client_id"));
    let access = token(
        &server,
        &[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &redirect),
            ("client_id", &client),
            ("code_verifier", &verifier),
        ],
    )
    .await
    .expect(200)
    .at("/access_token");
    let own = server.get("/fhir/r5/Observation").bearer(access.as_str().unwrap()).send().await.expect(200);
    assert_eq!(own.at("/total"), 2);
    server.clock.advance(chrono::TimeDelta::hours(13));
    server.post(&format!("/api/v1/invitation/{secret}")).send().await.expect(409);
    server.post(&format!("/api/v1/invitation/{}", "x".repeat(32))).send().await.expect(404);
    assert!(
        !server.scalar("SELECT string_agg(i::text, ' ') FROM core_patientinvitation AS i").await.contains(secret),
        "only a digest is stored"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_link_does_not_open_an_account_that_has_become_more() {
    for change in [
        "UPDATE core_jheuser SET is_superuser = true WHERE id = 10006",
        "UPDATE core_jheuser SET user_type = 'practitioner' WHERE id = 10006",
        "INSERT INTO core_practitioner (jhe_user_id, name_family) VALUES (10006, 'Dual')",
    ] {
        let server = TestServer::start().await;
        let path = "/api/v1/patients/40001/invitation_link";
        let link = server.get(path).as_user(MARY).send().await.expect(200).at("/invitationLink");
        let code = link.as_str().unwrap().rsplit('|').next().unwrap().to_owned();
        server.execute(change).await;
        server.get(path).as_user(MARY).send().await.expect(400);
        let verifier = server.app().identity().static_verifier().unwrap();
        let redirect = format!("{}/auth/callback", server.base);
        let client = console(&server).await;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", redirect.as_str()),
            ("client_id", client.as_str()),
            ("code_verifier", verifier.as_str()),
        ];
        assert_eq!(token(&server, &form).await.expect(400).at("/error"), "invalid_grant", "{change}");
        server.stop().await;
    }
}
