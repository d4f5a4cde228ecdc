//! From a practitioner's invitation to a patient's token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jhe_testkit::{ADMIN, MARK, MARY, Mailbox, NOBODY, PETER, Person, TestServer, VICTOR};
use serde_json::{Value, json};

use super::{console, exchange, text, token};

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

/// The code in a link with a static verifier.
fn code_of(link: &str) -> String {
    link.rsplit(['|', '~', '=']).next().unwrap().to_owned()
}

#[tokio::test]
async fn links_are_made_of_what_the_operator_configured() {
    let server =
        TestServer::with(&[("CH_INVITATION_LINK_PREFIX", "https://play.example/x?referrer=cloud_sharing=")]).await;
    let path = "/api/v1/patients/40001/invitation_link";
    server.get(path).send().await.expect(401);
    let reply = server.get(path).as_user(MARY).send().await.expect(200);
    assert_eq!(reply.header("cache-control"), "no-store");
    let host = server.base.trim_start_matches("http://");
    let link = text(&reply.json(), "invitationLink");
    assert!(link.starts_with(&format!("https://play.example/x?referrer=cloud_sharing={host}|")), "{link}");
    assert!(code_of(&link).len() == 30 && code_of(&link).bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let unknown = server.get("/api/v1/patients/99999/invitation_link").as_user(ADMIN).send().await.expect(404);
    assert_eq!(unknown.detail(), "No Patient matches the given query.");
    server.execute("UPDATE core_patient SET jhe_user_id = NULL WHERE id = 40001").await;
    let nobody = server.get(path).as_user(MARY).send().await.expect(400);
    assert_eq!(nobody.detail(), "Patient has no associated user account.");
    server.stop().await;
    let server = TestServer::with(&[("CH_INVITATION_LINK_EXCLUDE_HOST", "yes")]).await;
    let link = text(&server.get(path).as_user(MARY).send().await.expect(200).json(), "invitationLink");
    assert_eq!(link.len(), 30, "{link}");
    server.stop().await;
}

#[tokio::test]
async fn a_second_link_ends_the_first_and_the_configured_pair_counts() {
    let verifier = "f28984eaebcf41d881223399fc8eab27eaa374a9a8134eb3a900a3b7c0e6feab5b427479f3284ebe9c15b698849b0de2";
    let server = TestServer::with(&[
        ("PATIENT_AUTHORIZATION_CODE_VERIFIER", verifier),
        ("PATIENT_AUTHORIZATION_CODE_CHALLENGE", "-2FUJ5UCa7NK9hZWS0bc0W9uJ-Zr_-Pngd4on69oxpU"),
    ])
    .await;
    let link = async || {
        let reply = server.post("/api/v1/patients/40001/invitation_link").as_user(MARY).send().await.expect(200);
        code_of(&text(&reply.json(), "invitationLink"))
    };
    let (first, second) = (link().await, link().await);
    let client = console(&server).await;
    let go = async |code: &str, verifier: &str| exchange(&server, code, &client, &[("code_verifier", verifier)]).await;
    assert_eq!(go(&first, verifier).await.expect(400).at("/error"), "invalid_grant");
    go(&second, &"x".repeat(43)).await.expect(400);
    // Days later it still works, once.
    server.clock.advance(chrono::TimeDelta::days(13));
    let tokens = go(&second, verifier).await.expect(200).json();
    assert_eq!((&tokens["scope"], tokens["id_token"].is_string()), (&json!("openid"), true));
    go(&second, verifier).await.expect(400);
    let late = link().await;
    server.clock.advance(chrono::TimeDelta::days(15));
    go(&late, verifier).await.expect(400);
    server.stop().await;
}

#[tokio::test]
async fn links_are_mailed_on_request() {
    let mailbox = Mailbox::start().await;
    let port = mailbox.port.to_string();
    let server = TestServer::with(&[("SMTP_HOST", "127.0.0.1"), ("SMTP_PORT", &port)]).await;
    let path = "/api/v1/patients/40001/invitation_link?send_email=true";
    let link = text(&server.get(path).as_user(MARY).send().await.expect(200).json(), "invitationLink");
    let mail = mailbox.wait("ll_patient_peter@example.com", 1).await;
    assert_eq!(mail.subject, "JHE Invitation");
    assert!(mail.text.contains(&link), "{}", mail.text);
    let body = json!({"patientId": 40001, "clientId": 1, "sendEmail": true});
    let made = server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201).json();
    let mail = mailbox.wait("ll_patient_peter@example.com", 2).await;
    assert_eq!(mail.subject, "JHE Invitation");
    assert!(mail.text.contains(&text(&made, "invitationLink")), "{}", mail.text);
    let path = "/api/v1/patients/40001/invitation_link";
    let posted = server.post(path).as_user(MARY).json(&json!({"sendEmail": true})).send().await.expect(200).json();
    let mail = mailbox.wait("ll_patient_peter@example.com", 3).await;
    assert!(mail.text.contains(&text(&posted, "invitationLink")), "{}", mail.text);
    server.post(path).as_user(MARY).send().await.expect(200);
    server.post(path).as_user(MARY).json(&json!({"sendEmail": "true"})).send().await.expect(200);
    // Only the literal truth sends, and nobody but the patient is told.
    let quiet = json!({"patientId": 40001, "clientId": 1, "sendEmail": "false"});
    server.post("/api/v1/invitation").as_user(MARY).json(&quiet).send().await;
    // Whoever was invited is told that the invitation was used.
    let secret = text(
        &server
            .post("/api/v1/invitation")
            .as_user(MARY)
            .json(&json!({"patientId": 40001, "clientId": 1}))
            .send()
            .await
            .expect(201)
            .json(),
        "token",
    );
    server.post(&format!("/api/v1/invitation/{secret}")).send().await.expect(200);
    assert!(mailbox.wait("ll_patient_peter@example.com", 4).await.text.contains("was connected to your account"));
    server.stop().await;
}

#[tokio::test]
async fn an_invitation_has_its_form_and_its_faults() {
    let server = TestServer::start().await;
    let ask =
        async |person: Person, body: Value| server.post("/api/v1/invitation").as_user(person).json(&body).send().await;
    let made = ask(MARY, json!({"patient_id": 40001, "client_id": 1})).await.expect(201).json();
    let token = text(&made, "token");
    assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!((&made["status"], &made["patientId"], &made["client_id"]), (&json!("issued"), &json!(40001), &json!(1)));
    assert_eq!(made["tokenHash"], jhe_crypto::token::digest_base64url(&token));
    let host = server.base.trim_start_matches("http://").replace(':', "%3A");
    assert!(text(&made, "invitationLink").ends_with(&format!("{host}_{token}")), "{made}");

    let missing = ask(MARY, json!({})).await.expect(400).json();
    assert_eq!(missing["patientId"], json!(["This field is required."]));
    assert_eq!(missing["client_id"], json!(["This field is required."]));
    assert_eq!(
        ask(ADMIN, json!({"patientId": 99999, "clientId": 1})).await.expect(404).detail(),
        "No Patient matches the given query."
    );
    assert_eq!(
        ask(MARY, json!({"patientId": 40001, "clientId": 999})).await.expect(404).detail(),
        "No Application matches the given query."
    );
    let console = server.scalar("SELECT id::text FROM oauth2_provider_application WHERE name = 'JHE Admin UI'").await;
    let console: i64 = console.parse().unwrap();
    assert!(
        ask(MARY, json!({"patientId": 40001, "clientId": console}))
            .await
            .expect(400)
            .detail()
            .contains("This client has no invitation URL.")
    );
    for person in [PETER, VICTOR, MARK, NOBODY] {
        ask(person, json!({"patientId": 40001, "clientId": 1})).await.expect(403);
    }
    server.post("/api/v1/invitation").json(&json!({"patientId": 40001, "clientId": 1})).send().await.expect(401);
    // An account that is more than a patient is never opened by a link.
    server.execute("INSERT INTO core_practitioner (jhe_user_id, name_family) VALUES (10007, 'Dual')").await;
    let dual = ask(MARY, json!({"patientId": 40002, "clientId": 1})).await.expect(400);
    assert_eq!(dual.detail(), "This account cannot be invited as a patient.");
    server.stop().await;
}

#[tokio::test]
async fn what_became_of_an_invitation_decides_what_redeeming_says() {
    let server = TestServer::start().await;
    let issue = async || {
        let body = json!({"patientId": 40001, "clientId": 1});
        server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201).json()
    };
    let redeem = async |token: &str| server.post(&format!("/api/v1/invitation/{token}")).send().await;
    let (first, second) = (issue().await, issue().await);
    assert_eq!(redeem(&text(&first, "token")).await.expect(409).detail(), "Invitation has already been used.");
    let path = format!("/api/v1/invitation/{}", second["id"]);
    server.patch(&path).as_user(MARK).json(&json!({"status": "cancelled"})).send().await.expect(404);
    server.patch(&path).as_user(VICTOR).json(&json!({"status": "cancelled"})).send().await.expect(403);
    server.patch(&path).as_user(MARY).json(&json!({"status": "redeemed"})).send().await.expect(400);
    let kept = server.patch(&path).as_user(MARY).json(&json!({"tokenHash": "x"})).send().await.expect(200);
    assert_eq!(kept.at("/tokenHash"), second["tokenHash"]);
    let cancelled = server.patch(&path).as_user(MARY).json(&json!({"status": "cancelled"})).send().await.expect(200);
    assert_eq!((cancelled.at("/status"), cancelled.at("/token")), (json!("cancelled"), json!(null)));
    assert_eq!(redeem(&text(&second, "token")).await.expect(403).detail(), "Invitation has been cancelled.");
    let third = issue().await;
    server.clock.advance(chrono::TimeDelta::days(8));
    assert_eq!(redeem(&text(&third, "token")).await.expect(410).detail(), "Invitation has expired.");
    assert_eq!(redeem(&"x".repeat(32)).await.expect(404).detail(), "Invitation not found or already used.");
    redeem(&"x".repeat(31)).await.expect(401);
    // Lists show states, never tokens, and only to those who share an organization with the patient.
    server.get("/api/v1/invitation").as_user(PETER).send().await.expect(403);
    let seen = server.get("/api/v1/invitation").as_user(MARY).send().await.expect(200);
    assert_eq!(seen.at("/count"), 3);
    assert!(seen.at("/results").as_array().unwrap().iter().all(|row| row["token"].is_null()));
    assert_eq!(server.get("/api/v1/invitation").as_user(MARK).send().await.expect(200).at("/count"), 0);
    server.delete(&path).as_user(MARY).send().await.expect(204);
    server.stop().await;
}

#[tokio::test]
async fn the_window_after_a_redemption_does_not_slide() {
    let server = TestServer::start().await;
    let body = json!({"patientId": 40001, "clientId": 1});
    let made = server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201).json();
    let secret = text(&made, "token");
    let redeem = async || server.post("/api/v1/invitation/redeem").json(&json!({"token": secret})).send().await;
    let verifier = URL_SAFE_NO_PAD.encode(secret.as_bytes());
    let go = async |grant: &Value| {
        let (code, client) = (text(grant, "code"), text(grant, "client_id"));
        exchange(&server, &code, &client, &[("code_verifier", &verifier)]).await
    };
    let reply = redeem().await.expect(200);
    assert_eq!(
        (reply.header("cache-control"), reply.header("access-control-allow-origin")),
        ("no-store".into(), "*".into())
    );
    let first = reply.at("/grant");
    assert_eq!(reply.at("/token_endpoint"), format!("{}/o/token/", server.base));
    server.clock.advance(chrono::TimeDelta::hours(11));
    let second = redeem().await.expect(200).at("/grant");
    go(&first).await.expect(400);
    let tokens = go(&second).await.expect(200).json();
    assert_eq!(tokens["scope"], "openid email");
    server.clock.advance(chrono::TimeDelta::hours(2));
    redeem().await.expect(409);
    // Without a window an invitation is good once; an account that is closed, never.
    server.set("auth.patient.invitation_redemption_window_hours", "int", "0").await;
    let made = server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201).json();
    let path = format!("/api/v1/invitation/{}", text(&made, "token"));
    server.post(&path).send().await.expect(200);
    server.post(&path).send().await.expect(409);
    let made = server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201).json();
    server.execute("UPDATE core_jheuser SET is_active = false WHERE id = 10006").await;
    server.post(&format!("/api/v1/invitation/{}", text(&made, "token"))).send().await.expect(403);
    let missing = server.post("/api/v1/invitation/redeem").json(&json!({})).send().await.expect(400);
    assert_eq!(missing.detail(), "token: This field is required.");
    server.stop().await;
}

#[tokio::test]
async fn two_redemptions_at_once_leave_one_code() {
    let server = TestServer::start().await;
    let body = json!({"patientId": 40001, "clientId": 1});
    let made = server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201).json();
    let secret = text(&made, "token");
    let path = format!("/api/v1/invitation/{secret}");
    let tries: Vec<_> = (0..6).map(|_| tokio::spawn(server.post(&path).send())).collect();
    let verifier = URL_SAFE_NO_PAD.encode(secret.as_bytes());
    let mut usable = 0;
    let mut grants = Vec::new();
    for attempt in tries {
        grants.push(attempt.await.unwrap().expect(200).at("/grant"));
    }
    for grant in grants {
        let (code, client) = (text(&grant, "code"), text(&grant, "client_id"));
        let reply = exchange(&server, &code, &client, &[("code_verifier", &verifier)]).await;
        usable += i32::from(reply.status.as_u16() == 200);
    }
    assert_eq!(usable, 1);
    server.stop().await;
}

#[tokio::test]
async fn nobody_takes_over_an_account_by_registering_a_patient() {
    let server = TestServer::start().await;
    let with = |email: &str| json!({"organizationId": 20003, "nameFamily": "X", "nameGiven": "Y", "birthDate": "1980-01-01", "telecomEmail": email});
    // The address of a practitioner, of an administrator, in whatever spelling.
    for email in ["manager_mark@example.com", "ADMIN@example.com", "Manager_MARK@EXAMPLE.com"] {
        let reply = server.post("/api/v1/patients").as_user(MARY).json(&with(email)).send().await;
        assert!(matches!(reply.status.as_u16(), 400 | 403 | 409), "{email}: {}", reply.status);
    }
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_patient WHERE jhe_user_id IN (10001, 10008)").await, "0");
    // A patient of strangers does not become theirs, nor can they invite it.
    let reply = server.post("/api/v1/patients").as_user(MARY).json(&with("npl_patient_percy@example.com")).send().await;
    assert!(reply.status.as_u16() >= 400, "{}", reply.status);
    let body = json!({"patientId": 40003, "clientId": 1});
    server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(403);
    server.get("/api/v1/patients/40003/invitation_link").as_user(MARY).send().await.expect(403);
    // Attached to an organization without having agreed, a patient cannot be invited by it either.
    let attach = "/api/v1/patients/40003/global_add_organization?organizationId=20003";
    server.patch(attach).as_user(MARY).send().await.expect(200);
    server.get("/api/v1/patients/40003/invitation_link").as_user(MARY).send().await.expect(403);
    server.stop().await;
}

/// Permission comes before the rest of the body, and twenty a minute are enough (integrations §1.7).
#[tokio::test]
async fn invitations_are_for_ones_own_patients_and_limited() {
    let server = TestServer::start().await;
    let invite = |person, body: serde_json::Value| server.post("/api/v1/invitation").as_user(person).json(&body).send();
    invite(MARK, json!({"patientId": 40001})).await.expect(403);
    invite(MARY, json!({"patientId": 40001})).await.expect(400);
    for _ in 0..20 {
        invite(MARY, json!({"patientId": 40001, "clientId": 1})).await.expect(201);
    }
    let refused = invite(MARY, json!({"patientId": 40001, "clientId": 1})).await.expect(429);
    assert!(!refused.header("retry-after").is_empty());
    // Others go on, and she does a minute later.
    invite(ADMIN, json!({"patientId": 40001, "clientId": 1})).await.expect(201);
    server.clock.advance(chrono::TimeDelta::seconds(61));
    invite(MARY, json!({"patientId": 40001, "clientId": 1})).await.expect(201);
    server.stop().await;
}
