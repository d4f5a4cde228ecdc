//! Pages and their links.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jhe_testkit::{ADMIN, MARY, Reply, TestServer};
use serde_json::{Value, json};

async fn follow(server: &TestServer, path: &str) -> Vec<Reply> {
    let mut replies = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(url) = next {
        let reply = server.get(&url).as_user(MARY).send().await.expect(200);
        next = reply.at("/next").as_str().map(str::to_owned);
        replies.push(reply);
        assert!(replies.len() < 50, "pages without end");
    }
    replies
}

fn ids(replies: &[Reply]) -> Vec<i64> {
    let rows = replies.iter().flat_map(|reply| reply.at("/results").as_array().cloned().unwrap_or_default());
    rows.filter_map(|row| row["id"].as_i64()).collect()
}

#[tokio::test]
async fn following_next_yields_every_row_once() {
    let server = TestServer::start().await;
    for first in
        ["/api/v1/organizations?pageSize=2", "/api/v1/organizations?limit=2", "/api/v1/organizations?cursor=&limit=2"]
    {
        let pages = follow(&server, first).await;
        let mut found = ids(&pages);
        assert_eq!(pages.iter().map(|page| ids_on(page).len()).collect::<Vec<_>>(), [2, 2, 2, 2, 1], "{first}");
        assert_eq!(pages.len(), 5, "{first}");
        assert!(pages.iter().all(|page| page.at("/count") == 9));
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 9, "{first}");
    }
    server.stop().await;
}

#[tokio::test]
async fn pages_beyond_the_end_do_not_exist() {
    let server = TestServer::start().await;
    for page in ["99", "0", "-1", "abc"] {
        let path = format!("/api/v1/organizations?page={page}");
        assert_eq!(server.get(&path).as_user(MARY).send().await.expect(404).detail(), "Invalid page.", "{page}");
    }
    let last = server.get("/api/v1/organizations?page=last&pageSize=4").as_user(MARY).send().await.expect(200);
    assert_eq!(last.at("/results").as_array().unwrap().len(), 1);
    assert_eq!(last.at("/next"), Value::Null);
    let beyond = server.get("/api/v1/organizations?limit=2&offset=100").as_user(MARY).send().await.expect(200);
    assert_eq!(beyond.at("/results"), serde_json::json!([]));
    assert_eq!((beyond.at("/next"), beyond.at("/count")), (Value::Null, json!(9)));
    let cursor = server.get("/api/v1/observations?cursor=zzz").as_user(MARY).send().await.expect(404);
    assert_eq!(cursor.detail(), "Invalid cursor");
    server.stop().await;
}

#[tokio::test]
async fn bare_arrays_come_on_request_or_by_setting() {
    let server = TestServer::start().await;
    for (path, rows) in [("organizations", 9), ("data_sources", 6), ("studies/30001/patients", 2)] {
        let reply = server.get(&format!("/api/v1/{path}?paginate=false")).as_user(MARY).send().await.expect(200);
        assert_eq!(reply.json().as_array().map(Vec::len), Some(rows), "{path}");
        let pages = server.get(&format!("/api/v1/{path}")).as_user(MARY).send().await.expect(200);
        assert_eq!(reply.json(), pages.at("/results"), "{path}");
    }
    server
        .execute("UPDATE core_jhesetting SET value_json = '[\"organizations\"]' WHERE key = 'api.plain_array_lists'")
        .await;
    server.app().settings().reload().await.unwrap();
    assert!(server.get("/api/v1/organizations").as_user(MARY).send().await.expect(200).json().is_array());
    let envelope = server.get("/api/v1/organizations?paginate=true").as_user(MARY).send().await.expect(200);
    assert_eq!(envelope.at("/count"), 9);
    server.stop().await;
}

#[tokio::test]
async fn observations_page_by_cursor_while_data_arrives() {
    let server = TestServer::start().await;
    let whole = ids_on(&server.get("/api/v1/observations?limit=1000").as_user(MARY).send().await.expect(200));
    let first = server.get("/api/v1/observations?cursor=&limit=2").as_user(MARY).send().await.expect(200);
    let mut found = ids(std::slice::from_ref(&first));
    server
        .execute(
            "INSERT INTO core_observation (subject_patient_id, codeable_concept_id, omh_data)
             SELECT 40001, 50002, '{}' FROM generate_series(1, 3)",
        )
        .await;
    let next = first.at("/next").as_str().unwrap().to_owned();
    found.extend(ids(&follow(&server, &next).await));
    assert_eq!((found.len(), &found), (5, &whole), "the rows that were there, each once");
    server.stop().await;
}

fn ids_on(page: &Reply) -> Vec<i64> {
    ids(std::slice::from_ref(page))
}

/// Every list goes on below its last row: each row comes once, in the order of the list, and a place that nobody was given
/// is refused.
#[tokio::test]
async fn every_list_goes_on_below_its_last_row() {
    let server = TestServer::start().await;
    for number in 0..3 {
        let body = json!({"label": format!("key {number}")});
        server.post("/api/v1/practitioner_clients").as_user(MARY).json(&body).send().await.expect(201);
        let body = json!({"patientId": 40001, "clientId": 1});
        server.post("/api/v1/invitation").as_user(MARY).json(&body).send().await.expect(201);
        let body = json!({"name": format!("source {number}"), "type": "personal_device"});
        server.post("/api/v1/data_sources").as_user(ADMIN).json(&body).send().await.expect(201);
    }
    let lists = [
        ("patients", MARY),
        ("studies", MARY),
        ("studies/30001/patients", MARY),
        ("organizations", MARY),
        ("data_sources", MARY),
        ("invitation", MARY),
        ("practitioner_clients", MARY),
        ("observations", MARY),
        ("users", ADMIN),
        ("practitioners", ADMIN),
        ("clients", ADMIN),
        ("jhe_settings", ADMIN),
    ];
    for (list, person) in lists {
        let path = format!("/api/v1/{list}");
        let whole = ids_on(&server.get(&format!("{path}?limit=1000")).as_user(person).send().await.expect(200));
        assert!(whole.len() > 1, "{list}");
        let (mut seen, mut next) = (Vec::new(), Some(format!("{path}?cursor=&limit=1")));
        while let Some(address) = next {
            let reply = server.get(address.trim_start_matches(&server.base)).as_user(person).send().await.expect(200);
            assert_eq!((reply.at("/count"), reply.at("/previous")), (json!(whole.len()), Value::Null), "{list}");
            seen.extend(ids_on(&reply));
            next = reply.at("/next").as_str().map(str::to_owned);
        }
        assert_eq!(seen, whole, "{list}");
        // A place that somebody made up is none, however well it is made.
        for place in [json!([["x", "y", "z"], 1]), json!([[], 1]), json!([["2026-01-01T00:00:00Z"], 1])] {
            let cursor = URL_SAFE_NO_PAD.encode(place.to_string());
            let made_up = server.get(&format!("{path}?cursor={cursor}")).as_user(person).send().await.expect(404);
            assert_eq!(made_up.detail(), "Invalid cursor", "{list}");
        }
    }
    server.stop().await;
}

/// A row that goes while somebody pages by cursor takes no other row with it, and one that comes is not met twice.
#[tokio::test]
async fn rows_that_come_and_go_shift_no_page_of_a_cursor() {
    let server = TestServer::start().await;
    let first = server.get("/api/v1/organizations?cursor=&limit=2").as_user(MARY).send().await.expect(200);
    let whole = ids_on(&server.get("/api/v1/organizations?limit=1000").as_user(MARY).send().await.expect(200));
    let body = json!({"name": "AAA before all", "type": "other", "partOf": 20001});
    server.post("/api/v1/organizations").as_user(ADMIN).json(&body).send().await.expect(201);
    let next = first.at("/next").as_str().unwrap().replacen(&server.base, "", 1);
    let second = server.get(&next).as_user(MARY).send().await.expect(200);
    assert_eq!([ids_on(&first), ids_on(&second)].concat(), whole[..4]);
    server.stop().await;
}
