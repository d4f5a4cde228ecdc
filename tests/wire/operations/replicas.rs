//! Searches on a replica: never less, and never more, than the primary would answer. Two processes on one database.

use jhe_testkit::omh::{heart_rate, observation};
use jhe_testkit::{MARY, PETER, Replicated, TestServer};
use serde_json::json;

const SEARCH: &str = "/fhir/r5/Observation?patient=40001";
/// What connections of the server last did on the replica.
const SEARCHES: &str =
    "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'jhe' AND query LIKE 'WITH pair%'";

async fn total(server: &TestServer) -> i64 {
    let page = server.get(SEARCH).as_user(MARY).send().await.expect(200).json();
    page["total"].as_i64().unwrap()
}

async fn upload(server: &TestServer) {
    let body = observation(40001, 70001, "omh:heart-rate:2.0", &heart_rate("71"));
    server.post("/fhir/r5/Observation").as_user(PETER).json(&body).send().await.expect(201);
}

#[tokio::test]
async fn a_replica_answers_searches_and_what_was_just_written_is_there() {
    let both = Replicated::new().await;
    let server = TestServer::on(both.database.clone(), &[("DATABASE_READ_URL", &both.replica_url)]).await;
    let mut asked = 0;
    // On a busy machine the primary answers for a replica that is slow to be reached.
    let before = loop {
        asked += 1;
        let before = total(&server).await;
        if both.scalar(SEARCHES).await != "0" {
            break before;
        }
        assert!(asked < 100, "the replica was not asked");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    for uploaded in 1..=20 {
        upload(&server).await;
        assert_eq!(total(&server).await, before + uploaded);
    }
    // What reads leave in the audit trail is on the primary, and comes to the replica from there.
    let trail = "SELECT count(*)::text FROM jhe_audit_event WHERE action = 'read' AND resource = 'Observation'";
    assert_eq!(server.scalar(trail).await, (asked + 20).to_string());
    server.stop().await;
    both.stop().await;
}

#[tokio::test]
async fn a_replica_that_is_behind_is_not_believed() {
    let both = Replicated::new().await;
    let server = TestServer::on(both.database.clone(), &[("DATABASE_READ_URL", &both.replica_url)]).await;
    let before = total(&server).await;
    both.scalar("SELECT pg_wal_replay_pause()::text").await;
    upload(&server).await;
    assert_eq!(total(&server).await, before + 1, "whoever wrote reads it back");
    // A consent withdrawn is withdrawn, whatever the replica still holds.
    let withdrawn = json!({"studyScopeConsents": [{"studyId": 30001, "scopeConsents": [
        {"codingSystem": "https://w3id.org/openmhealth", "codingCode": "omh:heart-rate:2.0", "consented": false}]}]});
    server.patch("/api/v1/patients/40001/consents").as_user(PETER).json(&withdrawn).send().await.expect(200);
    let left = "/fhir/r5/Observation?patient=40001&code=https://w3id.org/openmhealth%7Comh:heart-rate:2.0";
    assert_eq!(server.get(left).as_user(MARY).send().await.expect(200).at("/total"), 0);
    both.scalar("SELECT pg_wal_replay_resume()::text").await;
    assert_eq!(server.get(left).as_user(MARY).send().await.expect(200).at("/total"), 0);
    server.stop().await;
    both.stop().await;
}

#[tokio::test]
async fn searches_go_on_without_the_replica() {
    let mut both = Replicated::new().await;
    let server = TestServer::on(both.database.clone(), &[("DATABASE_READ_URL", &both.replica_url)]).await;
    let before = total(&server).await;
    both.stop_replica().await;
    for uploaded in 1..=3 {
        upload(&server).await;
        assert_eq!(total(&server).await, before + uploaded);
    }
    server.stop().await;
    both.stop().await;
}

#[tokio::test]
async fn processes_that_share_a_database_know_what_the_others_did() {
    let both = Replicated::new().await;
    let replica = [("DATABASE_READ_URL", both.replica_url.as_str())];
    let first = TestServer::on(both.database.clone(), &replica).await;
    let second = TestServer::on(both.database.clone(), &replica).await;
    let before = total(&first).await;
    for round in 1..=10 {
        let (writer, reader) = if round % 2 == 0 { (&first, &second) } else { (&second, &first) };
        upload(writer).await;
        assert_eq!(total(reader).await, before + round);
    }
    // A page begun by one process goes on in another.
    let page = first.get(&format!("{SEARCH}&_count=2")).as_user(MARY).send().await.expect(200).json();
    let next = page["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").unwrap();
    let url = next["url"].as_str().unwrap();
    let query = url.split_once('?').unwrap().1;
    let went_on = second.get(&format!("/fhir/r5/Observation?{query}")).as_user(MARY).send().await.expect(200).json();
    assert_ne!(page["entry"][0]["resource"]["id"], went_on["entry"][0]["resource"]["id"]);
    first.stop().await;
    second.stop().await;
    both.stop().await;
}
