//! Accounts: the caller's own, and those of others.

use jhe_testkit::{ADMIN, MARY, NOBODY, PETER, Person, TestServer, VICTOR};
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
    let own = reply.at("/practitioner/organizations");
    let own: Vec<_> = own.as_array().unwrap().iter().map(|one| json!([one["id"], one["name"], one["type"]])).collect();
    let expected = [
        json!([20001, "Planetary Research Institute", "edu"]),
        json!([20002, "Saturn School of Data Science", "team"]),
        json!([20003, "Lifespan Lab", "laboratory"]),
    ];
    assert_eq!(own, expected);
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
    server.get("/api/v1/patients?organization_id=20003").as_user(MARY).send().await.expect(200);
    assert_eq!(settings().await, json!({"currentOrganizationId": 20003}));
    server.get("/api/v1/patients?organization_id=20004").as_user(MARY).send().await.expect(200);
    assert_eq!(settings().await, json!({"currentOrganizationId": 20003}));
    server.stop().await;
}

const USERS: &str = "/api/v1/users";

#[tokio::test]
async fn accounts_are_listed_for_administrators_and_found_by_address_for_practitioners() {
    let server = TestServer::start().await;
    server.get(USERS).send().await.expect(401);
    for person in [PETER, NOBODY] {
        server.get(USERS).as_user(person).send().await.expect(403);
        server.get("/api/v1/users/search_by_email?email=x@example.com").as_user(person).send().await.expect(403);
    }
    let own = server.get(USERS).as_user(MARY).send().await.expect(200);
    assert_eq!(
        (own.at("/count"), own.at("/results/0/id"), own.at("/results/0/patient")),
        (json!(1), json!(10002), json!(null))
    );
    let all = server.get(USERS).as_user(ADMIN).send().await.expect(200);
    assert_eq!(all.at("/count"), 12);
    let patients: Vec<Value> =
        all.at("/results").as_array().unwrap().iter().map(|row| row["patient"]["nameFamily"].clone()).collect();
    assert_eq!(patients.iter().filter(|name| name.is_string()).count(), 5, "nested patients in full");
    for email in ["manager_mark@example.com", "Manager_MARK@example.com"] {
        let found = server.get(&format!("{USERS}?email={email}")).as_user(MARY).send().await.expect(200);
        assert_eq!((found.at("/count"), found.at("/results/0/id")), (json!(1), json!(10008)), "{email}");
        assert_eq!(found.at("/results/0").get("patient"), Some(&Value::Null), "{email}");
    }
    // Who shares no organization with a patient learns of its existence alone.
    let search = async |person: Person, email: &str| {
        server.get(&format!("{USERS}/search_by_email?email={email}")).as_user(person).send().await.expect(200).json()
    };
    assert_eq!(search(MARY, "manager_mark@example.com").await["id"], 10008);
    let percy = search(MARY, "npl_patient_percy@example.com").await;
    assert_eq!((&percy["userType"], &percy["patient"]), (&json!("patient"), &json!({"id": 40003})));
    let peter = search(MARY, "ll_patient_peter@example.com").await;
    assert_eq!((&peter["patient"]["id"], peter["patient"]["nameFamily"].is_string()), (&json!(40001), true));
    let none = json!({"email": "", "firstName": "", "lastName": "", "userType": null, "isSuperuser": false});
    assert_eq!(search(MARY, "nobody@nowhere.example").await, none);
    let missing = server.get(&format!("{USERS}/search_by_email")).as_user(MARY).send().await.expect(400);
    assert_eq!(missing.detail(), "email parameter required");
    server.stop().await;
}

#[tokio::test]
async fn nobody_changes_more_than_the_own_names() {
    let server = TestServer::start().await;
    let path = |id: i64| format!("{USERS}/{id}");
    server.get(&path(10002)).as_user(MARY).send().await.expect(200);
    for id in [10003, 99999] {
        server.get(&path(id)).as_user(MARY).send().await.expect(403);
    }
    server.get(&path(99999)).as_user(ADMIN).send().await.expect(404);
    for (person, id) in [(PETER, 10005), (MARY, 10005), (PETER, 10006), (NOBODY, 10099)] {
        server.patch(&path(id)).as_user(person).json(&json!({"isSuperuser": true})).send().await.expect(403);
    }
    for body in [json!({"email": "other@example.com"}), json!({"userType": "patient"}), json!({"userType": null})] {
        server.patch(&path(10002)).as_user(MARY).json(&body).send().await.expect(403);
    }
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_jheuser WHERE is_superuser").await, "1");
    let body = json!({"firstName": "M", "email": "MANAGER_mary@example.com", "isSuperuser": false});
    let renamed = server.patch(&path(10002)).as_user(MARY).json(&body).send().await.expect(200);
    assert_eq!((renamed.at("/firstName"), renamed.at("/lastName")), (json!("M"), json!("Miller")));
    let stored = "SELECT email FROM core_jheuser WHERE id = 10002";
    assert_eq!(server.scalar(stored).await, "manager_mary@example.com", "her own spelling of it changes nothing");
    for method in ["post", "delete"] {
        let call = if method == "post" { server.post(USERS) } else { server.delete(&path(10003)) };
        call.as_user(PETER).json(&json!({"email": "new@example.com"})).send().await.expect(403);
    }
    server.put(&path(10002)).as_user(MARY).json(&json!({"lastName": "Mill"})).send().await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn administrators_make_change_and_remove_accounts() {
    let server = TestServer::start().await;
    server.set("auth.default_orgs", "string", "'20003:v'").await;
    let post = async |body: Value| server.post(USERS).as_user(ADMIN).json(&body).send().await;
    for (body, told) in [
        (json!({}), "email: This field is required."),
        (json!({"email": "bad"}), "email: Enter a valid email address."),
        (json!({"email": "MANAGER_mary@example.com"}), "email: user with this Email Address already exists."),
        (json!({"email": "n@example.com", "userType": "x"}), "userType: \"x\" is not a valid choice."),
    ] {
        assert_eq!(post(body).await.expect(400).detail(), told);
    }
    let body = json!({"email": "n@Example.com", "firstName": "New", "lastName": "One", "userType": "practitioner"});
    let made = post(body).await.expect(201).json();
    assert_eq!(
        (&made["email"], &made["userType"], &made["patient"]),
        (&json!("n@example.com"), &json!("practitioner"), &json!(null))
    );
    let id = made["id"].as_i64().unwrap();
    let profile = "SELECT concat_ws(' ', p.name_given, p.name_family, m.organization_id, m.role, left(u.password, 1)) FROM core_jheuser AS u
                     JOIN core_practitioner AS p ON p.jhe_user_id = u.id
                     JOIN core_practitionerorganization AS m ON m.practitioner_id = p.id WHERE u.email = 'n@example.com'";
    assert_eq!(server.scalar(profile).await, "New One 20003 viewer !");
    let patient = post(json!({"email": "p@example.com", "userType": "patient", "lastName": "P"})).await.expect(201);
    assert_eq!(patient.at("/patient/nameFamily"), "P");
    let admin = post(json!({"email": "a@example.com", "isSuperuser": true})).await.expect(201);
    assert_eq!((admin.at("/isSuperuser"), admin.at("/userType")), (json!(true), json!("practitioner")));

    let path = format!("{USERS}/{id}");
    let changed = json!({"email": "other@example.com", "firstName": "Other"});
    let changed = server.patch(&path).as_user(ADMIN).json(&changed).send().await.expect(200);
    assert_eq!(
        (changed.at("/email"), changed.at("/firstName"), changed.at("/lastName")),
        (json!("other@example.com"), json!("Other"), json!("One"))
    );
    server.put(&path).as_user(ADMIN).json(&json!({"firstName": "X"})).send().await.expect(400);
    let own = server
        .patch("/api/v1/users/10001")
        .as_user(ADMIN)
        .json(&json!({"isSuperuser": false}))
        .send()
        .await
        .expect(400);
    assert_eq!(own.detail(), "isSuperuser: You cannot remove your own administrator right.");
    let own = server.delete("/api/v1/users/10001").as_user(ADMIN).send().await.expect(400);
    assert_eq!(own.detail(), "You cannot delete your own account.");
    server.delete(&path).as_user(ADMIN).send().await.expect(204);
    server.delete(&path).as_user(ADMIN).send().await.expect(404);
    // Tokens go with their account, and so does a patient's record.
    server.delete("/api/v1/users/10006").as_user(ADMIN).send().await.expect(204);
    server.get("/api/v1/users/profile").as_user(PETER).send().await.expect(401);
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_patient WHERE id = 40001").await, "0");
    assert_eq!(
        server.scalar("SELECT count(*)::text FROM oauth2_provider_accesstoken WHERE user_id = 10006").await,
        "0"
    );
    server.stop().await;
}

#[tokio::test]
async fn new_rights_begin_with_a_new_sign_in() {
    let server = TestServer::start().await;
    let profile = async |person| server.get("/api/v1/users/profile").as_user(person).send().await;
    let change = async |id: i64, body: Value| {
        server.patch(&format!("/api/v1/users/{id}")).as_user(ADMIN).json(&body).send().await.expect(200)
    };
    change(10006, json!({"firstName": "P", "isSuperuser": false, "userType": "patient"})).await;
    profile(PETER).await.expect(200);
    change(10006, json!({"isSuperuser": true})).await;
    profile(PETER).await.expect(401);
    profile(NOBODY).await.expect(200);
    change(10099, json!({"userType": "practitioner"})).await;
    profile(NOBODY).await.expect(401);
    server.stop().await;
}

#[tokio::test]
async fn what_only_administrators_change_is_refused_before_it_is_read() {
    let server = TestServer::start().await;
    for body in [json!({"isSuperuser": "zzz"}), json!({"email": null}), json!({"userType": "king"})] {
        server.patch("/api/v1/users/10002").as_user(MARY).json(&body).send().await.expect(403);
        server.patch("/api/v1/users/10002").as_user(ADMIN).json(&body).send().await.expect(400);
    }
    server.patch("/api/v1/users/10002").as_user(MARY).json(&json!({"firstName": [1]})).send().await.expect(400);
    server.stop().await;
}

#[tokio::test]
async fn asking_for_the_head_of_a_list_remembers_nothing() {
    let server = TestServer::start().await;
    let remembered = "SELECT settings::text FROM core_practitioner WHERE id = 80002";
    let before = server.scalar(remembered).await;
    for list in ["patients", "studies", "observations"] {
        let path = format!("/api/v1/{list}?organization_id=20001");
        server.call(reqwest::Method::HEAD, &path).as_user(MARY).send().await.expect(200);
    }
    assert_eq!(server.scalar(remembered).await, before);
    server.get("/api/v1/patients?organization_id=20001").as_user(MARY).send().await.expect(200);
    assert_ne!(server.scalar(remembered).await, before);
    let codes = "SELECT count(*)::text FROM oauth2_provider_grant";
    let link = "/api/v1/patients/40001/invitation_link";
    server.call(reqwest::Method::HEAD, link).as_user(MARY).send().await.expect(200);
    server.call(reqwest::Method::HEAD, link).as_user(VICTOR).send().await.expect(403);
    assert_eq!(server.scalar(codes).await, "0");
    server.stop().await;
}
