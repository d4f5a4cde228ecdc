//! References between imported resources (fhir §6.5, X-28, X-29; case 221).

use jhe_testkit::{ADMIN, MARK, MARY, MEGAN, NOBODY, PAMELA, PERCY, PETER, Reply, TestServer, VICTOR};
use serde_json::{Value, json};

/// A source of Peter's, one of Pamela's.
const SOURCES: &str = "
    INSERT INTO core_fhirsource (id, patient_id, data_source_id, fhir_base_url)
        VALUES (99001, 40001, 70005, 'https://ehr.example/R4/'), (99002, 40002, 70005, 'https://ehr.example/R4')";

const PATH: &str = "/api/v1/fhir_sources/99001/index_refs";

const KEPT: &str = "https://jupyterhealth.org/fhir/StructureDefinition/upstream-reference";

/// Everything that is stored of imported resources, and by which transactions.
const ROWS: &str = "SELECT md5(string_agg(r.xmin::text || r::text, '|' ORDER BY r.id)) FROM core_fhirauxresource AS r";

async fn start() -> TestServer {
    let server = TestServer::start().await;
    server.execute(SOURCES).await;
    server
}

/// Stores a resource in a source, as an import does.
async fn import(server: &TestServer, source: i64, kind: &str, id: &str, body: &Value) {
    let sql = format!(
        "INSERT INTO core_fhirauxresource (fhir_source_id, resource_type, fhir_resource_id, fhir_data)
         VALUES ({source}, '{kind}', nullif('{id}', ''), '{body}')"
    );
    server.execute(sql.leak()).await;
}

/// The id of a resource of source 99001.
async fn uuid(server: &TestServer, kind: &str, id: &str) -> String {
    column(server, "id", kind, id).await
}

/// The body of a resource of source 99001.
async fn body(server: &TestServer, kind: &str, id: &str) -> Value {
    serde_json::from_str(&column(server, "fhir_data", kind, id).await).unwrap()
}

async fn column(server: &TestServer, column: &str, kind: &str, id: &str) -> String {
    let sql = format!(
        "SELECT {column}::text FROM core_fhirauxresource
         WHERE fhir_source_id = 99001 AND resource_type = '{kind}' AND fhir_resource_id = '{id}'"
    );
    server.scalar(sql.leak()).await
}

fn counts(indexed: u64, rewritten: u64, missing: u64) -> Value {
    json!({"rowsIndexed": indexed, "refsRewritten": rewritten, "refsNotFound": missing})
}

async fn run(server: &TestServer) -> Value {
    server.post(PATH).as_user(PETER).send().await.expect(200).json()
}

fn missing(id: &str, original: &str) -> Value {
    json!({"reference": format!("not-found:{id}"), "extension": [{"url": KEPT, "valueString": original}]})
}

fn to(reference: &str) -> Value {
    json!({"reference": reference})
}

#[tokio::test]
async fn references_point_at_the_rows_that_hold_their_targets() {
    let server = start().await;
    let condition = json!({"subject": {"reference": "Patient/pat-1", "display": "P",
        "extension": [{"url": "urn:x", "valueString": "stays"}]}, "note": [{"text": "1"}], "recorder": to("Patient/pat-1")});
    import(&server, 99001, "Condition", "cond-1", &condition).await;
    import(&server, 99001, "Patient", "pat-1", &json!({"active": true})).await;
    assert_eq!(run(&server).await, counts(2, 1, 0));
    let mut expected = condition.clone();
    expected["subject"]["reference"] = json!(format!("Patient/{}", uuid(&server, "Patient", "pat-1").await));
    assert_eq!(body(&server, "Condition", "cond-1").await, expected, "all else stays");
    let before = server.scalar(ROWS).await;
    assert_eq!(run(&server).await, counts(0, 0, 0));
    assert_eq!(server.scalar(ROWS).await, before, "a second run changes nothing");
    server.stop().await;
}

#[tokio::test]
async fn a_missing_target_is_found_by_a_later_run() {
    let server = start().await;
    let condition = json!({"subject": to("Patient/pat-1"), "encounter": to("Encounter/enc-1")});
    import(&server, 99001, "Condition", "cond-1", &condition).await;
    import(&server, 99001, "Patient", "pat-1", &json!({})).await;
    assert_eq!(run(&server).await, counts(2, 1, 1));
    let subject = to(&format!("Patient/{}", uuid(&server, "Patient", "pat-1").await));
    let expected = json!({"subject": subject, "encounter": missing("enc-1", "Encounter/enc-1")});
    assert_eq!(body(&server, "Condition", "cond-1").await, expected);
    let before = server.scalar(ROWS).await;
    assert_eq!(run(&server).await, counts(0, 0, 0));
    assert_eq!(server.scalar(ROWS).await, before, "it is looked for again and nothing is written");
    // The wrong type, then the right one.
    import(&server, 99001, "Procedure", "enc-1", &json!({})).await;
    assert_eq!(run(&server).await, counts(1, 0, 0));
    import(&server, 99001, "Encounter", "enc-1", &json!({})).await;
    assert_eq!(run(&server).await, counts(1, 1, 0));
    let encounter = to(&format!("Encounter/{}", uuid(&server, "Encounter", "enc-1").await));
    assert_eq!(body(&server, "Condition", "cond-1").await, json!({"subject": subject, "encounter": encounter}));
    assert_eq!(column(&server, "ref_unresolved", "Condition", "cond-1").await, "false");
    server.stop().await;
}

#[tokio::test]
async fn arrays_and_addresses_of_the_source_are_followed_and_others_left_alone() {
    let server = start().await;
    import(&server, 99001, "Location", "loc-1", &json!({"name": "North Clinic"})).await;
    import(&server, 99001, "Patient", "pat-1", &json!({})).await;
    let here = to(&format!("Location/{}", uuid(&server, "Location", "loc-1").await));
    let encounter = json!({"subject": to("https://ehr.example/R4/Patient/pat-1"),
        "location": [{"location": to("Location/loc-1"), "status": "active"}, {"location": to("Location/loc-2")}]});
    import(&server, 99001, "Encounter", "enc-1", &encounter).await;
    let own = format!("Patient/{}", uuid(&server, "Patient", "pat-1").await);
    let stay = [
        own.as_str(),
        "Patient/40001",
        "https://ehr.example/R42/Patient/pat-1",
        "https://other.example/Patient/pat-1",
        "urn:uuid:0b0e6f3c-1111-4222-8333-444455556666",
        "#p",
    ];
    for (at, reference) in stay.iter().enumerate() {
        import(&server, 99001, "Observation", &format!("obs-{at}"), &json!({"subject": to(reference)})).await;
    }
    assert_eq!(run(&server).await, counts(3 + stay.len() as u64, 2, 1));
    let expected = json!({"subject": to(&own), "location": [{"location": here, "status": "active"},
        {"location": missing("loc-2", "Location/loc-2")}]});
    assert_eq!(body(&server, "Encounter", "enc-1").await, expected);
    for (at, reference) in stay.iter().enumerate() {
        let body = body(&server, "Observation", &format!("obs-{at}")).await;
        assert_eq!(body, json!({"subject": to(reference)}));
    }
    server.stop().await;
}

#[tokio::test]
async fn rows_of_other_sources_are_neither_found_nor_changed() {
    let server = start().await;
    import(&server, 99002, "Patient", "pat-1", &json!({})).await;
    import(&server, 99002, "Condition", "cond-1", &json!({"subject": to("Patient/pat-1")})).await;
    let foreign = server
        .scalar("SELECT id::text FROM core_fhirauxresource WHERE fhir_source_id = 99002 AND resource_type = 'Patient'")
        .await;
    let by_uuid = format!("Patient/{foreign}");
    for (id, reference) in [("cond-1", "Patient/pat-1"), ("cond-2", &by_uuid), ("cond-3", "Patient/40002")] {
        import(&server, 99001, "Condition", id, &json!({"subject": to(reference)})).await;
    }
    let others = "SELECT md5(string_agg(r::text, '|' ORDER BY r.id)) FROM core_fhirauxresource AS r WHERE fhir_source_id <> 99001";
    let before = server.scalar(others).await;
    assert_eq!(run(&server).await, counts(3, 0, 3));
    assert_eq!(body(&server, "Condition", "cond-2").await["subject"], missing(&foreign, &by_uuid));
    assert_eq!(server.scalar(others).await, before);
    // The other source finds its own.
    let other = server.post("/api/v1/fhir_sources/99002/index_refs").as_user(PAMELA).send().await.expect(200);
    assert_eq!(other.json(), counts(2, 1, 0));
    server.stop().await;
}

#[tokio::test]
async fn indexed_rows_are_not_touched_and_versions_change_with_the_body_only() {
    let server = start().await;
    let plain = json!({"subject": to("Patient/pat-1")});
    import(&server, 99001, "Patient", "pat-1", &json!({})).await;
    import(&server, 99001, "Condition", "done", &plain).await;
    server.execute("UPDATE core_fhirauxresource SET ref_indexed = true WHERE fhir_resource_id = 'done'").await;
    import(&server, 99001, "Condition", "new", &plain).await;
    // Neither a body that is no object nor none at all is in the way.
    import(&server, 99001, "Condition", "list", &json!([1])).await;
    server
        .execute("INSERT INTO core_fhirauxresource (fhir_source_id, resource_type) VALUES (99001, 'Condition')")
        .await;
    let version = async |kind: &str, id: &str| column(&server, "last_updated", kind, id).await;
    let before =
        [version("Patient", "pat-1").await, version("Condition", "done").await, version("Condition", "new").await];
    assert_eq!(run(&server).await, counts(4, 1, 0));
    assert_eq!(body(&server, "Condition", "done").await, plain);
    assert_eq!(body(&server, "Condition", "list").await, json!([1]));
    let after =
        [version("Patient", "pat-1").await, version("Condition", "done").await, version("Condition", "new").await];
    assert_eq!((&before[..2], before[2] == after[2]), (&after[..2], false));
    server.stop().await;
}

#[tokio::test]
async fn the_patient_and_superusers_index_and_nobody_else() {
    let server = start().await;
    import(&server, 99001, "Patient", "pat-1", &json!({})).await;
    import(&server, 99001, "Condition", "cond-1", &json!({"subject": to("Patient/pat-1")})).await;
    let before = server.scalar(ROWS).await;
    let anonymous = server.post(PATH).send().await.expect(401);
    assert_eq!(anonymous.detail(), "Authentication credentials were not provided.");
    for person in [MARY, MEGAN, VICTOR] {
        server.get("/api/v1/fhir_sources/99001").as_user(person).send().await.expect(200);
        let refused = server.post(PATH).as_user(person).send().await.expect(403);
        assert_eq!(refused.detail(), "You do not have permission to perform this action.");
    }
    let told = |reply: Reply| (reply.detail(), reply.headers.get("content-type").cloned());
    let nowhere = server.post("/api/v1/fhir_sources/99999/index_refs").as_user(PETER).send().await.expect(404);
    let nowhere = told(nowhere);
    assert_eq!(nowhere.0, "No FhirSource matches the given query.");
    for person in [PAMELA, PERCY, MARK, NOBODY] {
        let foreign = server.post(PATH).as_user(person).send().await.expect(404);
        assert_eq!(told(foreign), nowhere, "a foreign source is as one that is not there");
    }
    server.get(PATH).as_user(PETER).send().await.expect(405);
    assert_eq!(server.scalar(ROWS).await, before);
    assert_eq!(run(&server).await, counts(2, 1, 0));
    let admin = server.post(&format!("{PATH}/")).as_user(ADMIN).json(&json!({})).send().await.expect(200);
    assert_eq!(admin.json(), counts(0, 0, 0));
    // The source of the demo data: its patient was not imported.
    let demo = server.post("/api/v1/fhir_sources/90001/index_refs").as_user(PETER).send().await.expect(200);
    assert_eq!(demo.json(), counts(3, 0, 3));
    server.post("/api/v1/fhir_sources/90002/index_refs").as_user(PETER).send().await.expect(404);
    server.stop().await;
}

#[tokio::test]
async fn every_run_is_in_the_audit_trail_or_did_not_happen() {
    let server = start().await;
    import(&server, 99001, "Patient", "pat-1", &json!({})).await;
    import(&server, 99001, "Condition", "cond-1", &json!({"subject": to("Patient/pat-1")})).await;
    server
        .execute("ALTER TABLE jhe_audit_event ADD CONSTRAINT broken CHECK (resource <> 'FhirSource') NOT VALID")
        .await;
    let before = server.scalar(ROWS).await;
    let failed = server.post(PATH).as_user(PETER).send().await;
    assert!(!failed.status.is_success());
    assert_eq!(server.scalar(ROWS).await, before, "without an entry nothing is stored");
    server.execute("ALTER TABLE jhe_audit_event DROP CONSTRAINT broken").await;
    let last = "SELECT concat_ws(' ', actor_user_id, action, resource, resource_id, patient_id, rows)
                  FROM jhe_audit_event WHERE resource = 'FhirSource' ORDER BY id DESC LIMIT 1";
    for (ran, told) in [
        (counts(2, 1, 0), "10006 update FhirSource 99001 40001 2"),
        (counts(0, 0, 0), "10006 update FhirSource 99001 40001 0"),
    ] {
        assert_eq!(run(&server).await, ran);
        assert_eq!(server.scalar(last).await, told);
    }
    server.stop().await;
}

#[tokio::test]
async fn imported_resources_go_with_their_source_and_with_their_patient() {
    let server = start().await;
    for (source, id) in [(99001, "a"), (99001, "b"), (99002, "c")] {
        import(&server, source, "Patient", id, &json!({})).await;
    }
    let left = async |source: i64| {
        let sql = format!("SELECT count(*)::text FROM core_fhirauxresource WHERE fhir_source_id = {source}");
        server.scalar(sql.leak()).await
    };
    assert_eq!(left(99001).await, "2");
    server.delete("/api/v1/fhir_sources/99001").as_user(PETER).send().await.expect(204);
    assert_eq!((left(99001).await, left(99002).await), ("0".to_owned(), "1".to_owned()));
    server.delete("/api/v1/patients/40002?organization_id=20003").as_user(MARY).send().await.expect(204);
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_patient WHERE id = 40002").await, "0");
    assert_eq!(
        (left(99002).await, left(90002).await, left(90001).await),
        ("0".to_owned(), "0".to_owned(), "3".to_owned())
    );
    server.stop().await;
}

/// A patient, and conditions about it and about an encounter that is not there.
const MANY: &str = "
    INSERT INTO core_fhirauxresource (fhir_source_id, resource_type, fhir_resource_id, fhir_data)
        SELECT 99001, 'Condition', 'cond-' || n, jsonb_build_object('subject', jsonb_build_object('reference', 'Patient/pat-1'),
            'encounter', jsonb_build_object('reference', 'Encounter/enc-' || n)) FROM generate_series(1, 2499) n;
    INSERT INTO core_fhirauxresource (fhir_source_id, resource_type, fhir_resource_id, fhir_data) VALUES (99001, 'Patient', 'pat-1', '{}')";

/// Conditions that are as they should be.
const RIGHT: &str = "SELECT count(*)::text FROM core_fhirauxresource AS c JOIN core_fhirauxresource AS p
      ON p.fhir_resource_id = 'pat-1' AND p.fhir_source_id = 99001
     WHERE c.resource_type = 'Condition' AND c.ref_indexed AND c.ref_unresolved
       AND c.fhir_data = jsonb_build_object('subject', jsonb_build_object('reference', 'Patient/' || p.id), 'encounter',
           jsonb_build_object('reference', 'not-found:' || replace(c.fhir_resource_id, 'cond', 'enc'), 'extension', jsonb_build_array(
               jsonb_build_object('url', 'https://jupyterhealth.org/fhir/StructureDefinition/upstream-reference',
                                  'valueString', 'Encounter/' || replace(c.fhir_resource_id, 'cond', 'enc')))))";

#[tokio::test]
async fn runs_at_the_same_time_share_the_work_and_count_each_row_once() {
    let server = start().await;
    server.execute(MANY).await;
    let calls: Vec<_> = (0..6)
        .map(|turn| {
            let call = server.post(PATH).as_user(if turn % 2 == 0 { PETER } else { ADMIN });
            tokio::spawn(async move { call.send().await })
        })
        .collect();
    let mut sums = [0; 3];
    for call in calls {
        let reply = call.await.unwrap().expect(200).json();
        for (sum, name) in sums.iter_mut().zip(["rowsIndexed", "refsRewritten", "refsNotFound"]) {
            *sum += reply[name].as_u64().unwrap();
        }
    }
    assert_eq!(sums, [2500, 2499, 2499]);
    assert_eq!(server.scalar(RIGHT).await, "2499");
    // And what waited is found in however many batches.
    server
        .execute(
            "INSERT INTO core_fhirauxresource (fhir_source_id, resource_type, fhir_resource_id, fhir_data)
             SELECT 99001, 'Encounter', 'enc-' || n, '{}' FROM generate_series(1, 2499) n",
        )
        .await;
    assert_eq!(run(&server).await, counts(2499, 2499, 0));
    assert_eq!(run(&server).await, counts(0, 0, 0));
    let waiting = "SELECT count(*)::text FROM core_fhirauxresource WHERE fhir_source_id = 99001 AND (ref_unresolved OR NOT ref_indexed)";
    assert_eq!(server.scalar(waiting).await, "0");
    server.stop().await;
}

#[tokio::test]
async fn large_references_are_taken_a_few_at_a_time() {
    let server = start().await;
    server
        .execute(
            "INSERT INTO core_fhirauxresource (fhir_source_id, resource_type, fhir_data)
             SELECT 99001, 'Condition', jsonb_build_object('subject', jsonb_build_object('reference', 'Patient/pat-1',
                 'display', repeat('x', 3000000))) FROM generate_series(1, 7) n",
        )
        .await;
    import(&server, 99001, "Patient", "pat-1", &json!({})).await;
    assert_eq!(run(&server).await, counts(8, 7, 0));
    let batches =
        "SELECT (count(*) > 1)::text FROM jhe_audit_event WHERE resource = 'FhirSource' AND action = 'update'";
    assert_eq!(server.scalar(batches).await, "true");
    server.stop().await;
}
