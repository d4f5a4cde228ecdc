//! Which clients a data source belongs to, and what operators do with clients.

use jhe_app::operator;
use jhe_testkit::{ADMIN, MARY, MEGAN, NOBODY, PETER, TestServer, VICTOR};
use serde_json::json;

#[tokio::test]
async fn data_sources_of_a_client_are_for_those_who_lead() {
    let server = TestServer::start().await;
    let path = "/api/v1/clients/1/data_sources";
    server.execute("DELETE FROM core_clientdatasource").await;
    let body = json!({"dataSourceId": 70001});
    server.post(path).json(&body).send().await.expect(401);
    for person in [PETER, NOBODY, VICTOR, MEGAN] {
        server.post(path).as_user(person).json(&body).send().await.expect(403);
        server.delete(path).as_user(person).json(&body).send().await.expect(403);
    }
    let made = server.post(path).as_user(MARY).json(&body).send().await.expect(201).json();
    assert_eq!((&made["client_id"], &made["clientId"], &made["dataSourceId"]), (&json!(1), &json!(1), &json!(70001)));
    assert_eq!(server.post(path).as_user(ADMIN).json(&body).send().await.expect(200).json(), made);
    assert_eq!(server.get(path).as_user(MARY).send().await.expect(200).at("/0/id"), 70001);
    for (wrong, told) in [
        (json!({}), "dataSourceId: This field is required."),
        (json!({"dataSourceId": 9}), "dataSourceId: Invalid pk \"9\" - object does not exist."),
    ] {
        assert_eq!(server.post(path).as_user(MARY).json(&wrong).send().await.expect(400).detail(), told);
    }
    let unknown = server.post("/api/v1/clients/999/data_sources").as_user(MARY).json(&body).send().await.expect(404);
    assert_eq!(unknown.detail(), "No Application matches the given query.");
    for _ in 0..2 {
        server.delete(path).as_user(ADMIN).json(&json!({"data_source_id": 70001})).send().await.expect(204);
    }
    assert_eq!(server.get(path).as_user(MARY).send().await.expect(200).json(), json!([]));
    server.stop().await;
}

#[tokio::test]
async fn operators_list_and_remove_clients() {
    let server = TestServer::start().await;
    let clients = operator::clients(server.store()).await.unwrap();
    assert!(clients.iter().any(|client| client.client_id == "demo-notebook" && client.enabled));
    operator::enable_client(server.store(), "demo-notebook", false).await.unwrap();
    let form = [
        ("grant_type", "password"),
        ("username", "manager_mary@example.com"),
        ("password", "Jhe1234!"),
        ("client_id", "demo-notebook"),
    ];
    super::token(&server, &form).await.expect(401);
    operator::enable_client(server.store(), "demo-notebook", true).await.unwrap();
    let access = super::text(&super::token(&server, &form).await.expect(200).json(), "access_token");
    assert!(operator::rotate_client_secret(server.store(), "demo-notebook").await.is_err(), "it is public");
    operator::delete_client(server.store(), "demo-notebook").await.unwrap();
    server.get("/api/v1/users/profile").bearer(&access).send().await.expect(401);
    assert!(operator::delete_client(server.store(), "demo-notebook").await.is_err());
    // What operators do is in the audit trail.
    let trail =
        "SELECT count(*)::text FROM jhe_audit_event WHERE resource = 'Application' AND action IN ('update', 'delete')";
    assert_eq!(server.scalar(trail).await, "3");
    server.stop().await;
}
