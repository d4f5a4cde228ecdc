//! Pages and their links.

use jhe_testkit::{MARY, Reply, TestServer};
use serde_json::Value;

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
    assert_eq!(found.len(), 5, "the rows that were there, each once: {found:?}");
    server.stop().await;
}
