//! Sizes and times of requests.

use jhe_testkit::{MARY, PETER, TestServer};
use serde_json::json;

use super::{FAMILIES, Wire, assert_in_family, head};
use crate::privacy::log;

#[tokio::test]
async fn addresses_and_headers_have_limits_in_the_words_of_the_family() {
    let server = TestServer::start().await;
    let (long, large) = ("x".repeat(16 * 1024), "x".repeat(33 * 1024));
    for path in FAMILIES {
        let reply = server.get(&format!("{path}?name={long}")).send().await.expect(414);
        assert_in_family(path, &reply);
        if path.contains("fhir") {
            assert_eq!(reply.header("content-type"), "application/json; charset=utf-8");
        }
        let reply = server.get(path).header("x-large", &large).send().await.expect(431);
        assert_in_family(path, &reply);
    }
    server.get(&format!("/FHIR/R5/Patient?name={}", "x".repeat(15 * 1024))).as_user(MARY).send().await.expect(200);
    server.get("/FHIR/R5/Patient").header("x-large", &"x".repeat(30 * 1024)).as_user(MARY).send().await.expect(200);
    // What is far beyond is not even read to its end.
    let mut wire = Wire::open(&server).await;
    wire.send(&format!("GET /{} HTTP/1.1\r\n", "x".repeat(200 * 1024))).await;
    let answer = wire.receive().await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_and_leaves_nothing_half_done() {
    let server = TestServer::with(&[("JHE_REQUEST_TIMEOUT", "1")]).await;
    let locked = server.lock("core_patient").await;
    let change = json!({"nameFamily": "Changed"});
    let reply = server.patch("/api/v1/patients/40001").as_user(MARY).json(&change).send().await.expect(503);
    assert_in_family("/api/v1/patients", &reply);
    assert!(reply.header("retry-after").parse::<u64>().unwrap() > 0);
    let reply = server.get("/FHIR/R5/Patient").as_user(MARY).send().await.expect(503);
    assert_in_family("/FHIR/R5/Patient", &reply);
    locked.release().await;
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_patient WHERE name_family = 'Changed'").await, "0");
    // The same goes through once nothing is in its way: it was the time.
    server.patch("/api/v1/patients/40001").as_user(MARY).json(&change).send().await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_ends_with_the_time_of_its_request() {
    let server = TestServer::with(&[("JHE_REQUEST_TIMEOUT", "1")]).await;
    let mut wire = Wire::open(&server).await;
    let token = PETER.token();
    let headers =
        format!("Authorization: Bearer {token}\r\nContent-Type: application/fhir+json\r\nContent-Length: 600000\r\n");
    wire.send(&head(&server, "POST /fhir/r5", &headers)).await;
    wire.send("{").await;
    let answer = wire.receive().await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("OperationOutcome"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_short_body_that_does_not_come_is_refused_like_anything_else() {
    log();
    let server = TestServer::with(&[("JHE_REQUEST_TIMEOUT", "1")]).await;
    for (number, path) in FAMILIES.into_iter().enumerate() {
        let mut wire = Wire::open(&server).await;
        let id = format!("stalled-{number}");
        let headers = format!("X-Request-Id: {id}\r\nContent-Type: application/json\r\nContent-Length: 600\r\n");
        let started = tokio::time::Instant::now();
        wire.send(&head(&server, &format!("POST {path}"), &headers)).await;
        wire.send("{").await;
        let answer = wire.receive().await;
        assert!(started.elapsed() < std::time::Duration::from_secs(10), "{path}: {:?}", started.elapsed());
        let lower = answer.to_ascii_lowercase();
        assert!(answer.starts_with("HTTP/1.1 408"), "{path}: {answer}");
        for header in [
            format!("x-request-id: {id}"),
            "x-content-type-options: nosniff".to_owned(),
            "connection: close".to_owned(),
        ] {
            assert!(lower.contains(&header), "{path}: {header} is not in {answer}");
        }
        let words = match path {
            "/api/v1/patients" => r#"{"detail":"The body of the request did not come in time."}"#,
            "/FHIR/R5/Patient" => r#""code":"timeout""#,
            "/o/userinfo" => r#""error":"invalid_request""#,
            _ => "text/html",
        };
        assert!(answer.contains(words), "{path}: {answer}");
        assert_eq!(wire.receive().await, "", "{path}");
        let line = log().written().lines().any(|line| line.contains(&id) && line.contains("status=408"));
        assert!(line, "{path}: no line in the log");
    }
    // The next request on a connection is not lost to a refusal of one whose short body came.
    let mut wire = Wire::open(&server).await;
    wire.send(&head(&server, "POST /api/v1/patients", "Content-Type: application/json\r\nContent-Length: 2\r\n")).await;
    wire.send("{}").await;
    assert!(wire.receive().await.starts_with("HTTP/1.1 401"));
    wire.send(&head(&server, "GET /health", "")).await;
    assert!(wire.receive().await.starts_with("HTTP/1.1 200"));
    server.stop().await;
}

#[tokio::test]
async fn a_client_must_send_the_head_of_a_request_in_time() {
    let server = TestServer::with(&[("JHE_HEADER_TIMEOUT", "1"), ("JHE_KEEP_ALIVE", "2")]).await;
    for begun in ["", "GET /health HT", "PRI * HT"] {
        let mut wire = Wire::open(&server).await;
        wire.send(begun).await;
        assert_eq!(wire.receive().await, "", "{begun:?} is not waited for");
    }
    // Between requests there is more time, which ends as well, also after an answer that was waited for.
    let reader = format!("Authorization: Bearer {}\r\n", MARY.token());
    for (path, headers) in [("/health", ""), ("/FHIR/R5/Patient", reader.as_str())] {
        let mut wire = Wire::open(&server).await;
        let started = tokio::time::Instant::now();
        wire.send(&head(&server, &format!("GET {path}"), headers)).await;
        assert!(wire.receive().await.starts_with("HTTP/1.1 200"), "{path}");
        assert_eq!(wire.receive().await, "", "{path}");
        let open = started.elapsed();
        assert!(open >= std::time::Duration::from_millis(1900), "{path}: {open:?}");
    }
    server.stop().await;
    // A second head has as little time as the first.
    let server = TestServer::with(&[("JHE_HEADER_TIMEOUT", "1"), ("JHE_KEEP_ALIVE", "60")]).await;
    let mut wire = Wire::open(&server).await;
    wire.send(&head(&server, "GET /health", "")).await;
    assert!(wire.receive().await.starts_with("HTTP/1.1 200"));
    let started = tokio::time::Instant::now();
    wire.send("GET /hea").await;
    assert_eq!(wire.receive().await, "");
    assert!(started.elapsed() < std::time::Duration::from_secs(30), "{:?}", started.elapsed());
    server.stop().await;
}
