//! Organizations and who works in them.

use jhe_testkit::{ADMIN, MARK, MARY, MEGAN, NOBODY, PETER, TOM, TestServer, VICTOR};
use serde_json::json;

#[tokio::test]
async fn the_directory_is_open_but_rosters_are_not() {
    let server = TestServer::start().await;
    let own = server.get("/api/v1/organizations/20003").as_user(MARY).send().await.expect(200);
    assert_eq!(own.at("/patients"), json!([40001, 40002]));
    assert_eq!(own.at("/practitioners").as_array().unwrap().len(), 4);
    assert_eq!(own.at("/currentUserRole"), "manager");
    let foreign = server.get("/api/v1/organizations/20004").as_user(MARY).send().await.expect(200);
    assert_eq!((foreign.at("/patients"), foreign.at("/practitioners")), (json!([]), json!([])));
    let patient = server.get("/api/v1/organizations").as_user(PETER).send().await.expect(200).json();
    for row in patient["results"].as_array().unwrap() {
        assert_eq!((&row["patients"], &row["practitioners"]), (&json!([]), &json!([])));
    }
    let root = server.get("/api/v1/organizations/0").as_user(MARY).send().await.expect(200);
    assert_eq!((root.at("/type"), root.at("/partOf")), (json!("root"), json!(null)));
    let missing = server.get("/api/v1/organizations/999999").as_user(MARY).send().await.expect(404);
    assert_eq!(missing.detail(), "No Organization matches the given query.");
    server.stop().await;
}

#[tokio::test]
async fn trees_types_and_children_are_listed() {
    let server = TestServer::start().await;
    let tree = server.get("/api/v1/organizations/20001/tree").as_user(MARY).send().await.expect(200);
    assert_eq!(tree.at("/children/0/children/0/id"), 20003);
    assert_eq!(tree.at("/children/0/currentUserRole"), "manager");
    assert_eq!((tree.at("/id"), tree.at("/children/0/id")), (json!(20001), json!(20002)));
    for node in ["", "/children/0", "/children/0/children/0"] {
        assert_eq!(tree.at(&format!("{node}/currentUserRole")), "manager", "{node}");
    }
    let types = server.get("/api/v1/organizations/types").as_user(PETER).send().await.expect(200).json();
    assert_eq!(types.as_object().unwrap().len(), 18);
    assert_eq!(types["edu"], "Educational Institute");
    for name in ["part_of", "partOf"] {
        let reply = server.get(&format!("/api/v1/organizations?{name}=20006")).as_user(MARY).send().await.expect(200);
        assert_eq!(reply.at("/count"), 2);
        assert_eq!((reply.at("/results/0/id"), reply.at("/results/1/id")), (json!(20008), json!(20007)), "by name");
    }
    server.stop().await;
}

#[tokio::test]
async fn only_members_see_users_and_studies_of_an_organization() {
    let server = TestServer::start().await;
    for part in ["users", "studies"] {
        let path = format!("/api/v1/organizations/20003/{part}");
        for person in [MARY, VICTOR, ADMIN] {
            server.get(&path).as_user(person).send().await.expect(200);
        }
        for person in [MARK, PETER, NOBODY] {
            server.get(&path).as_user(person).send().await.expect(403);
        }
    }
    let users = server.get("/api/v1/organizations/20003/users").as_user(MARY).send().await.expect(200).json();
    let names: Vec<_> = users.as_array().unwrap().iter().map(|user| user["lastName"].as_str().unwrap()).collect();
    assert_eq!(names, ["Baker", "Edwards", "Miller", "Thomas"]);
    let roles: Vec<_> = users.as_array().unwrap().iter().map(|user| user["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["member", "viewer", "manager", "viewer"]);
    let studies = server.get("/api/v1/organizations/20003/studies").as_user(MARY).send().await.expect(200);
    assert_eq!(studies.at("/0/organization"), 20003);
    server.stop().await;
}

#[tokio::test]
async fn managers_make_sub_organizations_and_lead_them() {
    let server = TestServer::start().await;
    let body = json!({"name": "Sleep Lab", "type": "laboratory", "partOf": 20002});
    let made = server.post("/api/v1/organizations").as_user(MARY).json(&body).send().await.expect(201);
    assert_eq!(made.at("/id"), 20009);
    assert_eq!(made.at("/currentUserRole"), "manager");
    assert_eq!(made.at("/practitioners/0/id"), 80002);
    server.delete("/api/v1/organizations/20009").as_user(MARY).send().await.expect(204);
    for (person, parent) in
        [(MARY, 20004), (MEGAN, 20003), (VICTOR, 20003), (PETER, 20003), (NOBODY, 20003), (MARY, 0), (MARY, 999)]
    {
        let body = json!({"name": "x", "type": "team", "partOf": parent});
        server.post("/api/v1/organizations").as_user(person).json(&body).send().await.expect(403);
    }
    server.post("/api/v1/organizations").as_user(MARY).json(&json!({})).send().await.expect(403);
    let top = json!({"name": "Top", "type": "edu"});
    let made = server.post("/api/v1/organizations").as_user(ADMIN).json(&top).send().await.expect(201);
    assert_eq!(made.at("/currentUserRole"), "super_user");
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_organization").await, "10");
    server.stop().await;
}

#[tokio::test]
async fn bodies_are_checked_after_permission() {
    let server = TestServer::start().await;
    let post = async |body| server.post("/api/v1/organizations").as_user(ADMIN).json(&body).send().await.expect(400);
    let reply = post(json!({})).await;
    assert_eq!(reply.detail(), "name: This field is required.; type: This field is required.");
    let reply = post(json!({"name": "x", "type": "bogus"})).await;
    assert_eq!(reply.at("/type/0"), "\"bogus\" is not a valid choice.");
    assert_eq!(post(json!({"name": "x", "type": "root"})).await.at("/type/0"), "\"root\" is not a valid choice.");
    let reply = post(json!({"name": "x", "type": "team", "partOf": 99999})).await;
    assert_eq!(reply.at("/partOf/0"), "Invalid pk \"99999\" - object does not exist.");
    let reply = post(json!({"name": "x", "type": "team", "partOf": "abc"})).await;
    assert_eq!(reply.at("/partOf/0"), "Incorrect type. Expected pk value, received str.");
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_organization").await, "9");
    server.stop().await;
}

#[tokio::test]
async fn the_organization_above_decides_about_changes() {
    let server = TestServer::start().await;
    let patch =
        |person, id: i64, body| server.patch(&format!("/api/v1/organizations/{id}")).as_user(person).json(&body).send();
    let named = patch(MARY, 20003, json!({"name": "Renamed"})).await.expect(200);
    assert_eq!((named.at("/id"), named.at("/name")), (json!(20003), json!("Renamed")));
    patch(MARY, 20001, json!({"name": "Top"})).await.expect(200);
    patch(MEGAN, 20003, json!({"name": "No"})).await.expect(403);
    patch(TOM, 20008, json!({"name": "No"})).await.expect(403);
    patch(MARY, 20003, json!({"partOf": 20004})).await.expect(403);
    patch(MARY, 999_999, json!({"name": "No"})).await.expect(403);
    patch(ADMIN, 999_999, json!({"name": "No"})).await.expect(404);
    server.put("/api/v1/organizations/20003").as_user(MARY).json(&json!({"name": "x"})).send().await.expect(400);
    let circle = patch(ADMIN, 20001, json!({"partOf": 20003})).await.expect(400);
    assert_eq!(circle.at("/partOf/0"), "An organization cannot be part of itself or its descendants.");
    server.delete("/api/v1/organizations/0").as_user(ADMIN).send().await.expect(400);
    assert_eq!(server.scalar("SELECT name FROM core_organization WHERE id = 20008").await, "Cosmic Cardio Lab");
    server.delete("/api/v1/organizations/20002").as_user(MARY).send().await.expect(204);
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_study WHERE id IN (30001, 30002)").await, "0");
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_patient WHERE id = 40001").await, "1");
    server.stop().await;
}

#[tokio::test]
async fn managers_add_and_remove_practitioners() {
    let server = TestServer::start().await;
    let add = |person, body| server.post("/api/v1/organizations/20003/user").as_user(person).json(&body).send();
    let made = add(MARY, json!({"jheUserId": 10008, "organizationPartitionerRole": "viewer"})).await.expect(201);
    assert_eq!((made.at("/practitioner/id"), made.at("/role")), (json!(80006), json!("viewer")));
    assert_eq!(made.at("/practitioner/settings"), json!({}));
    add(MARK, json!({"jheUserId": 10008, "role": "manager"})).await.expect(403);
    add(MARY, json!({"jheUserId": 10008, "role": "king"})).await.expect(400);
    assert_eq!(server.scalar("SELECT role FROM core_practitionerorganization WHERE practitioner_id = 80006 AND organization_id = 20003").await, "viewer");
    add(MARY, json!({"jheUserId": 10008, "role": "manager"})).await.expect(200);
    let missing = add(MARY, json!({})).await.expect(400);
    assert_eq!(
        (missing.at("/error"), missing.at("/detail")),
        (json!("jhe_user_id is required"), json!("jhe_user_id is required"))
    );
    assert_eq!(
        add(MARY, json!({"jheUserId": 9_999_999})).await.expect(404).detail(),
        "No JheUser matches the given query."
    );
    assert_eq!(add(MARY, json!({"jheUserId": 10006})).await.expect(404).at("/error"), "Practitioner not found");
    add(MARY, json!({"jheUserId": "abc"})).await.expect(400);
    add(PETER, json!({"jheUserId": 10008})).await.expect(403);
    let remove =
        |person, body| server.delete("/api/v1/organizations/20003/remove_user").as_user(person).json(&body).send();
    remove(MEGAN, json!({"jheUserId": 10008})).await.expect(403);
    remove(MARY, json!({"jheUserId": 10008})).await.expect(204);
    remove(MARY, json!({"jheUserId": 10008})).await.expect(204);
    remove(MARY, json!({})).await.expect(400);
    server.stop().await;
}

#[tokio::test]
async fn rosters_of_organizations_that_are_none_are_not_found() {
    let server = TestServer::start().await;
    for list in ["users", "studies"] {
        for person in [MARY, ADMIN] {
            let unknown = server.get(&format!("/api/v1/organizations/999999/{list}")).as_user(person).send().await;
            assert_eq!(unknown.expect(404).detail(), "No Organization matches the given query.");
        }
        server.get(&format!("/api/v1/organizations/20004/{list}")).as_user(MARY).send().await.expect(403);
    }
    server.stop().await;
}

/// Data model §1: whoever saves a row makes it new, whether or not anything in it is another.
#[tokio::test]
async fn saving_what_is_there_already_is_an_update() {
    let server = TestServer::start().await;
    for (path, person, newest) in [
        ("organizations/20001", ADMIN, "SELECT last_updated::text FROM core_organization WHERE id = 20001"),
        ("data_sources/70001", ADMIN, "SELECT last_updated::text FROM core_datasource WHERE id = 70001"),
        ("fhir_sources/90001", PETER, "SELECT last_updated::text FROM core_fhirsource WHERE id = 90001"),
        ("studies/30001", ADMIN, "SELECT last_updated::text FROM core_study WHERE id = 30001"),
        ("patients/40001", ADMIN, "SELECT last_updated::text FROM core_patient WHERE id = 40001"),
    ] {
        let before = server.scalar(newest).await;
        server.patch(&format!("/api/v1/{path}")).as_user(person).json(&json!({})).send().await.expect(200);
        assert!(server.scalar(newest).await > before, "{path}");
    }
    server.stop().await;
}
