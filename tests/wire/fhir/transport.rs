//! Bases, media types, methods.

use jhe_testkit::{MARY, PETER, TestServer};
use reqwest::Method;

use super::{get, heart_rate, link, total};

#[tokio::test]
async fn the_three_bases_are_one_and_links_keep_the_spelling() {
    let server = TestServer::start().await;
    for base in ["/fhir/r5", "/FHIR/R5", "/fhir", "/Fhir/R5"] {
        for slash in ["", "/"] {
            let reply =
                server.get(&format!("{base}/Observation{slash}?patient=40001")).as_user(MARY).send().await.expect(200);
            assert_eq!(reply.at("/total"), 2);
            let url = reply.at("/entry/0/fullUrl");
            assert!(url.as_str().unwrap().starts_with(&format!("{}{base}/Observation/6", server.base)), "{url}");
            assert_eq!(
                link(&reply, "self").unwrap(),
                format!("{}{base}/Observation{slash}?patient=40001", server.base)
            );
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn the_caller_chooses_the_media_type() {
    let server = TestServer::start().await;
    let accept = |accept: &'static str| {
        server.get("/fhir/r5/Observation?patient=40001").as_user(MARY).header("accept", accept).send()
    };
    assert!(
        accept("application/fhir+json").await.expect(200).header("content-type").starts_with("application/fhir+json")
    );
    assert!(accept("application/json").await.expect(200).header("content-type").starts_with("application/json"));
    let refused = accept("application/fhir+xml").await.expect(406);
    assert_eq!(refused.at("/resourceType"), "OperationOutcome");
    get(&server, MARY, "Observation?patient=40001&_format=xml").await.expect(406);
    let pretty = get(&server, MARY, "Observation?patient=40001&_format=json&_pretty=true").await.expect(200);
    assert!(pretty.text().contains("\n  \"resourceType\"") && pretty.at("/total") == 2);
    assert_eq!(pretty.header("cache-control"), "private, no-cache");
    assert!(pretty.header("vary").to_lowercase().contains("authorization"));
    server.stop().await;
}

#[tokio::test]
async fn a_search_may_be_a_form() {
    let server = TestServer::start().await;
    let post = |form: &'static str| {
        server
            .post("/fhir/r5/Observation/_search?_count=1")
            .as_user(MARY)
            .body("application/x-www-form-urlencoded", form)
            .send()
    };
    assert_eq!(total(post("patient=40001").await), 2);
    assert_eq!(total(post("patient=40001&code=omh:heart-rate:2.0").await), 1);
    let page = post("patient=40001").await;
    let next = link(&page, "next").unwrap();
    assert!(next.contains("/Observation/_search?_count=1&patient=40001&_cursor="), "{next}");
    server.get(&next).as_user(MARY).send().await.expect(200);
    server.post("/fhir/r5/Observation/_search").as_user(MARY).json(&heart_rate("60")).send().await.expect(415);
    server.post("/fhir/r5/Patient/_search").as_user(MARY).form(&[("family", "merritt")]).send().await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn methods_that_do_not_exist_say_why() {
    let server = TestServer::start().await;
    let check = [
        (Method::GET, "", 405, "Method \"GET\" not allowed."),
        (Method::PUT, "/.well-known/smart-configuration", 405, "Method \"PUT\" not allowed."),
        (Method::DELETE, "/.well-known/smart-configuration", 405, "Method \"DELETE\" not allowed."),
        (Method::PUT, "/Observation", 405, "An id is required to update a resource."),
        (Method::DELETE, "/Observation", 405, "An id is required to delete a resource."),
        (Method::PUT, "/Observation/60003", 405, "Update of a Observation record is not supported."),
        (Method::PATCH, "/Observation/60003", 405, "Update of a Observation record is not supported."),
        (Method::DELETE, "/Observation/60003", 405, "Delete of a Observation record is not supported."),
        (Method::PUT, "/Patient/40001", 405, "The 'update' interaction is not allowed for Patient."),
        (Method::POST, "/Observation/60003", 405, "Method \"POST\" not allowed."),
        (Method::GET, "/Bogus", 404, "Unsupported FHIR resource type: Bogus."),
        (Method::POST, "/Bogus", 404, "Unsupported FHIR resource type: Bogus."),
        (Method::GET, "/observation", 404, "Unsupported FHIR resource type: observation."),
    ];
    for (method, path, status, text) in check {
        let reply = server.call(method.clone(), &format!("/fhir/r5{path}")).as_user(MARY).send().await.expect(status);
        assert_eq!(reply.at("/issue/0/diagnostics"), text, "{method} {path}");
    }
    let head = server.call(Method::HEAD, "/fhir/r5/Observation?patient=40001").as_user(MARY).send().await.expect(200);
    assert!(head.bytes.is_empty());
    server.call(Method::OPTIONS, "/fhir/r5/Observation").send().await.expect(204);
    server.stop().await;
}

#[tokio::test]
async fn discovery_is_public_and_says_what_is_served() {
    let server = TestServer::start().await;
    let metadata = server.get("/fhir/r5/metadata").bearer("bad").send().await.expect(200);
    assert_eq!(metadata.at("/fhirVersion"), "5.0.0");
    assert_eq!(metadata.header("access-control-allow-origin"), "*");
    assert!(metadata.header("cache-control").contains("max-age=3600"));
    let document = metadata.json();
    for resource in document["rest"][0]["resource"].as_array().unwrap() {
        let kind = resource["type"].as_str().unwrap();
        get(&server, PETER, kind).await.expect(200);
        for parameter in resource["searchParam"].as_array().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            let value = match (name, parameter["type"].as_str().unwrap()) {
                (_, "date") => "2026",
                ("_source", _) => "https://jupyterhealth.org/jhe",
                _ => "1",
            };
            let reply = server
                .get(&format!("/fhir/r5/{kind}?{name}={value}"))
                .as_user(MARY)
                .header("prefer", "handling=strict")
                .send()
                .await;
            assert!(
                matches!(reply.status.as_u16(), 200 | 403) || reply.text().contains("must be provided"),
                "{kind}?{name}: {}",
                reply.text()
            );
        }
    }
    let smart = server.get("/fhir/r5/.well-known/smart-configuration").send().await.expect(200);
    assert_eq!(smart.at("/authorization_endpoint"), format!("{}/o/authorize/", server.base));
    server.stop().await;
}

#[tokio::test]
async fn a_host_that_is_not_ours_is_refused() {
    let server = TestServer::start().await;
    let reply = server.get("/fhir/r5/metadata").header("host", "evil.example.org").send().await.expect(400);
    assert_eq!(reply.at("/issue/0/diagnostics"), "Invalid host header.");
    server.stop().await;
}

#[tokio::test]
async fn forms_choose_the_answer_and_headers_stay_short() {
    let server = TestServer::start().await;
    let form = |fields: &str| {
        server
            .post("/fhir/r5/Observation/_search")
            .as_user(MARY)
            .body("application/x-www-form-urlencoded", fields.to_owned())
    };
    form("patient=40001&_format=xml").send().await.expect(406);
    let reply = form("patient=40001&_format=application/fhir%2Bjson&_pretty=true").send().await.expect(200);
    assert!(reply.header("content-type").starts_with("application/fhir+json") && reply.text().contains("\n  \""));
    let many = (0..3000).fold(String::new(), |all, n| all + "&unknown-parameter-" + &n.to_string() + "=1");
    let reply = form(&format!("patient=40001{many}")).header("prefer", "handling=lenient").send().await.expect(200);
    assert!(reply.header("x-jhe-ignored-parameters").len() <= 4096);
    let reply = server
        .get("/fhir/r5/Observation?patient=40001")
        .as_user(MARY)
        .header("prefer", "handling=strict, return=OperationOutcome")
        .send()
        .await
        .expect(200);
    assert_eq!(reply.header("preference-applied"), "handling=strict, return=OperationOutcome");
    for (method, path, allowed) in [
        ("DELETE", "/fhir/r5/Observation", "GET, HEAD, POST, OPTIONS"),
        ("POST", "/fhir/r5/Observation/60003", "GET, HEAD, OPTIONS"),
        ("GET", "/fhir/r5", "POST, OPTIONS"),
        ("POST", "/.well-known/smart-configuration", "GET, HEAD, OPTIONS"),
    ] {
        let reply = server.call(method.parse().unwrap(), path).as_user(PETER).send().await.expect(405);
        assert_eq!(reply.header("allow"), allowed, "{method} {path}");
    }
    let history = server.get("/fhir/r5/Observation/60003/_history").as_user(PETER).send().await.expect(404);
    assert_eq!(history.at("/issue/0/diagnostics"), "'_history' is not supported for Observation.");
    let smart = "/fhir/r5/.well-known/smart-configuration";
    for accept in ["application/fhir+json", "text/html"] {
        let reply = server.get(smart).header("accept", accept).send().await.expect(200);
        assert_eq!(reply.header("content-type"), "application/json");
    }
    server.stop().await;
}
