//! Authentication, methods, media types, malformed requests.

use jhe_testkit::{ADMIN, MARY, MEGAN, TestServer};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const LISTS: &[&str] =
    &["organizations", "patients", "studies", "observations", "data_sources", "clients", "invitation"];

#[tokio::test]
async fn anonymous_callers_get_401_everywhere() {
    let server = TestServer::start().await;
    for list in LISTS {
        server.get(&format!("/api/v1/{list}")).as_user(ADMIN).send().await.expect(200);
        let reply = server.get(&format!("/api/v1/{list}")).send().await.expect(401);
        assert_eq!(reply.detail(), "Authentication credentials were not provided.", "{list}");
        assert_eq!(reply.header("www-authenticate"), r#"Bearer realm="api""#);
    }
    server.stop().await;
}

#[tokio::test]
async fn unknown_expired_and_inactive_tokens_get_401() {
    let server = TestServer::start().await;
    let reply = server.get("/api/v1/organizations").bearer("jhe_at_unknown").send().await.expect(401);
    assert!(reply.header("www-authenticate").contains("The access token is invalid."));
    server.execute("UPDATE oauth2_provider_accesstoken SET expires = '2026-01-02' WHERE user_id = 10002").await;
    let reply = server.get("/api/v1/organizations").as_user(MARY).send().await.expect(401);
    assert!(reply.header("www-authenticate").contains("The access token has expired."));
    server.get("/api/v1/organizations").as_user(MEGAN).send().await.expect(200);
    server.execute("UPDATE core_jheuser SET is_active = false WHERE id = 10003").await;
    server.get("/api/v1/organizations").as_user(MEGAN).send().await.expect(401);
    server.stop().await;
}

#[tokio::test]
async fn a_token_of_a_disabled_client_is_refused() {
    let server = TestServer::start().await;
    server.get("/api/v1/organizations").as_user(MARY).send().await.expect(200);
    server.execute("UPDATE oauth2_provider_application SET enabled = false WHERE id = 4").await;
    server.get("/api/v1/organizations").as_user(MARY).send().await.expect(401);
    server.stop().await;
}

#[tokio::test]
async fn a_client_without_owner_is_known_but_nobody() {
    let server = TestServer::start().await;
    server.execute("UPDATE oauth2_provider_accesstoken SET user_id = NULL WHERE user_id = 10002").await;
    let reply = server.get("/api/v1/organizations").as_user(MARY).send().await.expect(403);
    assert_eq!(reply.detail(), "You do not have permission to perform this action.");
    server.stop().await;
}

#[tokio::test]
async fn slashes_suffixes_and_heads_mean_the_same_route() {
    let server = TestServer::start().await;
    let plain = server.get("/api/v1/organizations").as_user(MARY).send().await.expect(200);
    for path in ["/api/v1/organizations/", "/api/v1/organizations.json"] {
        assert_eq!(server.get(path).as_user(MARY).send().await.expect(200).json(), plain.json(), "{path}");
    }
    let head = server.call(Method::HEAD, "/api/v1/organizations").as_user(MARY).send().await.expect(200);
    assert!(head.bytes.is_empty());
    let options = server.call(Method::OPTIONS, "/api/v1/organizations").as_user(MARY).send().await.expect(200);
    assert_eq!(options.at("/renders/0"), "application/json");
    assert!(plain.header("allow").contains("POST"));
    assert!(plain.header("vary").to_lowercase().contains("accept"));
    server.stop().await;
}

#[tokio::test]
async fn malformed_requests_get_the_documented_bodies() {
    let server = TestServer::start().await;
    let post = || server.post("/api/v1/organizations").as_user(ADMIN);
    let reply = post().body("application/json", "{bad").send().await.expect(400);
    assert!(reply.detail().starts_with("JSON parse error"), "{}", reply.text());
    let reply = post().body("application/json", "[1]").send().await.expect(400);
    assert_eq!(reply.at("/nonFieldErrors/0"), "Invalid data. Expected a dictionary, but got list.");
    let reply = post().body("text/xml", "<a/>").send().await.expect(415);
    assert_eq!(reply.detail(), "Unsupported media type \"text/xml\" in request.");
    post().form(&[("name", "Form"), ("type", "team")]).send().await.expect(201);
    let reply = server.patch("/api/v1/organizations").as_user(MARY).json(&json!({})).send().await.expect(405);
    assert_eq!(reply.detail(), "Method \"PATCH\" not allowed.");
    assert!(reply.header("allow").contains("GET"));
    let reply = server.get("/api/v1/nothing").as_user(MARY).send().await.expect(404);
    assert_eq!(reply.detail(), "Not found.");
    assert_eq!(reply.header("vary"), "Accept");
    let reply = server.get("/api/v1/organizations").as_user(MARY).header("accept", "text/xml").send().await.expect(406);
    assert_eq!(reply.detail(), "Could not satisfy the request Accept header.");
    let reply =
        server.get("/api/v1/organizations").as_user(MARY).header("host", "evil.example").send().await.expect(400);
    assert_eq!((reply.detail().as_str(), reply.header("vary").as_str()), ("Invalid host.", "Accept"));
    let reply = server.get("/api/v1/nothing").header("host", "evil.example").send().await.expect(400);
    assert_eq!(reply.detail(), "Invalid host.");
    for host in
        ["localhost@evil.example", "evil@localhost", "localhost, evil.example", "localhost/evil", "localhost:99999"]
    {
        server.get("/api/v1/organizations").as_user(MARY).header("host", host).send().await.expect(400);
    }
    let host = server.base.trim_start_matches("http://");
    for (target, hosts, status) in [
        ("/api/v1/organizations", vec![host], "401"),
        ("/api/v1/organizations", vec![host, "evil.example"], "400"),
        ("/api/v1/organizations", vec!["evil.example", host], "400"),
        ("http://evil.example/api/v1/organizations", vec![host], "400"),
    ] {
        let named = format!("host: {}\r\n", hosts.join("\r\nhost: "));
        let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\n{named}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{target} {hosts:?}: {answer}");
    }
    let coded =
        post().header("content-encoding", "gzip").body("application/json", "x".to_owned()).send().await.expect(415);
    assert_eq!(coded.detail(), "Unsupported content coding \"gzip\" in request.");
    let big = format!("{{\"name\":\"{}\"}}", "x".repeat(1_100_000));
    post().body("application/json", big).send().await.expect(413);
    server.stop().await;
}

#[tokio::test]
async fn ids_that_are_no_numbers_do_not_exist() {
    let server = TestServer::start().await;
    for path in
        ["patients/abc", "studies/abc", "observations/9223372036854775808", "organizations/-1", "data_sources/1.5"]
    {
        let reply = server.get(&format!("/api/v1/{path}")).as_user(MARY).send().await.expect(404);
        assert_eq!(reply.detail(), "Not found.", "{path}");
    }
    let reply = server.get("/api/v1/patients?organization_id=abc").as_user(MARY).send().await.expect(400);
    assert_eq!(reply.at("/organizationId/0"), "A valid integer is required.");
    server.get("/api/v1/patients?organization_id=&bogus=1").as_user(MARY).send().await.expect(200);
    let ignored = server.get("/api/v1/patients?email=x&bogus=1").as_user(MARY).send().await.expect(200);
    assert_eq!(ignored.at("/count"), 2);
    let strict = server.get("/api/v1/patients?bogus=1").as_user(MARY).header("prefer", "handling=strict");
    assert_eq!(strict.send().await.expect(400).detail(), "Unknown parameter: bogus.");
    server.stop().await;
}

#[tokio::test]
async fn both_spellings_of_a_name_mean_the_same() {
    let server = TestServer::start().await;
    let create = async |body: Value| {
        let reply = server.post("/api/v1/studies").as_user(MARY).json(&body).send().await.expect(201);
        let mut body = reply.json();
        body["id"] = Value::Null;
        body["lastUpdated"] = Value::Null;
        body
    };
    let camel = create(json!({"organizationId": 20003, "name": "n", "description": "d", "iconUrl": "u"})).await;
    let snake = create(json!({"organization_id": 20003, "name": "n", "description": "d", "icon_url": "u"})).await;
    assert_eq!(camel, snake);
    server.stop().await;
}

#[tokio::test]
async fn the_root_lists_addresses_and_the_schema_is_public() {
    let server = TestServer::start().await;
    let reply = server.get("/api/v1/").as_user(MARY).send().await.expect(200);
    assert_eq!(reply.at("/organizations"), format!("{}/api/v1/organizations", server.base));
    assert!(reply.at("/invitation").is_string());
    for path in ["/api/v1/schema/", "/api/schema/"] {
        let text = server.get(path).send().await.expect(200).text();
        assert!(text.starts_with("openapi: 3.1"), "{path}");
    }
    for path in ["swagger-ui/", "redoc/", "redoc/redoc.standalone.js"] {
        server.get(&format!("/api/v1/schema/{path}")).send().await.expect(200);
    }
    server.stop().await;
}

#[tokio::test]
async fn strict_callers_learn_of_parameters_that_mean_nothing() {
    let server = TestServer::start().await;
    for path in [
        "studies/30001/patients",
        "invitation",
        "patients/40001",
        "patients/40001/consents",
        "users/profile",
        "users/organizations",
        "organizations/20003/users",
        "data_sources/all_scopes",
        "patients",
    ] {
        let call = || server.get(&format!("/api/v1/{path}?bogus=1")).as_user(MARY);
        call().send().await.expect(200);
        for strict in ["handling=strict", "respond-async, Handling=\"strict\""] {
            let reply = call().header("prefer", strict).send().await.expect(400);
            assert_eq!(reply.detail(), "Unknown parameter: bogus.", "{path}");
        }
    }
    server.get("/api/v1/patients/40001").as_user(MARY).header("prefer", "handling=strict").send().await.expect(200);
    server.get("/api/v1/patients").header("accept", "text/xml").send().await.expect(401);
    server.get("/api/v1/patients").as_user(MARY).header("accept", "text/xml").send().await.expect(406);
    for path in ["studies/30001", "organizations/20003", "patients/40001"] {
        let call = || server.delete(&format!("/api/v1/{path}")).as_user(MARY);
        call().body("text/xml", "<a/>").send().await.expect(415);
        call().body("application/json", "{bad").send().await.expect(400);
    }
    server.get("/api/v1/organizations?cursor=kzzz").as_user(MARY).send().await.expect(404);
    server.stop().await;
}

#[tokio::test]
async fn the_map_of_lists_names_lists_that_answer() {
    let server = TestServer::start().await;
    let moved = server.get("/api/v1").send().await.expect(301);
    assert_eq!(moved.header("location"), "/api/v1/");
    server.get("/api/v1/").send().await.expect(401);
    let map = server.get("/api/v1/").as_user(MARY).send().await.expect(200).json();
    assert_eq!(map.as_object().unwrap().len(), 12);
    for (name, address) in map.as_object().unwrap() {
        let person = if name == "practitionerClients" { MARY } else { ADMIN };
        let reply = server.get(address.as_str().unwrap()).as_user(person).send().await.expect(200);
        assert!(reply.at("/results").is_array(), "{name}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_schema_answers_other_methods_as_every_address_does() {
    let server = TestServer::start().await;
    for path in ["/api/v1/schema/", "/api/schema/", "/api/v1/schema/redoc/", "/api/v1/schema/swagger-ui/"] {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let told = format!("Method \"{method}\" not allowed.");
            let reply = server.call(method, path).send().await.expect(405);
            assert_eq!(reply.json(), json!({"detail": told}), "{path}");
            assert!(reply.header("content-type").starts_with("application/json"));
            assert_eq!(reply.header("allow"), "GET, HEAD, OPTIONS");
        }
        let reply = server.call(Method::OPTIONS, path).send().await.expect(200);
        assert_eq!(reply.at("/renders/0"), "application/json", "{path}");
        server.call(Method::HEAD, path).send().await.expect(200);
    }
    server.stop().await;
}

/// Beyond 63 bits.
const HUGE: &str = "99999999999999999999";

#[tokio::test]
async fn a_number_no_row_can_have_names_no_object() {
    let server = TestServer::start().await;
    let body = |field: &str, id: &str| format!("{{\"name\": \"n\", \"type\": \"team\", \"{field}\": {id}}}");
    for (method, path, field, known) in [
        (Method::POST, "organizations", "partOf", "20003"),
        (Method::PATCH, "organizations/20002", "partOf", "20001"),
        (Method::POST, "studies/30001/scope_requests", "scopeCodeId", "50001"),
        (Method::POST, "studies/30001/data_sources", "dataSourceId", "70001"),
        (Method::POST, "studies/30001/clients", "clientId", "1"),
        (Method::POST, "clients/1/data_sources", "dataSourceId", "70001"),
        (Method::POST, "data_sources/70001/supported_scopes", "scopeCodeId", "50001"),
    ] {
        let call = |id: &str| {
            let call = server.call(method.clone(), &format!("/api/v1/{path}")).as_user(ADMIN);
            call.body("application/json", body(field, id))
        };
        for id in [HUGE.to_owned(), format!("\"{HUGE}\"")] {
            let reply = call(&id).send().await.expect(400);
            let told = format!("{field}: Invalid pk \"{HUGE}\" - object does not exist.");
            assert_eq!(reply.detail(), told, "{path}");
        }
        let wrong = call("1.5").send().await.expect(400);
        assert_eq!(wrong.detail(), format!("{field}: Incorrect type. Expected pk value, received float."), "{path}");
        let reply = call(known).send().await;
        assert!(reply.status.is_success(), "{path}: {}", reply.text());
    }
    server.stop().await;
}
