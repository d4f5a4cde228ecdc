//! Outside record systems of patients, and their wearables.

use jhe_testkit::{ADMIN, MARK, MARY, NOBODY, PETER, TestServer, VICTOR};
use serde_json::{Value, json};

const SOURCES: &str = "/api/v1/fhir_sources";

#[tokio::test]
async fn patients_name_their_own_record_systems() {
    let server = TestServer::start().await;
    let body = json!({"dataSource": 70005, "label": "Halo", "fhirBaseUrl": "https://fhir.example.org/R4"});
    server.post(SOURCES).json(&body).send().await.expect(401);
    for person in [MARY, ADMIN, NOBODY] {
        let refused = server.post(SOURCES).as_user(person).json(&body).send().await.expect(403);
        assert_eq!(refused.detail(), "Only patient users can register a FhirSource.");
    }
    let post = async |body: Value| server.post(SOURCES).as_user(PETER).json(&body).send().await;
    let made = post(body.clone()).await.expect(201).json();
    assert_eq!((&made["patient"], &made["dataSource"], &made["label"]), (&json!(40001), &json!(70005), &json!("Halo")));
    let again =
        post(json!({"dataSource": 70005, "label": "Halo 2", "fhirBaseUrl": body["fhirBaseUrl"]})).await.expect(201);
    assert_eq!((again.at("/id"), again.at("/label")), (made["id"].clone(), json!("Halo 2")));
    // Without an address each is one of its own.
    let (first, second) =
        (post(json!({"dataSource": 70005})).await.expect(201), post(json!({"dataSource": 70005})).await.expect(201));
    assert_ne!(first.at("/id"), second.at("/id"));
    for (body, told) in [
        (json!({}), "dataSource: This field is required."),
        (json!({"dataSource": 999}), "dataSource: Invalid pk \"999\" - object does not exist."),
    ] {
        assert_eq!(post(body).await.expect(400).detail(), told);
    }
    server.stop().await;
}

#[tokio::test]
async fn practitioners_who_share_a_patient_see_its_record_systems_and_change_nothing() {
    let server = TestServer::start().await;
    let ids = async |person| {
        let page = server.get(SOURCES).as_user(person).send().await.expect(200).json();
        let mut ids: Vec<i64> =
            page["results"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids(PETER).await, [90001]);
    for person in [MARY, VICTOR, ADMIN] {
        assert_eq!(ids(person).await, [90001, 90002]);
    }
    for person in [MARK, NOBODY] {
        assert!(ids(person).await.is_empty());
    }
    let path = format!("{SOURCES}/90001");
    let foreign = server.get(&format!("{SOURCES}/90002")).as_user(PETER).send().await.expect(404);
    assert_eq!(foreign.detail(), "No FhirSource matches the given query.");
    let body = json!({"label": "Renamed", "patient": 40002});
    for (person, status) in [(MARY, 403), (VICTOR, 403), (MARK, 404), (NOBODY, 404)] {
        server.patch(&path).as_user(person).json(&body).send().await.expect(status);
        server.delete(&path).as_user(person).send().await.expect(status);
    }
    server.patch(&format!("{SOURCES}/90002")).as_user(PETER).json(&body).send().await.expect(404);
    let changed = server.patch(&path).as_user(PETER).json(&body).send().await.expect(200);
    assert_eq!((changed.at("/label"), changed.at("/patient")), (json!("Renamed"), json!(40001)));
    server.put(&path).as_user(ADMIN).json(&json!({"dataSource": 999})).send().await.expect(400);
    server.delete(&path).as_user(PETER).send().await.expect(204);
    server.delete(&path).as_user(ADMIN).send().await.expect(404);
    server.stop().await;
}
