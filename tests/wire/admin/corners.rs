//! Acceptance cases of the contract (admin-api §9) that no other module of this suite holds.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jhe_testkit::{ADMIN, MARK, MARY, MEGAN, Mailbox, PAUL, PERCY, PETER, Person, Reply, TOM, TestServer, VICTOR};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::oauth::{self, text};

const SYSTEM: &str = "https://w3id.org/openmhealth";
const PRESSURE: &str = "omh:blood-pressure:4.0";

/// The ids of some rows, in their order.
fn ids_of(rows: &Value) -> Vec<i64> {
    rows.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

/// The ids of a page.
fn ids(reply: &Reply) -> Vec<i64> {
    ids_of(&reply.at("/results"))
}

fn sorted(mut ids: Vec<i64>) -> Vec<i64> {
    ids.sort_unstable();
    ids
}

fn keys(value: &Value) -> Vec<String> {
    let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    keys
}

/// What a person gets at an address of the API, which must answer.
async fn read(server: &TestServer, person: Person, path: &str) -> Reply {
    server.get(&format!("/api/v1/{path}")).as_user(person).send().await.expect(200)
}

// --- transport ---

/// Every list asks for a bearer token, and says the same of a missing one and of one that is not known (1, 2).
#[tokio::test]
async fn no_list_answers_a_stranger() {
    let server = TestServer::start().await;
    for list in [
        "users",
        "organizations",
        "patients",
        "studies",
        "observations",
        "practitioners",
        "data_sources",
        "clients",
        "jhe_settings",
        "invitation",
        "fhir_sources",
        "practitioner_clients",
    ] {
        let path = format!("/api/v1/{list}");
        let missing = server.get(&path).send().await.expect(401);
        assert_eq!(missing.header("www-authenticate"), r#"Bearer realm="api""#, "{list}");
        let unknown = server.get(&path).bearer("unknown").send().await.expect(401);
        let challenge = unknown.header("www-authenticate");
        assert!(challenge.contains(r#"error="invalid_token""#), "{list}: {challenge}");
        assert!(challenge.contains("The access token is invalid."), "{list}: {challenge}");
        for reply in [missing, unknown] {
            assert_eq!(reply.detail(), "Authentication credentials were not provided.", "{list}");
        }
    }
    server.stop().await;
}

/// Who names no media type at all gets JSON (5).
#[tokio::test]
async fn a_request_that_accepts_nothing_in_particular_gets_json() {
    let server = TestServer::start().await;
    let host = server.base.trim_start_matches("http://");
    let port = host.rsplit(':').next().unwrap();
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
    let token = MARY.token();
    let request = format!(
        "GET /api/v1/organizations HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.to_lowercase().contains("content-type: application/json; charset=utf-8"), "{answer}");
    server.stop().await;
}

/// A filter means the same in both spellings (15).
#[tokio::test]
async fn both_spellings_of_a_filter_list_the_same() {
    let server = TestServer::start().await;
    for (list, camel, snake) in [
        ("studies", "organizationId=20003", "organization_id=20003"),
        ("patients", "studyId=30001&patientId=40001", "study_id=30001&patient_id=40001"),
        ("observations", "codingCode=omh:heart-rate:2.0", "coding_code=omh:heart-rate:2.0"),
    ] {
        let by_camel = read(&server, MARY, &format!("{list}?{camel}")).await;
        let by_snake = read(&server, MARY, &format!("{list}?{snake}")).await;
        assert_eq!(by_camel.at("/results"), by_snake.at("/results"), "{list}");
        assert_eq!(by_camel.at("/count"), by_snake.at("/count"), "{list}");
    }
    server.stop().await;
}

/// Whatever is refused is an object that says why (16).
#[tokio::test]
async fn every_refusal_says_why() {
    let server = TestServer::start().await;
    for (method, path, body, status) in [
        (Method::GET, "patients/abc", "", 404),
        (Method::GET, "organizations?page=99", "", 404),
        (Method::GET, "patients?organization_id=abc", "", 400),
        (Method::GET, "studies/30003", "", 403),
        (Method::GET, "nothing", "", 404),
        (Method::PATCH, "organizations", "{}", 405),
        (Method::POST, "observations", "{}", 405),
        (Method::POST, "organizations", "{bad", 400),
        (Method::POST, "organizations", "[1]", 400),
        (Method::POST, "studies", "{}", 403),
        (Method::POST, "studies", r#"{"organization":20003}"#, 400),
        (Method::POST, "patients", r#"{"organizationId":20003}"#, 400),
        (Method::POST, "organizations/20003/user", "{}", 400),
        (Method::POST, "organizations/20003/user", r#"{"jheUserId":10006}"#, 404),
        (Method::POST, "studies/30001/scope_requests", "{}", 400),
        (Method::POST, "invitation", "{}", 400),
        (Method::PATCH, "patients/40001/consents", "{}", 400),
        (Method::DELETE, "patients/40001", "", 400),
        (Method::DELETE, "observations/60003", "", 403),
    ] {
        let mut call = server.call(method.clone(), &format!("/api/v1/{path}")).as_user(MARY);
        if !body.is_empty() {
            call = call.body("application/json", body);
        }
        let reply = call.send().await.expect(status);
        assert!(reply.json().is_object() && !reply.detail().is_empty(), "{method} {path}: {}", reply.text());
    }
    server.stop().await;
}

// --- pages ---

/// Links keep the caller's parameters, spelling and family; sizes that mean nothing are the default
/// (24, 25, 26, 29, 30, 32, 36).
#[tokio::test]
async fn links_are_the_callers_own_request_moved_on() {
    let server = TestServer::start().await;
    let base = format!("{}/api/v1/organizations", server.base);
    for (query, next, previous) in [
        ("page_size=2&page=2", Some("page=3&page_size=2"), Some("page_size=2")),
        ("pageSize=2", Some("page=2&pageSize=2"), None),
        ("limit=2&offset=2", Some("limit=2&offset=4"), Some("limit=2")),
        ("limit=2&page=1", None, None),
        ("foo=a%7Cb&limit=2", Some("foo=a%7Cb&limit=2&offset=2"), None),
    ] {
        let page = read(&server, MARY, &format!("organizations?{query}")).await;
        let link = |query: Option<&str>| query.map_or(Value::Null, |query| json!(format!("{base}?{query}")));
        assert_eq!((page.at("/next"), page.at("/previous")), (link(next), link(previous)), "{query}");
    }
    let all = ids(&read(&server, MARY, "organizations").await);
    assert_eq!(all.len(), 9);
    for query in ["page_size=0", "page_size=abc", "limit=2&page=1"] {
        assert_eq!(ids(&read(&server, MARY, &format!("organizations?{query}")).await), all, "{query}");
    }
    assert_eq!(ids(&read(&server, MARY, "organizations?limit=2&offset=2").await), all[2..4]);
    for (page, rows) in [(1, 2), (4, 2), (5, 1)] {
        assert_eq!(ids(&read(&server, MARY, &format!("organizations?pageSize=2&page={page}")).await).len(), rows);
    }
    server.stop().await;
}

/// A list without page parameters is one of twenty rows; who may see nothing gets an empty one (33, 37, 121).
#[tokio::test]
async fn patients_come_twenty_at_a_time_or_not_at_all() {
    let server = TestServer::start().await;
    server
        .execute(
            "INSERT INTO core_patient (id, name_family) SELECT 45000 + n, 'Many' FROM generate_series(1, 23) n;
             INSERT INTO core_patientorganization (patient_id, organization_id) SELECT 45000 + n, 20003 FROM generate_series(1, 23) n",
        )
        .await;
    let first = read(&server, MARY, "patients?organization_id=20003").await;
    assert_eq!((ids(&first).len(), first.at("/count")), (20, json!(25)));
    let next = first.at("/next").as_str().unwrap().to_owned();
    assert_eq!(next, format!("{}/api/v1/patients?limit=20&offset=20&organization_id=20003", server.base));
    let rest = server.get(&next).as_user(MARY).send().await.expect(200);
    assert_eq!((ids(&rest).len(), rest.at("/next")), (5, Value::Null));
    server.execute("DELETE FROM core_practitionerorganization WHERE practitioner_id = 80004").await;
    assert_eq!(read(&server, VICTOR, "patients").await.at("/count"), 0);
    assert_eq!(ids(&read(&server, ADMIN, "patients?organization_id=20008").await), [40004, 40005]);
    server.execute("DELETE FROM core_patient").await;
    assert_eq!(read(&server, ADMIN, "patients").await.at("/count"), 0);
    server.stop().await;
}

/// The paging loop of the guides reads everything, and one request may ask for ten thousand rows (34, 35).
#[tokio::test]
async fn long_lists_are_read_in_few_requests() {
    let server = TestServer::start().await;
    server
        .execute(
            "INSERT INTO core_observation (subject_patient_id, codeable_concept_id, omh_data)
             SELECT 40001, 50002, '{}' FROM generate_series(1, 145)",
        )
        .await;
    let (mut found, mut requests) = (Vec::new(), 0);
    let mut next = Some("/api/v1/observations?limit=100".to_owned());
    while let Some(url) = next {
        let page = server.get(&url).as_user(MARY).send().await.expect(200);
        found.extend(ids(&page));
        requests += 1;
        next = page.at("/next").as_str().map(str::to_owned);
    }
    let mut found = sorted(found);
    found.dedup();
    assert_eq!((found.len(), requests), (150, 2));
    server
        .execute(
            "INSERT INTO core_observation (subject_patient_id, codeable_concept_id, omh_data)
             SELECT 40001, 50002, '{}' FROM generate_series(1, 1350)",
        )
        .await;
    let whole = read(&server, MARY, "observations?limit=10000").await;
    assert_eq!((ids(&whole).len(), whole.at("/next")), (1500, Value::Null));
    let clamped = read(&server, MARY, "observations?pageSize=5000").await;
    assert_eq!((ids(&clamped).len(), clamped.at("/count")), (1000, json!(1500)));
    server.stop().await;
}

/// Lists of the administration are whole unless a size is asked for (38, 39).
#[tokio::test]
async fn short_administrative_lists_are_whole() {
    let server = TestServer::start().await;
    server
        .execute("INSERT INTO core_jhesetting (key, value_type, value_int) SELECT 'many.' || n, 'int', n FROM generate_series(1, 15) n")
        .await;
    let ten = ids(&read(&server, ADMIN, "jhe_settings?pageSize=10").await);
    assert_eq!((ten.len(), sorted(ten.clone())), (10, ten));
    for list in ["jhe_settings", "practitioners"] {
        let all = read(&server, ADMIN, list).await;
        assert_eq!((all.at("/count"), all.at("/next")), (json!(ids(&all).len()), Value::Null), "{list}");
        assert!(ids(&all).len() > 5, "{list}");
    }
    server.stop().await;
}

// --- accounts ---

/// A patient's profile stays bare when it belongs nowhere, and when the account works with studies too (47, 49, 50).
#[tokio::test]
async fn a_patients_profile_is_bare_whatever_else_it_is() {
    let server = TestServer::start().await;
    server.execute("DELETE FROM core_patientorganization WHERE patient_id = 40001").await;
    let alone = read(&server, PETER, "users/profile").await;
    assert_eq!(alone.at("/patient/organizations"), json!([]));
    assert_eq!(keys(&alone.json()), keys(&read(&server, PETER, "users/profile").await.json()));
    server.execute("INSERT INTO core_practitioner (jhe_user_id, name_family) VALUES (10006, 'Dual')").await;
    let dual = read(&server, PETER, "users/profile").await;
    assert_eq!(keys(&dual.json()), ["id", "isSuperuser", "patient", "practitioner", "settings", "userType"]);
    assert_eq!((dual.at("/settings"), dual.at("/practitioner/organizations")), (json!({}), json!([])));
    for secret in ["ll_patient_peter", "Merritt", "LlPatientPeter", "1996-05-20"] {
        assert!(!dual.text().contains(secret), "{secret}");
    }
    server.stop().await;
}

/// Refused changes of accounts change nothing (60, 62, 64).
#[tokio::test]
async fn patients_make_change_and_remove_no_accounts() {
    let server = TestServer::start().await;
    let stored = "SELECT string_agg(concat_ws(' ', id, email, is_superuser), ',' ORDER BY id) FROM core_jheuser";
    let before = server.scalar(stored).await;
    let body = json!({"email": "n@example.com", "userType": "practitioner"});
    server.post("/api/v1/users").as_user(PETER).json(&body).send().await.expect(403);
    let body = json!({"isSuperuser": true});
    server.patch("/api/v1/users/10005").as_user(PETER).json(&body).send().await.expect(403);
    server.delete("/api/v1/users/10003").as_user(PETER).send().await.expect(403);
    assert_eq!(server.scalar(stored).await, before);
    server.stop().await;
}

/// The own organizations and the people in them come with their roles, which nobody gives to themselves (51, 61, 66).
#[tokio::test]
async fn roles_are_shown_and_not_taken() {
    let server = TestServer::start().await;
    let own = read(&server, MARY, "users/organizations").await.json();
    assert_eq!(ids_of(&own), [20001, 20002, 20003]);
    assert!(own.as_array().unwrap().iter().all(|row| row["currentUserRole"] == "manager"), "{own}");
    let people = read(&server, MARY, "organizations/20003").await.at("/practitioners");
    let shown: Vec<(String, String)> =
        people.as_array().unwrap().iter().map(|row| (text(row, "email"), text(row, "role"))).collect();
    let expected = [
        ("manager_mary@example.com", "manager"),
        ("member_megan@example.com", "member"),
        ("viewer_victor@example.com", "viewer"),
        ("three_org_tom@example.com", "viewer"),
    ];
    assert_eq!(shown, expected.map(|(email, role)| (email.to_owned(), role.to_owned())));
    assert_eq!(ids_of(&people), [80002, 80003, 80004, 80005]);
    let body = json!({"isSuperuser": true});
    server.patch("/api/v1/users/10002").as_user(MARY).json(&body).send().await.expect(403);
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_jheuser WHERE is_superuser").await, "1");
    server.stop().await;
}

// --- the guides ---

/// Every key that the guides print is there (224).
#[tokio::test]
async fn every_key_of_the_guides_is_there() {
    let server = TestServer::start().await;
    let observations = "observations?organization_id=20003&study_id=30001&patient_id=40001";
    let studies = "studies?organization_id=20003";
    let consents = "patients/40001/consents";
    for (path, at, printed) in [
        ("users/profile", "", "id email firstName lastName practitioner"),
        ("users/profile", "/practitioner", "id jheUserId organizations"),
        ("users/profile", "/practitioner/organizations/0", "id name type"),
        ("patients?organization_id=20003", "", "count next previous results"),
        (
            "patients?organization_id=20003&study_id=30001",
            "/results/0",
            "id jheUserId identifier nameFamily nameGiven birthDate telecomPhone telecomEmail organizationId",
        ),
        ("organizations?part_of=20002", "/results/0", "id name type partOf patients practitioners"),
        ("organizations?part_of=20002", "/results/0/practitioners/0", "id email role"),
        ("organizations?paginate=false", "/0", "id name type partOf patients practitioners"),
        (studies, "", "count next previous results"),
        (studies, "/results/0", "id name description organization iconUrl patients scopeRequests dataSources"),
        (studies, "/results/0/scopeRequests/0", "id codingSystem codingCode text"),
        (studies, "/results/0/dataSources/0", "id name type"),
        (consents, "", "patient consolidatedConsentedScopes studiesPendingConsent studies"),
        (consents, "/patient", "id nameFamily nameGiven birthDate"),
        (consents, "/consolidatedConsentedScopes/0", "id codingSystem codingCode text"),
        (consents, "/studies/0", "id name organization scopeConsents"),
        (consents, "/studies/0/organization", "id name"),
        (consents, "/studies/0/scopeConsents/0", "code consented consentedTime"),
        (consents, "/studies/0/scopeConsents/0/code", "id codingCode text"),
        (observations, "", "count next previous results"),
        (
            observations,
            "/results/0",
            "id subjectPatient patientNameDisplay codeableConcept codingSystem codingCode codingText dataSource dataSourceName \
             status valueAttachmentData created lastUpdated",
        ),
        ("data_sources", "/results/0", "id name type supportedScopes"),
        ("data_sources", "/results/0/supportedScopes/0", "id codingCode text"),
        ("data_sources?paginate=false", "/0", "id name type supportedScopes"),
    ] {
        let object = read(&server, MARY, path).await.at(at);
        for key in printed.split_whitespace() {
            assert!(object.get(key).is_some(), "{path} {at}: no {key} in {object}");
        }
    }
    server.stop().await;
}

// --- organizations ---

/// The top of the tree is what hangs below ROOT or nowhere, without ROOT itself (69).
#[tokio::test]
async fn the_top_of_the_tree_is_listed_without_root() {
    let server = TestServer::start().await;
    let body = json!({"name": "Alone", "type": "edu"});
    let made = server.post("/api/v1/organizations").as_user(ADMIN).json(&body).send().await.expect(201);
    let id = made.at("/id").as_i64().unwrap();
    for name in ["part_of", "partOf"] {
        let top = read(&server, MARY, &format!("organizations?{name}=0")).await;
        assert_eq!(sorted(ids(&top)), [20001, 20004, id], "{name}");
    }
    server.stop().await;
}

/// A refused move leaves the tree as it was, and a removed branch is gone with everything but its patients
/// (76, 80, 82, 83, 86).
#[tokio::test]
async fn the_tree_changes_as_allowed_and_no_further() {
    let server = TestServer::start().await;
    let body = json!({"name": "Sub", "type": "team", "partOf": 20001});
    let made = server.post("/api/v1/organizations").as_user(MARY).json(&body).send().await.expect(201);
    assert_eq!((made.at("/currentUserRole"), made.at("/practitioners/0/role")), (json!("manager"), json!("manager")));
    let path = format!("organizations/{}", made.at("/id"));
    assert_eq!(read(&server, MARY, &path).await.at("/currentUserRole"), "manager");
    server.delete(&format!("/api/v1/{path}")).as_user(MARY).send().await.expect(204);

    server.delete("/api/v1/organizations/20008").as_user(TOM).send().await.expect(403);
    read(&server, TOM, "organizations/20008").await;
    let body = json!({"partOf": 20004});
    server.patch("/api/v1/organizations/20003").as_user(MARY).json(&body).send().await.expect(403);
    assert_eq!(read(&server, MARY, "organizations/20003").await.at("/partOf"), 20002);
    let body = json!({"partOf": 20003});
    server.patch("/api/v1/organizations/20001").as_user(ADMIN).json(&body).send().await.expect(400);
    assert_eq!(read(&server, MARY, "organizations/20001/tree").await.at("/children/0/children/0/id"), 20003);

    server.delete("/api/v1/organizations/20002").as_user(MARY).send().await.expect(204);
    for id in [20002, 20003] {
        server.get(&format!("/api/v1/organizations/{id}")).as_user(MARY).send().await.expect(404);
    }
    let members = "SELECT count(*)::text FROM core_practitionerorganization WHERE organization_id IN (20002, 20003)";
    assert_eq!(server.scalar(members).await, "0");
    read(&server, ADMIN, "patients/40001").await;
    server.stop().await;
}

/// Whoever leads an organization says who works there, whatever the role in the one above (87, 88, 89, 92, 93).
#[tokio::test]
async fn memberships_are_the_business_of_those_who_lead() {
    let server = TestServer::start().await;
    let members = async || ids_of(&read(&server, MARY, "organizations/20003/users").await.json()).len();
    let add = async |person: Person, organization: i64, body: Value| {
        let path = format!("/api/v1/organizations/{organization}/user");
        server.post(&path).as_user(person).json(&body).send().await
    };
    add(MARY, 20003, json!({"jheUserId": 10008, "organizationPartitionerRole": "viewer"})).await.expect(201);
    assert_eq!(members().await, 5);
    let again =
        add(MARY, 20003, json!({"jheUserId": 10008, "organizationPractitionerRole": "manager"})).await.expect(200);
    assert_eq!((again.at("/role"), members().await), (json!("manager"), 5));
    let king = add(MARY, 20003, json!({"jheUserId": 10008, "role": "king"})).await.expect(400);
    assert_eq!(king.detail(), "organizationPartitionerRole: \"king\" is not a valid choice.");
    let stored =
        "SELECT role FROM core_practitionerorganization WHERE practitioner_id = 80006 AND organization_id = 20003";
    assert_eq!(server.scalar(stored).await, "manager");
    let path = "/api/v1/organizations/20003/remove_user";
    server.delete(path).as_user(MARY).json(&json!({"jheUserId": 10008})).send().await.expect(204);
    assert_eq!(members().await, 4);

    // Tom leads 20008 and is nobody in 20006 above it; without a role a new person is a member.
    let made = add(TOM, 20008, json!({"jheUserId": 10003})).await.expect(201);
    assert_eq!((made.at("/role"), made.at("/practitioner/id")), (json!("member"), json!(80003)));
    assert_eq!(made.at("/practitioner/organizations"), json!([20003, 20008]), "shared ones only");
    add(TOM, 20003, json!({"jheUserId": 10008})).await.expect(403);
    server.stop().await;
}

// --- studies ---

/// Who sees which studies, and that an organization narrows them (96, 97).
#[tokio::test]
async fn studies_are_those_of_the_callers_organizations() {
    let server = TestServer::start().await;
    let cases: [(Person, &str, &[i64]); 6] = [
        (VICTOR, "", &[30001, 30002]),
        (TOM, "", &[30001, 30002, 30004, 30005]),
        (ADMIN, "", &[30001, 30002, 30003, 30004, 30005]),
        (TOM, "?organization_id=20008", &[30005]),
        (MARY, "?organization_id=20004", &[]),
        (MARY, "?organization_id=999", &[]),
    ];
    for (person, query, expected) in cases {
        assert_eq!(sorted(ids(&read(&server, person, &format!("studies{query}")).await)), expected, "{query}");
    }
    server.stop().await;
}

/// What is wrong with a study is told for each field, and what was refused is not stored (101–105).
#[tokio::test]
async fn faults_of_a_study_are_told_and_change_nothing() {
    let server = TestServer::start().await;
    let post =
        async |person: Person, body: Value| server.post("/api/v1/studies").as_user(person).json(&body).send().await;
    for (person, body, told) in [
        (MARY, json!({"organization": 20003, "name": 5}), "description: This field is required."),
        (
            MARY,
            json!({"organization": 20003, "name": "n", "description": ""}),
            "description: This field may not be blank.",
        ),
        (
            ADMIN,
            json!({}),
            "name: This field is required.; description: This field is required.; organization: This field is required.",
        ),
    ] {
        assert_eq!(post(person, body).await.expect(400).detail(), told);
    }
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_study").await, "5");
    let path = "/api/v1/studies/30001";
    server.patch(path).as_user(MARY).json(&json!({"description": "new"})).send().await.expect(200);
    server.patch(path).as_user(MARY).json(&json!({"organization": 20001})).send().await.expect(400);
    server.patch(path).as_user(ADMIN).json(&json!({"name": "Renamed"})).send().await.expect(200);
    let stored = read(&server, MARY, "studies/30001").await;
    assert_eq!(
        (stored.at("/name"), stored.at("/description"), stored.at("/organizationId")),
        (json!("Renamed"), json!("new"), json!(20003))
    );
    server.stop().await;
}

/// Several patients are enrolled once, however often they are asked for, or none of them (107, 108).
#[tokio::test]
async fn five_patients_are_enrolled_once_or_not_at_all() {
    let server = TestServer::start().await;
    server
        .execute(
            "INSERT INTO core_patient (id, name_family) SELECT 45000 + n, 'Five' FROM generate_series(1, 5) n;
             INSERT INTO core_patientorganization (patient_id, organization_id) SELECT 45000 + n, 20003 FROM generate_series(1, 5) n",
        )
        .await;
    let path = "/api/v1/studies/30001/patients";
    let enrolled = async || ids(&read(&server, MARY, "studies/30001/patients").await).len();
    let mixed = json!({"patientIds": [45001, 40003]});
    server.post(path).as_user(MARY).json(&mixed).send().await.expect(400);
    assert_eq!(enrolled().await, 2);
    let body = json!({"patientIds": [45001, 45002, 45003, 45004, 45005]});
    for status in [201, 200] {
        let reply = server.post(path).as_user(MARY).json(&body).send().await.expect(status);
        assert_eq!(reply.at("/studyPatients").as_array().unwrap().len(), 5, "{status}");
        assert_eq!(enrolled().await, 7, "{status}");
    }
    for _ in 0..2 {
        server.delete(path).as_user(MARY).json(&body).send().await.expect(204);
        assert_eq!(enrolled().await, 2);
    }
    server.stop().await;
}

/// Parts of a study name the study and what is linked; a client is named by either spelling (112, 115, 116, 118).
#[tokio::test]
async fn parts_of_a_study_name_both_ends() {
    let server = TestServer::start().await;
    let part = async |name: &str| read(&server, MARY, &format!("studies/30001/{name}")).await.json();
    let names = |rows: &Value, part: &str, name: &str| -> Vec<String> {
        assert!(rows.as_array().unwrap().iter().all(|row| row["study"]["id"] == 30001), "{rows}");
        rows.as_array().unwrap().iter().map(|row| text(&row[part], name)).collect()
    };
    let requests = part("scope_requests").await;
    assert_eq!(names(&requests, "scopeCode", "codingCode"), [PRESSURE, "omh:heart-rate:2.0", "QuestionnaireResponse"]);
    assert_eq!(requests[0]["scopeActions"], "rs");
    let clients = part("clients").await;
    assert_eq!(names(&clients, "client", "name"), ["CareX", "Patient Access"]);
    let shown = clients.to_string();
    for hidden in ["clientSecret", "hashClientSecret", "pbkdf2"] {
        assert!(!shown.contains(hidden), "{hidden}");
    }
    assert_eq!(names(&part("data_sources").await, "dataSource", "name"), ["CareX", "Questionnaire"]);
    let path = "/api/v1/studies/30001/data_sources";
    let made = server.post(path).as_user(MARY).json(&json!({"dataSourceId": 70002})).send().await.expect(201);
    assert_eq!(made.at("/dataSource/id"), 70002);

    let path = "/api/v1/studies/30002/clients";
    let post = async |body: Value| server.post(path).as_user(MARY).json(&body).send().await;
    let made = post(json!({"clientId": 3})).await.expect(201);
    assert_eq!(made.at("/client/id"), 3);
    assert_eq!(post(json!({"client_id": 3})).await.expect(200).at("/id"), made.at("/id"));
    assert_eq!(
        post(json!({"clientId": 4})).await.expect(400).detail(),
        "clientId: Invalid pk \"4\" - object does not exist."
    );
    server.delete(path).as_user(VICTOR).json(&json!({"clientId": 3})).send().await.expect(403);
    server.delete(path).as_user(MARY).json(&json!({"clientId": 3})).send().await.expect(204);
    server.stop().await;
}

/// A study takes enrolments and consents with it; readings stay, and are read through other studies only (119).
#[tokio::test]
async fn a_removed_study_releases_nothing_any_more() {
    let server = TestServer::start().await;
    server.delete("/api/v1/studies/30001").as_user(MARY).send().await.expect(204);
    // Nobody remembers it, either.
    assert_eq!(read(&server, MARY, "users/profile").await.at("/settings"), json!({"currentOrganizationId": 20003}));
    for sql in [
        "SELECT count(*)::text FROM core_studypatient WHERE study_id = 30001",
        "SELECT count(*)::text FROM core_studypatientscopeconsent WHERE study_patient_id IN (1, 3)",
    ] {
        assert_eq!(server.scalar(sql).await, "0", "{sql}");
    }
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_observation").await, "9");
    for (query, left) in [("", 2), ("?study_id=30001", 0), ("?patient_id=40001", 0), ("?study_id=30002", 2)] {
        assert_eq!(read(&server, MARY, &format!("observations{query}")).await.at("/count"), left, "{query}");
    }
    server.stop().await;
}

// --- patients ---

/// A patient has one identifier among several: the site's own, or else the first (120, 129, 131, 139, 141).
#[tokio::test]
async fn fields_of_a_patient_are_kept_unless_sent() {
    let server = TestServer::start().await;
    let peter = read(&server, MARY, "patients").await.at("/results/0");
    assert_eq!((&peter["identifier"], &peter["organizationId"]), (&json!("abc123"), &json!(20003)));
    assert_eq!((peter["identifiers"].as_array().unwrap().len(), &peter["organizations"][0]["id"]), (2, &json!(20003)));

    let body = json!({"organizationId": 20003, "telecomEmail": "one@example.com", "nameFamily": "F", "nameGiven": "G",
        "birthDate": "2001-02-03", "identifier": "MRN-1", "identifiers": [{"system": "urn:x", "value": "1"}, {"system": "urn:y", "value": "2"}, {"system": "urn:z"}]});
    let made = server.post("/api/v1/patients").as_user(MARY).json(&body).send().await.expect(201);
    assert_eq!(made.at("/identifier"), "MRN-1");
    let systems: Vec<String> =
        made.at("/identifiers").as_array().unwrap().iter().map(|one| text(one, "system")).collect();
    assert_eq!(systems, ["urn:x", "urn:y", server.base.as_str()], "what has no value is left out");
    let path = format!("/api/v1/patients/{}", made.at("/id"));
    let nameless = server.patch(&path).as_user(MARY).json(&json!({"nameGiven": null})).send().await.expect(200);
    assert_eq!((nameless.at("/nameGiven"), nameless.at("/nameFamily")), (Value::Null, json!("F")));
    let put = server.put(&path).as_user(MARY).json(&json!({"nameFamily": "New"})).send().await.expect(200);
    assert_eq!((put.at("/nameFamily"), put.at("/birthDate")), (json!("New"), json!("2001-02-03")));
    let plain = server.patch(&path).as_user(MARY).json(&json!({"identifier": null})).send().await.expect(200);
    assert_eq!((plain.at("/identifier"), plain.at("/identifiers").as_array().unwrap().len()), (json!("1"), 2));

    let body = json!({"telecomEmail": "moved@example.com"});
    server.patch("/api/v1/patients/40001").as_user(ADMIN).json(&body).send().await.expect(200);
    let login = "SELECT concat_ws(' ', email, email_is_verified) FROM core_jheuser WHERE id = 10006";
    assert_eq!(server.scalar(login).await, "moved@example.com f");
    server.stop().await;
}

/// With the last organization goes what only the patient needed: not an account that works with studies, not a client
/// that somebody else holds a token of (145, 146).
#[tokio::test]
async fn what_others_need_outlives_the_record() {
    let server = TestServer::start().await;
    server
        .execute(
            "INSERT INTO core_practitioner (jhe_user_id, name_family) VALUES (10006, 'Dual');
             INSERT INTO oauth2_provider_application (id, client_id, client_type, authorization_grant_type, grant_types, name, user_id)
             VALUES (9101, 'own', 'public', 'authorization-code', '{authorization_code}', 'Own', 10007),
                    (9102, 'shared', 'public', 'authorization-code', '{authorization_code}', 'Shared', 10007);
             INSERT INTO oauth2_provider_accesstoken (token_digest, user_id, application_id, scope, created, expires)
             VALUES (sha256('a'), 10007, 9101, 'openid', '2026-01-01', '2099-01-01'),
                    (sha256('b'), 10003, 9102, 'openid', '2026-01-01', '2099-01-01');
             INSERT INTO jhe_session (digest, user_id, auth_time, auth_method, created, expires)
             VALUES (sha256('s'), 10007, '2026-01-01', 'password', '2026-01-01', '2099-01-01')",
        )
        .await;
    for id in [40001, 40002] {
        let path = format!("/api/v1/patients/{id}?organization_id=20003");
        server.delete(&path).as_user(MARY).send().await.expect(204);
        server.get(&format!("/api/v1/patients/{id}")).as_user(MARY).send().await.expect(404);
    }
    for (sql, left) in [
        ("SELECT count(*)::text FROM core_jheuser WHERE id = 10006", "1"),
        ("SELECT count(*)::text FROM core_jheuser WHERE id = 10007", "0"),
        ("SELECT count(*)::text FROM oauth2_provider_application WHERE id = 9101", "0"),
        ("SELECT count(*)::text FROM oauth2_provider_application WHERE id = 9102 AND user_id IS NULL", "1"),
        ("SELECT count(*)::text FROM oauth2_provider_accesstoken WHERE user_id = 10007", "0"),
        ("SELECT count(*)::text FROM oauth2_provider_accesstoken WHERE application_id = 9102", "1"),
        ("SELECT count(*)::text FROM jhe_session WHERE user_id = 10007", "0"),
    ] {
        assert_eq!(server.scalar(sql).await, left, "{sql}");
    }
    server.stop().await;
}

/// What waits for the patient's agreement opens nothing; the patient agrees by a call of its own, too (153, 153a).
#[tokio::test]
async fn a_patient_agrees_to_an_organization_by_itself() {
    let server = TestServer::start().await;
    let attach = "/api/v1/patients/40004/global_add_organization?organization_id=20003";
    server.patch(attach).as_user(MARY).send().await.expect(200);
    let listed = read(&server, MARY, "patients?patient_id=40004").await;
    assert_eq!(
        (listed.at("/results/0/membershipStatus"), listed.at("/results/0/nameFamily")),
        (json!("pending"), Value::Null)
    );
    let invitation = json!({"patientId": 40004, "clientId": 1});
    server.post("/api/v1/invitation").as_user(MARY).json(&invitation).send().await.expect(403);
    server.get("/api/v1/patients/40004/invitation_link").as_user(MARY).send().await.expect(403);
    assert_eq!(read(&server, MARY, "observations?patient_id=40004").await.at("/count"), 0);
    let enrol = json!({"patientIds": [40004]});
    server.post("/api/v1/studies/30001/patients").as_user(MARY).json(&enrol).send().await.expect(201);
    assert_eq!(read(&server, PAUL, "patients/40004/consents").await.at("/studiesPendingConsent/0/id"), 30001);
    let agreed = server.patch(attach).as_user(PAUL).send().await.expect(200);
    assert_eq!((agreed.at("/membershipStatus"), agreed.at("/organizationId")), (json!("active"), json!(20003)));
    server.patch(attach).as_user(PAUL).send().await.expect(403);
    let open = read(&server, MARY, "patients/40004").await;
    assert_eq!((open.at("/membershipStatus"), open.at("/nameFamily")), (json!("active"), json!("Vega")));
    server.stop().await;
}

/// Where operators ask for no agreement, a stranger is attached at once (153b).
#[tokio::test]
async fn agreement_is_asked_for_unless_operators_say_otherwise() {
    let server = TestServer::start().await;
    server.set("patient.attach_requires_confirmation", "bool", "false").await;
    let attach = "/api/v1/patients/40004/global_add_organization?organization_id=20003";
    let attached = server.patch(attach).as_user(MARY).send().await.expect(200);
    assert_eq!((attached.at("/membershipStatus"), attached.at("/nameFamily")), (json!("active"), json!("Vega")));
    server.stop().await;
}

/// A patient's clients are those of its studies, with what became of the invitations to them (154).
#[tokio::test]
async fn a_patients_clients_come_with_their_invitations() {
    let server = TestServer::start().await;
    let path = "patients/40001/consolidated_clients";
    let (mary, peter) = (read(&server, MARY, path).await.json(), read(&server, PETER, path).await.json());
    assert_eq!(mary, peter);
    assert_eq!(ids_of(&mary), [1, 3]);
    assert!(mary.as_array().unwrap().iter().all(|client| client["patientInvitations"] == json!([])), "{mary}");
    let body = json!({"patientId": 40001, "clientId": 1});
    let made = server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201);
    let shown = read(&server, PETER, path).await;
    assert_eq!(shown.at("/0/patientInvitations/0/id"), made.at("/id"));
    assert_eq!(
        (shown.at("/0/patientInvitations/0/status"), shown.at("/0/patientInvitations/0/token")),
        (json!("issued"), Value::Null)
    );
    assert_eq!(shown.at("/1/patientInvitations"), json!([]));
    let foreign = server.get(&format!("/api/v1/{path}")).as_user(MARK).send().await.expect(403);
    assert_eq!(foreign.detail(), "Current User does not have authorization to access this Patient.");
    server.get("/api/v1/patients/40003/consolidated_clients").as_user(PETER).send().await.expect(403);
    server.get("/api/v1/patients/99999/consolidated_clients").as_user(MARY).send().await.expect(404);
    server.stop().await;
}

// --- consents ---

/// One answer moves one scope, and a request that goes takes its consent out of sight until it comes back
/// (159, 160, 166, 171).
#[tokio::test]
async fn an_answer_moves_one_scope_between_pending_and_answered() {
    let server = TestServer::start().await;
    let path = "/api/v1/patients/40001/consents";
    let overview = async || read(&server, MARY, "patients/40001/consents").await;
    let answer = |study: i64, consented: bool| {
        json!({"studyScopeConsents": [{"studyId": study, "scopeConsents": [
            {"codingSystem": SYSTEM, "codingCode": PRESSURE, "consented": consented}]}]})
    };
    let consolidated = |seen: &Reply| ids_of(&seen.at("/consolidatedConsentedScopes"));
    let made = server.post(path).as_user(PETER).json(&answer(30002, true)).send().await.expect(201);
    assert_eq!(made.at("/studyScopeConsents").as_array().unwrap().len(), 1);
    assert!(text(&made.at("/studyScopeConsents/0"), "consentedTime").ends_with('Z'));
    let seen = overview().await;
    assert_eq!(seen.at("/studiesPendingConsent/0/id"), 30002);
    assert_eq!(seen.at("/studiesPendingConsent/0/pendingScopeConsents").as_array().unwrap().len(), 1);
    assert_eq!(seen.at("/studiesPendingConsent/0/pendingScopeConsents/0/code/id"), 50011);
    assert_eq!((seen.at("/studies/1/id"), seen.at("/studies/1/scopeConsents/0/code/id")), (json!(30002), json!(50002)));

    server.post(path).as_user(PETER).json(&answer(30002, false)).send().await.expect(201);
    assert_eq!(consolidated(&overview().await), [50002, 50004, 50011], "still released by the other study");
    server.delete(path).as_user(VICTOR).json(&answer(30001, true)).send().await.expect(403);
    server.delete(path).as_user(PETER).json(&answer(30001, true)).send().await.expect(204);
    let seen = overview().await;
    assert_eq!(consolidated(&seen), [50004, 50011]);
    assert_eq!(
        (seen.at("/studiesPendingConsent/0/id"), seen.at("/studiesPendingConsent/0/pendingScopeConsents/0/code/id")),
        (json!(30001), json!(50002))
    );

    let request = "/api/v1/studies/30001/scope_requests";
    let body = json!({"scopeCodeId": 50004});
    server.delete(request).as_user(MARY).json(&body).send().await.expect(204);
    let seen = overview().await;
    assert_eq!(consolidated(&seen), [50011]);
    assert_eq!(seen.at("/studies/0/scopeConsents").as_array().unwrap().len(), 1);
    server.post(request).as_user(MARY).json(&body).send().await.expect(201);
    assert_eq!(consolidated(&overview().await), [50004, 50011], "the answer was kept");
    server.stop().await;
}

// --- invitations ---

/// An invitation says what became of it; its token opens the account of its patient (172, 173, 177, 179–181).
#[tokio::test]
async fn an_invitation_says_what_became_of_it() {
    let server = TestServer::start().await;
    let issue = async || {
        let body = json!({"patientId": 40001, "clientId": 1});
        server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201).json()
    };
    let (first, second) = (issue().await, issue().await);
    assert!(text(&first, "invitationLink").starts_with("https://carex.ai/invitation/"), "{first}");
    assert!(text(&first, "invitationLink").ends_with(&format!("_{}", text(&first, "token"))), "{first}");
    let one = async |invitation: &Value| read(&server, ADMIN, &format!("invitation/{}", invitation["id"])).await;
    assert_eq!(
        (one(&first).await.at("/status"), one(&second).await.at("/status")),
        (json!("reissued"), json!("issued"))
    );
    assert_eq!(sorted(ids(&read(&server, ADMIN, "invitation").await)), ids_of(&json!([first, second])));
    let path = format!("/api/v1/invitation/{}", second["id"]);
    for (status, told) in
        [("issued", "status: Only cancellation is possible."), ("bogus", "status: \"bogus\" is not a valid choice.")]
    {
        let refused = server.patch(&path).as_user(MARY).json(&json!({"status": status})).send().await.expect(400);
        assert_eq!(refused.detail(), told);
    }

    let secret = text(&second, "token");
    let redeemed = server.post(&format!("/api/v1/invitation/{secret}")).send().await.expect(200).json();
    assert_eq!(keys(&redeemed), ["expires", "grant", "token_endpoint"]);
    assert_eq!(keys(&redeemed["grant"]), ["client_id", "code", "grant_type", "redirect_uri"]);
    assert_eq!(redeemed["grant"]["grant_type"], "authorization_code");
    let verifier = URL_SAFE_NO_PAD.encode(secret.as_bytes());
    let (code, client) = (text(&redeemed["grant"], "code"), text(&redeemed["grant"], "client_id"));
    let tokens =
        oauth::exchange(&server, &code, &client, &[("code_verifier", verifier.as_str())]).await.expect(200).json();
    let access = text(&tokens, "access_token");
    let profile = server.get("/api/v1/users/profile").bearer(&access).send().await.expect(200);
    assert_eq!(profile.at("/patient/id"), 40001);
    let late = server.patch(&path).as_user(MARY).json(&json!({"status": "cancelled"})).send().await.expect(400);
    assert_eq!(late.detail(), "status: This invitation can no longer be changed.");

    let third = issue().await;
    server.clock.advance(chrono::TimeDelta::days(8));
    server.post(&format!("/api/v1/invitation/{}", text(&third, "token"))).send().await.expect(410);
    assert_eq!(one(&third).await.at("/status"), "expired");
    server.stop().await;
}

/// Only the literal truth sends an invitation by mail (176).
#[tokio::test]
async fn an_invitation_is_mailed_for_the_literal_truth_only() {
    let mailbox = Mailbox::start().await;
    let port = mailbox.port.to_string();
    let server = TestServer::with(&[("SMTP_HOST", "127.0.0.1"), ("SMTP_PORT", &port)]).await;
    let issue = async |mail: Value| {
        let body = json!({"patientId": 40001, "clientId": 1, "sendEmail": mail});
        server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201).json()
    };
    for no in [json!("true"), json!(1), json!(null), json!(false)] {
        issue(no).await;
    }
    let sent = issue(json!(true)).await;
    // The first mail that comes is that of the last invitation.
    let mail = mailbox.wait("ll_patient_peter@example.com", 1).await;
    assert!(mail.text.contains(&text(&sent, "token")), "{}", mail.text);
    server.stop().await;
}

// --- observations ---

/// Rows come newest first with every field, those without a value among them (185, 192, 196).
#[tokio::test]
async fn readings_come_newest_first_with_every_field() {
    let server = TestServer::start().await;
    server.execute("UPDATE core_observation SET data_source_id = NULL WHERE id = 60003").await;
    let page = read(&server, MARY, "observations").await.at("/results");
    let mut expected = [
        "id",
        "subjectPatient",
        "subjectPatientId",
        "patientNameDisplay",
        "patientNameFamily",
        "patientNameGiven",
        "jheUserId",
        "codeableConcept",
        "codeableConceptId",
        "codingSystem",
        "codingCode",
        "codingText",
        "dataSource",
        "dataSourceName",
        "status",
        "valueAttachmentData",
        "omhData",
        "created",
        "lastUpdated",
    ];
    expected.sort_unstable();
    let rows = page.as_array().unwrap();
    assert_eq!(rows.len(), 5);
    for row in rows {
        assert_eq!(keys(row), expected);
        assert_eq!(row["valueAttachmentData"], row["omhData"]);
    }
    let times: Vec<String> = rows.iter().map(|row| text(row, "lastUpdated")).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    assert_eq!(rows[0]["id"], 60003, "just changed");
    assert_eq!((&rows[0]["dataSource"], &rows[0]["dataSourceName"]), (&Value::Null, &Value::Null));
    let refused = server.get("/api/v1/observations?organization_id=abc").as_user(MARY).send().await.expect(400);
    assert_eq!(refused.detail(), "organizationId: A valid integer is required.");
    let beyond = server.get("/api/v1/observations?page=999").as_user(MARY).send().await.expect(404);
    assert_eq!(beyond.detail(), "Invalid page.");
    server.stop().await;
}

/// Each study shows what was consented to in it (189).
#[tokio::test]
async fn each_study_shows_its_own_data_type() {
    let server = TestServer::start().await;
    server
        .execute(
            "INSERT INTO core_patient (id, name_family) VALUES (45001, 'Two');
             INSERT INTO core_patientorganization (patient_id, organization_id) VALUES (45001, 20003);
             INSERT INTO core_study (id, name, description, organization_id) VALUES (39101, 'HR', 'd', 20003), (39102, 'BP', 'd', 20003);
             INSERT INTO core_studyscoperequest (study_id, scope_code_id) VALUES (39101, 50004), (39102, 50002);
             INSERT INTO core_studypatient (id, study_id, patient_id) VALUES (9901, 39101, 45001), (9902, 39102, 45001);
             INSERT INTO core_studypatientscopeconsent (study_patient_id, scope_code_id, consented, consented_time)
                 VALUES (9901, 50004, true, now()), (9902, 50002, true, now());
             INSERT INTO core_observation (subject_patient_id, codeable_concept_id, omh_data)
                 SELECT 45001, 50004, '{}' FROM generate_series(1, 5);
             INSERT INTO core_observation (subject_patient_id, codeable_concept_id, omh_data)
                 SELECT 45001, 50002, '{}' FROM generate_series(1, 3)",
        )
        .await;
    for (query, expected) in [("study_id=39101", 5), ("study_id=39102", 3), ("patient_id=45001", 8)] {
        assert_eq!(read(&server, MARY, &format!("observations?{query}")).await.at("/count"), expected, "{query}");
    }
    server.stop().await;
}

/// What is remembered is there: a selection that goes is forgotten.
#[tokio::test]
async fn an_organization_that_goes_is_not_remembered() {
    let server = TestServer::start().await;
    let settings = async || read(&server, MARY, "users/profile").await.at("/settings");
    let kept = settings().await;
    let body = json!({"name": "Soon gone", "type": "team", "partOf": 20003});
    let made = server.post("/api/v1/organizations").as_user(MARY).json(&body).send().await.expect(201).at("/id");
    read(&server, MARY, &format!("studies?organization_id={made}")).await;
    assert_eq!(settings().await["currentOrganizationId"], made);
    server.delete(&format!("/api/v1/organizations/{made}")).as_user(ADMIN).send().await.expect(204);
    assert_eq!(settings().await.get("currentOrganizationId"), None, "before: {kept}");
    server.stop().await;
}

/// A list of readings without a study forgets the study; patients remember nothing (199, 201).
#[tokio::test]
async fn a_list_without_a_study_forgets_it() {
    let server = TestServer::start().await;
    let settings = async || read(&server, MARY, "users/profile").await.at("/settings");
    read(&server, MARY, "studies?organization_id=20003&study_id=30002").await;
    assert_eq!(settings().await, json!({"currentStudyId": 30002, "currentOrganizationId": 20003}));
    read(&server, MARY, "observations").await;
    assert_eq!(settings().await, json!({"currentOrganizationId": 20003}));
    assert_eq!(read(&server, PETER, "patients?organization_id=20003").await.at("/count"), 0);
    assert_eq!(read(&server, PETER, "users/profile").await.json().get("settings"), None);
    server.stop().await;
}

// --- administration ---

/// A practitioner goes with its account or not at all, and the address is free again (203, 206).
#[tokio::test]
async fn a_practitioner_goes_with_its_account_or_stays() {
    let server = TestServer::start().await;
    let body = json!({"telecomEmail": "p1@example.com", "organizationId": 20003, "nameFamily": "L", "nameGiven": "F"});
    for _ in 0..2 {
        let made = server.post("/api/v1/practitioners").as_user(ADMIN).json(&body).send().await.expect(201);
        let path = format!("/api/v1/practitioners/{}?organization_id=20003", made.at("/id"));
        server.delete(&path).as_user(ADMIN).send().await.expect(204);
        let account = "SELECT count(*)::text FROM core_jheuser WHERE email = 'p1@example.com'";
        assert_eq!(server.scalar(account).await, "0");
    }
    server
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
             CREATE TRIGGER refuse BEFORE DELETE ON core_jheuser FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await;
    let failed = server.delete("/api/v1/practitioners/80003").as_user(ADMIN).send().await.expect(500);
    assert_eq!(failed.json(), json!({"detail": "Internal server error."}));
    let kept = "SELECT count(*)::text FROM core_practitioner AS p JOIN core_jheuser AS u ON u.id = p.jhe_user_id
                 JOIN core_practitionerorganization AS m ON m.practitioner_id = p.id WHERE p.id = 80003";
    assert_eq!(server.scalar(kept).await, "1");
    server.stop().await;
}

/// Clients are those of patients alone; a new one is public and uses codes (209–212).
#[tokio::test]
async fn clients_are_public_ones_for_patients() {
    let server = TestServer::start().await;
    let names = async |person: Person| {
        let page = read(&server, person, "clients").await.at("/results");
        let mut names: Vec<String> = page.as_array().unwrap().iter().map(|client| text(client, "name")).collect();
        names.sort();
        names
    };
    server.post("/api/v1/practitioner_clients").as_user(MARY).json(&json!({})).send().await.expect(201);
    for person in [MARY, ADMIN] {
        assert_eq!(names(person).await, ["CareX", "CommonHealth", "Patient Access"]);
    }
    assert_eq!(names(PETER).await, ["CareX", "Patient Access"]);
    assert_eq!(names(PERCY).await, ["CommonHealth"]);
    let hidden = server.get("/api/v1/clients/4").as_user(ADMIN).send().await.expect(404);
    assert_eq!(hidden.detail(), "No Application matches the given query.");

    let body = json!({"name": "Mobile", "clientId": "mob1", "invitationUrl": "https://app.example.org/i/CODE"});
    let made = server.post("/api/v1/clients").as_user(ADMIN).json(&body).send().await.expect(201);
    let stored = "SELECT concat_ws(' ', client_type, authorization_grant_type, algorithm, skip_authorization)
                    FROM oauth2_provider_application WHERE client_id = 'mob1'";
    assert_eq!(server.scalar(stored).await, "public authorization-code RS256 t");
    let path = format!("/api/v1/clients/{}", made.at("/id"));
    let change = json!({"invitationUrl": "https://app.example.org/j/CODE"});
    let changed = server.patch(&path).as_user(ADMIN).json(&change).send().await.expect(200);
    assert_eq!(changed.at("/invitationUrl"), "https://app.example.org/j/CODE");
    server.delete(&path).as_user(ADMIN).send().await.expect(204);
    assert_eq!(
        server.scalar("SELECT count(*)::text FROM oauth2_provider_application WHERE client_id = 'mob1'").await,
        "0"
    );

    let sources = "/api/v1/clients/1/data_sources";
    let link = json!({"dataSourceId": 70003});
    let made = server.post(sources).as_user(MARY).json(&link).send().await.expect(201);
    assert_eq!(
        (made.at("/client_id"), made.at("/clientId"), made.at("/dataSourceId")),
        (json!(1), json!(1), json!(70003))
    );
    assert_eq!(server.post(sources).as_user(ADMIN).json(&link).send().await.expect(200).json(), made.json());
    for person in [MEGAN, VICTOR, PETER] {
        server.post(sources).as_user(person).json(&link).send().await.expect(403);
    }
    for _ in 0..2 {
        server.delete(sources).as_user(MARY).json(&link).send().await.expect(204);
    }
    assert_eq!(ids_of(&read(&server, MARY, "clients/1/data_sources").await.json()), [70001, 70005]);
    server.stop().await;
}

/// Data sources and data types are there for everybody (213).
#[tokio::test]
async fn everybody_finds_data_sources_and_data_types() {
    let server = TestServer::start().await;
    for person in [PETER, MARY] {
        let page = read(&server, person, "data_sources").await.at("/results");
        let sources = page.as_array().unwrap();
        assert!(sources.len() == 6 && sources.iter().all(|source| source["supportedScopes"].is_array()), "{page}");
        let one = read(&server, person, "data_sources/70001").await;
        assert_eq!(ids_of(&one.at("/supportedScopes")), [50002, 50004]);
        let codes = read(&server, person, "data_sources/all_scopes").await.json();
        let texts: Vec<String> =
            codes.as_array().unwrap().iter().map(|code| text(code, "text").to_lowercase()).collect();
        assert!(texts.len() == 16 && texts.is_sorted(), "{texts:?}");
        let missing = server.get("/api/v1/data_sources/999").as_user(person).send().await.expect(404);
        assert_eq!(missing.detail(), "No DataSource matches the given query.");
    }
    server.stop().await;
}

/// A request for the head of consents never resets them, also where the site lets a caller do so.
#[tokio::test]
async fn looking_at_consents_resets_none() {
    let server = TestServer::start().await;
    server.set("consent.allow_reset", "bool", "true").await;
    let path = "/api/v1/patients/40001/consents?reset=true";
    let count = "SELECT count(*)::text FROM core_studypatientscopeconsent WHERE study_patient_id = 1";
    server.call(Method::HEAD, path).as_user(MARY).send().await.expect(200);
    assert_eq!(server.scalar(count).await, "3");
    server.get(path).as_user(MARY).send().await.expect(200);
    assert_eq!(server.scalar(count).await, "0");
    server.stop().await;
}
