//! Observations: readable only with consent in one and the same study, now.

use jhe_testkit::{ADMIN, MARK, MARY, NOBODY, PERCY, PETER, Person, TOM, TestServer, VICTOR};
use serde_json::{Value, json};

async fn count(server: &TestServer, person: Person, query: &str) -> Value {
    server.get(&format!("/api/v1/observations{query}")).as_user(person).send().await.expect(200).at("/count")
}

async fn consent(server: &TestServer, person: Person, patient: i64, study: i64, code: &str, consented: bool) {
    let body = json!({"studyScopeConsents": [{"studyId": study, "scopeConsents": [
        {"codingSystem": "https://w3id.org/openmhealth", "codingCode": code, "consented": consented}]}]});
    server.post(&format!("/api/v1/patients/{patient}/consents")).as_user(person).json(&body).send().await.expect(201);
}

#[tokio::test]
async fn every_role_reads_what_was_consented_to() {
    let server = TestServer::start().await;
    let mary = server.get("/api/v1/observations").as_user(MARY).send().await.expect(200);
    assert_eq!(mary.at("/count"), 5);
    let row = mary.json()["results"].as_array().unwrap().iter().find(|row| row["id"] == 60003).unwrap().clone();
    assert_eq!(row["patientNameDisplay"], "Merritt, LlPatientPeter");
    assert_eq!((&row["codingCode"], &row["dataSourceName"]), (&json!("omh:blood-pressure:4.0"), &json!("CareX")));
    assert_eq!(row["valueAttachmentData"], row["omhData"]);
    assert!(row["omhData"]["header"]["schema_id"].is_object(), "inner keys are not rewritten");
    assert_eq!(count(&server, VICTOR, "").await, 5);
    assert_eq!(count(&server, ADMIN, "").await, 9);
    // Percy's temperature, Paul's and Pat's oxygen, and what 20003 shows; not Pat's glucose.
    assert_eq!(count(&server, TOM, "").await, 8);
    assert_eq!(count(&server, TOM, "?coding_code=omh:blood-glucose:4.0").await, 0);
    assert_eq!(count(&server, MARK, "?coding_code=omh:blood-glucose:4.0").await, 1);
    assert_eq!(count(&server, MARK, "?coding_code=omh:oxygen-saturation:2.0").await, 0);
    for person in [PETER, NOBODY] {
        server.get("/api/v1/observations").as_user(person).send().await.expect(404);
    }
    server.stop().await;
}

#[tokio::test]
async fn withdrawn_consent_hides_and_another_study_reopens() {
    let server = TestServer::start().await;
    let read = |id: i64| server.get(&format!("/api/v1/observations/{id}")).as_user(MARY).send();
    assert_eq!(count(&server, MARY, "?patient_id=40001").await, 2);
    read(60003).await.expect(200);
    consent(&server, PETER, 40001, 30001, "omh:blood-pressure:4.0", false).await;
    assert_eq!(count(&server, MARY, "?patient_id=40001").await, 1);
    read(60003).await.expect(404);
    consent(&server, PETER, 40001, 30002, "omh:blood-pressure:4.0", true).await;
    read(60003).await.expect(200);
    assert_eq!(count(&server, MARY, "?patient_id=40001&study_id=30002").await, 1);
    assert_eq!(count(&server, MARY, "?patient_id=40001&study_id=30001").await, 1, "heart rate alone");
    assert_eq!(count(&server, ADMIN, "").await, 9);
    consent(&server, PERCY, 40003, 30004, "omh:body-temperature:4.0", false).await;
    assert_eq!(count(&server, ADMIN, "").await, 8, "superusers need a consenting study too");
    server.stop().await;
}

#[tokio::test]
async fn each_of_the_four_conditions_is_needed() {
    // Membership, enrolment, request, consent: taking any one away hides Peter's readings from Mary.
    for (sql, left) in [
        ("DELETE FROM core_practitionerorganization WHERE practitioner_id = 80002 AND organization_id = 20003", 0),
        ("DELETE FROM core_studypatient WHERE patient_id = 40001", 3),
        ("DELETE FROM core_studyscoperequest WHERE scope_code_id = 50004", 3),
        ("UPDATE core_studypatientscopeconsent SET consented = false WHERE study_patient_id = 1", 3),
        ("UPDATE core_patientorganization SET confirmed = false WHERE patient_id = 40001", 3),
        ("UPDATE core_studypatientscopeconsent SET scope_actions = 'r' WHERE study_patient_id = 1", 3),
    ] {
        let server = TestServer::start().await;
        assert_eq!(count(&server, MARY, "").await, 5);
        server.execute(sql).await;
        assert_eq!(count(&server, MARY, "").await, left, "{sql}");
        server.stop().await;
    }
}

#[tokio::test]
async fn conditions_must_meet_in_one_study() {
    let server = TestServer::start().await;
    // Without any answer nothing is shown, wherever it is looked for.
    server
        .execute("INSERT INTO core_observation (id, subject_patient_id, codeable_concept_id, omh_data) VALUES (69998, 40001, 50001, '{}')")
        .await;
    for query in ["", "&study_id=30001", "&study_id=30002", "&patient_id=40001"] {
        assert_eq!(count(&server, MARY, &format!("?coding_code=omh:blood-glucose:4.0{query}")).await, 0, "{query}");
    }
    server.get("/api/v1/observations/69998").as_user(MARY).send().await.expect(404);
    server.execute("DELETE FROM core_observation WHERE id = 69998").await;
    // Requested and consented, but never both in a study where the patient is enrolled.
    server
        .execute(
            "INSERT INTO core_studyscoperequest (study_id, scope_code_id) VALUES (30002, 50001);
             INSERT INTO core_studypatientscopeconsent (study_patient_id, scope_code_id, consented, consented_time) VALUES (1, 50001, true, now());
             INSERT INTO core_observation (id, subject_patient_id, codeable_concept_id, omh_data) VALUES (69999, 40001, 50001, '{}')",
        )
        .await;
    assert_eq!(count(&server, MARY, "").await, 5);
    assert_eq!(count(&server, MARY, "?organization_id=20003&study_id=30001").await, 5);
    assert_eq!(count(&server, MARY, "?organization_id=20001&study_id=30001").await, 0);
    server.get("/api/v1/observations/69999").as_user(MARY).send().await.expect(404);
    server.execute("INSERT INTO core_studypatientscopeconsent (study_patient_id, scope_code_id, consented, consented_time) VALUES (2, 50001, true, now())").await;
    server.get("/api/v1/observations/69999").as_user(MARY).send().await.expect(200);
    assert_eq!(count(&server, MARY, "?study_id=30001&coding_code=omh:blood-glucose:4.0").await, 0);
    assert_eq!(count(&server, MARY, "?study_id=30002&coding_code=omh:blood-glucose:4.0").await, 1);
    server.stop().await;
}

#[tokio::test]
async fn filters_narrow_and_never_widen() {
    let server = TestServer::start().await;
    for (query, expected) in [
        ("?study_id=30003", 0),
        ("?organization_id=20004", 0),
        ("?patient_id=40005", 0),
        ("?observation_id=60003", 1),
        ("?observation_id=60006", 0),
        ("?coding_code=omh:heart-rate:2.0", 2),
        ("?coding_code=https://w3id.org/openmhealth|omh:heart-rate:2.0,omh:blood-pressure:4.0", 5),
        ("?coding_code=urn:x|omh:heart-rate:2.0", 0),
        ("?data_source_id=70001", 5),
        ("?data_source_id=70002", 0),
        ("?status=final", 5),
        ("?status=amended", 0),
        ("?effective_from=2025-10-09", 5),
        ("?effective_from=2025-10-10", 0),
        ("?effective_to=2025-10-08", 0),
        ("?effective_to=2025-10-09", 5),
        ("?effective_to=2025-10-09%2008:53:20", 5),
        ("?effective_to=2025-10-09T08:53:19Z", 0),
        ("?created_since=2999-01-01", 0),
        ("?created_since=2000-01-01", 5),
    ] {
        assert_eq!(count(&server, MARY, query).await, expected, "{query}");
    }
    server.get("/api/v1/observations/60006").as_user(MARY).send().await.expect(404);
    for value in ["x", "-262143-01-01", "%2B262142-12-31T23:59:59.999999999"] {
        let path = format!("/api/v1/observations?effective_from={value}");
        let reply = server.get(&path).as_user(MARY).send().await.expect(400);
        assert_eq!(reply.detail(), "effective_from: Enter a valid date/time.");
        server.get(&path.replace("from", "to")).as_user(MARY).send().await.expect(400);
    }
    server.get("/api/v1/observations?cursor=&ordering=created").as_user(MARY).send().await.expect(400);
    // The default order may be named.
    for named in ["-last_updated", "-lastUpdated"] {
        let read = async |query: &str| {
            let path = format!("/api/v1/observations?cursor=&limit=2{query}");
            server.get(&path).as_user(MARY).send().await.expect(200).at("/results")
        };
        assert_eq!(read(&format!("&ordering={named}")).await, read("").await);
    }
    let unknown = server.delete("/api/v1/observations/99999").as_user(ADMIN).send().await.expect(404);
    assert_eq!(unknown.detail(), "No Observation matches the given query.");
    server.delete("/api/v1/observations/60003").as_user(ADMIN).send().await.expect(400);
    server.get("/api/v1/observations/60003").as_user(MARY).send().await.expect(200);
    server.get("/api/v1/observations?ordering=x").as_user(MARY).send().await.expect(400);
    let oldest = server.get("/api/v1/observations?ordering=created").as_user(MARY).send().await.expect(200);
    assert_eq!(oldest.at("/results/0/id"), 60001);
    let page =
        server.get("/api/v1/observations?organization_id=20003&study_id=30001&patient_id=40001&limit=1").as_user(MARY);
    let page = page.send().await.expect(200);
    assert_eq!(page.at("/count"), 2);
    let next = page.at("/next").as_str().unwrap().to_owned();
    for part in ["organization_id=20003", "study_id=30001", "patient_id=40001", "limit=1", "offset=1"] {
        assert!(next.contains(part), "{next}");
    }
    server.stop().await;
}

#[tokio::test]
async fn only_the_status_is_corrected_and_only_by_leaders() {
    let server = TestServer::start().await;
    let patch = |person, id: i64, body: Value| {
        server.patch(&format!("/api/v1/observations/{id}")).as_user(person).json(&body).send()
    };
    patch(VICTOR, 60003, json!({"status": "entered-in-error"})).await.expect(403);
    patch(MARK, 60003, json!({"status": "entered-in-error"})).await.expect(404);
    patch(PETER, 60003, json!({"status": "entered-in-error"})).await.expect(404);
    assert_eq!(server.scalar("SELECT status FROM core_observation WHERE id = 60003").await, "final");
    let changed = patch(MARY, 60003, json!({"status": "entered-in-error", "reason": "wrong cuff"})).await.expect(200);
    assert_eq!(changed.at("/status"), "entered-in-error");
    assert_eq!(
        patch(MARY, 60003, json!({"status": "amended"})).await.expect(400).at("/status/0"),
        "Only entered-in-error and final can be set."
    );
    let before = server.scalar("SELECT omh_data FROM core_observation WHERE id = 60003").await;
    patch(MARY, 60003, json!({"omhData": {}})).await.expect(200);
    assert_eq!(server.scalar("SELECT omh_data FROM core_observation WHERE id = 60003").await, before);
    server.put("/api/v1/observations/60003").as_user(VICTOR).json(&json!({})).send().await.expect(405);
    server.post("/api/v1/observations").as_user(MARY).json(&json!({})).send().await.expect(405);
    server.delete("/api/v1/observations/60003").as_user(MARY).send().await.expect(403);
    server.delete("/api/v1/observations/60003").as_user(ADMIN).send().await.expect(400);
    server.delete("/api/v1/observations/60003?reason=test").as_user(ADMIN).send().await.expect(204);
    server.delete("/api/v1/observations/60003?reason=test").as_user(ADMIN).send().await.expect(404);
    assert_eq!(count(&server, MARY, "?patient_id=40001").await, 1, "counters follow");
    server.stop().await;
}
