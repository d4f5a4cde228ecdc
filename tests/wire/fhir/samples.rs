//! Every sample payload has the outcome that is written beside it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jhe_testkit::{MARY, PETER, Person, Reply, TestServer, VICTOR};
use serde_json::Value;

/// What the samples assume of the demo data: study 30001 requests every data type, Peter consented to all but one.
const FIXTURE: &str = "
    INSERT INTO core_codeableconcept (coding_system, coding_code, text) VALUES
        ('https://w3id.org/openmhealth', 'omh:step-count:3.0', 'Step count'),
        ('https://w3id.org/openmhealth', 'omh:body-weight:2.0', 'Body weight'),
        ('https://w3id.org/openmhealth', 'omh:sleep-duration:2.0', 'Sleep duration'),
        ('https://w3id.org/openmhealth', 'omh:forced-vital-capacity:1.0', 'FVC'),
        ('https://w3id.org/ieee1752', 'ieee:sleep-stage-summary:1.0', 'Sleep stages')
    ON CONFLICT DO NOTHING;
    INSERT INTO core_studyscoperequest (study_id, scope_code_id) SELECT 30001, id FROM core_codeableconcept
    ON CONFLICT DO NOTHING;
    INSERT INTO core_studypatientscopeconsent (study_patient_id, scope_code_id, consented, consented_time)
    SELECT sp.id, k.id, k.coding_code <> 'omh:forced-vital-capacity:1.0', now()
      FROM core_studypatient AS sp, core_codeableconcept AS k WHERE sp.study_id = 30001 AND sp.patient_id = 40001
    ON CONFLICT (study_patient_id, scope_code_id) DO UPDATE SET consented = EXCLUDED.consented;";

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fhir-samples")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn actor(name: &str) -> Person {
    match name {
        "patient1" => PETER,
        "manager" => MARY,
        "viewer" => VICTOR,
        other => panic!("no such actor: {other}"),
    }
}

#[tokio::test]
async fn every_sample_has_its_outcome() {
    let server = TestServer::start().await;
    server.execute(FIXTURE).await;
    let index: Value = serde_json::from_slice(&read("index.json")).unwrap();
    let samples = index["samples"].as_array().unwrap();
    assert!(samples.len() >= 57, "{}", samples.len());
    let mut failures = Vec::new();
    for sample in samples {
        let name = sample["file"].as_str().unwrap();
        server.execute("DELETE FROM core_observation").await;
        let mut call = server.post(sample["request"]["path"].as_str().unwrap());
        for (header, value) in sample["request"]["headers"].as_object().unwrap() {
            call = call.header(header, value.as_str().unwrap());
        }
        let person = actor(sample["request"]["actor"].as_str().unwrap());
        let body = read(name);
        let reply = call.as_user(person).body("application/fhir+json", body.clone()).send().await;
        let stored: i64 = server.scalar("SELECT count(*)::text FROM core_observation").await.parse().unwrap();
        if let Err(fault) = check(&sample["expect"], &reply, stored) {
            failures.push(format!("{name}: {fault}: {}", reply.text()));
        }
        if reply.status == 201 {
            let id = reply.at("/id").as_str().unwrap().to_owned();
            let read = super::get(&server, person, &format!("Observation/{id}")).await.expect(200);
            let sent: Value = serde_json::from_slice(&body).unwrap();
            if document(&sent) != document(&read.json()) {
                failures.push(format!("{name}: the document changed on its way"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    server.stop().await;
}

/// The bytes inside the attachment.
fn document(observation: &Value) -> Vec<u8> {
    let data: String = observation["valueAttachment"]["data"].as_str().unwrap().split_whitespace().collect();
    STANDARD.decode(data).unwrap()
}

fn check(expect: &Value, reply: &Reply, stored: i64) -> Result<(), String> {
    if expect["status"] != reply.status.as_u16() {
        return Err(format!("status {}", reply.status));
    }
    let body = reply.json();
    let issue = &body["issue"][0];
    let says = |expected: &Value, found: &Value, what: &str| match expected.as_str() {
        Some(text) if !found.as_str().unwrap_or_default().contains(text) => Err(format!("{what} is {found}")),
        _ => Ok(()),
    };
    let is = |expected: &Value, found: &Value, what: &str| {
        if expected.is_null() || expected == found { Ok(()) } else { Err(format!("{what} is {found}")) }
    };
    is(&expect["issue_code"], &issue["code"], "issue code")?;
    says(&expect["diagnostics_contains"], &issue["diagnostics"], "diagnostics")?;
    says(&expect["expression_contains"], &issue["expression"][0], "expression")?;
    is(&expect["bundle_type"], &body["type"], "Bundle type")?;
    let entries = body["entry"].as_array().cloned().unwrap_or_default();
    let statuses = expect["entry_status"].as_array().cloned().unwrap_or_default();
    let found: Vec<&Value> = entries.iter().map(|entry| &entry["response"]["status"]).collect();
    if found != statuses.iter().collect::<Vec<_>>() {
        return Err(format!("entries are {found:?}"));
    }
    for (index, text) in expect["entry_diagnostics"].as_array().into_iter().flatten().enumerate() {
        says(text, &entries[index]["response"]["outcome"]["issue"][0]["diagnostics"], "entry diagnostics")?;
    }
    // One row for each thing that was said to be created, and nothing else.
    let created = match reply.status.as_u16() {
        201 => 1,
        _ => statuses.iter().filter(|status| **status == "201 Created").count(),
    };
    let expected = expect["stored"].as_i64().unwrap_or(i64::try_from(created).unwrap());
    if stored != expected {
        return Err(format!("{stored} stored, not {expected}"));
    }
    for note in expect["checks"].as_array().into_iter().flatten() {
        check_note(note.as_str().unwrap(), &body)?;
    }
    Ok(())
}

fn check_note(note: &str, body: &Value) -> Result<(), String> {
    let equal = |pointer: &str, expected: &str| {
        let found = body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if found == expected { Ok(()) } else { Err(format!("{pointer} is {found}")) }
    };
    if let Some(at) = note.strip_prefix("effectiveDateTime=") {
        equal("/effectiveDateTime", at)
    } else if let Some((start, end)) = note.strip_prefix("effectivePeriod=").and_then(|period| period.split_once('/')) {
        equal("/effectivePeriod/start", start).and_then(|()| equal("/effectivePeriod/end", end))
    } else if note == "no effectivePeriod" {
        if body["effectivePeriod"].is_null() { Ok(()) } else { Err(note.to_owned()) }
    } else if note == "status=preliminary on read" {
        equal("/status", "preliminary")
    } else if note.starts_with("effectiveDateTime from the OMH body") {
        equal("/effectiveDateTime", "2026-04-15T14:30:00Z")
    } else {
        Err(format!("unknown check: {note}"))
    }
}
