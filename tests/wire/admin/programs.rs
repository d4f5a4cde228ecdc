//! The calls of programs that sites already have: the official client's, its own tests' and the guides' client classes
//! (admin-api §9.12). `tests/clients` runs the programs themselves.

use jhe_testkit::{MARY, Reply, TestServer};
use serde_json::{Value, json};

async fn list(server: &TestServer, path: &str) -> Vec<Value> {
    let (mut rows, mut next) = (Vec::new(), Some(format!("/api/v1/{path}")));
    while let Some(url) = next {
        let page = server.get(&url).as_user(MARY).send().await.expect(200).json();
        rows.extend(page["results"].as_array().unwrap().iter().cloned());
        next = page["next"].as_str().map(str::to_owned);
        assert!(page["count"].as_u64().unwrap() >= rows.len() as u64, "{path}");
    }
    rows
}

async fn get(server: &TestServer, path: &str) -> Reply {
    server.get(&format!("/api/v1/{path}")).as_user(MARY).send().await
}

#[tokio::test]
async fn the_official_clients_lists_yield_all_that_a_manager_sees() {
    let server = TestServer::start().await;
    for (path, rows) in [("organizations", 9), ("data_sources", 6), ("studies", 2), ("patients", 2)] {
        assert_eq!(list(&server, path).await.len(), rows, "{path}");
    }
    server.stop().await;
}

/// What the client's own tests ask of a server, about a department of a university, its study and its patient.
#[tokio::test]
async fn the_official_clients_own_tests_hold() {
    let server = TestServer::start().await;
    server
        .execute(
            "INSERT INTO core_organization (id, name, type, part_of_id) VALUES (20111, 'University', 'edu', 0), (20113, 'Department', 'edu', 20111);
             INSERT INTO core_practitionerorganization (practitioner_id, organization_id, role)
             SELECT id, 20113, 'manager' FROM core_practitioner WHERE jhe_user_id = (SELECT id FROM core_jheuser WHERE email = 'manager_mary@example.com');
             INSERT INTO core_study (id, name, description, organization_id) VALUES (30101, 'CGM Study', 'Study description', 20113);
             INSERT INTO core_jheuser (id, email, password, user_type) VALUES (10107, 'demouser@jupyterhealth.example.org', '!', 'patient');
             INSERT INTO core_patient (id, jhe_user_id, name_family, name_given, birth_date) VALUES (40101, 10107, 'Patient', 'Demo', '1955-01-01');
             INSERT INTO core_patientorganization (patient_id, organization_id) VALUES (40101, 20113);
             INSERT INTO core_patientidentifier (patient_id, system, value) VALUES (40101, 'medplum', 'other-value'), (40101, 'something', 'demouser-min')",
        )
        .await;
    let user = get(&server, "users/profile").await.expect(200);
    assert!(user.at("/id").is_i64() && user.at("/patient").is_null());
    let organization = get(&server, "organizations/20113").await.expect(200);
    assert_eq!((organization.at("/id"), organization.at("/name")), (json!(20113), json!("Department")));
    assert_eq!(
        get(&server, "organizations/404").await.expect(404).detail(),
        "No Organization matches the given query."
    );
    let organizations = list(&server, "organizations").await;
    assert_eq!(organizations.len(), 11);
    assert!(organizations.iter().any(|row| row["id"] == 20113 && row["currentUserRole"] == "manager"));

    let study = get(&server, "studies/30101").await.expect(200);
    assert_eq!((study.at("/name"), study.at("/organization/id")), (json!("CGM Study"), json!(20113)));
    get(&server, "studies/404").await.expect(403);
    assert_eq!(list(&server, "studies").await.len(), 3);
    let of_department = list(&server, "studies?organization_id=20113").await;
    assert_eq!(of_department.iter().map(|row| row["id"].clone()).collect::<Vec<_>>(), [30101]);
    assert!(list(&server, "studies?organization_id=404").await.is_empty());

    assert_eq!(get(&server, "patients/40101").await.expect(200).at("/id"), 40101);
    let missing = get(&server, "patients/404").await.expect(404);
    assert!(missing.text().contains("No Patient matches"), "the client shows this text");
    // By e-mail through global_lookup, by identifier among the patients listed.
    let found = get(&server, "patients/global_lookup?email=demouser%40jupyterhealth.example.org").await.expect(200);
    assert_eq!(found.at("/0/id"), 40101);
    let nobody = get(&server, "patients/global_lookup?email=nosuchuser%40jupyterhealth.example.org").await.expect(200);
    assert_eq!(nobody.json(), json!([]));
    let patients = list(&server, "patients").await;
    let has = |patient: &Value, value: &str| {
        patient["identifiers"].as_array().unwrap().iter().any(|identifier| identifier["value"] == value)
    };
    let found: Vec<_> = patients.iter().filter(|patient| has(patient, "demouser-min")).collect();
    assert_eq!((found.len(), &found[0]["id"]), (1, &json!(40101)));
    assert!(!patients.iter().any(|patient| has(patient, "nomatch")));
    assert_eq!(list(&server, "data_sources").await.len(), 6);
    server.stop().await;
}

#[tokio::test]
async fn the_guides_client_classes_find_what_they_read() {
    let server = TestServer::start().await;
    let patients = get(&server, "patients?organization_id=20003&study_id=30001").await.expect(200);
    assert_eq!(patients.at("/count"), 2);
    for patient in patients.at("/results").as_array().unwrap() {
        assert!(patient["nameGiven"].is_string() && patient["nameFamily"].is_string(), "{patient}");
    }
    let readings = get(&server, "observations?organization_id=20003&study_id=30001&patient_id=40001").await.expect(200);
    assert!(readings.at("/results").is_array() && readings.at("/count").is_u64());
    server.stop().await;
}
