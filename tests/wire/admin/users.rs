//! The caller's own account.

use jhe_testkit::{ADMIN, MARY, NOBODY, PETER, TestServer};
use serde_json::{Value, json};

fn keys(value: &Value) -> Vec<String> {
    let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    keys
}

#[tokio::test]
async fn a_practitioner_sees_memberships_and_selection() {
    let server = TestServer::start().await;
    let reply = server.get("/api/v1/users/profile").as_user(MARY).send().await.expect(200);
    let expected =
        ["email", "firstName", "id", "isSuperuser", "lastName", "patient", "practitioner", "settings", "userType"];
    assert_eq!(keys(&reply.json()), expected);
    assert_eq!(reply.at("/settings"), json!({"currentStudyId": 30001, "currentOrganizationId": 20003}));
    assert_eq!(reply.at("/practitioner/organizations/2/id"), 20003);
    assert_eq!(reply.at("/practitioner/organizations/2/role"), "manager");
    server.stop().await;
}

#[tokio::test]
async fn a_patient_profile_names_nothing_personal() {
    let server = TestServer::start().await;
    let reply = server.get("/api/v1/users/profile").as_user(PETER).send().await.expect(200);
    assert_eq!(keys(&reply.json()), ["id", "isSuperuser", "patient", "userType"]);
    assert_eq!(keys(&reply.at("/patient")), ["id", "identifiers", "jheUserId", "organizations"]);
    for secret in ["ll_patient_peter", "Merritt", "LlPatientPeter", "1996-05-20", "086-675"] {
        assert!(!reply.text().contains(secret), "{secret}");
    }
    server.stop().await;
}

#[tokio::test]
async fn superusers_and_bare_accounts_have_profiles_too() {
    let server = TestServer::start().await;
    let admin = server.get("/api/v1/users/profile").as_user(ADMIN).send().await.expect(200);
    assert_eq!(admin.at("/practitioner/organizations"), json!([]));
    assert_eq!(admin.at("/isSuperuser"), true);
    let organizations = server.get("/api/v1/users/organizations").as_user(ADMIN).send().await.expect(200).json();
    assert_eq!(organizations.as_array().unwrap().len(), 8);
    assert_eq!(organizations[0]["currentUserRole"], "super_user");
    let nobody = server.get("/api/v1/users/profile").as_user(NOBODY).send().await.expect(200);
    assert_eq!((nobody.at("/userType"), nobody.at("/practitioner")), (Value::Null, Value::Null));
    assert!(nobody.json().get("settings").is_none());
    let mary = server.get("/api/v1/users/organizations").as_user(MARY).send().await.expect(200).json();
    assert_eq!(mary.as_array().unwrap().len(), 3);
    let peter = server.get("/api/v1/users/organizations").as_user(PETER).send().await.expect(200).json();
    assert_eq!(peter, json!([]));
    server.stop().await;
}

#[tokio::test]
async fn lists_remember_what_was_selected_when_it_may_be_seen() {
    let server = TestServer::start().await;
    let settings = async || server.get("/api/v1/users/profile").as_user(MARY).send().await.expect(200).at("/settings");
    server.get("/api/v1/patients?organization_id=20003&study_id=30002").as_user(MARY).send().await.expect(200);
    assert_eq!(settings().await, json!({"currentStudyId": 30002, "currentOrganizationId": 20003}));
    server.get("/api/v1/studies?organization_id=20003").as_user(MARY).send().await.expect(200);
    assert_eq!(settings().await["currentStudyId"], 30002);
    server.get("/api/v1/patients?organization_id=20004").as_user(MARY).send().await.expect(200);
    assert_eq!(settings().await, json!({"currentOrganizationId": 20003}));
    server.stop().await;
}
