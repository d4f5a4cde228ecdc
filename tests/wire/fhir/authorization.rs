//! Who reads what: each denial beside the allowed case.

use jhe_testkit::{ADMIN, MARK, MARY, NOBODY, PAMELA, PETER, TOM, TestServer, VICTOR};

use super::{get, total};

#[tokio::test]
async fn naming_what_is_not_the_callers_is_refused() {
    let server = TestServer::start().await;
    let check = [
        (MARK, "patient=40001", "Patient/40001"),
        (MARK, "patient=999999", "Patient/999999"),
        (MARK, "_has:Group:member:_id=30001", "Group/30001"),
        (MARY, "_has:Group:member:_id=999", "Group/999"),
        (MARK, "patient.organization=20003", "Organization/20003"),
        (PETER, "patient=40002", "Patient/40002"),
        (MARY, "patient=40001&patient=40003", "Patient/40003"),
    ];
    for (person, query, what) in check {
        for kind in ["Observation", "Patient"] {
            let reply = get(&server, person, &format!("{kind}?{query}")).await.expect(403);
            assert_eq!(reply.at("/issue/0/diagnostics"), format!("Current user is not authorized to access {what}."));
        }
    }
    assert_eq!(total(get(&server, MARY, "Observation?patient=40001").await), 2);
    // What a patient names beside its own record does not apply.
    assert_eq!(total(get(&server, PETER, "Observation?_has:Group:member:_id=999&patient.organization=20007").await), 2);
    server.stop().await;
}

#[tokio::test]
async fn every_role_finds_its_own() {
    let server = TestServer::start().await;
    let all = "Observation?_lastUpdated=ge2000";
    for (person, expected) in [(MARY, 5), (VICTOR, 5), (TOM, 8), (ADMIN, 9), (PETER, 2), (PAMELA, 3), (NOBODY, 0)] {
        assert_eq!(total(get(&server, person, all).await), expected, "{person:?}");
    }
    assert_eq!(total(get(&server, NOBODY, "Observation?patient=40001").await), 0);
    assert_eq!(total(get(&server, MARY, "Observation?_has:Group:member:_id=30001&patient=40001").await), 2);
    assert_eq!(total(get(&server, MARY, "Observation?_has:Group:member:_id=30002&patient=40001").await), 0);
    server.stop().await;
}

#[tokio::test]
async fn each_of_the_four_conditions_hides_at_once() {
    let conditions = [
        (
            "DELETE FROM core_practitionerorganization WHERE organization_id = 20003",
            "the patient is named by a stranger",
        ),
        ("DELETE FROM core_studypatient WHERE patient_id = 40001", "not enrolled"),
        ("DELETE FROM core_studyscoperequest", "not requested"),
        ("UPDATE core_studypatientscopeconsent SET consented = false", "not consented"),
        ("DELETE FROM core_studypatientscopeconsent", "never asked"),
    ];
    for (statement, what) in conditions {
        let server = TestServer::start().await;
        assert_eq!(total(get(&server, MARY, "Observation?_id=60003").await), 1);
        get(&server, MARY, "Observation/60003").await.expect(200);
        server.execute(statement).await;
        assert_eq!(total(get(&server, MARY, "Observation?_id=60003").await), 0, "{what}");
        get(&server, MARY, "Observation/60003").await.expect(404);
        assert_eq!(
            total(get(&server, PETER, "Observation?_id=60003").await),
            1,
            "a patient's own record needs no consent: {what}"
        );
        server.stop().await;
    }
}

#[tokio::test]
async fn search_and_read_are_requested_apart() {
    let server = TestServer::start().await;
    for (actions, searches, reads) in [("s", 1, 404), ("r", 0, 200), ("rs", 1, 200)] {
        let statement: &'static str = match actions {
            "s" => "UPDATE core_studypatientscopeconsent SET scope_actions = 's'",
            "r" => "UPDATE core_studypatientscopeconsent SET scope_actions = 'r'",
            _ => "UPDATE core_studypatientscopeconsent SET scope_actions = NULL",
        };
        server.execute(statement).await;
        assert_eq!(total(get(&server, MARY, "Observation?_id=60003").await), searches, "{actions}");
        get(&server, MARY, "Observation/60003").await.expect(reads);
    }
    server.stop().await;
}

#[tokio::test]
async fn without_a_living_credential_nothing_is_told() {
    let server = TestServer::start().await;
    for path in ["Observation?patient=40001", "Observation/60003", "Patient", "Patient/40001", "Bogus", ""] {
        let reply = server.get(&format!("/fhir/r5/{path}")).send().await.expect(401);
        assert_eq!(reply.at("/issue/0/code"), "login");
        assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"api\"");
        let reply = server.get(&format!("/fhir/r5/{path}")).bearer("unknown").send().await.expect(401);
        assert!(reply.header("www-authenticate").contains("invalid_token"));
    }
    server.execute("UPDATE core_jheuser SET is_active = false WHERE id = 10002").await;
    get(&server, MARY, "Observation?patient=40001").await.expect(401);
    server.stop().await;
}
