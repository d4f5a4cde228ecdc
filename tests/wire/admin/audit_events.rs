//! The audit trail: that nothing is missing from it, who reads it, that a change of it shows, and how long it is kept.

#![expect(clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

use chrono::{DateTime, TimeDelta, Utc};
use jhe_app::audit::Expired;
use jhe_domain::audit::Seal;
use jhe_testkit::{ADMIN, MARK, MARY, MEGAN, NOBODY, PETER, TOM, TestServer, VICTOR, eventually, omh};
use serde_json::{Value, json};

use crate::fhir::HEART_RATE;

const EVENTS: &str = "/api/v1/audit_events";

async fn events(server: &TestServer, person: jhe_testkit::Person, query: &str) -> Vec<Value> {
    let answer = server.get(&format!("{EVENTS}{query}")).as_user(person).send().await.expect(200).json();
    answer["results"].as_array().expect("results").clone()
}

fn summary(event: &Value) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or("-").to_owned();
    format!("{} {} {} {}", text("action"), text("resource"), event["actorUserId"], event["patientIds"])
}

#[tokio::test]
async fn an_answer_comes_after_its_entry() {
    let server = TestServer::start().await;
    let count = "SELECT count(*)::text FROM jhe_audit_event WHERE action = 'read' AND resource = 'Observation'";
    for asked in 1..=5 {
        server
            .get("/fhir/r5/Observation?patient=40001")
            .header("x-request-id", &format!("read-{asked}"))
            .as_user(MARY)
            .send()
            .await
            .expect(200);
        // At once, without waiting for anything.
        assert_eq!(server.scalar(count).await, asked.to_string());
    }
    let row = "SELECT concat_ws(' ', actor_user_id, patient_id, status, request_id, template, host(ip), application_id IS NOT NULL)
                 FROM jhe_audit_event WHERE resource = 'Observation' ORDER BY id DESC LIMIT 1";
    assert_eq!(server.scalar(row).await, "10002 40001 200 read-5 GET /fhir/r5/Observation 127.0.0.1 t");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_whose_entry_cannot_be_stored_is_none() {
    let server = TestServer::start().await;
    server.execute("ALTER TABLE jhe_audit_event ADD CONSTRAINT broken CHECK (action <> 'read') NOT VALID").await;
    let held = server.get("/fhir/r5/Observation?patient=40001").as_user(MARY);
    let answer = tokio::time::timeout(std::time::Duration::from_secs(2), held.send()).await;
    assert!(answer.is_err(), "the answer left without its entry");
    server.execute("ALTER TABLE jhe_audit_event DROP CONSTRAINT broken").await;
    server.get("/fhir/r5/Observation?patient=40001").as_user(MARY).send().await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn refusals_and_whatever_administrators_ask_for_are_recorded() {
    let server = TestServer::start().await;
    server.get("/api/v1/patients/40001").as_user(MARK).send().await.expect(403);
    server.get("/fhir/r5/Observation?patient=40001").as_user(MARK).send().await.expect(403);
    server.get("/api/v1/organizations").as_user(ADMIN).send().await.expect(200);
    let rows = server
        .scalar(
            "SELECT string_agg(concat_ws(' ', action, actor_user_id, status, resource, resource_id, patient_id, template), E'\\n' ORDER BY id)
               FROM jhe_audit_event WHERE action = 'denied' OR resource = 'Request'",
        )
        .await;
    assert_eq!(
        rows.lines().collect::<Vec<_>>(),
        [
            "denied 10008 403 Patient 40001 40001 GET /api/v1/patients/{id}",
            "denied 10008 403 Observation GET /fhir/r5/Observation",
            "read 10001 200 Request GET /api/v1/organizations",
        ]
    );
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_many_names_each_patient_on_it() {
    let server = TestServer::start().await;
    server.get("/fhir/r5/Observation?_has:Group:member:_id=30001").as_user(MARY).send().await.expect(200);
    let shown = server
        .scalar(
            "SELECT array_agg(DISTINCT o.subject_patient_id ORDER BY o.subject_patient_id)::text FROM core_observation AS o
               JOIN jhe_releases AS r ON r.patient_id = o.subject_patient_id AND r.scope_code_id = o.codeable_concept_id
              WHERE r.study_id = 30001",
        )
        .await;
    let told = "SELECT coalesce(patient_ids, ARRAY[patient_id])::text FROM jhe_audit_event WHERE resource = 'Observation' ORDER BY id DESC LIMIT 1";
    assert_eq!(server.scalar(told).await, shown);
    server.stop().await;
}

#[tokio::test]
async fn a_number_is_recorded_like_what_it_counts() {
    let server = TestServer::start().await;
    // What the trail says of a request, and the number that it was answered.
    let ask = async |path: &str, pointer: &str| {
        let number = server.get(path).as_user(MARY).send().await.expect(200).at(pointer);
        let row = "SELECT concat_ws(' ', action, resource, patient_id, organization_id, rows) FROM jhe_audit_event ORDER BY id DESC LIMIT 1";
        (server.scalar(row).await, number)
    };
    let (told, number) = ask("/fhir/r5/Observation?patient=40001&_summary=count", "/total").await;
    assert_eq!(told, format!("read Observation 40001 {number}"));
    let (told, number) = ask("/fhir/r5/Patient?_summary=count", "/total").await;
    assert_eq!(told, format!("read Patient {number}"));
    let (told, number) = ask("/fhir/r5/Patient?patient.organization=20003&_id=40001&_summary=count", "/total").await;
    assert_eq!(told, format!("read Patient 40001 20003 {number}"), "also of whom, where somebody was named");
    let (told, number) = ask("/fhir/r5/Observation?patient.organization=20002,20003&_summary=count", "/total").await;
    assert_eq!(told, format!("read Observation {number}"), "what concerns several is nobody's alone");
    // With rows there is one entry, of them.
    let entries = "SELECT count(*)::text FROM jhe_audit_event WHERE resource = 'Organization'";
    let before: i64 = server.scalar(entries).await.parse().unwrap();
    server.get("/fhir/r5/Organization?_count=2").as_user(ADMIN).send().await.expect(200);
    assert_eq!(server.scalar(entries).await, (before + 1).to_string());
    let (told, number) = ask("/api/v1/patients?limit=0", "/count").await;
    assert_eq!(told, format!("read Patient {number}"));
    server.stop().await;
}

#[tokio::test]
async fn patients_read_who_read_what_of_them_and_under_which_consent() {
    let server = TestServer::start().await;
    server.get("/fhir/r5/Observation?patient=40001").as_user(MARY).send().await.expect(200);
    server.get("/fhir/r5/Observation?patient=40002").as_user(MARY).send().await.expect(200);
    let own = events(&server, PETER, "?resource=Observation&action=read").await;
    assert_eq!(own.iter().map(summary).collect::<Vec<_>>(), ["read Observation 10002 [40001]"]);
    let first = own.first().expect("an entry");
    assert_eq!(first["actorName"], "ManagerMary Miller");
    assert_eq!(first["ip"], Value::Null, "patients are not told addresses of others");
    let held = first["consents"].as_array().expect("consents");
    let expected = server
        .scalar(
            "SELECT count(*)::text FROM jhe_releases AS r JOIN core_practitionerorganization AS m ON m.organization_id = r.organization_id
               JOIN core_practitioner AS p ON p.id = m.practitioner_id AND p.jhe_user_id = 10002 WHERE r.patient_id = 40001",
        )
        .await;
    assert_eq!(held.len().to_string(), expected);
    assert!(held.iter().all(|consent| consent["studyId"].is_i64() && consent["since"].is_string()), "{held:?}");
    // A consent withdrawn later still held then.
    let mut revoke = json!({"studyScopeConsents": []});
    let study = held.first().map(|consent| consent["studyId"].clone());
    let code = server
        .scalar("SELECT coding_system || ' ' || coding_code FROM core_codeableconcept WHERE id = (SELECT min(scope_code_id) FROM jhe_releases WHERE patient_id = 40001 AND study_id = 30001)")
        .await;
    let (system, code) = code.split_once(' ').expect("a code");
    revoke["studyScopeConsents"] = json!([{"studyId": study, "scopeConsents": [{"codingSystem": system, "codingCode": code, "consented": false}]}]);
    server.patch("/api/v1/patients/40001/consents").json(&revoke).as_user(PETER).send().await.expect(200);
    let again = events(&server, PETER, "?resource=Observation&action=read").await;
    assert_eq!(again.first().map(|event| event["consents"].clone()), Some(first["consents"].clone()));
    // Nobody else's.
    assert!(events(&server, PETER, "?patientId=40002").await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn managers_read_the_trail_of_their_organizations_alone() {
    let server = TestServer::start().await;
    server.get("/fhir/r5/Observation?patient=40001").as_user(MARY).send().await.expect(200);
    server.get("/fhir/r5/Observation?patient=40001").as_user(PETER).send().await.expect(200);
    server.get("/api/v1/patients/40001").as_user(ADMIN).send().await.expect(200);
    let told = events(&server, MARY, "?patientId=40001&action=read").await;
    assert_eq!(
        told.iter().map(summary).collect::<Vec<_>>(),
        ["read Patient 10001 [40001]", "read Observation 10006 [40001]", "read Observation 10002 [40001]"]
    );
    assert_eq!(told.last().map(|event| event["ip"].clone()), Some(json!("127.0.0.1")));
    // Nothing of people of other organizations.
    let foreign = events(&server, MARK, "").await;
    assert!(foreign.iter().all(|event| event["patientIds"] != json!([40001])), "{foreign:?}");
    assert!(events(&server, MARK, "?patientId=40001").await.is_empty());
    assert!(events(&server, MARK, "?organizationId=20003").await.is_empty());
    let all = events(&server, ADMIN, "?patientId=40001&action=read").await;
    assert_eq!(all.iter().filter(|event| event["resource"] != "AuditEvent").count(), 3, "{all:?}");
    // Who answers for no organization and is no patient reads nothing.
    for person in [VICTOR, MEGAN, NOBODY] {
        server.get(EVENTS).as_user(person).send().await.expect(403);
    }
    server.get(EVENTS).as_user(TOM).send().await.expect(200);
    server.get(EVENTS).send().await.expect(401);
    let id = all.first().map(|event| event["id"].clone()).expect("an entry");
    server.get(&format!("{EVENTS}/{id}")).as_user(ADMIN).send().await.expect(200);
    server.get(&format!("{EVENTS}/{id}")).as_user(MARK).send().await.expect(404);
    server.stop().await;
}

/// Of a patient whom two organizations look after, the managers of each are told what concerns them: nothing of studies, consents
/// and readings of the other (R1, H-18).
#[tokio::test]
async fn what_concerns_another_organization_is_its_own() {
    let server = TestServer::start().await;
    // Peter belongs to an organization of Mark too, with no study there; Victor works for both.
    server
        .execute(
            "CREATE TEMPORARY VIEW led AS SELECT min(m.organization_id) AS id FROM jhe_leads AS m
               JOIN core_practitioner AS p ON p.id = m.practitioner_id WHERE p.jhe_user_id = 10008;
             INSERT INTO core_patientorganization (patient_id, organization_id, confirmed) SELECT 40001, id, true FROM led;
             INSERT INTO core_practitionerorganization (practitioner_id, organization_id, role)
             SELECT p.id, led.id, 'viewer' FROM core_practitioner AS p, led WHERE p.jhe_user_id = 10004",
        )
        .await;
    let upload = omh::observation(40001, 70001, HEART_RATE, &omh::heart_rate("61"));
    server.post("/fhir/r5/Observation").as_user(PETER).json(&upload).send().await.expect(201);
    for person in [PETER, MARY, VICTOR, ADMIN] {
        server.get("/fhir/r5/Observation?patient=40001").as_user(person).send().await.expect(200);
    }
    server.get("/fhir/r5/Observation/60003").as_user(VICTOR).send().await.expect(200);
    server.get("/api/v1/patients/40001").as_user(VICTOR).send().await.expect(200);
    let consent = json!({"studyScopeConsents": [{"studyId": 30001, "scopeConsents": [
        {"codingSystem": "https://w3id.org/openmhealth", "codingCode": "omh:heart-rate:2.0", "consented": true}]}]});
    server.patch("/api/v1/patients/40001/consents").as_user(PETER).json(&consent).send().await.expect(200);
    let study = json!({"patientIds": [40001]});
    server.delete("/api/v1/studies/30001/patients").as_user(MARY).json(&study).send().await.expect(204);
    server.post("/api/v1/studies/30001/patients").as_user(MARY).json(&study).send().await.expect(201);

    let of = |event: &Value| {
        let readings = if event["resource"] == "Observation" { event["rows"].clone() } else { Value::Null };
        format!("{} {} {} {}", event["action"], event["resource"], event["actorUserId"], readings).replace('"', "")
    };
    let told = async |person| -> Vec<String> {
        events(&server, person, "?patientId=40001")
            .await
            .iter()
            .map(of)
            .filter(|line| !line.contains("AuditEvent"))
            .collect()
    };
    assert_eq!(
        told(MARK).await,
        [
            "read Patient 10004 null",
            "read Observation 10004 null",
            "read Observation 10001 null",
            "read Observation 10004 null"
        ],
        "{:?}",
        events(&server, MARK, "?patientId=40001").await
    );
    let consents: Vec<Value> =
        events(&server, MARK, "?patientId=40001").await.iter().map(|event| event["consents"].clone()).collect();
    assert!(consents.iter().all(|held| held.as_array().is_none_or(Vec::is_empty)), "{consents:?}");
    let exported = server.get("/fhir/r5/AuditEvent?patient=40001").as_user(MARK).send().await.expect(200).text();
    assert!(!exported.contains("30001") && !exported.contains("Observation/6"), "{exported}");
    // An administrator without a name has none.
    let unnamed = events(&server, MARK, "?patientId=40001&actorUserId=10001").await;
    assert!(unnamed.iter().all(|event| event["actorName"].is_null()), "{unnamed:?}");
    // The trail outlives the study.
    server.delete("/api/v1/studies/30001").as_user(MARY).send().await.expect(204);
    let gone = events(&server, MARY, "?organizationId=20003&resource=Study").await;
    assert!(gone.iter().any(|event| event["action"] == "delete" && event["resourceId"] == "30001"), "{gone:?}");
    let own = told(MARY).await;
    for line in ["create StudyPatient 10002 null", "update Consent 10006 null", "read Observation 10002 3"] {
        assert!(own.iter().any(|one| one == line), "{line}: {own:?}");
    }
    server.stop().await;
}

/// Of a page with readings of several patients nobody is told how many were of patients that are none of theirs.
#[tokio::test]
async fn a_page_of_many_tells_each_patient_of_itself_alone() {
    let server = TestServer::start().await;
    server.get("/fhir/r5/Observation?_has:Group:member:_id=30001").as_user(MARY).send().await.expect(200);
    let page = |events: Vec<Value>| {
        let event = events.into_iter().find(|event| event["resource"] == "Observation").expect("an entry");
        (event["patientIds"].clone(), event["patientCount"].clone(), event["rows"].clone())
    };
    assert_eq!(page(events(&server, PETER, "").await), (json!([40001]), json!(1), Value::Null));
    let (patients, count, rows) = page(events(&server, MARY, "").await);
    assert!(
        patients.as_array().is_some_and(|all| json!(all.len()) == count) && rows.is_i64(),
        "{patients} {count} {rows}"
    );
    server.stop().await;
}

#[tokio::test]
async fn the_trail_is_paged_by_its_own_order() {
    let server = TestServer::start().await;
    for _ in 0..7 {
        server.get("/fhir/r5/Observation?patient=40001").as_user(MARY).send().await.expect(200);
    }
    let mut path = format!("{EVENTS}?patientId=40001&resource=Observation&limit=3");
    let mut seen = Vec::new();
    loop {
        let page = server.get(&path).as_user(MARY).send().await.expect(200).json();
        assert!(page.get("count").is_none(), "nothing is counted");
        seen.extend(page["results"].as_array().expect("results").iter().filter_map(|event| event["id"].as_i64()));
        match page["next"].as_str() {
            Some(next) => path = next.strip_prefix(&server.base).expect("our own address").to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 7);
    assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}");
    server.get(&format!("{EVENTS}?cursor=made-up")).as_user(MARY).send().await.expect(404);
    server.get(&format!("{EVENTS}?since=soon")).as_user(MARY).send().await.expect(400);
    assert!(events(&server, MARY, "?since=2999-01-01").await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn the_trail_only_grows() {
    let server = TestServer::start().await;
    server.get("/fhir/r5/Observation?patient=40001").as_user(MARY).send().await.expect(200);
    for change in [
        "UPDATE jhe_audit_event SET rows = 0",
        "DELETE FROM jhe_audit_event",
        "TRUNCATE jhe_audit_event",
        "DELETE FROM jhe_audit_seal",
        "TRUNCATE jhe_audit_seal",
    ] {
        let refused = server.store().execute_raw(change).await;
        assert!(refused.is_err(), "{change}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_server_seals_its_trail_by_itself() {
    let server = TestServer::with(&[("JHE_AUDIT_SEAL_PAUSE", "1")]).await;
    server.get("/fhir/r5/Observation?patient=40001").as_user(MARY).send().await.expect(200);
    let entry = server.scalar("SELECT max(id)::text FROM jhe_audit_event").await;
    let sealed = format!("SELECT (coalesce(max(last_id), 0) >= {entry})::text FROM jhe_audit_seal").leak();
    eventually("the entry is sealed", async || server.scalar(sealed).await == "true").await;
    server.stop().await;
}

/// A server that seals its trail when a test says so.
async fn sealed_by_hand() -> TestServer {
    TestServer::with(&[("JHE_AUDIT_SEAL_PAUSE", "3600")]).await
}

/// Seals what is there. Transactions that other tests have open on the same cluster may hold that up.
async fn sealed(server: &TestServer) -> Seal {
    for _ in 0..2_400 {
        if let Some(seal) = jhe_app::audit::seal(server.app()).await.expect("sealing works") {
            return seal;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("nothing to seal");
}

#[tokio::test]
async fn a_change_behind_the_servers_back_breaks_the_chain() {
    let server = sealed_by_hand().await;
    let read = async || server.get("/fhir/r5/Observation?patient=40001").as_user(MARY).send().await.expect(200);
    let faults = async || {
        jhe_app::audit::verify(server.store(), server.app().identity().sealing(), &[], None)
            .await
            .expect("a verdict")
            .faults
    };
    for _ in 0..3 {
        read().await;
        sealed(&server).await;
    }
    read().await;
    assert_eq!(faults().await, Vec::<String>::new());
    let verdict =
        jhe_app::audit::verify(server.store(), server.app().identity().sealing(), &[], None).await.expect("a verdict");
    let end = verdict.end.clone().expect("a seal");
    assert!(verdict.waiting > 0 && verdict.seals >= 3, "{verdict:?}");
    let unlock = "ALTER TABLE jhe_audit_event DISABLE TRIGGER USER; ALTER TABLE jhe_audit_seal DISABLE TRIGGER USER";
    server.execute(unlock).await;
    // Each alone, and taken back.
    for (change, back) in [
        (
            "UPDATE jhe_audit_event SET resource = resource || '!' WHERE id = (SELECT min(last_id) FROM jhe_audit_seal)",
            "UPDATE jhe_audit_event SET resource = rtrim(resource, '!') WHERE id = (SELECT min(last_id) FROM jhe_audit_seal)",
        ),
        (
            "CREATE TABLE kept AS SELECT * FROM jhe_audit_event WHERE id = (SELECT last_id FROM jhe_audit_seal WHERE seq = 2);
             DELETE FROM jhe_audit_event WHERE id = (SELECT last_id FROM jhe_audit_seal WHERE seq = 2)",
            "INSERT INTO jhe_audit_event OVERRIDING SYSTEM VALUE SELECT * FROM kept",
        ),
        (
            "INSERT INTO jhe_audit_event (action, resource, xact) VALUES ('read', 'Forged', 1)",
            "DELETE FROM jhe_audit_event WHERE resource = 'Forged'",
        ),
        ("UPDATE jhe_audit_seal SET rows = rows + 1 WHERE seq = 2", "UPDATE jhe_audit_seal SET rows = rows - 1 WHERE seq = 2"),
    ] {
        server.execute(change).await;
        assert_ne!(faults().await, Vec::<String>::new(), "{change}");
        server.execute(back).await;
        assert_eq!(faults().await, Vec::<String>::new(), "{back}");
    }
    // The end of chain and trail cut off: the chain alone cannot show it, the log's line can.
    server.execute("DELETE FROM jhe_audit_event WHERE id >= (SELECT first_id FROM jhe_audit_seal ORDER BY seq DESC LIMIT 1); DELETE FROM jhe_audit_seal WHERE seq = (SELECT max(seq) FROM jhe_audit_seal)").await;
    assert_eq!(faults().await, Vec::<String>::new());
    let verdict = jhe_app::audit::verify(server.store(), server.app().identity().sealing(), &[end], None)
        .await
        .expect("a verdict");
    assert_eq!(verdict.faults.len(), 1, "{verdict:?}");
    server.stop().await;
}

#[tokio::test]
async fn the_chain_goes_on_in_another_cluster() {
    let server = sealed_by_hand().await;
    let read = async || server.get("/fhir/r5/Observation?patient=40001").as_user(MARY).send().await.expect(200);
    let faults = async || {
        jhe_app::audit::verify(server.store(), server.app().identity().sealing(), &[], None)
            .await
            .expect("a verdict")
            .faults
    };
    read().await;
    sealed(&server).await;
    // As after a restore into a cluster that has counted fewer transactions: what was written before bears greater numbers.
    server
        .execute(
            "ALTER TABLE jhe_audit_event DISABLE TRIGGER USER; ALTER TABLE jhe_audit_seal DISABLE TRIGGER USER;
             DELETE FROM jhe_audit_seal; UPDATE jhe_audit_event SET xact = xact + 1000000000;
             ALTER TABLE jhe_audit_event ENABLE TRIGGER USER; ALTER TABLE jhe_audit_seal ENABLE TRIGGER USER;
             INSERT INTO jhe_audit_seal (seq, after_id, from_xact, below_xact, rows, first_id, last_id, digest, seal)
                  VALUES (1, 0, 0, 1000000000, 0, 0, 0, sha256(''), '')",
        )
        .await;
    read().await;
    let closing = sealed(&server).await;
    assert!(closing.closes, "{closing:?}");
    read().await;
    let next = sealed(&server).await;
    assert!(!next.closes && next.rows > 0, "{next:?}");
    let told = faults().await;
    // The first seal was made up by this test; all that the server made is right.
    assert_eq!(told, ["seal 1 was changed, or made with another SECRET_KEY"]);
    server.stop().await;
}

async fn faults(server: &TestServer) -> Vec<String> {
    let sealing = server.app().identity().sealing();
    jhe_app::audit::verify(server.store(), sealing, &[], None).await.expect("a verdict").faults
}

async fn expire(server: &TestServer) -> Expired {
    jhe_app::audit::expire(server.app(), None).await.expect("an outcome")
}

/// The present moment of the database, which stamps entries.
async fn database_time(server: &TestServer) -> DateTime<Utc> {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text";
    let micros = server.scalar(sql).await.parse().expect("a number");
    DateTime::from_timestamp_micros(micros).expect("a moment")
}

/// Reads once and seals that, so often.
async fn seal_reads(server: &TestServer, times: usize) {
    const WAITING: &str = "SELECT (count(*) > 0)::text FROM jhe_audit_event WHERE id > (SELECT coalesce(max(last_id), 0) FROM jhe_audit_seal)";
    for _ in 0..times {
        server.get("/fhir/r5/Observation?patient=40001").as_user(MARY).send().await.expect(200);
        while server.scalar(WAITING).await == "true" {
            jhe_app::audit::seal(server.app()).await.expect("sealing works");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

/// The beginning of a trail: the last seal that belongs to it, and how many entries.
struct Old {
    seq: i64,
    rows: i64,
}

/// A server with a trail, of whose beginning the newest entry is 30 days old.
async fn aged(retention: &str) -> (TestServer, Old) {
    let server = sealed_by_hand().await;
    server.set("retention.audit_days", "int", retention).await;
    seal_reads(&server, 3).await;
    let number = async |sql| server.scalar(sql).await.parse().expect("a number");
    let old = Old {
        seq: number("SELECT max(seq)::text FROM jhe_audit_seal").await,
        rows: number("SELECT sum(rows)::text FROM jhe_audit_seal").await,
    };
    let moment = database_time(&server).await;
    seal_reads(&server, 3).await;
    server.clock.advance(moment + TimeDelta::days(30) - server.app().now());
    (server, old)
}

const ENTRIES: &str = "SELECT count(*)::text FROM jhe_audit_event";

#[tokio::test]
async fn entries_go_when_their_time_has_come_and_the_chain_goes_on() {
    // Fewer days than may be: a value from elsewhere than the API.
    let (server, old) = aged("1").await;
    let count = async || server.scalar(ENTRIES).await.parse::<i64>().expect("a number");
    let verify = async |expect: &[(i64, String)]| {
        let sealing = server.app().identity().sealing();
        jhe_app::audit::verify(server.store(), sealing, expect, None).await.expect("a verdict")
    };
    let seal = async |seq: i64| {
        (seq, server.scalar(format!("SELECT seal FROM jhe_audit_seal WHERE seq = {seq}").leak()).await)
    };
    let (first, border, next) = (seal(1).await, seal(old.seq).await, seal(old.seq + 1).await);
    let before = count().await;
    let Expired { rows, fault } = expire(&server).await;
    assert_eq!((rows, fault), (old.rows, None));
    // What was removed is replaced by one entry that says so.
    assert_eq!(count().await, before - old.rows + 1, "younger entries stay");
    let told =
        "SELECT concat_ws(' ', action, resource, actor_user_id, rows) FROM jhe_audit_event ORDER BY id DESC LIMIT 1";
    assert_eq!(server.scalar(told).await, format!("delete AuditEvent {}", old.rows));
    assert_eq!(server.scalar("SELECT min(seq)::text FROM jhe_audit_seal").await, next.0.to_string());
    assert_eq!(expire(&server).await.rows, 0, "what is young stays, however often it is asked");

    seal_reads(&server, 1).await;
    let verdict = verify(&[border, next]).await;
    assert_eq!((verdict.faults, verdict.removed), (Vec::new(), old.rows));
    let verdict = verify(&[first]).await;
    let gone = format!("seal 1 was removed with what it covered; expect one after {}", old.seq);
    assert_eq!(verdict.faults, [gone]);

    // All but the last seal, which the next is bound to, however old it is.
    let last = server.scalar("SELECT max(seq)::text FROM jhe_audit_seal").await;
    server.clock.advance(TimeDelta::days(31));
    assert!(expire(&server).await.rows > 0);
    assert_eq!(server.scalar("SELECT min(seq)::text FROM jhe_audit_seal").await, last);
    seal_reads(&server, 1).await;
    assert_eq!(faults(&server).await, Vec::<String>::new());
    server.stop().await;
}

#[tokio::test]
async fn entries_stay_for_as_long_as_the_setting_says() {
    let (server, old) = aged("31").await;
    assert_eq!(expire(&server).await.rows, 0);
    server.execute("DELETE FROM core_jhesetting WHERE key = 'retention.audit_days'").await;
    server.app().settings().reload().await.expect("the settings are read");
    server.clock.advance(TimeDelta::days(2_150));
    assert_eq!(expire(&server).await.rows, 0, "six years unless said otherwise");
    server.clock.advance(TimeDelta::days(10));
    jhe_app::housekeeping::tidy(server.app()).await;
    let removed = server.scalar("SELECT sum(rows)::text FROM jhe_audit_removal").await;
    assert_eq!(removed, old.rows.to_string(), "with whatever else the server removes by itself");
    let setting = |days: i64| json!({"key": "retention.audit_days", "valueType": "int", "value": days});
    let make = async |days| server.post("/api/v1/jhe_settings").as_user(ADMIN).json(&setting(days)).send().await;
    for days in [29, 0, -1, 36_501] {
        make(days).await.expect(400);
    }
    make(30).await.expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_long_trail_goes_in_several_steps() {
    let server = TestServer::start().await;
    for _ in 0..3 {
        server.execute("INSERT INTO jhe_audit_event (action, resource) SELECT 'read', 'Observation' FROM generate_series(1, 6000)").await;
        seal_reads(&server, 1).await;
    }
    seal_reads(&server, 1).await;
    server.clock.advance(database_time(&server).await + TimeDelta::days(2_200) - server.app().now());
    let Expired { rows, fault } = expire(&server).await;
    assert!(rows >= 18_000 && fault.is_none(), "{rows} {fault:?}");
    let steps = server.scalar("SELECT string_agg(rows::text, ' ' ORDER BY seq) FROM jhe_audit_removal").await;
    let steps: Vec<i64> = steps.split(' ').map(|rows| rows.parse().expect("a number")).collect();
    assert_eq!((steps.len(), steps.last()), (3, Some(&rows)), "no more than a seal of this size at once: {steps:?}");
    seal_reads(&server, 1).await;
    assert_eq!(faults(&server).await, Vec::<String>::new());
    server.stop().await;
}

#[tokio::test]
async fn whoever_removes_entries_by_hand_breaks_the_chain_also_after_a_removal() {
    let (server, old) = aged("30").await;
    // Nothing goes that was not noted in the same transaction (several statements at once are one), nor beyond the note.
    let note = "INSERT INTO jhe_audit_removal (seq, seal, last_id, rows, mac) SELECT seq, seal, last_id, 0, 'made up' FROM jhe_audit_seal WHERE seq = 1";
    for refused in [
        "DELETE FROM jhe_audit_event WHERE id = (SELECT min(id) FROM jhe_audit_event)".to_owned(),
        "DELETE FROM jhe_audit_seal WHERE seq = 1".to_owned(),
        format!("{note}; DELETE FROM jhe_audit_event"),
        format!("{note}; DELETE FROM jhe_audit_seal"),
        format!("{note}; UPDATE jhe_audit_removal SET last_id = 1000000"),
    ] {
        assert!(server.store().execute_raw(refused.clone().leak()).await.is_err(), "{refused}");
    }
    assert!(expire(&server).await.rows > 0);
    let next = old.seq + 1;
    let border = format!("(SELECT last_id FROM jhe_audit_seal WHERE seq = {next})");
    server
        .execute(
            "ALTER TABLE jhe_audit_event DISABLE TRIGGER USER; ALTER TABLE jhe_audit_seal DISABLE TRIGGER USER;
             ALTER TABLE jhe_audit_removal DISABLE TRIGGER USER; CREATE TABLE events AS TABLE jhe_audit_event;
             CREATE TABLE seals AS TABLE jhe_audit_seal; CREATE TABLE removals AS TABLE jhe_audit_removal",
        )
        .await;
    let restore = "TRUNCATE jhe_audit_event, jhe_audit_seal, jhe_audit_removal;
                   INSERT INTO jhe_audit_event OVERRIDING SYSTEM VALUE TABLE events;
                   INSERT INTO jhe_audit_seal TABLE seals; INSERT INTO jhe_audit_removal TABLE removals";
    for tampering in [
        format!("UPDATE jhe_audit_event SET actor_user_id = 10001 WHERE id = {border}"),
        format!("DELETE FROM jhe_audit_event WHERE id = {border}"),
        // More of the beginning, with its seal, with and without a note of it.
        format!("DELETE FROM jhe_audit_event WHERE id <= {border}; DELETE FROM jhe_audit_seal WHERE seq = {next}"),
        format!(
            "INSERT INTO jhe_audit_removal (seq, seal, last_id, rows, mac) SELECT seq, seal, last_id, rows, (SELECT mac FROM removals) FROM jhe_audit_seal WHERE seq = {next};
             DELETE FROM jhe_audit_event WHERE id <= {border}; DELETE FROM jhe_audit_seal WHERE seq = {next}"
        ),
        "DELETE FROM jhe_audit_removal".to_owned(),
        "UPDATE jhe_audit_removal SET rows = rows - 1".to_owned(),
        "DELETE FROM jhe_audit_event; DELETE FROM jhe_audit_seal".to_owned(),
        // As if it had been there all the time.
        "INSERT INTO jhe_audit_event (id, action, resource, xact) OVERRIDING SYSTEM VALUE VALUES (1, 'read', 'Forged', 1)"
            .to_owned(),
    ] {
        server.execute(tampering.clone().leak()).await;
        assert_ne!(faults(&server).await, Vec::<String>::new(), "{tampering}");
        server.execute(restore).await;
        assert_eq!(faults(&server).await, Vec::<String>::new(), "taken back: {tampering}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_was_tampered_with_is_never_removed() {
    let (server, old) = aged("30").await;
    let unlock = "ALTER TABLE jhe_audit_event DISABLE TRIGGER jhe_audit_event_append_only; ALTER TABLE jhe_audit_seal DISABLE TRIGGER jhe_audit_seal_append_only";
    server.execute(unlock).await;
    let before = server.scalar(ENTRIES).await;
    let forge = "UPDATE jhe_audit_event SET actor_user_id = coalesce(actor_user_id, 0) + 1 WHERE id = (SELECT last_id FROM jhe_audit_seal WHERE seq = 1)";
    server.execute(forge).await;
    let Expired { rows, fault } = expire(&server).await;
    assert_eq!(rows, 0);
    assert!(fault.expect("a fault").contains("was changed"));
    assert_eq!(server.scalar(ENTRIES).await, before, "it is evidence");
    server.execute("UPDATE jhe_audit_event SET actor_user_id = nullif(actor_user_id - 1, 0) WHERE id = (SELECT last_id FROM jhe_audit_seal WHERE seq = 1)").await;
    assert_eq!(faults(&server).await, Vec::<String>::new());

    // Seals of an earlier secret cannot be checked, so somebody has to vouch for them.
    let seq = old.seq;
    server
        .execute(format!("UPDATE jhe_audit_seal SET seal = 'of another key ' || seq WHERE seq <= {seq}").leak())
        .await;
    let Expired { rows, fault } = expire(&server).await;
    assert_eq!((rows, fault), (0, Some("seal 1 was changed, or made with another SECRET_KEY".to_owned())));
    let named = (seq, format!("of another key {seq}"));
    let sealing = server.app().identity().sealing();
    let verdict = jhe_app::audit::verify(server.store(), sealing, &[], Some(&named)).await.expect("a verdict");
    // The one after it is bound to what the named one was before this test changed it.
    assert_eq!(verdict.faults, [format!("seal {} was changed, or made with another SECRET_KEY", seq + 1)]);
    let other = (seq, "of another key".to_owned());
    assert!(jhe_app::audit::verify(server.store(), sealing, &[], Some(&other)).await.is_err(), "only the very seal");
    let vouch = async |seal: &str| jhe_app::audit::expire(server.app(), Some(&(seq, seal.to_owned()))).await;
    assert!(vouch("of another key").await.is_err(), "only the very seal");
    assert_eq!(vouch(&format!("of another key {seq}")).await.expect("an outcome").rows, old.rows);
    server.stop().await;
}

#[tokio::test]
async fn the_trail_is_exported_as_fhir() {
    let server = TestServer::start().await;
    server.get("/fhir/r5/Observation?patient=40001").as_user(MARY).send().await.expect(200);
    server.get("/api/v1/patients/40001").as_user(MARK).send().await.expect(403);
    let search = async |person, query: &str| {
        server.get(&format!("/fhir/r5/AuditEvent{query}")).as_user(person).send().await.expect(200).json()
    };
    let count = |bundle: &Value| bundle["entry"].as_array().map_or(0, Vec::len);
    let own = search(PETER, "?action=R").await;
    assert_eq!(count(&own), 1, "{own}");
    let event = &own["entry"][0]["resource"];
    assert_eq!((&event["resourceType"], &event["action"]), (&json!("AuditEvent"), &json!("R")));
    assert_eq!(event["patient"]["reference"], "Patient/40001");
    assert_eq!(event["agent"][0]["who"]["identifier"]["value"], "10002");
    assert!(event["agent"][0].get("networkString").is_none(), "patients are not told addresses of others");
    assert!(event["entity"].as_array().expect("entities").iter().any(|entity| entity["what"]["type"] == "Consent"));
    assert!(own.get("total").is_none(), "nothing is counted");
    let id = event["id"].as_str().expect("an id");
    server.get(&format!("/fhir/r5/AuditEvent/{id}")).as_user(PETER).send().await.expect(200);
    server.get(&format!("/fhir/r5/AuditEvent/{id}")).as_user(MARK).send().await.expect(404);
    assert_eq!(count(&search(PETER, "?date=lt2000").await), 0);
    assert_eq!(count(&search(PETER, "?date=ge2000&action:not=R").await), 1, "what was tried in vain");
    assert_eq!(count(&search(ADMIN, "?action=E").await), 1, "the refusal");
    // What is named must be the caller's, and what cannot be applied is refused.
    for (person, query, status) in [
        (PETER, "patient=40001", 200),
        (PETER, "patient=40002", 403),
        (MARY, "patient=40001", 200),
        (MARY, "patient=40005", 403),
        (MARY, "patient.organization=20008", 403),
        (MARY, "patient.identifier=nosuch", 400),
        (MARY, "patient.name=zz", 400),
        (MARY, "patient.birthdate=1800", 400),
        (MARY, "_has:Group:member:_id=30001", 400),
    ] {
        server.get(&format!("/fhir/r5/AuditEvent?{query}")).as_user(person).send().await.expect(status);
    }
    let forbidden = server.get("/fhir/r5/AuditEvent").as_user(VICTOR).send().await.expect(403);
    assert_eq!(forbidden.at("/resourceType"), "OperationOutcome");
    server
        .post("/fhir/r5/AuditEvent")
        .as_user(ADMIN)
        .json(&json!({"resourceType": "AuditEvent"}))
        .send()
        .await
        .expect(405);
    // Page by page, each once.
    for _ in 0..5 {
        server.get("/fhir/r5/Observation?patient=40001").as_user(MARY).send().await.expect(200);
    }
    let (mut path, mut seen) = ("/fhir/r5/AuditEvent?patient=40001&action=R&_count=2".to_owned(), Vec::new());
    for _ in 0..10 {
        let page = server.get(&path).as_user(PETER).send().await.expect(200).json();
        let entries = page["entry"].as_array().cloned().unwrap_or_default();
        seen.extend(entries.iter().filter_map(|entry| entry["resource"]["id"].as_str().map(str::to_owned)));
        let links = page["link"].as_array().expect("links").clone();
        let Some(next) = links.iter().find(|link| link["relation"] == "next") else { break };
        path = next["url"].as_str().and_then(|url| url.strip_prefix(&server.base)).expect("our own address").to_owned();
    }
    let mut once = seen.clone();
    once.dedup();
    assert!(seen.len() >= 6 && once == seen, "{seen:?}");
    server.stop().await;
}
