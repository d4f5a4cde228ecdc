//! The server as a whole: documents, probes, headers.

use jhe_testkit::{MARY, TestServer};
use reqwest::Method;

use crate::operations::{Wire, head};

#[tokio::test]
async fn the_api_document_is_fresh_and_shown() {
    let server = TestServer::start().await;
    let served = server.get("/api/v1/schema/").send().await.expect(200).text();
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/jhe.yaml")).unwrap();
    assert!(served.trim_end() == file.trim_end(), "openapi/jhe.yaml is stale: run cargo xtask generate");
    let json = server.get("/api/v1/schema/?format=json").send().await.expect(200);
    for path in ["/api/v1/observations", "/fhir/r5/Observation", "/o/token", "/fhir/r5"] {
        assert!(json.at("/paths").get(path).is_some(), "{path}");
    }
    let page = server.get("/api/v1/schema/swagger-ui/").send().await.expect(200).text();
    assert!(page.contains("swagger-ui"));
    for page in ["/api/v1/schema/swagger-ui/", "/api/v1/schema/redoc/"] {
        let page = server.get(page).send().await.expect(200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(page.header("content-security-policy").starts_with("default-src 'self'; "), "{page:?}");
    }
    server.get("/api/v1/schema/redoc/redoc.standalone.js").send().await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn probes_answer_and_every_answer_is_hardened() {
    let server = TestServer::start().await;
    for path in ["/health", "/ready", "/livez", "/readyz"] {
        server.get(path).send().await.expect(200);
    }
    for path in ["/health", "/api/v1/users/profile", "/fhir/r5/Observation", "/accounts/login/", "/nowhere"] {
        let reply = server.get(path).send().await;
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert!(!reply.header("x-request-id").is_empty(), "{path}");
    }
    server.get("/nowhere").send().await.expect(404);
    server.stop().await;
}

#[tokio::test]
async fn a_process_that_starts_beside_another_hands_out_no_id_twice() {
    let server = TestServer::start().await;
    let starts = async {
        for _ in 0..10 {
            jhe_app::seed::reference(server.store(), server.app().config()).await.unwrap();
        }
    };
    let draws = async {
        for _ in 0..10 {
            let sql = "SELECT (count(*) - count(DISTINCT id))::text
                         FROM (SELECT nextval('core_observation_id_seq') AS id FROM generate_series(1, 100000)) AS drawn";
            assert_eq!(server.scalar(sql).await, "0");
        }
    };
    tokio::join!(starts, draws);
    server.stop().await;
}

#[tokio::test]
async fn answers_are_compressed_on_request() {
    let server = TestServer::start().await;
    let reply = server
        .get("/fhir/r5/Observation?patient=40001")
        .as_user(MARY)
        .header("accept-encoding", "gzip")
        .send()
        .await
        .expect(200);
    assert_eq!(reply.header("content-encoding"), "gzip");
    server.stop().await;
}

#[tokio::test]
async fn pages_of_listed_origins_alone_may_call_the_apis() {
    let server = TestServer::with(&[("CORS_ALLOWED_ORIGINS", "https://notebooks.example.org")]).await;
    server
        .execute("UPDATE oauth2_provider_application SET allowed_origins = 'https://app.example.org' WHERE id = 1")
        .await;
    let origins = [
        ("https://notebooks.example.org", true),
        ("https://app.example.org", true),
        ("https://evil.example.org", false),
        ("https://app.example.org.evil.org", false),
        ("null", false),
    ];
    for path in ["/api/v1/users/profile", "/FHIR/R5/Observation?patient=40001"] {
        for (origin, allowed) in origins {
            let expected = if allowed { origin } else { "" };
            let asked = server
                .call(Method::OPTIONS, path)
                .header("origin", origin)
                .header("access-control-request-method", "GET")
                .send()
                .await;
            assert_eq!(asked.header("access-control-allow-origin"), expected, "preflight of {path} by {origin}");
            assert_eq!(asked.header("access-control-allow-headers").contains("Authorization"), allowed);
            let read = server.get(path).as_user(MARY).header("origin", origin).send().await.expect(200);
            assert_eq!(read.header("access-control-allow-origin"), expected, "{path} by {origin}");
            assert_eq!(read.header("access-control-allow-credentials"), "", "never with cookies");
            assert!(read.header("vary").contains("Origin"), "{path}");
        }
    }
    for path in ["/health", "/accounts/login/"] {
        let reply = server.get(path).header("origin", "https://notebooks.example.org").send().await;
        assert_eq!(reply.header("access-control-allow-origin"), "", "{path}");
    }
    let anywhere = server
        .call(Method::OPTIONS, &format!("/api/v1/invitation/{}", "x".repeat(32)))
        .header("origin", "https://anywhere.example.org")
        .header("access-control-request-method", "POST")
        .send()
        .await
        .expect(204);
    assert_eq!(anywhere.header("access-control-allow-origin"), "*");
    let failed = server
        .post(&format!("/api/v1/invitation/{}", "x".repeat(32)))
        .header("origin", "https://anywhere.example.org")
        .send()
        .await
        .expect(404);
    assert_eq!(failed.header("access-control-allow-origin"), "*");
    server.stop().await;
}

#[tokio::test]
async fn the_document_names_each_operation_once_and_tells_of_its_failures() {
    let server = TestServer::start().await;
    let document = server.get("/api/v1/schema/?format=json").send().await.expect(200).json();
    let mut names = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(
                names.insert(operation["operationId"].as_str().unwrap().to_owned()),
                "{method} {path}: {operation}"
            );
            if path.starts_with("/o/") || path.starts_with("/.well-known") {
                continue;
            }
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("400") && responses.contains_key("404"), "{method} {path}");
            let is_public = operation["security"] == serde_json::json!([{}]);
            assert!(responses.contains_key("401") || is_public, "{method} {path}");
            for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
                let response = match response["$ref"].as_str() {
                    Some(shared) => document.pointer(&shared[1..]).unwrap(),
                    None => response,
                };
                assert!(response["content"].is_object(), "{method} {path} {status}");
            }
        }
    }
    server.stop().await;
}

/// A refusal leaves the connection usable: clients that send head and body apart have the next request under way already.
#[tokio::test]
async fn a_connection_outlives_a_refusal() {
    let server = TestServer::start().await;
    for (method, path, expected) in [
        ("PUT", "/fhir/r5/Patient/40001", "401"),
        ("POST", "/api/v1/patients", "401"),
        ("PATCH", "/o/token", "405"),
        ("POST", "/nowhere", "404"),
    ] {
        let mut wire = Wire::open(&server).await;
        let headers = "Content-Length: 2\r\nContent-Type: application/json\r\n";
        for _ in 0..2 {
            wire.send(&head(&server, &format!("{method} {path}"), headers)).await;
            // What is refused may be refused before the body has come.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            wire.send("{}").await;
            let answered = wire.receive().await;
            assert!(answered.starts_with(&format!("HTTP/1.1 {expected}")), "{method} {path}: {answered}");
            assert!(!answered.to_ascii_lowercase().contains("connection: close"), "{path}");
        }
    }
    let mut wire = Wire::open(&server).await;
    wire.send(&head(&server, "POST /api/v1/patients", "Content-Length: 600000\r\n")).await;
    let answered = wire.receive().await.to_ascii_lowercase();
    assert!(answered.contains("connection: close"), "a long body is not waited for: {answered}");
    server.stop().await;
}

/// R33: what is seeded is seeded once, so what an administrator removed stays away.
#[tokio::test]
async fn what_was_removed_from_the_reference_data_stays_away() {
    let server = TestServer::start().await;
    server
        .execute(
            "DELETE FROM core_datasourcesupportedscope WHERE data_source_id = 70001 AND scope_code_id = 50004;
             DELETE FROM core_datasource WHERE id = 70004; DELETE FROM core_jhesetting WHERE key = 'module.ow'",
        )
        .await;
    let all = "SELECT ((SELECT count(*) FROM core_datasource) + (SELECT count(*) FROM core_datasourcesupportedscope)
                       + (SELECT count(*) FROM core_jhesetting))::text";
    let before = server.scalar(all).await;
    jhe_app::seed::reference(server.store(), server.app().config()).await.unwrap();
    assert_eq!(server.scalar(all).await, before);
    // A database that has none yet gets all of it.
    server.execute("DELETE FROM jhe_seed").await;
    jhe_app::seed::reference(server.store(), server.app().config()).await.unwrap();
    assert_ne!(server.scalar(all).await, before);
    server.stop().await;
}
