//! What requests leave in the audit trail: which entry, about whom, and how it ended.

use jhe_testkit::{ADMIN, MARY, PETER, TestServer};
use serde_json::json;

/// The entries since `last`, each as a line, and the last of them.
async fn since(server: &TestServer, last: &mut i64) -> Vec<String> {
    let sql = format!(
        "SELECT coalesce(string_agg(concat_ws(' ', action, resource, resource_id, '|', coalesce(patient_ids, ARRAY[patient_id])::text,
                                     organization_id, '|', rows, status), E'\\n' ORDER BY id), '') || E'\\n' || coalesce(max(id), {last})
           FROM jhe_audit_event WHERE id > {last}"
    );
    let text = server.scalar(sql.leak()).await;
    let (lines, end) = text.rsplit_once('\n').unwrap();
    *last = end.parse().unwrap();
    lines.lines().map(str::to_owned).collect()
}

/// The number of the last entry so far.
async fn last(server: &TestServer) -> i64 {
    server.scalar("SELECT coalesce(max(id), 0)::text FROM jhe_audit_event").await.parse().unwrap()
}

#[tokio::test]
async fn invitations_and_clients_of_patients_are_recorded_with_whose_they_are() {
    let server = TestServer::start().await;
    server
        .execute("INSERT INTO core_patientinvitation (id, patient_id, client_id, token_hash) VALUES (88001, 40001, 1, 'a'), (88002, 40002, 1, 'b')")
        .await;
    let mut end = last(&server).await;
    for person in [MARY, PETER] {
        let path = "/api/v1/patients/40001/consolidated_clients";
        let shown = server.get(path).as_user(person).send().await.expect(200).json().as_array().unwrap().len();
        let told = since(&server, &mut end).await;
        assert_eq!(
            told,
            [
                format!("read Application | {{40001}} | {shown} 200"),
                "read PatientInvitation | {40001} | 1 200".to_owned()
            ]
        );
    }
    server.get("/api/v1/invitation").as_user(MARY).send().await.expect(200);
    assert_eq!(since(&server, &mut end).await, ["read PatientInvitation | {40001,40002} | 2 200"]);
    server.get("/api/v1/invitation/88002").as_user(MARY).send().await.expect(200);
    assert_eq!(since(&server, &mut end).await, ["read PatientInvitation 88002 | {40002} | 1 200"]);
    server.stop().await;
}

#[tokio::test]
async fn outside_record_systems_are_recorded_with_whose_they_are() {
    let server = TestServer::start().await;
    server
        .execute(
            "INSERT INTO core_fhirsource (id, patient_id, data_source_id) VALUES (99001, 40001, 70005), (99002, 40002, 70005)",
        )
        .await;
    let mut end = last(&server).await;
    server.get("/api/v1/fhir_sources").as_user(MARY).send().await.expect(200);
    assert_eq!(since(&server, &mut end).await, ["read FhirSource | {40001,40002} | 2 200"]);
    server.get("/api/v1/fhir_sources/99001").as_user(MARY).send().await.expect(200);
    assert_eq!(since(&server, &mut end).await, ["read FhirSource 99001 | {40001} | 200"]);
    server.delete("/api/v1/fhir_sources/99001").as_user(PETER).send().await.expect(204);
    let told = since(&server, &mut end).await;
    assert!(told.iter().any(|line| line.starts_with("delete FhirSource 99001 | {40001}")), "{told:?}");
    server.stop().await;
}

#[tokio::test]
async fn accounts_that_come_and_go_with_a_profile_are_recorded() {
    let server = TestServer::start().await;
    let mut end = last(&server).await;
    let body = json!({"organizationId": 20003, "telecomEmail": "new@example.com", "nameFamily": "F", "birthDate": "2001-02-03"});
    let patient = server.post("/api/v1/patients").as_user(MARY).json(&body).send().await.expect(201).at("/id");
    let user = server.scalar("SELECT id::text FROM core_jheuser WHERE email = 'new@example.com'").await;
    let told = since(&server, &mut end).await;
    for entry in [format!("create JheUser {user} |"), format!("create Patient {patient} | {{{patient}}} 20003 |")] {
        assert!(told.iter().any(|line| line.starts_with(&entry)), "{entry} is not in {told:?}");
    }
    let path = format!("/api/v1/patients/{patient}?organization_id=20003");
    server.delete(&path).as_user(MARY).send().await.expect(204);
    let told = since(&server, &mut end).await;
    for entry in [
        format!("delete PatientOrganization {patient} | {{{patient}}} 20003 |"),
        format!("delete Patient {patient} | {{{patient}}} 20003 |"),
        format!("delete JheUser {user} |"),
    ] {
        assert!(told.iter().any(|line| line.starts_with(&entry)), "{entry} is not in {told:?}");
    }
    let body = json!({"telecomEmail": "doctor@example.com", "nameFamily": "D", "organizationId": 20003});
    let made = server.post("/api/v1/practitioners").as_user(ADMIN).json(&body).send().await.expect(201).at("/id");
    let user = server.scalar("SELECT id::text FROM core_jheuser WHERE email = 'doctor@example.com'").await;
    let told = since(&server, &mut end).await;
    for entry in [format!("create JheUser {user} |"), format!("create Practitioner {made} |")] {
        assert!(told.iter().any(|line| line.starts_with(&entry)), "{entry} is not in {told:?}");
    }
    server.delete(&format!("/api/v1/practitioners/{made}")).as_user(ADMIN).send().await.expect(204);
    let told = since(&server, &mut end).await;
    for entry in [format!("delete Practitioner {made} |"), format!("delete JheUser {user} |")] {
        assert!(told.iter().any(|line| line.starts_with(&entry)), "{entry} is not in {told:?}");
    }
    server.stop().await;
}
