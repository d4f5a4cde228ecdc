//! Studies and what belongs to them.

use jhe_testkit::{ADMIN, MARK, MARY, MEGAN, PETER, TOM, TestServer, VICTOR};
use serde_json::{Value, json};

#[tokio::test]
async fn everybody_sees_the_studies_of_their_organizations() {
    let server = TestServer::start().await;
    let list = async |person, query: &str| server.get(&format!("/api/v1/studies{query}")).as_user(person).send().await;
    let mary = list(MARY, "").await.expect(200);
    assert_eq!(mary.at("/count"), 2);
    let first = mary.at("/results/0");
    assert_eq!(first["id"], 30002, "by name");
    assert_eq!((&first["organization"]["id"], &first["organizationId"]), (&json!(20003), &json!(20003)));
    assert_eq!(first["scopeRequests"][0]["id"], 50002);
    assert_eq!(first["dataSources"][0]["name"], "CareX");
    assert_eq!(first["patients"], json!([40001, 40002]));
    assert_eq!(list(VICTOR, "").await.expect(200).at("/count"), 2);
    assert_eq!(list(TOM, "").await.expect(200).at("/count"), 4);
    assert_eq!(list(ADMIN, "").await.expect(200).at("/count"), 5);
    assert_eq!(list(PETER, "").await.expect(404).detail(), "No Practitioner matches the given query.");
    assert_eq!(list(MARY, "?organization_id=20004").await.expect(200).at("/count"), 0);
    assert_eq!(list(MARY, "?search=heart").await.expect(200).at("/count"), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_foreign_study_and_a_missing_one_answer_alike() {
    let server = TestServer::start().await;
    let get = async |person, id: i64| server.get(&format!("/api/v1/studies/{id}")).as_user(person).send().await;
    get(MARY, 30001).await.expect(200);
    let foreign = get(MARY, 30003).await.expect(403);
    assert_eq!(foreign.detail(), "Current User does not have authorization to access this Study.");
    assert_eq!(get(MARY, 999_999).await.expect(403).bytes, foreign.bytes);
    get(ADMIN, 30003).await.expect(200);
    get(ADMIN, 999_999).await.expect(404);
    server.stop().await;
}

#[tokio::test]
async fn members_and_managers_make_change_and_delete_studies() {
    let server = TestServer::start().await;
    let post = |person, body: Value| server.post("/api/v1/studies").as_user(person).json(&body).send();
    let made = post(MARY, json!({"organization": 20003, "name": "  x ", "description": "d"})).await.expect(201);
    assert_eq!(
        (made.at("/name"), made.at("/organization"), made.at("/patients")),
        (json!("x"), json!(20003), json!([]))
    );
    assert_eq!((made.at("/scopeRequests"), made.at("/dataSources")), (json!([]), json!([])));
    let path = format!("/api/v1/studies/{}", made.at("/id"));
    assert_eq!(server.get(&path).as_user(MARY).send().await.expect(200).at("/organization/id"), 20003);
    server.delete(&path).as_user(VICTOR).send().await.expect(403);
    server.delete(&path).as_user(MARY).send().await.expect(204);
    server.get(&path).as_user(MARY).send().await.expect(403);
    let body = json!({"organization": 20003, "name": "n", "description": "d"});
    post(MEGAN, body.clone()).await.expect(201);
    post(VICTOR, body.clone()).await.expect(403);
    post(PETER, body).await.expect(403);
    post(MARY, json!({"organization": 20004, "name": "n", "description": "d"})).await.expect(403);
    post(MARY, json!({})).await.expect(403);
    let reply = post(MARY, json!({"organization": 20003, "name": true})).await.expect(400);
    assert_eq!(reply.at("/name/0"), "Not a valid string.");
    assert_eq!(reply.at("/description/0"), "This field is required.");
    let reply = post(ADMIN, json!({"organization": 99999, "name": "n", "description": "d"})).await.expect(400);
    assert_eq!(reply.at("/organization/0"), "Invalid pk \"99999\" - object does not exist.");
    let patch = |person, body: Value| server.patch("/api/v1/studies/30001").as_user(person).json(&body).send();
    assert_eq!(patch(MARY, json!({"description": "new"})).await.expect(200).at("/name"), "Lifespan Study on BP & HR");
    patch(VICTOR, json!({"name": "no"})).await.expect(403);
    patch(MARY, json!({"organization": 20003})).await.expect(200);
    let moved = patch(MARY, json!({"organization": 20001})).await.expect(400);
    assert_eq!(moved.at("/organization/0"), "The organization of a study cannot be changed.");
    server
        .put("/api/v1/studies/30001")
        .as_user(MARY)
        .json(&json!({"name": "n", "description": "d"}))
        .send()
        .await
        .expect(400);
    server.stop().await;
}

#[tokio::test]
async fn enrolment_is_all_or_nothing_and_repeatable() {
    let server = TestServer::start().await;
    let path = "/api/v1/studies/30001/patients";
    let listed = server.get(path).as_user(MARY).send().await.expect(200);
    assert_eq!(listed.at("/results/0/id"), 40001);
    let post = |person, body: Value| server.post(path).as_user(person).json(&body).send();
    let again = post(MARY, json!({"patientIds": [40001]})).await.expect(200);
    assert_eq!((again.at("/studyPatients/0/id"), again.at("/studyPatients/0/patient/id")), (json!(1), json!(40001)));
    let refused = post(MARY, json!({"patientIds": [40001, 40003]})).await.expect(400);
    assert_eq!(refused.detail(), "Patient and study must be from the same Organization");
    assert_eq!(post(MARY, json!({})).await.expect(400).at("/patientIds/0"), "This field is required.");
    assert_eq!(
        post(MARY, json!({"patientIds": "x"})).await.expect(400).at("/patientIds/0"),
        "Expected a list of items but got type \"str\"."
    );
    assert_eq!(post(MARY, json!({"patientIds": []})).await.expect(201).json(), json!({"studyPatients": []}));
    for person in [VICTOR, PETER, MARK] {
        post(person, json!({"patientIds": [40002]})).await.expect(403);
        server.delete(path).as_user(person).json(&json!({"patientIds": [40001]})).send().await.expect(403);
    }
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_studypatient WHERE study_id = 30001").await, "2");
    server.delete(path).as_user(MARY).json(&json!({"patientIds": [40001]})).send().await.expect(204);
    server.delete(path).as_user(MARY).json(&json!({"patientIds": [40001]})).send().await.expect(204);
    assert_eq!(
        server.scalar("SELECT count(*)::text FROM core_studypatientscopeconsent WHERE study_patient_id = 1").await,
        "0"
    );
    assert_eq!(
        server.scalar("SELECT count(*)::text FROM core_observation WHERE subject_patient_id = 40001").await,
        "2"
    );
    let events = "SELECT count(*)::text FROM jhe_consent_event WHERE patient_id = 40001 AND study_id = 30001 AND action = 'deleted' AND actor_user_id = 10002";
    assert_eq!(server.scalar(events).await, "3");
    server.stop().await;
}

#[tokio::test]
async fn links_of_a_study_are_idempotent_and_guarded() {
    let server = TestServer::start().await;
    for (part, field, fresh, bad, before) in [
        ("scope_requests", "scopeCodeId", 50001, 99999, 3),
        ("data_sources", "dataSourceId", 70002, 99, 2),
        ("clients", "clientId", 2, 4, 2),
    ] {
        let path = format!("/api/v1/studies/30001/{part}");
        let count = async || server.get(&path).as_user(MARY).send().await.expect(200).json().as_array().unwrap().len();
        assert_eq!(count().await, before, "{part}");
        let post = |person, body: Value| server.post(&path).as_user(person).json(&body).send();
        let made = post(MARY, json!({field: fresh})).await.expect(201);
        let again = post(MARY, json!({field: fresh})).await.expect(200);
        assert_eq!(made.at("/id"), again.at("/id"), "{part}");
        assert_eq!(count().await, before + 1);
        assert_eq!(post(MARY, json!({})).await.expect(400).at(&format!("/{field}/0")), "This field is required.");
        let text = format!("Invalid pk \"{bad}\" - object does not exist.");
        assert_eq!(post(MARY, json!({field: bad})).await.expect(400).at(&format!("/{field}/0")), text);
        for person in [VICTOR, PETER, MARK] {
            post(person, json!({field: fresh})).await.expect(403);
            server.delete(&path).as_user(person).json(&json!({field: fresh})).send().await.expect(403);
        }
        for person in [PETER, MARK] {
            server.get(&path).as_user(person).send().await.expect(403);
        }
        assert_eq!(count().await, before + 1);
        server.delete(&path).as_user(MARY).json(&json!({field: fresh})).send().await.expect(204);
        server.delete(&path).as_user(MARY).json(&json!({field: fresh})).send().await.expect(204);
        assert_eq!(count().await, before);
    }
    let clients = server.get("/api/v1/studies/30001/clients").as_user(MARY).send().await.expect(200).text();
    assert!(!clients.to_lowercase().contains("secret"), "{clients}");
    server.stop().await;
}

#[tokio::test]
async fn forms_name_several_patients() {
    let server = TestServer::start().await;
    let enrolled = async || {
        let sql = "SELECT coalesce(string_agg(patient_id::text, ' ' ORDER BY patient_id), '') FROM core_studypatient WHERE study_id = 30002";
        server.scalar(sql).await
    };
    server.execute("DELETE FROM core_studypatient WHERE study_id = 30002").await;
    let form = "application/x-www-form-urlencoded";
    let path = "/api/v1/studies/30002/patients";
    server.post(path).as_user(MARY).body(form, "patientIds=40001&patientIds=40002").send().await.expect(201);
    assert_eq!(enrolled().await, "40001 40002");
    server.delete(&format!("{path}?patientIds=40001&patient_ids=40002")).as_user(MARY).send().await;
    server.delete(&format!("{path}?patientIds=40001&patientIds=40002")).as_user(MARY).send().await.expect(204);
    assert_eq!(enrolled().await, "");
    let text = server.post(path).as_user(MARY).json(&json!({"patientIds": "40001"})).send().await.expect(400);
    assert_eq!(text.detail(), "patientIds: Expected a list of items but got type \"str\".");
    server.stop().await;
}

#[tokio::test]
async fn a_study_that_goes_meanwhile_is_simply_not_there() {
    let server = TestServer::start().await;
    for _ in 0..6 {
        let body = json!({"name": "n", "description": "d", "organization": 20003});
        let study = server.post("/api/v1/studies").as_user(MARY).json(&body).send().await.expect(201).at("/id");
        let path = format!("/api/v1/studies/{study}");
        let calls = [
            server.delete(&path).as_user(MARY),
            server.patch(&path).as_user(MARY).json(&json!({"name": "z"})),
            server.patch(&path).as_user(MARY).json(&json!({"name": "y"})),
            server.get(&path).as_user(MARY),
        ];
        for call in calls.map(|call| tokio::spawn(async move { call.send().await })) {
            let status = call.await.unwrap().status.as_u16();
            assert!(status < 500, "{status}");
        }
    }
    server.stop().await;
}
