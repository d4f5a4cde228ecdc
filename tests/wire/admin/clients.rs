//! Patient clients: who registers them, and what goes with them.

use jhe_testkit::{ADMIN, MARY, PETER, TestServer};
use serde_json::json;

#[tokio::test]
async fn administrators_register_change_and_remove_patient_clients() {
    let server = TestServer::start().await;
    let body = json!({"name": "Mobile", "clientId": "mob1", "invitationUrl": "https://app.example.org/i/CODE"});
    server.post("/api/v1/clients").json(&body).send().await.expect(401);
    for template in ["javascript:go('CODE')", "data:text/html,CODE", "https://app.example.org/i/"] {
        let bad = json!({"name": "Mobile", "clientId": "mob1", "invitationUrl": template});
        server.post("/api/v1/clients").as_user(ADMIN).json(&bad).send().await.expect(400);
    }
    for person in [MARY, PETER] {
        server.post("/api/v1/clients").as_user(person).json(&body).send().await.expect(403);
        server.post("/api/v1/clients").as_user(person).json(&json!({})).send().await.expect(403);
    }
    let made = server.post("/api/v1/clients").as_user(ADMIN).json(&body).send().await.expect(201);
    let id = made.at("/id").as_i64().unwrap();
    assert_eq!(
        made.json(),
        json!({"id": id, "name": "Mobile", "clientId": "mob1", "invitationUrl": "https://app.example.org/i/CODE"})
    );
    let path = format!("/api/v1/clients/{id}");
    assert_eq!(server.get(&path).as_user(MARY).send().await.expect(200).json(), made.json());
    server.get(&path).as_user(PETER).send().await.expect(404);

    for (person, status) in [(MARY, 403), (PETER, 403), (ADMIN, 200)] {
        let change = json!({"name": "Other", "invitationUrl": null});
        server.patch(&path).as_user(person).json(&change).send().await.expect(status);
    }
    let cleared = server
        .put(&path)
        .as_user(ADMIN)
        .json(&json!({"client_id": "mob2", "invitationUrl": ""}))
        .send()
        .await
        .expect(200);
    assert_eq!(cleared.json(), json!({"id": id, "name": "Other", "clientId": "mob2", "invitationUrl": ""}));

    // What is no patient client is not there, for administrators either.
    server.patch("/api/v1/clients/4").as_user(ADMIN).json(&json!({"name": "x"})).send().await.expect(404);
    server.delete("/api/v1/clients/4").as_user(ADMIN).send().await.expect(404);
    server.delete(&path).as_user(MARY).send().await.expect(403);
    server.delete(&path).as_user(ADMIN).send().await.expect(204);
    server.get(&path).as_user(ADMIN).send().await.expect(404);
    server.stop().await;
}

#[tokio::test]
async fn wrong_registrations_are_told_and_leave_nothing() {
    let server = TestServer::start().await;
    let before = server.scalar("SELECT count(*)::text FROM oauth2_provider_application").await;
    let url = "https://app.example.org/i/CODE";
    for (body, told) in [
        (json!({"name": "only"}), "clientId: This field is required.; invitationUrl: This field is required."),
        (
            json!({"name": "n", "clientId": "c", "invitationUrl": "https://app.example.org/i/"}),
            "invitationUrl: Must contain CODE exactly once.",
        ),
        (
            json!({"name": "n", "clientId": "c", "invitationUrl": "https://CODE/CODE"}),
            "invitationUrl: Must contain CODE exactly once.",
        ),
        (json!({"name": " ", "clientId": "c", "invitationUrl": url}), "name: This field may not be blank."),
        (
            json!({"name": "n", "clientId": "demo-notebook", "invitationUrl": url}),
            "clientId: application with this client id already exists.",
        ),
        (
            json!({"name": "n", "clientId": "x".repeat(256), "invitationUrl": url}),
            "clientId: Ensure this field has no more than 255 characters.",
        ),
    ] {
        let reply = server.post("/api/v1/clients").as_user(ADMIN).json(&body).send().await.expect(400);
        assert_eq!(reply.detail(), told);
    }
    assert_eq!(server.scalar("SELECT count(*)::text FROM oauth2_provider_application").await, before);
    let taken =
        server.patch("/api/v1/clients/1").as_user(ADMIN).json(&json!({"clientId": "demo-notebook"})).send().await;
    taken.expect(400);
    server.stop().await;
}

#[tokio::test]
async fn a_removed_client_takes_its_tokens_and_invitations_along() {
    let server = TestServer::start().await;
    let body = json!({"patientId": 40001, "clientId": 1});
    let made = server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201);
    let secret = made.at("/token").as_str().unwrap().to_owned();
    server.delete("/api/v1/clients/1").as_user(ADMIN).send().await.expect(204);
    server.post(&format!("/api/v1/invitation/{secret}")).send().await.expect(404);
    for table in ["core_jheclient WHERE application_id = 1", "core_studyclient WHERE client_id = 1"] {
        let sql: &'static str = Box::leak(format!("SELECT count(*)::text FROM {table}").into_boxed_str());
        assert_eq!(server.scalar(sql).await, "0", "{table}");
    }
    server.stop().await;
}
