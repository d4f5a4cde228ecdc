//! What requests leave in the audit trail: which entry, about whom, and how it ended.

use jhe_testkit::{ADMIN, MARK, MARY, PETER, TestServer, VICTOR, omh};
use reqwest::Method;
use serde_json::{Value, json};

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
    let shown = server.get("/api/v1/fhir_sources").as_user(MARY).send().await.expect(200).at("/count");
    assert_eq!(since(&server, &mut end).await, [format!("read FhirSource | {{40001,40002}} | {shown} 200")]);
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

#[tokio::test]
async fn refusals_are_recorded_with_what_they_are_about() {
    let server = TestServer::start().await;
    let mut end = last(&server).await;
    for (person, method, path, expected) in [
        (MARY, Method::GET, "/api/v1/patients/40003", "denied Patient 40003 | {40003} | 403"),
        (MARY, Method::GET, "/api/v1/patients/40003/consents", "denied Patient 40003 | {40003} | 403"),
        (MARK, Method::PATCH, "/api/v1/organizations/20003", "denied Organization 20003 | {NULL} 20003 | 403"),
        (MARK, Method::GET, "/api/v1/studies/30001", "denied Study 30001 | {NULL} | 403"),
        (VICTOR, Method::GET, "/fhir/r5/AuditEvent", "denied AuditEvent | {NULL} | 403"),
    ] {
        let call = server.call(method, path).as_user(person);
        let call = if path.ends_with("20003") { call.json(&json!({"name": "x"})) } else { call };
        call.send().await.expect(403);
        assert_eq!(since(&server, &mut end).await, [expected], "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn refused_attempts_are_told_to_those_they_are_about_without_naming_strangers() {
    let server = TestServer::start().await;
    let change = json!({"nameFamily": "x"});
    server.get("/api/v1/patients/40001").as_user(MARK).send().await.expect(403);
    server.patch("/api/v1/patients/40001").as_user(VICTOR).json(&change).send().await.expect(403);
    server.patch("/api/v1/organizations/20003").as_user(MARK).json(&json!({"name": "x"})).send().await.expect(403);
    let denied = async |person, query: &str| {
        let path = format!("/api/v1/audit_events?action=denied{query}");
        let answer = server.get(&path).as_user(person).send().await.expect(200).json();
        let line = |event: &Value| {
            assert!(event["actorUserId"].is_null() == event["actorName"].is_null(), "{event}");
            assert!(
                event["actorUserId"].is_i64() || (event["ip"].is_null() && event["clientName"].is_null()),
                "{event}"
            );
            format!(
                "{} {} {}",
                event["resource"].as_str().unwrap(),
                event["resourceId"].as_str().unwrap(),
                event["actorUserId"]
            )
        };
        answer["results"].as_array().unwrap().iter().map(line).collect::<Vec<_>>()
    };
    for person in [MARY, PETER] {
        assert_eq!(denied(person, "&patientId=40001").await, ["Patient 40001 10004", "Patient 40001 null"]);
        // Nor is an account found out by asking for it.
        assert_eq!(denied(person, "&actorUserId=10008").await, Vec::<String>::new());
        assert_eq!(denied(person, "&actorUserId=10004").await, ["Patient 40001 10004"]);
    }
    assert_eq!(
        denied(MARY, "&organizationId=20003").await,
        ["Organization 20003 null", "Patient 40001 10004", "Patient 40001 null"]
    );
    assert_eq!(
        denied(ADMIN, "&actorUserId=10008").await,
        ["Organization 20003 10008", "Patient 40001 10008"],
        "administrators are told"
    );
    assert!(denied(MARK, "&patientId=40001").await.is_empty());
    let bundle =
        server.get("/fhir/r5/AuditEvent?patient=40001&action=E").as_user(PETER).send().await.expect(200).json();
    let who = |entry: &Value| entry["resource"]["agent"][0]["who"]["display"].as_str().unwrap().to_owned();
    let who: Vec<String> = bundle["entry"].as_array().unwrap().iter().map(who).collect();
    assert_eq!(who, ["ViewerVictor Thomas", "Not named"]);
    server.stop().await;
}

#[tokio::test]
async fn refusals_without_a_caller_and_within_bundles_are_recorded() {
    let server = TestServer::start().await;
    let body = json!({"patientId": 40001, "clientId": 1});
    let made = server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201).json();
    let cancel = json!({"status": "cancelled"});
    let path = format!("/api/v1/invitation/{}", made["id"]);
    server.patch(&path).as_user(MARY).json(&cancel).send().await.expect(200);
    let mut end = last(&server).await;
    let token = made["token"].as_str().unwrap();
    server.post(&format!("/api/v1/invitation/{token}")).send().await.expect(403);
    assert_eq!(since(&server, &mut end).await, ["denied PatientInvitation | {NULL} | 403"]);
    server.post("/accounts/login/").form(&[("username", "a"), ("password", "b")]).send().await.expect(403);
    assert_eq!(since(&server, &mut end).await, ["denied Request | {NULL} | 403"]);
    let upload = |patient| {
        let resource = omh::observation(patient, 70001, "omh:heart-rate:2.0", &omh::heart_rate("60"));
        json!({"resource": resource, "request": {"method": "POST", "url": "Observation"}})
    };
    let bundle =
        json!({"resourceType": "Bundle", "type": "batch", "entry": [upload(40001), upload(40002), upload(40002)]});
    server.post("/fhir/r5").as_user(PETER).json(&bundle).send().await.expect(200);
    let told = since(&server, &mut end).await;
    assert!(told.contains(&"denied Observation | {NULL} | 2 403".to_owned()), "{told:?}");
    assert_eq!(told.iter().filter(|line| line.starts_with("denied")).count(), 1, "{told:?}");
    server.stop().await;
}

#[tokio::test]
async fn whatever_administrators_ask_for_is_called_by_what_it_would_have_done() {
    let server = TestServer::start().await;
    let mut end = last(&server).await;
    for (method, path, status, action) in [
        (Method::POST, "/api/v1/users", 400, "create"),
        (Method::PATCH, "/api/v1/jhe_settings/999999", 404, "update"),
        (Method::DELETE, "/api/v1/users/999999", 404, "delete"),
        (Method::DELETE, "/fhir/r5/Observation/1", 405, "delete"),
        (Method::POST, "/fhir/r5/Patient/_search", 415, "read"),
        (Method::GET, "/api/v1/nothing/here", 404, "read"),
        (Method::GET, "/o/userinfo", 200, "read"),
    ] {
        let call = server.call(method.clone(), path).as_user(ADMIN);
        let call = match method {
            Method::GET | Method::DELETE => call,
            _ if path.ends_with("_search") => call.body("text/plain", "x"),
            _ => call.json(&json!({})),
        };
        call.send().await.expect(status);
        assert_eq!(since(&server, &mut end).await, [format!("{action} Request | {{NULL}} | {status}")], "{path}");
    }
    server.get("/api/v1/nothing/here").as_user(MARY).send().await.expect(404);
    assert_eq!(since(&server, &mut end).await, Vec::<String>::new());
    server.stop().await;
}

#[tokio::test]
async fn changes_are_recorded_with_how_they_were_answered() {
    let server = TestServer::start().await;
    let patient = json!({"organizationId": 20003, "telecomEmail": "new@example.com", "nameFamily": "F", "birthDate": "2001-02-03"});
    let reading = omh::observation(40001, 70001, "omh:heart-rate:2.0", &omh::heart_rate("60"));
    let entry = json!({"resource": reading, "request": {"method": "POST", "url": "Observation"}});
    let one = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry]});
    let two = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry, entry]});
    let code = json!({"scopeCodeId": 50001});
    let member = json!({"jheUserId": 10004, "organizationPartitionerRole": "viewer"});
    let enrolment = json!({"patientIds": [40001]});
    let mut end = last(&server).await;
    for (person, method, path, body, status) in [
        (PETER, Method::POST, "/fhir/r5/Observation", reading, 201),
        (PETER, Method::POST, "/fhir/r5", one, 200),
        (PETER, Method::POST, "/fhir/r5", two, 200),
        (MARY, Method::POST, "/api/v1/patients", patient, 201),
        (MARY, Method::PATCH, "/api/v1/patients/40001", json!({"nameFamily": "P"}), 200),
        (MARY, Method::POST, "/api/v1/organizations/20003/user", member.clone(), 200),
        (MARY, Method::DELETE, "/api/v1/organizations/20003/remove_user", member.clone(), 204),
        (MARY, Method::POST, "/api/v1/organizations/20003/user", member, 201),
        (MARY, Method::POST, "/api/v1/studies/30001/patients", enrolment.clone(), 200),
        (MARY, Method::DELETE, "/api/v1/studies/30001/patients", enrolment.clone(), 204),
        (MARY, Method::POST, "/api/v1/studies/30001/patients", enrolment, 201),
        (ADMIN, Method::POST, "/api/v1/data_sources/70002/supported_scopes", code.clone(), 200),
        (ADMIN, Method::DELETE, "/api/v1/data_sources/70002/supported_scopes", code.clone(), 204),
        (ADMIN, Method::POST, "/api/v1/data_sources/70002/supported_scopes", code, 201),
        (MARY, Method::GET, "/api/v1/patients/40001/invitation_link", Value::Null, 200),
        (MARY, Method::POST, "/api/v1/patients/40001/invitation_link", Value::Null, 200),
        (MARY, Method::POST, "/api/v1/invitation", json!({"patientId": 40001, "clientId": 1}), 201),
        (MARY, Method::DELETE, "/api/v1/patients/40001?organization_id=20003", Value::Null, 204),
    ] {
        let call = server.call(method.clone(), path).as_user(person);
        let call = if body.is_null() { call } else { call.json(&body) };
        call.send().await.expect(status);
        let told = since(&server, &mut end).await;
        let is_right = |line: &String| line.ends_with(&format!(" {status}"));
        assert!(!told.is_empty() && told.iter().all(is_right), "{method} {path}: {told:?}");
    }
    server.stop().await;
}
