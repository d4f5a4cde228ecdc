//! Storing one observation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jhe_testkit::{ADMIN, MARK, MARY, MEGAN, NOBODY, PAMELA, PETER, TestServer, VICTOR, omh};
use serde_json::{Value, json};

use super::{HEART_RATE, get, heart_rate, total};

fn diagnostics(body: &Value) -> &str {
    body["issue"][0]["diagnostics"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_patient_stores_a_reading_and_gets_it_back_byte_for_byte() {
    let server = TestServer::start().await;
    let document = omh::heart_rate("71.350");
    let mut body = omh::observation(40001, 70001, HEART_RATE, &document);
    body["identifier"] =
        json!([{"system": "https://phone.example.org/records", "value": "r-1"}, {"value": "bare"}, {"system": "x"}]);
    let reply = server.post("/FHIR/R5/Observation").as_user(PETER).json(&body).send().await.expect(201);
    let stored = reply.json();
    let id = stored["id"].as_str().unwrap();
    assert_eq!(reply.header("location"), format!("{}/FHIR/R5/Observation/{id}", server.base));
    let version = stored["meta"]["versionId"].as_str().unwrap();
    assert_eq!(reply.header("etag"), format!("W/\"{version}\""));
    assert!(reply.header("last-modified").ends_with("GMT"));
    assert_eq!(stored["meta"]["source"], "https://jupyterhealth.org/jhe");
    assert_eq!(
        stored["subject"],
        json!({"reference": "Patient/40001",
        "identifier": {"system": "https://jupyterhealth.org/fhir/identifier/jhe-user-id", "value": "10006"}})
    );
    assert_eq!(stored["device"], json!({"reference": "Device/70001"}));
    assert_eq!(stored["effectiveDateTime"], "2026-04-15T14:30:00Z");
    assert_eq!(
        stored["identifier"],
        json!([{"system": "https://phone.example.org/records", "value": "r-1"}, {"value": "bare"}])
    );
    assert_eq!(stored["code"]["coding"].as_array().unwrap().len(), 1);
    assert_eq!(STANDARD.decode(stored["valueAttachment"]["data"].as_str().unwrap()).unwrap(), document.as_bytes());
    assert_eq!(server.scalar("SELECT omh_data FROM core_observation ORDER BY id DESC LIMIT 1").await, document);
    for person in [PETER, MARY, VICTOR, ADMIN] {
        assert_eq!(get(&server, person, &format!("Observation/{id}")).await.expect(200).json(), stored);
    }
    for person in [MARK, PAMELA, NOBODY] {
        let denied = get(&server, person, &format!("Observation/{id}")).await.expect(404);
        assert_eq!(diagnostics(&denied.json()), format!("Observation/{id} not found."));
    }
    assert_eq!(
        server
            .scalar("SELECT count(*)::text FROM jhe_audit_event WHERE action = 'create' AND resource = 'Observation'")
            .await,
        "1"
    );
    server.stop().await;
}

#[tokio::test]
async fn who_may_write_for_whom() {
    let server = TestServer::start().await;
    let post = |person| server.post("/fhir/r5/Observation").as_user(person).json(&heart_rate("60")).send();
    for person in [PETER, MARY, MEGAN, ADMIN] {
        post(person).await.expect(201);
    }
    let check = [
        (VICTOR, "Current user doesn't have access to the Patient."),
        (MARK, "Current user doesn't have access to the Patient."),
        (PAMELA, "The Subject Patient does not match the current user."),
        (NOBODY, "Current user is not a Patient."),
    ];
    for (person, text) in check {
        assert_eq!(diagnostics(&post(person).await.expect(403).json()), text, "{person:?}");
    }
    server.post("/fhir/r5/Observation").json(&heart_rate("60")).send().await.expect(401);
    assert_eq!(total(get(&server, PETER, "Observation?code=omh:heart-rate:2.0&_summary=count").await), 5);
    server.stop().await;
}

#[tokio::test]
async fn consent_is_needed_at_the_moment_of_upload() {
    let server = TestServer::start().await;
    let post = || server.post("/fhir/r5/Observation").as_user(PETER).json(&heart_rate("60")).send();
    post().await.expect(201);
    server.execute("UPDATE core_studypatientscopeconsent SET consented = false").await;
    let refused = post().await.expect(403).json();
    assert_eq!(
        diagnostics(&refused),
        "Observation data with coding_system=https://w3id.org/openmhealth coding_code=omh:heart-rate:2.0 has not been consented for any studies by this Patient."
    );
    server.execute("UPDATE core_studypatientscopeconsent SET consented = true").await;
    post().await.expect(201);
    server.execute("DELETE FROM core_studyscoperequest").await;
    post().await.expect(403);
    server.stop().await;
}

#[tokio::test]
async fn an_identifier_is_used_once() {
    let server = TestServer::start().await;
    let mut body = heart_rate("60");
    body["identifier"] = json!([{"value": "only-a-value"}]);
    let post = || server.post("/fhir/r5/Observation").as_user(PETER).json(&body).send();
    // At the same time, one wins.
    let (one, two, three) = tokio::join!(post(), post(), post());
    let mut statuses = [one.status.as_u16(), two.status.as_u16(), three.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409]);
    let reply = post().await.expect(409).json();
    assert_eq!(reply["issue"][0]["code"], "duplicate");
    assert_eq!(diagnostics(&reply), "Identifier already exists: system= value=only-a-value");
    assert_eq!(
        server.scalar("SELECT count(*)::text FROM core_observationidentifier WHERE value = 'only-a-value'").await,
        "1"
    );
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_an_observation_is_refused() {
    let server = TestServer::start().await;
    let post = |media_type: &'static str, body: String| {
        server.post("/fhir/r5/Observation").as_user(PETER).body(media_type, body).send()
    };
    let fhir = "application/fhir+json";
    let broken = post(fhir, "{bad".to_owned()).await.expect(400).json();
    assert!(diagnostics(&broken).starts_with("JSON parse error - "), "{broken}");
    assert_eq!(diagnostics(&post(fhir, "[]".to_owned()).await.expect(400).json()), "Expected a JSON object.");
    post(fhir, String::new()).await.expect(400);
    let other = post(fhir, json!({"resourceType": "Patient"}).to_string()).await.expect(400).json();
    assert_eq!(diagnostics(&other), "Expected resourceType Observation but got Patient.");
    post("text/plain", heart_rate("60").to_string()).await.expect(415);
    post("text/json; charset=utf-8", heart_rate("60").to_string()).await.expect(201);
    let mut without_type = heart_rate("60");
    without_type.as_object_mut().unwrap().remove("resourceType");
    post(fhir, without_type.to_string()).await.expect(201);
    let mut foreign = heart_rate("60");
    foreign["subject"]["reference"] = json!("https://elsewhere.example.org/fhir/r5/Patient/40001");
    assert_eq!(post(fhir, foreign.to_string()).await.expect(400).at("/issue/0/code"), "value");
    let mut own = heart_rate("60");
    own["subject"]["reference"] = json!(format!("{}/fhir/r5/Patient/40001", server.base));
    post(fhir, own.to_string()).await.expect(201);
    let mut loinc = heart_rate("60");
    loinc["code"]["coding"][0]["system"] = json!("http://loinc.org");
    let text = post(fhir, loinc.to_string()).await.expect(400).text();
    assert!(text.contains("A FhirSource is required to write this resource"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn limits_count_decoded_bytes() {
    let server = TestServer::with(&[("MAX_BODY_BYTES", "4000"), ("MAX_OMH_BYTES", "1000")]).await;
    let post = |body: Value| server.post("/fhir/r5/Observation").as_user(PETER).json(&body).send();
    post(heart_rate("60")).await.expect(201);
    let long = omh::heart_rate("60").replace("Zürich", &"z".repeat(800));
    let reply = post(omh::observation(40001, 70001, HEART_RATE, &long)).await.expect(413).json();
    assert_eq!(diagnostics(&reply), "valueAttachment.data exceeds 1000 bytes.");
    let huge = omh::heart_rate("60").replace("Zürich", &"z".repeat(8000));
    let reply = post(omh::observation(40001, 70001, HEART_RATE, &huge)).await.expect(413).json();
    assert_eq!(diagnostics(&reply), "Request body exceeds 4000 bytes.");
    server.stop().await;
}

#[tokio::test]
async fn the_caller_chooses_the_answer() {
    let server = TestServer::start().await;
    let post = |prefer: &'static str| {
        server.post("/fhir/r5/Observation").as_user(PETER).header("prefer", prefer).json(&heart_rate("60")).send()
    };
    let minimal = post("return=minimal").await.expect(201);
    assert!(minimal.bytes.is_empty() && !minimal.header("location").is_empty());
    assert_eq!(minimal.header("preference-applied"), "return=minimal");
    assert_eq!(post("return=OperationOutcome").await.expect(201).at("/resourceType"), "OperationOutcome");
    assert_eq!(post("return=representation").await.expect(201).at("/resourceType"), "Observation");
    server.stop().await;
}

#[tokio::test]
async fn identifiers_have_any_length() {
    let server = TestServer::start().await;
    let long: String = (0..12_000).map(|n| char::from(b'a' + u8::try_from(n * n % 23).unwrap())).collect();
    let mut body = heart_rate("60");
    body["identifier"] = json!([{"system": "https://phone.example.org", "value": long}]);
    server.post("/fhir/r5/Observation").as_user(PETER).json(&body).send().await.expect(201);
    let again = server.post("/fhir/r5/Observation").as_user(PETER).json(&body).send().await.expect(409);
    assert!(again.text().len() < 1_000, "what was sent is not repeated at length");
    body["identifier"] = json!([{"value": format!("https://phone.example.org{long}")}]);
    server.post("/fhir/r5/Observation").as_user(PETER).json(&body).send().await.expect(201);
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_offered_is_refused_and_not_ignored() {
    let server = TestServer::start().await;
    let before = server.scalar("SELECT count(*)::text FROM core_observation").await;
    let reply = server
        .post("/fhir/r5/Observation")
        .as_user(PETER)
        .header("if-none-exist", "code=a|b")
        .json(&heart_rate("60"))
        .send()
        .await
        .expect(400);
    assert_eq!(reply.at("/issue/0/code"), "not-supported");
    for coding in ["br", "foo", "gzip, br"] {
        let reply = server
            .post("/fhir/r5/Observation")
            .as_user(PETER)
            .header("content-encoding", coding)
            .json(&heart_rate("60"))
            .send()
            .await
            .expect(415);
        assert_eq!(reply.at("/resourceType"), "OperationOutcome");
        assert_eq!(reply.header("accept-encoding"), "zstd, gzip, deflate");
    }
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_observation").await, before);
    server.stop().await;
}
