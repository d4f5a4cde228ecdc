//! Two writers of which the first is held half-way while the second comes: each sees the other, or waits for it.

use jhe_testkit::{ADMIN, Call, MARK, MARY, PETER, Reply, TOM, TestServer, VICTOR};
use serde_json::{Value, json};

use crate::gate;

/// What two requests answer of which the first is held once it has done what a gate names.
async fn meet(server: &TestServer, gates: &[(&str, &str)], first: Call, second: Call) -> [Reply; 2] {
    let (first, second) = Box::pin(gate::meet(server, gates, first.send(), second.send())).await;
    [first, second]
}

fn statuses(replies: &[Reply; 2]) -> [u16; 2] {
    replies.each_ref().map(|reply| reply.status.as_u16())
}

fn attach_paul(server: &TestServer) -> Call {
    server.patch("/api/v1/patients/40004/global_add_organization?organization_id=20003").as_user(ADMIN)
}

/// From the only organization Paul is in.
fn remove_paul(server: &TestServer) -> Call {
    server.delete("/api/v1/patients/40004?organization_id=20008").as_user(TOM)
}

const PAUL_IS: &str = "SELECT ((SELECT count(*) FROM core_patient WHERE id = 40004) || ' '
    || (SELECT count(*) FROM core_jheuser WHERE id = 10010))";

#[tokio::test]
async fn a_patient_who_is_attached_while_its_last_link_goes_stays() {
    let server = TestServer::start().await;
    let gate = [("INSERT", "core_patientorganization")];
    let replies = meet(&server, &gate, attach_paul(&server), remove_paul(&server)).await;
    assert_eq!(statuses(&replies), [200, 204]);
    let paul = server.get("/api/v1/patients/40004").as_user(ADMIN).send().await.expect(200);
    assert_eq!((paul.at("/organizations/0/id"), paul.at("/organizations/1")), (json!(20003), Value::Null));
    server.stop().await;
}

#[tokio::test]
async fn a_patient_whose_last_link_goes_cannot_be_attached_any_more() {
    let server = TestServer::start().await;
    let gate = [("DELETE", "core_patientorganization")];
    let replies = meet(&server, &gate, remove_paul(&server), attach_paul(&server)).await;
    assert_eq!(statuses(&replies), [204, 404]);
    assert_eq!(replies[1].detail(), "No Patient matches the given query.");
    assert_eq!(server.scalar(PAUL_IS).await, "0 0");
    server.stop().await;
}

#[tokio::test]
async fn a_patient_who_leaves_both_organizations_at_once_is_gone_with_its_data() {
    let server = TestServer::start().await;
    let leave = |organization: i64, person| {
        server.delete(&format!("/api/v1/patients/40005?organization_id={organization}")).as_user(person)
    };
    let gate = [("DELETE", "core_patientorganization")];
    let replies = meet(&server, &gate, leave(20006, MARK), leave(20008, TOM)).await;
    assert_eq!(statuses(&replies), [204, 204]);
    let left = "SELECT (SELECT count(*) FROM core_patient WHERE id = 40005)
        + (SELECT count(*) FROM core_observation WHERE subject_patient_id = 40005)
        + (SELECT count(*) FROM core_jheuser WHERE id = 10011) || ''";
    assert_eq!(server.scalar(left).await, "0");
    server.stop().await;
}

#[tokio::test]
async fn a_patient_leaves_an_organization_once() {
    let server = TestServer::start().await;
    let leave = || server.delete("/api/v1/patients/40005?organization_id=20008").as_user(TOM);
    let replies = meet(&server, &[("DELETE", "core_patientorganization")], leave(), leave()).await;
    assert_eq!(statuses(&replies), [204, 404]);
    server.get("/api/v1/patients/40005").as_user(MARK).send().await.expect(200);
    server.stop().await;
}

/// Makes Paul's account a practitioner's.
fn engage_paul(server: &TestServer) -> Call {
    let body = json!({"telecomEmail": "ccl_patient_paul@example.com"});
    server.post("/api/v1/practitioners").as_user(ADMIN).json(&body)
}

#[tokio::test]
async fn an_account_that_becomes_a_practitioner_while_its_patient_goes_stays() {
    let server = TestServer::start().await;
    let gate = [("INSERT", "core_practitioner")];
    let replies = meet(&server, &gate, engage_paul(&server), remove_paul(&server)).await;
    assert_eq!(statuses(&replies), [201, 204]);
    let path = format!("/api/v1/practitioners/{}", replies[0].at("/id"));
    let stored = server.get(&path).as_user(ADMIN).send().await.expect(200);
    assert_eq!(stored.at("/jheUserId"), 10010);
    assert_eq!(server.scalar(PAUL_IS).await, "0 1");
    server.stop().await;
}

#[tokio::test]
async fn a_practitioner_whose_account_goes_meanwhile_gets_a_new_one() {
    let server = TestServer::start().await;
    let replies = meet(&server, &[("DELETE", "core_patient")], remove_paul(&server), engage_paul(&server)).await;
    assert_eq!(statuses(&replies), [204, 201]);
    let path = format!("/api/v1/practitioners/{}", replies[1].at("/id"));
    let stored = server.get(&path).as_user(ADMIN).send().await.expect(200);
    assert_eq!(stored.at("/telecomEmail"), "ccl_patient_paul@example.com");
    assert_eq!(server.scalar(PAUL_IS).await, "0 0");
    server.stop().await;
}

#[tokio::test]
async fn an_account_whose_profiles_both_go_at_once_goes_too() {
    let server = TestServer::start().await;
    let practitioner = engage_paul(&server).send().await.expect(201).at("/id");
    // Before the commit: when all that decides whether the account is still needed has been looked at.
    let gates = [("INSERT", "jhe_audit_event")];
    let dismiss = server.delete(&format!("/api/v1/practitioners/{practitioner}")).as_user(ADMIN);
    let replies = meet(&server, &gates, remove_paul(&server), dismiss).await;
    assert_eq!(statuses(&replies), [204, 204]);
    assert_eq!(server.scalar(PAUL_IS).await, "0 0");
    server.stop().await;
}

#[tokio::test]
async fn an_account_that_goes_gets_no_new_key_and_nobody_waits_in_a_circle() {
    let server = TestServer::start().await;
    let remove = || server.delete("/api/v1/users/10004").as_user(ADMIN);
    let make = || server.post("/api/v1/practitioner_clients").as_user(VICTOR).json(&json!({"label": "l"}));
    make().send().await.expect(201);
    let replies = meet(&server, &[("DELETE", "core_practitioner")], remove(), make()).await;
    assert_eq!(statuses(&replies), [204, 403]);
    let keys = "SELECT count(*)::text FROM oauth2_provider_application WHERE name LIKE '\\_practitioner\\_client\\_%'";
    assert_eq!(server.scalar(keys).await, "0");
    server.stop().await;
}

#[tokio::test]
async fn a_key_made_while_its_account_waits_to_go_goes_with_it() {
    let server = TestServer::start().await;
    let remove = server.delete("/api/v1/users/10004").as_user(ADMIN);
    let make = server.post("/api/v1/practitioner_clients").as_user(VICTOR).json(&json!({"label": "l"}));
    let replies = meet(&server, &[("INSERT", "core_practitionerclient")], make, remove).await;
    assert_eq!(statuses(&replies), [201, 204]);
    let keys = "SELECT count(*)::text FROM oauth2_provider_application WHERE name LIKE '\\_practitioner\\_client\\_%'";
    assert_eq!(server.scalar(keys).await, "0");
    server.stop().await;
}

#[tokio::test]
async fn a_practitioner_made_of_one_account_by_two_is_made_once_for_both() {
    let server = TestServer::start().await;
    let body =
        |organization: i64| json!({"telecomEmail": "ccl_patient_paul@example.com", "organizationId": organization});
    let make = |organization: i64| server.post("/api/v1/practitioners").as_user(ADMIN).json(&body(organization));
    let replies = meet(&server, &[("INSERT", "core_practitioner")], make(20003), make(20003)).await;
    assert_eq!(statuses(&replies), [201, 201]);
    assert_eq!(replies[0].at("/id"), replies[1].at("/id"));
    // The same for the membership alone.
    let replies = meet(&server, &[("INSERT", "core_practitionerorganization")], make(20002), make(20002)).await;
    assert_eq!(statuses(&replies), [201, 201]);
    let organizations = |reply: &Reply| reply.at("/organizations").as_array().unwrap().len();
    assert_eq!(replies.each_ref().map(organizations), [2, 2]);
    server.stop().await;
}

#[tokio::test]
async fn a_data_source_that_goes_meanwhile_is_a_fault_of_the_field() {
    let server = TestServer::start().await;
    let make = async || {
        let reply = server.post("/api/v1/data_sources").as_user(ADMIN).json(&json!({"name": "n"})).send().await;
        reply.expect(201).at("/id")
    };
    let source = make().await;
    let remove = |source: &Value| server.delete(&format!("/api/v1/data_sources/{source}")).as_user(ADMIN);
    let name = |source: &Value| server.post("/api/v1/fhir_sources").as_user(PETER).json(&json!({"dataSource": source}));
    let replies = meet(&server, &[("DELETE", "core_datasource")], remove(&source), name(&source)).await;
    assert_eq!(statuses(&replies), [204, 400]);
    assert_eq!(replies[1].detail(), format!("dataSource: Invalid pk \"{source}\" - object does not exist."));
    // The same for one that exists and gets another data source.
    let (stays, goes) = (make().await, make().await);
    let row = name(&stays).send().await.expect(201).at("/id");
    let change = server.patch(&format!("/api/v1/fhir_sources/{row}")).as_user(PETER).json(&json!({"dataSource": goes}));
    let replies = meet(&server, &[("DELETE", "core_datasource")], remove(&goes), change).await;
    assert_eq!(statuses(&replies), [204, 400]);
    // Who comes first keeps it.
    let replies = meet(&server, &[("INSERT", "core_fhirsource")], name(&stays), remove(&stays)).await;
    assert_eq!(statuses(&replies), [201, 409]);
    assert_eq!(replies[1].detail(), "This data source is used by FHIR sources and cannot be deleted.");
    server.stop().await;
}

#[tokio::test]
async fn who_leaves_an_organization_is_not_enrolled_meanwhile_and_nobody_waits_in_a_circle() {
    let server = TestServer::start().await;
    let leave = server.delete("/api/v1/patients/40001?organization_id=20003").as_user(MARY);
    let enrol =
        server.post("/api/v1/studies/30002/patients").as_user(MARY).json(&json!({"patientIds": [40001, 40002]}));
    let replies = meet(&server, &[("DELETE", "core_patientorganization")], leave, enrol).await;
    assert_eq!(statuses(&replies), [204, 400]);
    server.stop().await;
}

#[tokio::test]
async fn an_answer_given_while_its_patient_leaves_is_in_the_history_and_nobody_waits_in_a_circle() {
    let server = TestServer::start().await;
    let scopes = json!([{"codingSystem": "https://w3id.org/openmhealth", "codingCode": "omh:heart-rate:2.0", "consented": true}]);
    let body = json!({"studyScopeConsents": [{"studyId": 30001, "scopeConsents": scopes}]});
    // A link that waits for the patient, which the answer confirms.
    server.execute("UPDATE core_patientorganization SET confirmed = false WHERE patient_id = 40001").await;
    let answer = server.post("/api/v1/patients/40001/consents").as_user(PETER).json(&body);
    let leave = server.delete("/api/v1/patients/40001?organization_id=20003").as_user(MARY);
    let replies = meet(&server, &[("INSERT", "core_studypatientscopeconsent")], answer, leave).await;
    assert_eq!(statuses(&replies), [201, 204]);
    server.stop().await;
}

/// Removes a study as the server does, held between the study and what hangs on it, while `other` comes: what that answered.
async fn while_a_study_goes(server: &TestServer, other: Call) -> Reply {
    let study = "DO $$ BEGIN
        PERFORM 1 FROM core_study WHERE id = 30001 FOR UPDATE;
        PERFORM pg_advisory_xact_lock_shared(hashtextextended('gate', 0));
        DELETE FROM core_study WHERE id = 30001;
    END $$";
    Box::pin(gate::held(server, server.execute(study), other.send())).await.1
}

#[tokio::test]
async fn an_account_goes_while_a_study_that_it_is_enrolled_in_goes() {
    let server = TestServer::start().await;
    let enrolled = "SELECT count(*)::text FROM core_studypatient WHERE study_id = 30001 AND patient_id = 40001";
    assert_eq!(server.scalar(enrolled).await, "1");
    let user = server.scalar("SELECT jhe_user_id::text FROM core_patient WHERE id = 40001").await;
    let path = format!("/api/v1/users/{user}");
    while_a_study_goes(&server, server.delete(&path).as_user(ADMIN)).await.expect(204);
    server.get("/api/v1/patients/40001").as_user(ADMIN).send().await.expect(404);
    server.stop().await;
}

#[tokio::test]
async fn an_organization_goes_while_one_of_its_studies_goes() {
    let server = TestServer::start().await;
    let organization = server.scalar("SELECT organization_id::text FROM core_study WHERE id = 30001").await;
    let path = format!("/api/v1/organizations/{organization}");
    while_a_study_goes(&server, server.delete(&path).as_user(ADMIN)).await.expect(204);
    server.get(&path).as_user(ADMIN).send().await.expect(404);
    server.stop().await;
}
