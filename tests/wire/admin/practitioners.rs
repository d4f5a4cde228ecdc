//! Practitioners and data sources, as administrators manage them.

use jhe_testkit::{ADMIN, MARY, Mailbox, PETER, TestServer};
use serde_json::{Value, json};

const PRACTITIONERS: &str = "/api/v1/practitioners";

#[tokio::test]
async fn administrators_make_practitioners_who_choose_their_password() {
    let mailbox = Mailbox::start().await;
    let port = mailbox.port.to_string();
    let server = TestServer::with(&[("SMTP_HOST", "127.0.0.1"), ("SMTP_PORT", &port)]).await;
    let body = json!({"telecomEmail": "p1@example.com", "organizationId": 20003, "nameFamily": "L", "nameGiven": "F"});
    server.get(PRACTITIONERS).send().await.expect(401);
    for person in [MARY, PETER] {
        server.get(PRACTITIONERS).as_user(person).send().await.expect(403);
        server.post(PRACTITIONERS).as_user(person).json(&body).send().await.expect(403);
        server.delete("/api/v1/practitioners/80003").as_user(person).send().await.expect(403);
    }
    let post = async |body: Value| server.post(PRACTITIONERS).as_user(ADMIN).json(&body).send().await;
    for (body, told) in [
        (json!({}), "Email is required to create a practitioner."),
        (json!({"telecomEmail": "bad"}), "Enter a valid email address."),
        (json!({"telecomEmail": "p2@example.com", "organizationId": 99999}), "Organization not found."),
    ] {
        assert_eq!(post(body).await.expect(400).detail(), told);
    }
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_jheuser WHERE email = 'p2@example.com'").await, "0");
    let made = post(body).await.expect(201).json();
    assert_eq!(
        (&made["nameFamily"], &made["nameGiven"], &made["telecomEmail"]),
        (&json!("L"), &json!("F"), &json!("p1@example.com"))
    );
    assert_eq!(
        (&made["organizations"][0]["id"], &made["organizations"][0]["currentUserRole"]),
        (&json!(20003), &json!("super_user"))
    );
    let path = format!("{PRACTITIONERS}/{}", made["id"]);
    assert_eq!(server.get(&path).as_user(ADMIN).send().await.expect(200).json(), made);
    let role =
        "SELECT m.role FROM core_practitionerorganization AS m JOIN core_practitioner AS p ON p.id = m.practitioner_id
                  JOIN core_jheuser AS u ON u.id = p.jhe_user_id WHERE u.email = 'p1@example.com'";
    assert_eq!(server.scalar(role).await, "member");
    let link = mailbox.wait("p1@example.com", 1).await.link(&format!("{}/accounts/reset/", server.base));
    server.get(link.trim_start_matches(&server.base)).send().await.expect(302);
    // An existing practitioner keeps its names and gains a membership; nobody writes to it.
    let again = json!({"telecomEmail": "MANAGER_mark@example.com", "organizationId": 20003, "nameFamily": "X"});
    let again = post(again).await.expect(201).json();
    assert_eq!((&again["id"], &again["nameFamily"]), (&json!(80006), &json!("Martin")));
    assert!(again["organizations"].as_array().unwrap().iter().any(|row| row["id"] == 20003), "{again}");
    assert_eq!(mailbox.count("manager_mark@example.com"), 0);
    server.stop().await;
}

#[tokio::test]
async fn administrators_rename_and_remove_practitioners() {
    let server = TestServer::start().await;
    let path = "/api/v1/practitioners/80003";
    let patch = async |body: Value| {
        server.patch(&format!("{path}?organizationId=undefined")).as_user(ADMIN).json(&body).send().await
    };
    let renamed = patch(json!({"nameFamily": "Baker-Hall", "telecomEmail": "x@example.com"})).await.expect(200);
    assert_eq!(
        (renamed.at("/nameFamily"), renamed.at("/telecomEmail")),
        (json!("Baker-Hall"), json!("member_megan@example.com"))
    );
    assert_eq!(patch(json!({"nameGiven": null})).await.expect(200).at("/nameGiven"), json!(null));
    assert_eq!(patch(json!({"nameGiven": " "})).await.expect(400).detail(), "nameGiven: This field may not be blank.");
    assert_eq!(server.get(PRACTITIONERS).as_user(ADMIN).send().await.expect(200).at("/results/0/id"), 80001);
    server.delete(&format!("{path}?organization_id=20003")).as_user(ADMIN).send().await.expect(204);
    let gone = server.get(path).as_user(ADMIN).send().await.expect(404);
    assert_eq!(gone.detail(), "No Practitioner matches the given query.");
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_jheuser WHERE id = 10003").await, "0");
    // Who is needed otherwise keeps its account: a patient, an administrator.
    server.execute("UPDATE core_patient SET jhe_user_id = 10004 WHERE id = 40002").await;
    server.delete("/api/v1/practitioners/80004").as_user(ADMIN).send().await.expect(204);
    server.delete("/api/v1/practitioners/80001").as_user(ADMIN).send().await.expect(204);
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_jheuser WHERE id IN (10001, 10004)").await, "2");
    server.stop().await;
}

#[tokio::test]
async fn administrators_manage_data_sources_and_what_they_deliver() {
    let server = TestServer::start().await;
    let sources = "/api/v1/data_sources";
    for person in [MARY, PETER] {
        server.post(sources).as_user(person).json(&json!({})).send().await.expect(403);
        server
            .post("/api/v1/data_sources/70001/supported_scopes")
            .as_user(person)
            .json(&json!({}))
            .send()
            .await
            .expect(403);
    }
    let post = async |body: Value| server.post(sources).as_user(ADMIN).json(&body).send().await;
    assert_eq!(post(json!({})).await.expect(400).detail(), "name: This field is required.");
    assert_eq!(
        post(json!({"name": "D", "type": "bogus"})).await.expect(400).detail(),
        "type: \"bogus\" is not a valid choice."
    );
    let made = post(json!({"name": "Device!"})).await.expect(201).json();
    assert_eq!((&made["type"], &made["supportedScopes"]), (&json!("personal_device"), &json!([])));
    let path = format!("{sources}/{}", made["id"]);
    let changed = server.patch(&path).as_user(ADMIN).json(&json!({"name": "Device"})).send().await.expect(200).json();
    assert_eq!((&changed["name"], &changed["type"]), (&json!("Device"), &made["type"]));
    server.put(&path).as_user(ADMIN).json(&json!({"type": "patient_app"})).send().await.expect(400);

    let scopes = format!("{path}/supported_scopes");
    let link = async |body: Value| server.post(&scopes).as_user(ADMIN).json(&body).send().await;
    assert_eq!(link(json!({})).await.expect(400).detail(), "scope_code_id is required.");
    assert_eq!(
        link(json!({"scopeCodeId": 9})).await.expect(400).detail(),
        "scopeCodeId: Invalid pk \"9\" - object does not exist."
    );
    let first = link(json!({"scopeCodeId": 50001})).await.expect(201).json();
    assert_eq!((&first["scopeCode"]["id"], &first["dataSource"]["id"]), (&json!(50001), &made["id"]));
    assert_eq!(link(json!({"scope_code_id": 50001})).await.expect(200).json(), first);
    assert_eq!(server.get(&scopes).as_user(MARY).send().await.expect(200).json(), json!([first]));
    server.delete(&scopes).as_user(ADMIN).json(&json!({})).send().await.expect(400);
    for _ in 0..2 {
        server.delete(&scopes).as_user(ADMIN).json(&json!({"scopeCodeId": 50001})).send().await.expect(204);
    }
    server.delete(&path).as_user(ADMIN).send().await.expect(204);
    server.delete(&path).as_user(ADMIN).send().await.expect(404);
    let used = server.delete("/api/v1/data_sources/70005").as_user(ADMIN).send().await.expect(409);
    assert_eq!(used.detail(), "This data source is used by FHIR sources and cannot be deleted.");
    server.stop().await;
}

#[tokio::test]
async fn a_practitioner_without_names_has_none() {
    let server = TestServer::start().await;
    let post = async |body: Value| server.post(PRACTITIONERS).as_user(ADMIN).json(&body).send().await.expect(201);
    let made = post(json!({"telecomEmail": "nameless@example.com"})).await;
    assert_eq!((made.at("/nameFamily"), made.at("/nameGiven")), (Value::Null, Value::Null));
    assert!(made.json().get("nameFamily").is_some(), "null, not left out");
    let made = post(json!({"telecomEmail": "half@example.com", "nameGiven": "G"})).await;
    assert_eq!((made.at("/nameFamily"), made.at("/nameGiven")), (Value::Null, json!("G")));
    server.stop().await;
}

#[tokio::test]
async fn a_practitioner_has_a_name_as_long_as_it_is() {
    let server = TestServer::start().await;
    let name = "é".repeat(200);
    let body = json!({"telecomEmail": "long@example.com", "nameFamily": name, "nameGiven": name});
    let made = server.post("/api/v1/practitioners").as_user(ADMIN).json(&body).send().await.expect(201);
    assert_eq!((made.at("/nameFamily"), made.at("/nameGiven")), (json!(name), json!(name)));
    server.stop().await;
}

#[tokio::test]
async fn an_account_that_was_neither_becomes_a_practitioner() {
    let server = TestServer::start().await;
    server
        .execute("INSERT INTO core_jheuser (id, email, password, first_name, last_name) VALUES (19001, 'bare@example.com', '!', '', '')")
        .await;
    let body = json!({"telecomEmail": "bare@example.com", "nameGiven": "Bare", "nameFamily": "Account"});
    server.post(PRACTITIONERS).as_user(ADMIN).json(&body).send().await.expect(201);
    assert_eq!(server.scalar("SELECT user_type FROM core_jheuser WHERE id = 19001").await, "practitioner");
    server.stop().await;
}
