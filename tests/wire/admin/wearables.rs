//! Connections to wearables are told (case 155), and end with the consent that fed them (data model §6.8; case 170).

use std::time::Duration;

use jhe_testkit::{ADMIN, MARK, MARY, NOBODY, PETER, Reply, TestServer, TestService, VICTOR};
use serde_json::{Value, json};

const HEART_RATE: &str = "omh:heart-rate:2.0";
const PRESSURE: &str = "omh:blood-pressure:4.0";
const ALL: [&str; 3] = [PRESSURE, HEART_RATE, "QuestionnaireResponse"];

/// A server whose wearables are at a service, and Peter with an account there.
async fn linked(service: &str) -> TestServer {
    let server = TestServer::start().await;
    server.execute("UPDATE core_jheuser SET identifier = 'ow:abc/../x y' WHERE id = 10006").await;
    server.set("module.ow", "bool", "true").await;
    server.set("ow.api_url", "string", &format!("'{service}'")).await;
    server.set("ow.api_key", "string", "'the-key'").await;
    server
}

fn answers(study: i64, codes: &[&str], consented: bool) -> Value {
    let scope = |code: &&str| {
        let system = if code.starts_with("omh:") {
            "https://w3id.org/openmhealth"
        } else {
            "http://hl7.org/fhir/resource-types"
        };
        json!({"codingSystem": system, "codingCode": code, "consented": consented})
    };
    json!({"studyScopeConsents": [{"studyId": study, "scopeConsents": codes.iter().map(scope).collect::<Vec<_>>()}]})
}

async fn change(server: &TestServer, study: i64, codes: &[&str], consented: bool) -> Reply {
    let body = answers(study, codes, consented);
    server.patch("/api/v1/patients/40001/consents").as_user(PETER).json(&body).send().await.expect(200)
}

async fn queued(server: &TestServer) -> String {
    server.scalar("SELECT count(*)::text FROM jhe_wearable_disconnection").await
}

/// Waits until what is queued is in a state.
async fn settled(server: &TestServer, condition: &'static str) {
    let patience = Duration::from_secs(30);
    let wait = async {
        while server.scalar(condition).await != "true" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(patience, wait).await.unwrap_or_else(|_| panic!("never: {condition}"));
}

#[tokio::test]
async fn withdrawing_all_consents_ends_the_connection_once() {
    let service = TestService::start().await;
    let server = linked(&service.url).await;
    change(&server, 30001, &[PRESSURE], false).await;
    assert_eq!(queued(&server).await, "0", "the study still has consents");
    change(&server, 30001, &ALL, false).await;
    let asked = service.wait_for(1).await;
    let head = asked[0].to_lowercase();
    assert!(
        asked[0].starts_with("DELETE /api/v1/users/abc%2F..%2Fx%20y/connections/oura HTTP/1.1\r\n"),
        "{}",
        asked[0]
    );
    assert!(head.contains("\r\nx-open-wearables-api-key: the-key\r\n"), "{head}");
    settled(&server, "SELECT (state = 'done')::text FROM jhe_wearable_disconnection").await;
    // Saying so again withdraws nothing.
    change(&server, 30001, &ALL, false).await;
    assert_eq!((queued(&server).await.as_str(), service.asked().len()), ("1", 1));
    // Taking answers back withdraws as well.
    change(&server, 30001, &ALL, true).await;
    let body = answers(30001, &ALL, true);
    server.delete("/api/v1/patients/40001/consents").as_user(PETER).json(&body).send().await.expect(204);
    service.wait_for(2).await;
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_another_study_feeds_on_stays() {
    let service = TestService::start().await;
    let server = linked(&service.url).await;
    server
        .execute("INSERT INTO core_studyscoperequest (study_id, scope_code_id) VALUES (30002, 50004);
                  INSERT INTO core_studypatientscopeconsent (study_patient_id, scope_code_id, consented, consented_time) VALUES (2, 50004, true, now())")
        .await;
    change(&server, 30001, &ALL, false).await;
    assert_eq!(queued(&server).await, "0");
    // A consent to what no wearable measures keeps none.
    change(&server, 30001, &ALL, true).await;
    server
        .execute("INSERT INTO core_studypatientscopeconsent (study_patient_id, scope_code_id, consented, consented_time) VALUES (2, 50002, true, now());
                  DELETE FROM core_studyscoperequest WHERE study_id = 30002 AND scope_code_id = 50004")
        .await;
    change(&server, 30001, &ALL, false).await;
    service.wait_for(1).await;
    server.stop().await;
}

#[tokio::test]
async fn nobody_is_told_of_patients_without_an_account_there_or_without_the_module() {
    let service = TestService::start().await;
    let server = linked(&service.url).await;
    for statement in [
        "UPDATE core_jheuser SET identifier = 'fhir-666' WHERE id = 10006",
        "UPDATE core_jheuser SET identifier = 'ow:' WHERE id = 10006",
    ] {
        server.execute(statement).await;
        change(&server, 30001, &ALL, false).await;
        change(&server, 30001, &ALL, true).await;
    }
    server.execute("UPDATE core_jheuser SET identifier = 'ow:abc' WHERE id = 10006").await;
    for (key, kind, without, with) in [
        ("module.ow", "bool", "false".to_owned(), "true".to_owned()),
        ("ow.api_key", "string", "''".to_owned(), "'the-key'".to_owned()),
        ("ow.api_url", "string", "''".to_owned(), format!("'{}'", service.url)),
    ] {
        server.set(key, kind, &without).await;
        change(&server, 30001, &ALL, false).await;
        change(&server, 30001, &ALL, true).await;
        server.set(key, kind, &with).await;
    }
    assert_eq!((queued(&server).await.as_str(), service.asked().len()), ("0", 0));
    // All of it was what kept it.
    change(&server, 30001, &ALL, false).await;
    service.wait_for(1).await;
    server.stop().await;
}

/// A service that is down delays nothing, and is told when it is there again, unless the patient consented again.
#[tokio::test]
async fn a_service_that_is_down_is_told_later() {
    let service = TestService::start().await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let server = linked(&format!("http://{closed}")).await;
    change(&server, 30001, &ALL, false).await;
    settled(
        &server,
        "SELECT (state = 'queued' AND attempts = 1 AND last_error IS NOT NULL AND next_attempt > clock_timestamp())::text
           FROM jhe_wearable_disconnection",
    )
    .await;
    // There again, and then not in the mood.
    server.set("ow.api_url", "string", &format!("'{}'", service.url)).await;
    service.answer(500);
    let due = "UPDATE jhe_wearable_disconnection SET next_attempt = now()";
    server.execute(due).await;
    service.wait_for(1).await;
    settled(&server, "SELECT (state = 'queued' AND attempts = 2)::text FROM jhe_wearable_disconnection").await;
    service.answer(204);
    change(&server, 30001, &ALL, true).await;
    server.execute(due).await;
    settled(&server, "SELECT (state = 'moot')::text FROM jhe_wearable_disconnection").await;
    assert_eq!(service.asked().len(), 1);
    change(&server, 30001, &ALL, false).await;
    service.wait_for(2).await;
    // Given up after some days.
    service.answer(500);
    change(&server, 30001, &ALL, true).await;
    change(&server, 30001, &ALL, false).await;
    service.wait_for(3).await;
    settled(&server, "SELECT (count(*) = 1)::text FROM jhe_wearable_disconnection WHERE last_error IS NOT NULL").await;
    server
        .execute("UPDATE jhe_wearable_disconnection SET attempts = 7, next_attempt = now() WHERE state = 'queued'")
        .await;
    settled(&server, "SELECT (count(*) = 1)::text FROM jhe_wearable_disconnection WHERE state = 'failed'").await;
    server.stop().await;
}

#[tokio::test]
async fn settings_of_the_module_have_types() {
    let server = TestServer::start().await;
    let set = async |key: &str, kind: &str, value: Value| {
        server.execute("DELETE FROM core_jhesetting WHERE key LIKE 'ow.%' OR key = 'module.ow'").await;
        let body = json!({"key": key, "valueType": kind, "value": value});
        server.post("/api/v1/jhe_settings").as_user(ADMIN).json(&body).send().await
    };
    for (key, kind, value) in [
        ("module.ow", "bool", json!(true)),
        ("ow.api_url", "string", json!("https://ow.example.org/")),
        ("ow.ingest_mode", "string", json!("raw")),
        ("ow.poll_interval_minutes", "int", json!(15)),
        ("ow.s3.bucket_name", "string", json!("b")),
    ] {
        set(key, kind, value).await.expect(201);
    }
    for (key, kind, value, field) in [
        ("module.ow", "string", json!("yes"), "valueType"),
        ("ow.api_url", "int", json!(1), "valueType"),
        ("ow.api_url", "string", json!("nowhere"), "value"),
        ("ow.api_url", "string", json!("https://name:password@ow.example.org"), "value"),
        ("ow.ingest_mode", "string", json!("both"), "value"),
        ("ow.poll_interval_minutes", "int", json!(0), "value"),
    ] {
        let refused = set(key, kind, value).await.expect(400);
        assert!(refused.json().get(field).is_some(), "{key}: {}", refused.text());
    }
    for key in ["ow.api_key", "ow.s3.secret_access_key"] {
        let made = set(key, "string", json!("hidden-value")).await.expect(201);
        assert!(!made.text().contains("hidden-value"), "{key}");
    }
    server.stop().await;
}

const STATUS: &str = "/api/v1/patients/40001/wearable-status";

#[tokio::test]
async fn wearables_are_not_connected_where_nobody_configured_them() {
    let server = TestServer::start().await;
    let path = |id: i64| format!("/api/v1/patients/{id}/wearable-status");
    let none = json!({"connections": [], "connected": false});
    for person in [PETER, MARY, VICTOR, ADMIN] {
        assert_eq!(server.get(&path(40001)).as_user(person).send().await.expect(200).json(), none);
    }
    for (person, id) in [(PETER, 40002), (MARY, 40005), (NOBODY, 40001), (MARK, 40001)] {
        server.get(&path(id)).as_user(person).send().await.expect(403);
    }
    let other = server.get(&path(40002)).as_user(PETER).send().await;
    assert_eq!(other.detail(), "The Patient does not match the current patient user.");
    server.execute("UPDATE core_jheuser SET identifier = 'ow:5' WHERE id = 10006").await;
    let linked = server.get(&path(40001)).as_user(MARY).send().await.expect(200).json();
    assert_eq!(linked, json!({"connections": [], "connected": false, "error": "OW integration not configured"}));
    server.stop().await;
}

/// Admin API §6.4: as the service tells, with nothing but what describes a connection.
#[tokio::test]
async fn connections_are_told_as_the_service_tells_them() {
    let service = TestService::start().await;
    let server = linked(&service.url).await;
    let connection = json!({
        "id": "c1", "user_id": "abc", "provider": "oura", "provider_user_id": "o7", "provider_username": null, "scope": "daily",
        "status": "active", "last_synced_at": "2026-11-01T00:00:00Z", "created_at": "2026-10-01T00:00:00Z", "updated_at": null,
        "access_token": "of-nobody's-business"
    });
    service.answer_json(200, &json!([connection]));
    for person in [PETER, MARY, ADMIN] {
        let status = server.get(STATUS).as_user(person).send().await.expect(200);
        assert!(!status.text().contains("business"), "{}", status.text());
        assert_eq!(
            status.json(),
            json!({"connected": true, "connections": [{
                "id": "c1", "userId": "abc", "provider": "oura", "providerUserId": "o7", "providerUsername": null, "scope": "daily",
                "status": "active", "lastSyncedAt": "2026-11-01T00:00:00Z", "createdAt": "2026-10-01T00:00:00Z", "updatedAt": null
            }]})
        );
    }
    let asked = service.asked();
    let head = asked[0].to_lowercase();
    assert!(asked[0].starts_with("GET /api/v1/users/abc%2F..%2Fx%20y/connections HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(head.contains("\r\nx-open-wearables-api-key: the-key\r\n"), "{head}");
    // Strangers ask nobody.
    for person in [NOBODY, MARK] {
        server.get(STATUS).as_user(person).send().await.expect(403);
    }
    assert_eq!(service.asked().len(), 3);
    // In a list with pages, and ended.
    service.answer_json(200, &json!({"data": [{"provider": "oura", "status": "revoked"}]}));
    let status = server.get(STATUS).as_user(PETER).send().await.expect(200);
    assert_eq!((status.at("/connected"), status.at("/connections/0/status")), (json!(false), json!("revoked")));
    server.stop().await;
}

#[tokio::test]
async fn a_service_that_refuses_or_is_away_leaves_no_connections() {
    let service = TestService::start().await;
    let server = linked(&service.url).await;
    let none = json!({"connections": [], "connected": false});
    for status in [401, 404, 500, 302] {
        service.answer_json(status, &json!([{"status": "active"}]));
        assert_eq!(server.get(STATUS).as_user(PETER).send().await.expect(200).json(), none, "{status}");
    }
    let unreachable = json!({"connections": [], "connected": false, "error": "OW unreachable"});
    for nonsense in [json!("nonsense"), json!([1]), json!({"data": {}})] {
        service.answer_json(200, &nonsense);
        assert_eq!(server.get(STATUS).as_user(PETER).send().await.expect(200).json(), unreachable, "{nonsense}");
    }
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    server.set("ow.api_url", "string", &format!("'http://{closed}'")).await;
    assert_eq!(server.get(STATUS).as_user(PETER).send().await.expect(200).json(), unreachable);
    server.stop().await;
}
