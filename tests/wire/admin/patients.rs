//! Patients: who sees them, who changes them.

use jhe_testkit::{ADMIN, MARK, MARY, MEGAN, NOBODY, PAUL, PETER, TOM, TestServer, VICTOR};
use serde_json::{Value, json};

#[tokio::test]
async fn lists_hold_shared_patients_only() {
    let server = TestServer::start().await;
    let list = async |person, query: &str| {
        server.get(&format!("/api/v1/patients{query}")).as_user(person).send().await.expect(200)
    };
    let mary = list(MARY, "").await;
    assert_eq!(
        (mary.at("/count"), mary.at("/results/0/id"), mary.at("/results/1/id")),
        (json!(2), json!(40001), json!(40002))
    );
    assert_eq!(mary.at("/results/0/organizations/0/id"), 20003);
    assert_eq!(mary.at("/results/0/organizationId"), 20003);
    assert_eq!(mary.at("/results/0/membershipStatus"), "active");
    assert_eq!(list(ADMIN, "").await.at("/count"), 5);
    for person in [PETER, NOBODY] {
        assert_eq!(list(person, "").await.at("/count"), 0);
    }
    for (query, count) in [
        ("?organization_id=20008", 0),
        ("?study_id=30003", 0),
        ("?patient_id=40001", 1),
        ("?patient_identifier_value=E1234", 1),
        ("?identifier=urn:oid:1.2.3.4|E1234", 1),
        ("?identifier=urn:other|E1234", 0),
        ("?search=mer", 1),
        ("?search=%25", 0),
    ] {
        assert_eq!(list(MARY, query).await.at("/count"), count, "{query}");
    }
    for query in
        ["patient_id=40001", "patient_identifier_value=E1234", "identifier=urn:oid:1.2.3.4|E1234", "search=mer"]
    {
        assert_eq!(list(MARY, &format!("?{query}")).await.at("/results/0/id"), 40001, "{query}");
    }
    let tom = list(TOM, "?organization_id=20008").await;
    assert_eq!(tom.at("/count"), 2);
    assert_eq!((tom.at("/results/0/id"), tom.at("/results/1/id")), (json!(40004), json!(40005)));
    assert_eq!(tom.at("/results/1/organizations/0/id"), 20008);
    assert_eq!(tom.at("/results/1/organizations").as_array().unwrap().len(), 1, "only shared organizations");
    server.stop().await;
}

#[tokio::test]
async fn details_follow_sharing() {
    let server = TestServer::start().await;
    let get = async |person, id: i64| server.get(&format!("/api/v1/patients/{id}")).as_user(person).send().await;
    get(MARY, 40001).await.expect(200);
    let foreign = get(MARY, 40005).await.expect(403);
    assert_eq!(foreign.detail(), "Current User does not have authorization to access this Patient.");
    assert_eq!(get(MARY, 99999).await.expect(404).detail(), "No Patient matches the given query.");
    get(ADMIN, 40005).await.expect(200);
    get(PETER, 40001).await.expect(200);
    for id in [40002, 99999] {
        get(PETER, id).await.expect(403);
    }
    get(NOBODY, 40001).await.expect(403);
    let me = server.get("/api/v1/patients/me").as_user(PETER).send().await.expect(200);
    assert_eq!(me.at("/birthDate"), "1996-05-20");
    assert_eq!(
        server.get("/api/v1/patients/me").as_user(MARY).send().await.expect(403).detail(),
        "Current user is not a patient."
    );
    server.stop().await;
}

#[tokio::test]
async fn a_patient_is_made_shown_and_removed() {
    let server = TestServer::start().await;
    let body = json!({
        "organizationId": 20003, "telecomEmail": "New@Example.COM", "nameFamily": "F", "nameGiven": "G", "birthDate": "2001-02-03",
        "telecomPhone": 555, "identifier": "MRN-1", "identifiers": [{"system": "urn:x", "value": "1"}, {"system": "urn:y"}], "bogus": 1,
    });
    let made = server.post("/api/v1/patients").as_user(MARY).json(&body).send().await.expect(201);
    assert_eq!(
        (made.at("/telecomEmail"), made.at("/telecomPhone"), made.at("/birthDate")),
        (json!("New@example.com"), json!("555"), json!("2001-02-03"))
    );
    assert_eq!(made.at("/identifier"), "MRN-1");
    assert_eq!(made.at("/organizations/0/id"), 20003);
    assert_eq!(made.at("/identifiers").as_array().unwrap().len(), 2);
    let path = format!("/api/v1/patients/{}", made.at("/id"));
    let read = server.get(&path).as_user(MARY).send().await.expect(200);
    assert_eq!(read.json(), made.json());
    server.delete(&format!("{path}?organization_id=20003")).as_user(VICTOR).send().await.expect(403);
    assert_eq!(server.delete(&path).as_user(MARY).send().await.expect(400).detail(), "organizationId required");
    server.delete(&format!("{path}?organization_id=20008")).as_user(MARY).send().await.expect(403);
    server.delete(&format!("{path}?organization_id=20003")).as_user(MARY).send().await.expect(204);
    server.get(&path).as_user(MARY).send().await.expect(404);
    server.post("/api/v1/patients").as_user(MARY).json(&body).send().await.expect(201);
    server.stop().await;
}

#[tokio::test]
async fn refused_patients_leave_nothing_behind() {
    let server = TestServer::start().await;
    let post = |person, body: Value| server.post("/api/v1/patients").as_user(person).json(&body).send();
    let cases = [
        (json!({}), "Email is required to create a patient."),
        (json!({"telecomEmail": ""}), "Email is required to create a patient."),
        (json!({"telecomEmail": "notanemail"}), "Enter a valid email address."),
        (json!({"telecomEmail": "a@example.com", "birthDate": "not-a-date"}), "Enter a valid birth date (YYYY-MM-DD)."),
        (
            json!({"telecomEmail": "a@example.com", "identifiers": [{"system": "urn:oid:1.2.3.4", "value": "E1234"}]}),
            "The external identifier urn:oid:1.2.3.4|E1234 is already in use by another patient.",
        ),
        (
            json!({"telecomEmail": "a@example.com", "identifiers": [{"system": "u", "value": "1"}, {"system": "u", "value": "1"}]}),
            "Duplicate external identifier in the request.",
        ),
        (json!({"telecomEmail": "LL_patient_Pamela@example.com"}), "User with this email already exists"),
        (json!({"telecomEmail": "manager_mark@example.com"}), "This email cannot be used for a patient."),
        (json!({"telecomEmail": "admin@example.com"}), "This email cannot be used for a patient."),
    ];
    for (mut body, text) in cases {
        body["organizationId"] = json!(20003);
        assert_eq!(post(MARY, body).await.expect(400).detail(), text);
    }
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_patient").await, "5");
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_jheuser").await, "12");
    let body = json!({"organizationId": 20003, "telecomEmail": "b@example.com"});
    post(MEGAN, body.clone()).await.expect(201);
    for person in [VICTOR, PETER, MARK, NOBODY] {
        post(person, body.clone()).await.expect(403);
    }
    post(MARY, json!({"telecomEmail": "c@example.com"})).await.expect(403);
    assert_eq!(
        post(ADMIN, json!({"telecomEmail": "c@example.com"})).await.expect(400).at("/organizationId/0"),
        "This field is required."
    );
    server.stop().await;
}

#[tokio::test]
async fn changes_are_atomic_and_for_managers_of_the_patient() {
    let server = TestServer::start().await;
    let patch = |person, path: &str, body: Value| {
        server.patch(&format!("/api/v1/patients/{path}")).as_user(person).json(&body).send()
    };
    assert_eq!(patch(MARY, "40001", json!({"nameGiven": "P"})).await.expect(200).at("/nameFamily"), "Merritt");
    patch(MARY, "40001?organizationId=20003", json!({"nameGiven": null})).await.expect(200);
    patch(MARY, "40001?organization_id=20001", json!({"nameGiven": "x"})).await.expect(403);
    patch(MARY, "40005?organizationId=20003", json!({"nameGiven": "x"})).await.expect(403);
    patch(MARY, "99999", json!({"nameGiven": "x"})).await.expect(404);
    for person in [VICTOR, PETER, MARK] {
        patch(person, "40001", json!({"nameGiven": "x"})).await.expect(403);
    }
    assert_eq!(
        patch(MARY, "40001", json!({"nameGiven": ""})).await.expect(400).at("/nameGiven/0"),
        "This field may not be blank."
    );
    assert_eq!(
        patch(MARY, "40001", json!({"birthDate": "bad"})).await.expect(400).at("/birthDate/0"),
        "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."
    );
    assert_eq!(server.scalar("SELECT name_given FROM core_patient WHERE id = 40005").await, "CclCardioPatientPat");
    patch(MARY, "40002", json!({"identifiers": [{"system": "urn:p", "value": "1"}]})).await.expect(200);
    let conflict = json!({"nameFamily": "Changed", "identifiers": [{"system": "urn:new", "value": "1"}, {"system": "urn:p", "value": "1"}]});
    patch(MARY, "40001", conflict).await.expect(400);
    let stored = server.get("/api/v1/patients/40001").as_user(MARY).send().await.expect(200);
    assert_eq!((stored.at("/nameFamily"), stored.at("/identifiers").as_array().unwrap().len()), (json!("Merritt"), 2));
    let replaced =
        patch(MARY, "40001", json!({"identifiers": [{"system": "b", "value": "1"}, {"system": "c", "value": "2"}]}))
            .await
            .expect(200);
    assert_eq!((replaced.at("/identifiers/0/system"), replaced.at("/identifiers/1/system")), (json!("b"), json!("c")));
    for other in ["other@example.com", "no address"] {
        let refused = patch(MARY, "40001", json!({"telecomEmail": other})).await.expect(400);
        assert_eq!(refused.at("/telecomEmail/0"), "Only an administrator can change a patient's login e-mail.");
    }
    for (wrong, told) in [("", "This field may not be blank."), ("no address", "Enter a valid email address.")] {
        let refused = patch(ADMIN, "40001", json!({"telecomEmail": wrong})).await.expect(400);
        assert_eq!(refused.at("/telecomEmail/0"), told);
    }
    patch(MARY, "40001", json!({"telecomEmail": "LL_PATIENT_PETER@example.com"})).await.expect(200);
    assert_eq!(
        patch(ADMIN, "40001", json!({"telecomEmail": "other@example.com"})).await.expect(200).at("/telecomEmail"),
        "other@example.com"
    );
    assert_eq!(
        patch(ADMIN, "40001", json!({"telecomEmail": "manager_mark@example.com"}))
            .await
            .expect(400)
            .at("/telecomEmail/0"),
        "user with this Email Address already exists."
    );
    server.stop().await;
}

#[tokio::test]
async fn a_stranger_is_confirmed_to_exist_and_no_more() {
    let server = TestServer::start().await;
    let look_up = |person, email: &str| {
        server.get(&format!("/api/v1/patients/global_lookup?email={email}")).as_user(person).send()
    };
    server
        .execute("INSERT INTO core_patientidentifier (patient_id, system, value) VALUES (40004, 'urn:x', 'hidden-1')")
        .await;
    let stranger = look_up(MARY, "CCL_patient_paul@example.com").await.expect(200);
    assert_eq!(
        (stranger.at("/0/id"), stranger.at("/0/telecomEmail")),
        (json!(40004), json!("ccl_patient_paul@example.com"))
    );
    for hidden in
        ["nameFamily", "nameGiven", "birthDate", "telecomPhone", "identifier", "organizationId", "membershipStatus"]
    {
        assert_eq!(stranger.at(&format!("/0/{hidden}")), Value::Null, "{hidden}");
    }
    assert_eq!(stranger.at("/0/organizations"), json!([]));
    assert_eq!((stranger.json().as_array().unwrap().len(), stranger.at("/0/identifiers")), (1, json!([])));
    assert!(!stranger.text().contains("hidden-1"), "{}", stranger.text());
    assert_eq!(look_up(MARY, "ll_patient_peter@example.com").await.expect(200).at("/0/nameFamily"), "Merritt");
    assert_eq!(look_up(MARY, "unknown@example.com").await.expect(200).json(), json!([]));
    assert_eq!(look_up(MARY, "").await.expect(400).detail(), "email parameter required");
    for person in [VICTOR, PETER, NOBODY] {
        look_up(person, "ll_patient_peter@example.com").await.expect(403);
    }
    server.stop().await;
}

#[tokio::test]
async fn an_attached_stranger_stays_closed_until_the_patient_agrees() {
    let server = TestServer::start().await;
    let attach = |person, id: i64, to: &str| {
        server.patch(&format!("/api/v1/patients/{id}/global_add_organization{to}")).as_user(person).send()
    };
    let pending = attach(MARY, 40004, "?organization_id=20003").await.expect(200);
    assert_eq!(
        (pending.at("/membershipStatus"), pending.at("/nameFamily"), pending.at("/organizationId")),
        (json!("pending"), Value::Null, json!(20003))
    );
    assert_eq!(
        attach(MARY, 40004, "?organization_id=20003").await.expect(400).detail(),
        "This patient is already a member of this organization."
    );
    attach(MARY, 40004, "").await.expect(400);
    attach(MARY, 40004, "?organization_id=99999").await.expect(403);
    attach(VICTOR, 40004, "?organization_id=20003").await.expect(403);
    attach(PETER, 40004, "?organization_id=20003").await.expect(403);
    attach(MARY, 99999, "?organization_id=20003").await.expect(404);
    let detail = server.get("/api/v1/patients/40004").as_user(MARY).send().await.expect(200);
    assert_eq!(detail.at("/nameFamily"), Value::Null);
    assert_eq!(server.get("/api/v1/patients").as_user(MARY).send().await.expect(200).at("/count"), 3);
    assert_eq!(
        server.get("/api/v1/patients?search=Vega").as_user(MARY).send().await.expect(200).at("/count"),
        0,
        "search must not reveal a name"
    );
    server.patch("/api/v1/patients/40004").as_user(MARY).json(&json!({"nameGiven": "x"})).send().await.expect(403);
    server.get("/api/v1/patients/40004/consents").as_user(MARY).send().await.expect(403);
    let enrol = json!({"patientIds": [40004]});
    server.post("/api/v1/studies/30001/patients").as_user(MARY).json(&enrol).send().await.expect(201);
    let consent = json!({"studyScopeConsents": [{"studyId": 30001, "scopeConsents": [
        {"codingSystem": "https://w3id.org/openmhealth", "codingCode": "omh:blood-pressure:4.0", "consented": true}]}]});
    server.post("/api/v1/patients/40004/consents").as_user(MARY).json(&consent).send().await.expect(403);
    server.post("/api/v1/patients/40004/consents").as_user(PAUL).json(&consent).send().await.expect(201);
    let open = server.get("/api/v1/patients/40004").as_user(MARY).send().await.expect(200);
    assert_eq!((open.at("/membershipStatus"), open.at("/nameFamily")), (json!("active"), json!("Vega")));
    assert_eq!(
        attach(TOM, 40004, "?organization_id=20007").await.expect(200).at("/membershipStatus"),
        "active",
        "already shared"
    );
    attach(PAUL, 40004, "?organization_id=20001").await.expect(403);
    server.stop().await;
}

#[tokio::test]
async fn the_last_organization_takes_the_record_with_it() {
    let server = TestServer::start().await;
    server.delete("/api/v1/patients/40005?organization_id=20003").as_user(MARY).send().await.expect(404);
    server.delete("/api/v1/patients/40005?organization_id=20006").as_user(MARK).send().await.expect(204);
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_studypatient WHERE patient_id = 40005").await, "1");
    for (sql, left) in [
        ("SELECT string_agg(study_id::text, ' ') FROM core_studypatient WHERE patient_id = 40005", "30005"),
        (
            "SELECT string_agg(organization_id::text, ' ') FROM core_patientorganization WHERE patient_id = 40005",
            "20008",
        ),
        ("SELECT count(*)::text FROM core_studypatientscopeconsent WHERE study_patient_id = 7", "0"),
        ("SELECT count(*)::text FROM core_studypatientscopeconsent WHERE study_patient_id = 8", "1"),
    ] {
        assert_eq!(server.scalar(sql).await, left, "{sql}");
    }
    server.delete("/api/v1/patients/40005?organization_id=20008").as_user(TOM).send().await.expect(204);
    for sql in [
        "SELECT count(*)::text FROM core_patient WHERE id = 40005",
        "SELECT count(*)::text FROM core_jheuser WHERE id = 10011",
        "SELECT count(*)::text FROM core_observation WHERE subject_patient_id = 40005",
        "SELECT count(*)::text FROM jhe_observation_stats WHERE patient_id = 40005",
    ] {
        assert_eq!(server.scalar(sql).await, "0", "{sql}");
    }
    assert_ne!(
        server.scalar("SELECT count(*)::text FROM jhe_consent_event WHERE patient_id = 40005").await,
        "0",
        "history stays"
    );
    server.stop().await;
}

#[tokio::test]
async fn an_administrators_attachment_needs_no_agreement() {
    let server = TestServer::start().await;
    let attach = |person, id: i64, to: i64| {
        server
            .patch(&format!("/api/v1/patients/{id}/global_add_organization?organization_id={to}"))
            .as_user(person)
            .send()
    };
    attach(MARY, 40004, 20003).await.expect(200);
    let later = attach(MARY, 40004, 20001).await.expect(200);
    assert_eq!((later.at("/membershipStatus"), later.at("/organizationId")), (json!("pending"), json!(20001)));
    for organization in [20003, 20001] {
        let listed = server.get(&format!("/api/v1/patients?organization_id={organization}&patient_id=40004"));
        assert_eq!(listed.as_user(MARY).send().await.expect(200).at("/results/0/organizationId"), organization);
    }
    assert_eq!(attach(ADMIN, 40004, 20003).await.expect(200).at("/membershipStatus"), "active");
    let open = server.get("/api/v1/patients/40004").as_user(MARY).send().await.expect(200);
    assert_eq!(open.at("/membershipStatus"), "active");
    attach(ADMIN, 40004, 20003).await.expect(400);
    server.stop().await;
}

#[tokio::test]
async fn who_also_manages_attaches_the_own_record_as_any_other() {
    let server = TestServer::start().await;
    server.execute("INSERT INTO core_patient (id, jhe_user_id, name_family) VALUES (41000, 10008, 'Dual')").await;
    server
        .execute(
            "INSERT INTO core_patientorganization (patient_id, organization_id, confirmed) VALUES (41000, 20003, true)",
        )
        .await;
    let path = |to: i64| format!("/api/v1/patients/41000/global_add_organization?organization_id={to}");
    server.patch(&path(20001)).as_user(MARK).send().await.expect(403);
    server.patch(&path(20004)).as_user(MARK).send().await.expect(200);
    server.patch(&path(20004)).as_user(MARK).send().await;
    let confirmed = server
        .scalar(
            "SELECT confirmed::text FROM core_patientorganization WHERE patient_id = 41000 AND organization_id = 20004",
        )
        .await;
    assert_eq!(confirmed, "true", "asked again as the patient, it is agreed to");
    server.stop().await;
}

/// §6.4: only an address that differs from the stored one is refused, and one without login has none.
#[tokio::test]
async fn a_patient_without_login_is_put_back_as_it_was_read() {
    let server = TestServer::start().await;
    server
        .execute(
            "INSERT INTO core_patient (id, name_family, name_given) VALUES (45000, 'F', 'G');
             INSERT INTO core_patientorganization (patient_id, organization_id) VALUES (45000, 20003)",
        )
        .await;
    let path = "/api/v1/patients/45000?organization_id=20003";
    let mut read = server.get(path).as_user(MARY).send().await.expect(200).json();
    assert_eq!(read["telecomEmail"], Value::Null);
    read["nameGiven"] = json!("H");
    let put = server.put(path).as_user(MARY).json(&read).send().await.expect(200);
    assert_eq!((put.at("/nameGiven"), put.at("/telecomEmail")), (json!("H"), Value::Null));
    let named = json!({"telecomEmail": "x@example.com"});
    server.patch(path).as_user(MARY).json(&named).send().await.expect(400);
    server.stop().await;
}

/// §5.4: the organization the caller looks from is the one told.
#[tokio::test]
async fn one_patient_is_told_with_the_organization_that_was_asked_for() {
    let server = TestServer::start().await;
    server.execute("INSERT INTO core_patientorganization (patient_id, organization_id) VALUES (40001, 20004)").await;
    let at = async |query: &str| {
        let path = format!("/api/v1/patients/40001{query}");
        let call = server.get(&path).as_user(ADMIN).header("prefer", "handling=strict");
        call.send().await.expect(200).at("/organizationId")
    };
    assert_eq!(at("").await, 20003);
    assert_eq!(at("?organization_id=20004").await, 20004);
    assert_eq!(at("?organizationId=20004").await, 20004);
    assert_eq!(at("?organization_id=20001").await, 20003, "it is not in that one");
    server.get("/api/v1/patients/40001?organization_id=x").as_user(ADMIN).send().await.expect(400);
    server.stop().await;
}

#[tokio::test]
async fn permission_comes_before_what_is_wrong_and_types_are_told() {
    let server = TestServer::start().await;
    for person in [VICTOR, PETER] {
        let path = "/api/v1/patients/40001?organization_id=abc";
        server.patch(path).as_user(person).json(&json!({})).send().await.expect(403);
    }
    server.patch("/api/v1/patients/40001?organization_id=abc").as_user(MARY).json(&json!({})).send().await.expect(400);
    let denied = server.get("/api/v1/studies?organization_id=abc").as_user(PETER).send().await.expect(404);
    assert!(denied.detail().contains("Practitioner"), "{}", denied.detail());
    let before = server.scalar("SELECT count(*)::text FROM core_patientidentifier WHERE patient_id = 40001").await;
    for (body, told) in [
        (json!({"identifiers": null}), "identifiers: This field may not be null."),
        (json!({"telecomEmail": null}), "telecomEmail: This field may not be null."),
        (json!({"telecomEmail": true}), "telecomEmail: Not a valid string."),
    ] {
        let reply = server.patch("/api/v1/patients/40001").as_user(MARY).json(&body).send().await.expect(400);
        assert_eq!(reply.detail(), told);
    }
    assert_eq!(
        server.scalar("SELECT count(*)::text FROM core_patientidentifier WHERE patient_id = 40001").await,
        before
    );
    for birth_date in ["", "0000-01-01", "2026-13-01"] {
        let body = json!({"organizationId": 20003, "nameFamily": "X", "birthDate": birth_date, "telecomEmail": "x@example.org"});
        let reply = server.post("/api/v1/patients").as_user(MARY).json(&body).send().await.expect(400);
        assert!(reply.detail().contains("Enter a valid birth date"), "{}", reply.detail());
    }
    server.stop().await;
}

#[tokio::test]
async fn numbers_given_as_texts_keep_their_digits() {
    let server = TestServer::start().await;
    let patch = async |body: &str| {
        let call = server.patch("/api/v1/patients/40001").as_user(MARY).body("application/json", body.to_owned());
        call.send().await.expect(200)
    };
    let reply = patch(
        r#"{"identifiers": [{"system": "n", "value": 12345678901234567890123}, {"system": "n", "value": 1.50},
            {"system": 7, "value": -0}, {"system": "n", "value": 1E5}], "telecomPhone": 401.10, "nameGiven": 5}"#,
    )
    .await;
    let pairs: Vec<(Value, Value)> = reply.at("/identifiers").as_array().unwrap().iter().map(pair).collect();
    let expected = [("n", "12345678901234567890123"), ("n", "1.50"), ("7", "-0"), ("n", "1E5")];
    assert_eq!(pairs, expected.map(|(system, value)| (json!(system), json!(value))));
    assert_eq!((reply.at("/telecomPhone"), reply.at("/nameGiven")), (json!("401.10"), json!("5")));
    server.stop().await;
}

fn pair(identifier: &Value) -> (Value, Value) {
    (identifier["system"].clone(), identifier["value"].clone())
}

#[tokio::test]
async fn a_login_address_is_not_given_to_a_patient_without_login() {
    let server = TestServer::start().await;
    server.execute("UPDATE core_patient SET jhe_user_id = NULL WHERE id = 40001").await;
    let patch = |person, body: Value| server.patch("/api/v1/patients/40001").as_user(person).json(&body);
    let body = json!({"telecomEmail": "new@example.com", "nameGiven": "Changed"});
    let refused = patch(ADMIN, body.clone()).send().await.expect(400);
    assert_eq!(refused.detail(), "Patient has no associated user account.");
    assert_eq!(refused.at("/telecomEmail/0"), "Patient has no associated user account.");
    patch(MARY, body.clone()).send().await.expect(400);
    let stored = server.get("/api/v1/patients/40001").as_user(ADMIN).send().await.expect(200);
    assert_ne!(stored.at("/nameGiven"), "Changed");
    patch(ADMIN, json!({"nameGiven": "Changed"})).send().await.expect(200);
    // With a login the address is the login name.
    let changed = server.patch("/api/v1/patients/40002").as_user(ADMIN).json(&body).send().await.expect(200);
    assert_eq!(changed.at("/telecomEmail"), "new@example.com");
    server.stop().await;
}

#[tokio::test]
async fn a_long_list_of_identifiers_changes_its_patient_once() {
    let server = TestServer::start().await;
    server
        .execute(
            "CREATE TABLE touches (n bigint);
             CREATE FUNCTION note_touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO touches VALUES (NEW.id); RETURN NULL; END $$;
             CREATE TRIGGER z_touch AFTER UPDATE ON core_patient FOR EACH ROW EXECUTE FUNCTION note_touch();",
        )
        .await;
    let list = |count: u32| (0..count).map(|n| json!({"system": "s", "value": format!("{n}")})).collect::<Vec<_>>();
    let patch = async |count: u32| {
        let call = server.patch("/api/v1/patients/40001").as_user(MARY).json(&json!({"identifiers": list(count)}));
        let reply = call.send().await.expect(200);
        let shown = reply.at("/identifiers");
        let shown: Vec<_> =
            shown.as_array().unwrap().iter().map(|one| one["value"].as_str().unwrap().to_owned()).collect();
        assert!(shown.iter().eq((0..count).map(|n| n.to_string()).collect::<Vec<_>>().iter()), "in the order sent");
    };
    patch(5_000).await;
    // The patient itself, what went, what came.
    assert_eq!(server.scalar("SELECT count(*)::text FROM touches").await, "3");
    patch(5_000).await;
    patch(1).await;
    let before = server.scalar("SELECT max(last_updated)::text FROM core_patient WHERE id = 40001").await;
    server.execute("DELETE FROM core_patientidentifier WHERE patient_id = 40001").await;
    assert_ne!(server.scalar("SELECT max(last_updated)::text FROM core_patient WHERE id = 40001").await, before);
    server.stop().await;
}

/// A list without a study clears the remembered study and keeps an organization it cannot see, as for any list (§6.4).
#[tokio::test]
async fn a_list_of_an_organization_out_of_reach_changes_nothing_that_is_remembered() {
    let server = TestServer::start().await;
    let list = async |query: &str| {
        server.get(&format!("/api/v1/patients?{query}")).as_user(MARY).send().await.expect(200);
        let profile = server.get("/api/v1/users/profile").as_user(MARY).send().await.expect(200);
        (profile.at("/settings/currentOrganizationId"), profile.at("/settings/currentStudyId"))
    };
    assert_eq!(list("organization_id=20003&study_id=30002").await, (json!(20003), json!(30002)));
    assert_eq!(list("organization_id=20004&study_id=30002").await, (json!(20003), json!(30002)));
    assert_eq!(list("organization_id=20004").await, (json!(20003), json!(30002)));
    assert_eq!(list("organization_id=20002&study_id=30003").await, (json!(20002), json!(30002)), "what may be seen");
    assert_eq!(list("organization_id=20003").await, (json!(20003), Value::Null));
    server.stop().await;
}

/// Who asked for a link that the patient never agreed to can take it back, and nothing with it.
#[tokio::test]
async fn taking_back_a_link_that_waits_removes_no_record() {
    let server = TestServer::start().await;
    // Nobody's any more, but not gone.
    server.execute("DELETE FROM core_patientorganization WHERE patient_id = 40001").await;
    let path = "/api/v1/patients/40001/global_add_organization?organization_id=20008";
    server.patch(path).as_user(TOM).send().await.expect(200);
    let gone = "/api/v1/patients/40001?organization_id=20008";
    server.delete(gone).as_user(TOM).send().await.expect(204);
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_patient WHERE id = 40001").await, "1");
    assert_ne!(
        server.scalar("SELECT count(*)::text FROM core_observation WHERE subject_patient_id = 40001").await,
        "0"
    );
    // A link that held takes the record along when it was the last one.
    server.patch(path).as_user(ADMIN).send().await.expect(200);
    server.delete(gone).as_user(TOM).send().await.expect(204);
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_patient WHERE id = 40001").await, "0");
    server.stop().await;
}
