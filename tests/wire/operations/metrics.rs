//! `GET /metrics`: what is told, and what never is.

use jhe_testkit::{MARY, PETER, Reply, TestServer, omh};
use serde_json::json;

use crate::fhir::HEART_RATE;
use crate::oauth::token;

async fn told(server: &TestServer) -> Reply {
    server.get(&server.metrics_url()).send().await.expect(200)
}

/// The value of a series, by what its line begins with.
#[track_caller]
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("no {series}: {text}"));
    line.trim().parse().unwrap_or_else(|_| panic!("{series}: {line}"))
}

#[tokio::test]
async fn numbers_tell_what_the_server_does() {
    let server = TestServer::with(&[("JHE_METRICS_BIND", "127.0.0.1:0")]).await;
    server.get("/api/v1/patients/40001").as_user(MARY).send().await.expect(200);
    server.get("/fhir/r5/Observation?patient=40001").as_user(MARY).send().await.expect(200);
    server.get("/nowhere/canary-path").send().await.expect(404);
    let good = omh::observation(40001, 70001, HEART_RATE, &omh::heart_rate("64"));
    server.post("/fhir/r5/Observation").as_user(PETER).json(&good).send().await.expect(201);
    let wrong = omh::heart_rate("64").replace("beats/min", "canary-unit");
    let wrong = omh::observation(40001, 70001, HEART_RATE, &wrong);
    server.post("/fhir/r5/Observation").as_user(PETER).json(&wrong).send().await.expect(422);
    let entry = json!({"resource": good, "request": {"method": "POST", "url": "Observation"}});
    let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry, entry]});
    server.post("/fhir/r5").as_user(PETER).json(&bundle).send().await.expect(200);
    let form = [
        ("grant_type", "password"),
        ("client_id", "demo-notebook"),
        ("username", "canary@example.org"),
        ("password", "canary-password"),
    ];
    token(&server, &form).await.expect(400);
    token(&server, &[("grant_type", "canary-grant")]).await.expect(400);

    let reply = told(&server).await;
    assert!(reply.header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = reply.text();
    // All servers of this process count together, so others may have added to each.
    for series in [
        r#"jhe_http_requests_total{method="GET",route="/api/v1/patients/{id}",status="200"}"#,
        r#"jhe_http_requests_total{method="GET",route="-",status="404"}"#,
        r#"jhe_http_request_duration_seconds_count{method="GET",route="/fhir/r5/Observation"}"#,
        r#"jhe_http_request_duration_seconds_bucket{method="GET",route="/fhir/r5/Observation",le="10"}"#,
        r#"jhe_observations_total{code="omh:heart-rate:2.0",outcome="created"}"#,
        r#"jhe_observations_total{code="-",outcome="refused"}"#,
        r#"jhe_fhir_searches_total{type="Observation"}"#,
        r#"jhe_token_grants_total{grant="password",outcome="invalid_grant"}"#,
        r#"jhe_token_grants_total{grant="other",outcome="unsupported_grant_type"}"#,
        r#"jhe_logins_total{outcome="refused"}"#,
        "jhe_bundle_entries_sum",
        "jhe_bundle_entries_count",
        "jhe_db_wait_seconds_count",
        "jhe_db_connections",
        "process_resident_memory_bytes",
    ] {
        assert!(value(&text, series) >= 1.0, "{series}");
    }
    assert!(text.contains(r#"jhe_validation_failures_total{schema="omh:heart-rate:2.0",kind="#), "{text}");
    assert!(text.contains("\njhe_db_connections_max 8\n"), "{text}");
    for series in ["jhe_http_requests_in_flight", "jhe_db_connections_idle", "jhe_audit_queue", "jhe_mail_queue"] {
        assert!(value(&text, series) >= 0.0, "{series}");
    }
    for (name, _) in text.lines().filter(|line| line.starts_with("jhe_")).filter_map(|line| line.split_once(['{', ' ']))
    {
        let family = name.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count");
        assert!(text.contains(&format!("# HELP {family} ")), "{name} is not explained");
    }
    assert!(!text.contains("canary"), "what callers write is no label: {text}");
    assert!(!text.contains("40001"), "nobody's id is a label: {text}");
    server.stop().await;
}

#[tokio::test]
async fn metrics_have_an_address_of_their_own_and_nothing_else_there() {
    let server = TestServer::with(&[("JHE_METRICS_BIND", "127.0.0.1:0")]).await;
    server.get("/metrics").send().await.expect(404);
    let base = server.metrics_url().replace("/metrics", "");
    for path in ["/", "/health", "/api/v1/patients", "/metrics/"] {
        server.get(&format!("{base}{path}")).as_user(MARY).send().await.expect(404);
    }
    server.post(&server.metrics_url()).send().await.expect(405);
    server.stop().await;
}
