//! Consents: life cycle, who writes, who sees.

use jhe_testkit::{ADMIN, MARK, MARY, MEGAN, NOBODY, PAT, PETER, TOM, TestServer, VICTOR};
use serde_json::{Value, json};

const SYSTEM: &str = "https://w3id.org/openmhealth";
const PRESSURE: &str = "omh:blood-pressure:4.0";

fn answer(study: i64, code: &str, consented: Value) -> Value {
    json!({"studyScopeConsents": [{"studyId": study, "scopeConsents": [{"codingSystem": SYSTEM, "codingCode": code, "consented": consented}]}]})
}

#[tokio::test]
async fn the_overview_tells_pending_answered_and_consolidated() {
    let server = TestServer::start().await;
    let get =
        async |person, id: i64| server.get(&format!("/api/v1/patients/{id}/consents")).as_user(person).send().await;
    let mary = get(MARY, 40001).await.expect(200);
    let ids: Vec<_> =
        mary.at("/consolidatedConsentedScopes").as_array().unwrap().iter().map(|code| code["id"].clone()).collect();
    assert_eq!(ids, [50002, 50004, 50011]);
    assert_eq!(mary.at("/studiesPendingConsent/0/id"), 30002);
    assert_eq!(mary.at("/studiesPendingConsent/0/pendingScopeConsents/0/consented"), Value::Null);
    assert_eq!(mary.at("/studies/0/scopeConsents").as_array().unwrap().len(), 3);
    assert_eq!(mary.at("/studies/0/organization/name"), "Lifespan Lab");
    assert!(mary.at("/studies/0/dataSources/0/supportedScopes/0/id").is_i64());
    let pending = mary.at("/studiesPendingConsent/0/pendingScopeConsents");
    let pending = pending.as_array().unwrap();
    assert_eq!(pending.iter().map(|one| one["code"]["id"].clone()).collect::<Vec<_>>(), [50002, 50011]);
    for one in pending {
        assert_eq!((one.get("consented"), one.get("consentedTime")), (Some(&Value::Null), Some(&Value::Null)));
    }
    assert_eq!((mary.at("/studies/0/id"), mary.at("/studies").as_array().unwrap().len()), (json!(30001), 1));
    assert!(mary.at("/studies/0/scopeConsents").as_array().unwrap().iter().all(|one| one["consented"] == true));
    assert_eq!(mary.at("/studies/0/organization/id"), 20003);
    get(PETER, 40001).await.expect(200);
    get(VICTOR, 40001).await.expect(200);
    get(ADMIN, 40001).await.expect(200);
    for id in [40002, 99999] {
        assert_eq!(get(PETER, id).await.expect(403).detail(), "The Patient does not match the current patient user.");
    }
    assert_eq!(get(MARK, 40001).await.expect(403).detail(), "This Practitioner not authorized to access this Patient");
    get(NOBODY, 40001).await.expect(403);
    get(MARY, 99999).await.expect(404);
    for (person, study) in [(TOM, 30005), (MARK, 30003)] {
        let seen = get(person, 40005).await.expect(200);
        assert_eq!(seen.at("/studies").as_array().unwrap().len(), 1);
        assert_eq!(seen.at("/studies/0/id"), study, "studies of other institutions stay hidden");
    }
    assert_eq!(get(PAT, 40005).await.expect(200).at("/studies").as_array().unwrap().len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn answers_are_written_overwritten_changed_and_taken_back() {
    let server = TestServer::start().await;
    let path = "/api/v1/patients/40001/consents";
    let made = server.post(path).as_user(PETER).json(&answer(30002, PRESSURE, json!(true))).send().await.expect(201);
    assert_eq!(made.at("/studyScopeConsents/0/studyPatient"), json!({"id": 2, "study": 30002, "patient": 40001}));
    let again = server.post(path).as_user(PETER).json(&answer(30002, PRESSURE, json!(false))).send().await.expect(201);
    assert_eq!(again.at("/studyScopeConsents/0/id"), made.at("/studyScopeConsents/0/id"));
    assert_eq!(again.at("/studyScopeConsents/0/consented"), false);
    let changed =
        server.patch(path).as_user(PETER).json(&answer(30001, PRESSURE, json!(false))).send().await.expect(200);
    assert_eq!(changed.at("/studyScopeConsents/0/consented"), false);
    let missing = answer(30002, "omh:heart-rate:2.0", json!(true));
    server.patch(path).as_user(PETER).json(&missing).send().await.expect(400);
    server.delete(path).as_user(PETER).json(&answer(30002, PRESSURE, Value::Null)).send().await.expect(204);
    server.delete(path).as_user(PETER).json(&answer(30002, PRESSURE, Value::Null)).send().await.expect(204);
    server.patch(path).as_user(PETER).json(&answer(30002, PRESSURE, json!(true))).send().await.expect(404);
    server.put(path).as_user(PETER).json(&json!({})).send().await.expect(405);
    let snake = json!({"study_scope_consents": [{"study_id": 30002, "scope_consents": [{"coding_system": SYSTEM, "coding_code": PRESSURE, "consented": "yes"}]}]});
    server.post(path).as_user(PETER).json(&snake).send().await.expect(201);
    let events = "SELECT string_agg(action, ',' ORDER BY id) FROM jhe_consent_event WHERE patient_id = 40001 AND actor_user_id = 10006 AND actor_kind = 'patient'";
    assert_eq!(server.scalar(events).await, "granted,revoked,revoked,deleted,granted");
    server.stop().await;
}

#[tokio::test]
async fn only_the_patient_and_its_managers_write() {
    let server = TestServer::start().await;
    let post = |person, id: i64, body: Value| {
        server.post(&format!("/api/v1/patients/{id}/consents")).as_user(person).json(&body).send()
    };
    let body = || answer(30002, PRESSURE, json!(true));
    post(MEGAN, 40001, body()).await.expect(201);
    post(ADMIN, 40001, body()).await.expect(201);
    let events =
        "SELECT string_agg(concat_ws(' ', action, actor_user_id, actor_kind), ',' ORDER BY id) FROM jhe_consent_event
                   WHERE patient_id = 40001 AND actor_user_id IN (10001, 10003)";
    assert_eq!(server.scalar(events).await, "granted 10003 practitioner,granted 10001 super_user");
    assert_eq!(post(VICTOR, 40001, body()).await.expect(403).detail(), "Practitioner role is not valid.");
    assert_eq!(
        post(MARK, 40001, body()).await.expect(403).detail(),
        "Practitioner doesn't have right now for patient."
    );
    post(NOBODY, 40001, body()).await.expect(403);
    let elsewhere = json!({"studyScopeConsents": [{"studyId": 30003, "scopeConsents": []}]});
    post(MARY, 40001, elsewhere).await.expect(403);
    let before = server.scalar("SELECT count(*)::text FROM jhe_consent_event").await;
    post(PETER, 40002, body()).await.expect(403);
    assert_eq!(server.scalar("SELECT count(*)::text FROM jhe_consent_event").await, before);
    server.stop().await;
}

#[tokio::test]
async fn a_batch_is_checked_whole_before_anything_is_written() {
    let server = TestServer::start().await;
    let post = |body: Value| server.post("/api/v1/patients/40001/consents").as_user(PETER).json(&body).send();
    let before = server.scalar("SELECT count(*)::text FROM core_studypatientscopeconsent").await;
    let cases = [
        (answer(30003, PRESSURE, json!(true)), "Patient is not enrolled in study 30003."),
        (answer(30002, "nope", json!(true)), "Code not found: system=https://w3id.org/openmhealth code=nope"),
        (
            answer(30002, "omh:blood-glucose:4.0", json!(true)),
            "Scope omh:blood-glucose:4.0 is not requested by study 30002.",
        ),
        (
            json!({"studyScopeConsents": [{"studyId": 30003, "scopeConsents": []}]}),
            "Patient is not enrolled in study 30003.",
        ),
        (json!({}), "studyScopeConsents: This field is required."),
        (
            json!({"studyScopeConsents": [{}]}),
            "studyId: This field is required.; scopeConsents: This field is required.",
        ),
        (
            json!({"studyScopeConsents": [{"studyId": 30002, "scopeConsents": [{}]}]}),
            "codingSystem: This field is required.; codingCode: This field is required.; consented: This field is required.",
        ),
        (json!({"studyScopeConsents": {}}), "studyScopeConsents: Expected a list of items but got type \"dict\"."),
        (answer(30002, PRESSURE, json!("maybe")), "consented: Must be a valid boolean."),
        (
            json!({"studyScopeConsents": [{"studyId": 30002, "scopeConsents": [{"codingSystem": SYSTEM, "codingCode": PRESSURE}]}]}),
            "consented: This field is required.",
        ),
        (
            json!({"studyScopeConsents": [{"studyId": 30002, "scopeConsents": [
                {"codingSystem": SYSTEM, "codingCode": PRESSURE, "consented": true},
                {"codingSystem": SYSTEM, "codingCode": "nope", "consented": true}]}]}),
            "Code not found: system=https://w3id.org/openmhealth code=nope",
        ),
    ];
    for (body, text) in cases {
        assert_eq!(post(body).await.expect(400).detail(), text);
    }
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_studypatientscopeconsent").await, before);
    assert_eq!(post(json!({"studyScopeConsents": []})).await.expect(201).json(), json!({"studyScopeConsents": []}));
    server.stop().await;
}

#[tokio::test]
async fn reset_works_only_where_it_is_allowed() {
    let server = TestServer::start().await;
    let path = "/api/v1/patients/40001/consents?reset=true";
    assert!(server.get(path).as_user(MEGAN).send().await.expect(200).json().get("patient").is_some());
    server.execute("UPDATE core_jhesetting SET value_bool = true WHERE key = 'consent.allow_reset'").await;
    server.app().settings().reload().await.unwrap();
    assert!(server.get(path).as_user(VICTOR).send().await.expect(200).json().get("patient").is_some());
    assert_eq!(server.get(path).as_user(MEGAN).send().await.expect(200).json(), json!({"resetCount": 3}));
    server.stop().await;
}

#[tokio::test]
async fn answers_written_at_the_same_time_wait_for_each_other() {
    let server = TestServer::start().await;
    let body = |codes: [&str; 2]| {
        let answers = codes.map(|code| json!({"codingSystem": SYSTEM, "codingCode": code, "consented": true}));
        json!({"studyScopeConsents": [{"studyId": 30001, "scopeConsents": answers}]})
    };
    let codes = [PRESSURE, "omh:heart-rate:2.0"];
    let turned = [codes[1], codes[0]];
    let mut calls = Vec::new();
    for _ in 0..6 {
        for (call, person, codes) in [
            (server.patch("/api/v1/patients/40001/consents"), PETER, codes),
            (server.post("/api/v1/patients/40001/consents"), MARY, turned),
            (server.post("/api/v1/patients/40001/consents"), PETER, codes),
        ] {
            let call = call.as_user(person).json(&body(codes));
            calls.push(tokio::spawn(async move { call.send().await }));
        }
    }
    for call in calls {
        let status = call.await.unwrap().status.as_u16();
        assert!(matches!(status, 200 | 201), "{status}");
    }
    server.stop().await;
}

/// Data model §2.1: on its own record an account with both profiles acts as the patient, through whatever client.
#[tokio::test]
async fn ones_own_answers_are_those_of_the_patient() {
    let server = TestServer::start().await;
    server
        .execute(
            "INSERT INTO core_practitioner (id, jhe_user_id) VALUES (89001, 10006);
             INSERT INTO core_practitionerorganization (practitioner_id, organization_id, role) VALUES (89001, 20003, 'manager')",
        )
        .await;
    let answer = json!({"studyScopeConsents": [{"studyId": 30001, "scopeConsents": [{
        "codingSystem": "https://w3id.org/openmhealth", "codingCode": "omh:heart-rate:2.0", "consented": false}]}]});
    let newest = "SELECT actor_kind FROM jhe_consent_event ORDER BY id DESC LIMIT 1";
    server.patch("/api/v1/patients/40001/consents").as_user(PETER).json(&answer).send().await.expect(200);
    assert_eq!(server.scalar(newest).await, "patient");
    let mut others = answer.clone();
    others["studyScopeConsents"][0]["scopeConsents"][0]["consented"] = json!(true);
    let path = "/api/v1/patients/40002/consents";
    let stored = "UPDATE core_studypatientscopeconsent SET consented = false";
    server.execute(stored).await;
    server.patch(path).as_user(PETER).json(&others).send().await.expect(200);
    assert_eq!(server.scalar(newest).await, "practitioner");
    server.stop().await;
}
