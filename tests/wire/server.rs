//! The server as a whole: documents, probes, headers.

use jhe_testkit::{MARY, TestServer};

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
    server.get("/api/v1/schema/redoc/").send().await.expect(200);
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
