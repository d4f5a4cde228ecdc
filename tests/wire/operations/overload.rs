//! More than can be done at once: refused quickly, with a time to come back.

use jhe_testkit::{MARY, PETER, TestServer};
use tokio::task::JoinHandle;

use super::{FAMILIES, Wire, assert_in_family, head};
use crate::privacy::log;

const WAITS: &str = "Content-Type: application/fhir+json\r\nContent-Length: 600000\r\n";

#[tokio::test]
async fn beyond_the_bound_requests_are_turned_away_in_the_words_of_the_family() {
    let server = TestServer::with(&[("JHE_MAX_REQUESTS", "1")]).await;
    let mut wire = Wire::open(&server).await;
    let headers = format!("Authorization: Bearer {}\r\n{WAITS}", PETER.token());
    wire.send(&head(&server, "POST /fhir/r5", &headers)).await;
    // Until the request above has the only place, others may still get it.
    while server.get("/nowhere").send().await.status.as_u16() != 503 {}
    for path in FAMILIES {
        let reply = server.get(path).header("origin", "https://anywhere.example.org").send().await.expect(503);
        assert_in_family(path, &reply);
        assert_eq!(reply.header("retry-after"), "1", "{path}");
        // Who may ask from where the database knows, which is not asked (identity §1.3).
        let open = if path.starts_with("/o/") { "*" } else { "" };
        assert_eq!(reply.header("access-control-allow-origin"), open, "{path}");
    }
    for probe in ["/health", "/ready", "/livez", "/readyz"] {
        server.get(probe).send().await.expect(200);
    }
    drop(wire);
    // The place is free again once the server has noticed.
    while server.get("/nowhere").send().await.status.as_u16() == 503 {}
    server.get("/FHIR/R5/Patient").as_user(MARY).send().await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn without_a_free_connection_the_answer_is_to_come_back() {
    let server = TestServer::with(&[("JHE_DB_POOL", "3"), ("JHE_DB_ACQUIRE_TIMEOUT", "1")]).await;
    let mut held = Vec::new();
    while let Ok(work) = server.store().read().await {
        held.push(work);
    }
    for path in ["/api/v1/patients", "/FHIR/R5/Patient"] {
        let reply = server.get(path).as_user(MARY).send().await.expect(503);
        assert_in_family(path, &reply);
        assert!(reply.header("retry-after").parse::<u64>().unwrap() > 0, "{path}");
    }
    server.get("/health").send().await.expect(200);
    let reply = server.get("/ready").send().await.expect(503);
    assert_eq!(reply.at("/reasons/0"), "the database does not answer");
    drop(held);
    server.get("/FHIR/R5/Patient").as_user(MARY).send().await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn a_storm_of_sign_ins_is_refused_at_once_and_the_first_come_in() {
    log();
    let server = TestServer::with(&[("JHE_LOGIN_WAIT_MS", "1"), ("JHE_METRICS_BIND", "127.0.0.1:0")]).await;
    let form = [
        ("grant_type", "password"),
        ("client_id", "demo-notebook"),
        ("username", "manager_mary@example.com"),
        ("password", "Jhe1234!"),
    ];
    // Far more than are checked and wait, however many cores there are; again until somebody came to the page meanwhile.
    let most = 120 + 2 * std::thread::available_parallelism().unwrap().get();
    let (mut tries, mut refused) = (Vec::new(), None);
    while refused.is_none() {
        let wave: Vec<_> = (0..most).map(|_| tokio::spawn(server.post("/o/token/").form(&form).send())).collect();
        while refused.is_none() && !wave.iter().all(JoinHandle::is_finished) {
            let form = [("username", "manager_mary@example.com"), ("password", "Jhe1234!")];
            let reply = server.post("/accounts/login/").header("x-request-id", "storm-1").form(&form).send().await;
            assert!(matches!(reply.status.as_u16(), 403 | 503), "{reply:?}");
            refused = Some(reply).filter(|reply| reply.status.as_u16() == 503);
        }
        tries.extend(wave);
    }
    // The page is refused before anything about the request is looked at, and told like every other answer.
    let page = refused.unwrap();
    assert_in_family("/accounts/login/", &page);
    assert_eq!(page.header("retry-after"), "1");
    assert_eq!(page.header("x-request-id"), "storm-1");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let line = log().written().lines().any(|line| {
        line.contains("storm-1") && line.contains("route=\"/accounts/login/\"") && line.contains("status=503")
    });
    assert!(line, "no line in the log");
    let told = server.get(&server.metrics_url()).send().await.expect(200);
    let series = r#"jhe_http_requests_total{method="POST",route="/accounts/login/",status="503"}"#;
    assert!(told.text().contains(series), "{}", told.text());
    let mut statuses = Vec::new();
    for attempt in tries {
        let reply = attempt.await.unwrap();
        if reply.status.as_u16() == 503 {
            assert_eq!(reply.at("/error"), "temporarily_unavailable");
            assert_eq!(reply.header("retry-after"), "1");
        }
        statuses.push(reply.status.as_u16());
    }
    assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
    assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
    // Nothing was counted against anybody.
    assert_eq!(server.scalar("SELECT count(*)::text FROM jhe_lockout").await, "0");
    server.post("/o/token/").form(&form).send().await.expect(200);
    server.stop().await;
}
