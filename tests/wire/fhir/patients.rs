//! Patients as FHIR resources.

use jhe_testkit::{ADMIN, MARK, MARY, NOBODY, PAMELA, PETER, TestServer};
use serde_json::json;

use super::{get, ids, link, total};

async fn found(server: &TestServer, query: &str) -> Vec<i64> {
    let mut found = ids(&get(server, MARY, &format!("Patient?{query}")).await.expect(200));
    found.sort_unstable();
    found
}

#[tokio::test]
async fn a_patient_is_shown_to_those_who_share_it() {
    let server = TestServer::start().await;
    server.execute("INSERT INTO core_patientidentifier (patient_id, system, value) VALUES (40001, 'https://hospital.example.com', 'MRN-12345')").await;
    let reply = get(&server, MARY, "Patient/40001").await.expect(200);
    let patient = reply.json();
    assert_eq!(patient["resourceType"], "Patient");
    let added = json!({"system": "https://hospital.example.com", "value": "MRN-12345"});
    assert!(patient["identifier"].as_array().unwrap().contains(&added));
    assert_eq!(patient["name"][0]["family"], "Merritt");
    assert!(
        patient["telecom"]
            .as_array()
            .unwrap()
            .contains(&json!({"system": "email", "value": "ll_patient_peter@example.com", "use": "home"}))
    );
    let tag = reply.header("etag");
    server.get("/fhir/r5/Patient/40001").as_user(MARY).header("if-none-match", &tag).send().await.expect(304);
    get(&server, ADMIN, "Patient/40001").await.expect(200);
    get(&server, PETER, "Patient/40001").await.expect(200);
    get(&server, PETER, "Patient/40002").await.expect(403);
    get(&server, PAMELA, "Patient/40001").await.expect(403);
    for (person, id) in [(MARK, "40001"), (NOBODY, "40001"), (MARY, "999999"), (MARY, "abc")] {
        let reply = get(&server, person, &format!("Patient/{id}")).await.expect(404);
        assert_eq!(reply.at("/issue/0/diagnostics"), format!("Patient/{id} not found."));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_patient_awaiting_its_own_agreement_is_nobody() {
    let server = TestServer::start().await;
    server
        .patch("/api/v1/patients/40001/global_add_organization?organization_id=20007")
        .as_user(MARK)
        .send()
        .await
        .expect(200);
    get(&server, MARK, "Patient/40001").await.expect(404);
    assert_eq!(total(get(&server, MARK, "Patient?_id=40001").await), 0);
    server.stop().await;
}

#[tokio::test]
async fn searches_find_by_name_identifier_and_study() {
    let server = TestServer::start().await;
    server.execute("INSERT INTO core_patientidentifier (patient_id, system, value) VALUES (40001, 'https://hospital.example.com', 'MRN-12345')").await;
    assert_eq!(found(&server, "").await, [40001, 40002]);
    assert_eq!(found(&server, "_id=40001").await, [40001]);
    assert_eq!(found(&server, "family=MERR").await, found(&server, "name:contains=erri").await);
    assert!(found(&server, "family:exact=merritt").await.is_empty());
    assert_eq!(found(&server, "identifier=https://hospital.example.com%7CMRN-12345").await, [40001]);
    assert_eq!(found(&server, "identifier:not=MRN-12345").await, [40002]);
    assert!(found(&server, "identifier=E9999").await.is_empty());
    assert_eq!(found(&server, "email=LL_PATIENT_PETER@example.com").await, [40001]);
    assert!(!found(&server, "_has:Group:member:_id=30001").await.is_empty());
    assert_eq!(found(&server, "birthdate=ge1900").await, [40001, 40002]);
    assert!(found(&server, "birthdate=lt1900").await.is_empty());
    assert_eq!(total(get(&server, MARK, "Patient?identifier=MRN-12345").await), 0);
    assert_eq!(total(get(&server, PETER, "Patient").await), 1);
    assert_eq!(total(get(&server, NOBODY, "Patient").await), 0);
    server.stop().await;
}

#[tokio::test]
async fn pages_follow_the_family_name() {
    let server = TestServer::start().await;
    server.execute("INSERT INTO core_patient (id, name_family) SELECT 41000 + n, CASE WHEN n < 4 THEN 'Same' ELSE NULL END FROM generate_series(1, 6) AS n").await;
    server.execute("INSERT INTO core_patientorganization (patient_id, organization_id) SELECT id, 20003 FROM core_patient WHERE id > 41000").await;
    let all = ids(&get(&server, MARY, "Patient?_count=100").await.expect(200));
    assert_eq!(all.len(), 8);
    let mut page = get(&server, MARY, "Patient?_count=3").await.expect(200);
    let mut seen = ids(&page);
    while let Some(next) = link(&page, "next") {
        assert!(!next.contains("Same"), "no name travels in a link");
        page = server.get(&next).as_user(MARY).send().await.expect(200);
        seen.extend(ids(&page));
    }
    assert_eq!(seen, all);
    assert_eq!(ids(&get(&server, MARY, "Patient?_sort=-_id&_count=2").await), [41006, 41005]);
    server.stop().await;
}

#[tokio::test]
async fn pages_of_patients_stay_put_while_the_roster_changes() {
    let server = TestServer::start().await;
    for letter in ["B", "C", "D", "E", "F", "G"] {
        let body = json!({"organizationId": 20003, "nameFamily": letter, "nameGiven": "N", "birthDate": "1980-01-01",
            "telecomEmail": format!("{letter}@example.org")});
        server.post("/api/v1/patients").as_user(MARY).json(&body).send().await.expect(201);
    }
    for sort in ["", "&_sort=family", "&_sort=-given,family", "&_sort=birthdate", "&_sort=-_id"] {
        let query = format!("Patient?patient.organization=20003&_count=3{sort}");
        let all = ids(&get(&server, MARY, &format!("{query}&_count=100").replace("_count=3&", "")).await.expect(200));
        let first = get(&server, MARY, &query).await.expect(200);
        let mut seen = ids(&first);
        let body = json!({"nameFamily": "Zzz"});
        server.patch(&format!("/api/v1/patients/{}", seen[2])).as_user(MARY).json(&body).send().await.expect(200);
        for letter in ["A", "M", "ZZ"] {
            let body = json!({"organizationId": 20003, "nameFamily": letter, "nameGiven": "N", "birthDate": "1980-01-01",
                "telecomEmail": format!("{letter}{}@example.org", sort.len())});
            server.post("/api/v1/patients").as_user(MARY).json(&body).send().await.expect(201);
        }
        let mut page = first;
        while let Some(next) = link(&page, "next") {
            assert!(!next.contains("Zzz") && !next.contains("Merritt"), "names stay out of addresses");
            page = server.get(&next).as_user(MARY).send().await.expect(200);
            seen.extend(ids(&page));
        }
        assert_eq!(seen, all, "{query}");
    }
    server.stop().await;
}
