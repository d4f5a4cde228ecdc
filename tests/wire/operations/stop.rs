//! Stopping without losing a request.

use jhe_domain::audit::AuditAction;
use jhe_store::{RequestFacts, Store};
use jhe_testkit::{MARY, PETER, TestDb, TestServer, omh};
use tokio::net::TcpStream;

use super::{Wire, address, head};
use crate::fhir::HEART_RATE;

#[tokio::test]
async fn a_server_is_ready_while_its_database_is_as_it_expects() {
    let server = TestServer::start().await;
    let reply = server.get("/ready").send().await.expect(200);
    assert_eq!((reply.at("/status"), reply.header("cache-control").as_str()), ("ready".into(), "no-store"));
    server.execute("UPDATE _sqlx_migrations SET version = -version WHERE version = (SELECT max(version) FROM _sqlx_migrations)").await;
    for path in ["/ready", "/readyz"] {
        let reply = server.get(path).send().await.expect(503);
        assert_eq!(reply.at("/reasons"), serde_json::json!(["migrations are pending"]), "{path}");
    }
    server.get("/health").send().await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn balancers_are_told_before_connections_are_refused() {
    let mut server = TestServer::with(&[("JHE_SHUTDOWN_DELAY", "10")]).await;
    server.get("/ready").send().await.expect(200);
    let stopped = server.begin_stop();
    let reply = loop {
        let reply = server.get("/ready").send().await;
        if reply.status.as_u16() == 503 {
            break reply;
        }
    };
    assert_eq!(reply.at("/reasons"), serde_json::json!(["the server is stopping"]));
    server.get("/health").send().await.expect(200);
    let reply = server.get("/FHIR/R5/Patient").as_user(MARY).send().await.expect(200);
    assert_eq!(reply.header("connection"), "close", "clients are asked to leave");
    stopped.await.unwrap();
    assert!(TcpStream::connect(address(&server)).await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn what_is_under_way_is_finished_and_what_is_idle_is_closed() {
    let mut server = TestServer::start().await;
    let mut idle = Wire::open(&server).await;
    idle.send(&head(&server, "GET /health", "")).await;
    assert!(idle.receive().await.starts_with("HTTP/1.1 200"));

    let reading = omh::observation(40001, 70001, HEART_RATE, &omh::heart_rate("64")).to_string();
    let headers = format!(
        "Authorization: Bearer {}\r\nContent-Type: application/fhir+json\r\nContent-Length: {}\r\n",
        PETER.token(),
        reading.len()
    );
    let mut under_way = Wire::open(&server).await;
    let (first, rest) = reading.split_at(20);
    under_way.send(&head(&server, "POST /fhir/r5/Observation", &headers)).await;
    under_way.send(first).await;
    // Connected, and about to ask.
    let mut fresh = Wire::open(&server).await;
    // The server has read all of the above once it answers what came after.
    server.get("/health").send().await.expect(200);

    let before = server.scalar("SELECT count(*)::text FROM core_observation").await;
    let stopped = server.begin_stop();
    assert_eq!(idle.receive().await, "", "an idle connection is closed");
    fresh.send(&head(&server, "GET /health", "")).await;
    let answer = fresh.receive().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "a connection that came before the end is served: {answer}");
    assert!(TcpStream::connect(address(&server)).await.is_err(), "nobody else comes in");
    under_way.send(rest).await;
    let answer = under_way.receive().await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    assert_eq!(under_way.receive().await, "");
    stopped.await.unwrap();
    let after = server.scalar_of_stopped("SELECT count(*)::text FROM core_observation").await;
    assert_eq!(after.parse::<i64>().unwrap(), before.parse::<i64>().unwrap() + 1, "what was acknowledged is stored");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_whose_entry_was_not_stored_until_the_end_does_not_leave() {
    let database = TestDb::new().await;
    let (store, writer) = Store::connect(&database.options()).await.unwrap();
    let request = async |id: &str| {
        let facts = RequestFacts { id: id.to_owned(), template: "GET /fhir/r5/Observation".to_owned(), ip: None };
        let trail = store.trail(facts);
        let read = async { store.read().await.unwrap().audit_event(AuditAction::Read, "Observation", None) };
        Box::pin(trail.within(read)).await;
        trail
    };
    assert!(request("stored").await.end(200).await.is_ok(), "with its entry an answer may leave");
    store
        .execute_raw("ALTER TABLE jhe_audit_event ADD CONSTRAINT away CHECK (action <> 'read') NOT VALID")
        .await
        .unwrap();
    let trail = request("not-stored").await;
    let waiting = tokio::spawn(async move { trail.end(200).await });
    // The process ends, and with it whatever could still store the entry.
    store.close().await;
    assert!(waiting.await.unwrap().is_err(), "nobody said that it was stored");
    writer.stop().await;
    let (store, writer) = Store::connect(&database.options()).await.unwrap();
    let told = store.scalar_raw("SELECT string_agg(request_id, ' ') FROM jhe_audit_event WHERE action = 'read'").await;
    assert_eq!(told.unwrap().as_deref(), Some("stored"));
    writer.stop().await;
    store.close().await;
    database.drop_database().await;
}
