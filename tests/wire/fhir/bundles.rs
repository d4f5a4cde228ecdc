//! Batches and transactions.

use jhe_testkit::{MARY, PETER, TestServer, omh};
use serde_json::{Value, json};

use super::{get, heart_rate, store_many, total};

fn entry(resource: Value) -> Value {
    json!({"resource": resource, "request": {"method": "POST", "url": "Observation"}})
}

fn bundle(kind: &str, entries: Vec<Value>) -> Value {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries})
}

fn statuses(body: &Value) -> Vec<&str> {
    body["entry"].as_array().unwrap().iter().map(|entry| entry["response"]["status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_batch_stores_what_it_can_in_order() {
    let server = TestServer::start().await;
    let mut named = heart_rate("61");
    named["identifier"] = json!([{"system": "s", "value": "twice"}]);
    let foreign = omh::observation(40002, 70001, "omh:heart-rate:2.0", &omh::heart_rate("60"));
    let body = bundle(
        "batch",
        vec![
            entry(heart_rate("60")),
            entry(named.clone()),
            entry(named),
            entry(foreign),
            json!("text"),
            json!({"resource": heart_rate("60")}),
            json!({"resource": heart_rate("60"), "request": {"method": "PUT", "url": "Observation/1"}}),
            json!({"resource": {"resourceType": "Bogus"}, "request": {"method": "POST", "url": "Bogus"}}),
            entry(heart_rate("62")),
        ],
    );
    let reply = server.post("/fhir/r5/").as_user(PETER).json(&body).send().await.expect(200).json();
    assert_eq!(reply["type"], "batch-response");
    assert_eq!(
        statuses(&reply),
        [
            "201 Created",
            "201 Created",
            "409 Conflict",
            "403 Forbidden",
            "400 Bad Request",
            "400 Bad Request",
            "400 Bad Request",
            "404 Not Found",
            "201 Created"
        ]
    );
    let first = &reply["entry"][0];
    let id = first["resource"]["id"].as_str().unwrap();
    assert_eq!(first["response"]["location"], format!("Observation/{id}"));
    assert_eq!(first["resource"]["meta"]["tag"][0]["code"], "SUBSETTED");
    assert!(first["resource"]["valueAttachment"].is_null());
    assert_eq!(get(&server, MARY, &format!("Observation/{id}")).await.expect(200).at("/status"), "final");
    let order: Vec<i64> =
        [0, 1, 8].map(|n: usize| reply["entry"][n]["resource"]["id"].as_str().unwrap().parse().unwrap()).into();
    assert!(order.is_sorted());
    server.stop().await;
}

#[tokio::test]
async fn a_transaction_stores_all_or_nothing() {
    let server = TestServer::start().await;
    let before = server.scalar("SELECT count(*)::text FROM core_observation").await;
    let bad = omh::observation(40001, 70001, "omh:heart-rate:2.0", "{}");
    let mut worse = heart_rate("60");
    worse.as_object_mut().unwrap().remove("subject");
    let body = bundle("transaction", vec![entry(heart_rate("60")), entry(bad), entry(worse)]);
    let reply = server.post("/fhir/r5").as_user(PETER).json(&body).send().await.expect(422).json();
    assert_eq!(reply["resourceType"], "OperationOutcome");
    assert_eq!(reply["issue"][0]["expression"], json!(["Bundle.entry[1]"]));
    assert_eq!(reply["issue"][1]["expression"], json!(["Bundle.entry[2]"]));
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_observation").await, before);
    let body = bundle("transaction", vec![entry(heart_rate("60")), entry(heart_rate("61"))]);
    let reply = server.post("/fhir/r5").as_user(PETER).json(&body).send().await.expect(200).json();
    assert_eq!(reply["type"], "transaction-response");
    assert_eq!(statuses(&reply), ["201 Created", "201 Created"]);
    server.stop().await;
}

/// What is wrong with an entry, whoever finds it out, fails no other entry of a batch (5.2).
#[tokio::test]
async fn an_entry_that_cannot_be_stored_fails_alone() {
    let server = TestServer::start().await;
    // An extension stands for the status.
    let mut extended = heart_rate("60");
    extended.as_object_mut().unwrap().remove("status");
    extended["_status"] = json!({"extension": [{"url": "urn:u", "valueString": "x"}]});
    let body = bundle("batch", vec![entry(heart_rate("61")), entry(extended.clone()), entry(heart_rate("62"))]);
    let reply = server.post("/fhir/r5").as_user(PETER).json(&body).send().await.expect(200).json();
    assert_eq!(statuses(&reply), ["201 Created", "400 Bad Request", "201 Created"]);
    let outcome = &reply["entry"][1]["response"]["outcome"]["issue"][0];
    assert_eq!(outcome["expression"], json!(["Observation.status"]), "{outcome}");
    server.post("/fhir/r5/Observation").as_user(PETER).json(&extended).send().await.expect(400);
    // A rule that only the database knows.
    server
        .execute(
            "ALTER TABLE core_observation ADD CONSTRAINT not_99 CHECK (omh_data NOT LIKE '%\"value\":99%') NOT VALID",
        )
        .await;
    let many =
        || (60..72).map(|value| entry(heart_rate(&(if value == 67 { 99 } else { value }).to_string()))).collect();
    let before: i64 = server.scalar("SELECT count(*)::text FROM core_observation").await.parse().unwrap();
    let reply = server.post("/fhir/r5").as_user(PETER).json(&bundle("batch", many())).send().await.expect(200).json();
    let expected: Vec<_> = (60..72).map(|value| if value == 67 { "409 Conflict" } else { "201 Created" }).collect();
    assert_eq!(statuses(&reply), expected);
    let after: i64 = server.scalar("SELECT count(*)::text FROM core_observation").await.parse().unwrap();
    assert_eq!(after, before + 11);
    server.post("/fhir/r5").as_user(PETER).json(&bundle("transaction", many())).send().await.expect(409);
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_observation").await, after.to_string());
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_a_bundle_is_refused_as_a_whole() {
    let server = TestServer::with(&[("MAX_BATCH_ENTRIES", "3")]).await;
    let post = |body: Value| server.post("/fhir/r5").as_user(PETER).json(&body).send();
    post(json!([])).await.expect(400);
    post(heart_rate("60")).await.expect(400);
    post(json!({"resourceType": "Bundle"})).await.expect(400);
    post(bundle("searchset", vec![])).await.expect(400);
    post(json!({"resourceType": "Bundle", "type": "batch", "entry": {}})).await.expect(400);
    post(bundle("batch", (0..4).map(|_| entry(heart_rate("60"))).collect())).await.expect(413);
    let empty = post(json!({"resourceType": "Bundle", "type": "batch"})).await.expect(200).json();
    assert!(empty.get("entry").is_none());
    server.post("/fhir/r5").json(&bundle("batch", vec![])).send().await.expect(401);
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_entries_are_one_request() {
    let server = TestServer::start().await;
    store_many(&server, PETER, 1000).await;
    assert_eq!(
        total(get(&server, MARY, "Observation?patient=40001&code=omh:heart-rate:2.0&_summary=count").await),
        1001
    );
    server.stop().await;
}

#[tokio::test]
async fn a_fault_inside_an_entry_is_that_entrys_alone() {
    let server = TestServer::start().await;
    let mut zero = heart_rate("61");
    zero["identifier"] = json!([{"system": "s", "value": "a\0b"}]);
    let mut deep = json!({"url": "u", "valueString": "x"});
    for _ in 0..200 {
        deep = json!({"url": "u", "extension": [deep]});
    }
    let mut nested = heart_rate("62");
    nested["extension"] = json!([deep]);
    let conditional = json!({"resource": heart_rate("63"),
        "request": {"method": "POST", "url": "Observation", "ifNoneExist": "code=a|b"}});
    let body = bundle(
        "batch",
        vec![entry(heart_rate("60")), entry(zero), entry(nested), conditional, entry(heart_rate("64"))],
    );
    let reply = server.post("/fhir/r5").as_user(PETER).json(&body).send().await.expect(200).json();
    assert_eq!(
        statuses(&reply),
        ["201 Created", "400 Bad Request", "400 Bad Request", "400 Bad Request", "201 Created"]
    );
    assert_eq!(reply["entry"][2]["response"]["outcome"]["issue"][0]["code"], "too-costly");
    server.stop().await;
}

#[tokio::test]
async fn uploads_that_share_identifiers_wait_for_each_other() {
    let server = TestServer::start().await;
    let upload = |shift: usize| {
        let entries = (0..40).map(|n| {
            let mut body = heart_rate("60");
            body["identifier"] = json!([{"system": "fleet", "value": ((n * 7 + shift * 11) % 60).to_string()}]);
            entry(body)
        });
        let call = server.post("/fhir/r5").as_user(PETER).json(&bundle("batch", entries.collect()));
        tokio::spawn(async move { call.send().await.expect(200).json() })
    };
    let uploads: Vec<_> = (0..10).map(upload).collect();
    let mut stored = 0;
    for upload in uploads {
        let reply = upload.await.unwrap();
        for status in statuses(&reply) {
            assert!(matches!(status, "201 Created" | "409 Conflict"), "{status}");
            stored += usize::from(status == "201 Created");
        }
    }
    assert_eq!(stored, 60, "each identifier once");
    server.stop().await;
}

/// What was stored is answered for: whatever else the answer needs is read before, so that nothing can fail after it. A
/// batch that failed then would be sent again and stored twice.
#[tokio::test]
async fn a_batch_does_not_fail_after_it_was_stored() {
    let server = TestServer::start().await;
    let mut named = heart_rate("61");
    named["identifier"] = json!([{"system": "urn:s", "value": "there"}]);
    server.post("/fhir/r5/Observation").as_user(MARY).json(&named).send().await.expect(201);
    let before: i64 = server.scalar("SELECT count(*)::text FROM core_observation").await.parse().unwrap();
    // As soon as something is stored, no observation can be read any more.
    server
        .execute(
            "CREATE FUNCTION hide_all() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN ALTER VIEW jhe_readable RENAME TO jhe_hidden; RETURN NULL; END $$;
             CREATE TRIGGER hide_all AFTER INSERT ON core_observation FOR EACH STATEMENT EXECUTE FUNCTION hide_all();",
        )
        .await;
    let mut conditional = entry(named);
    conditional["request"]["ifNoneExist"] = json!("identifier=urn:s|there");
    let body = bundle("batch", vec![conditional, entry(heart_rate("62"))]);
    let reply = server.post("/fhir/r5").as_user(MARY).header("Prefer", "return=representation").json(&body);
    let reply = reply.send().await.expect(200).json();
    assert_eq!(statuses(&reply), ["200 OK", "201 Created"]);
    assert_eq!(reply["entry"][1]["resource"]["status"], "final");
    let after: i64 = server.scalar("SELECT count(*)::text FROM core_observation").await.parse().unwrap();
    assert_eq!(after, before + 1);
    assert!(get(&server, MARY, "Observation?patient=40001").await.status.is_server_error());
    server.stop().await;
}
