//! What a search of observations finds.

use jhe_testkit::{MARY, PETER, TestServer, omh};
use serde_json::json;

use super::{get, ids, total};

async fn found(server: &TestServer, query: &str) -> Vec<i64> {
    let mut found = ids(&get(server, MARY, &format!("Observation?{query}")).await.expect(200));
    found.sort_unstable();
    found
}

#[tokio::test]
async fn patients_are_named_in_every_spelling() {
    let server = TestServer::start().await;
    for query in [
        "patient=40001",
        "patient=Patient/40001",
        "subject=40001",
        "subject=Patient%2F40001",
        "patient:Patient=40001",
        "patient=40001&patient._has:Group:member:_id=30001",
        "patient=40001&_has:Group:member:_id=30001",
        "patient=40001&patient._has:_group:member:_id=30001",
        "patient=40001&patient.organization=20003",
        "patient=40001,40001",
        "patient.family=merritt&patient=40001",
        "patient.family=merr",
        "patient.given=&patient.family=merritt",
    ] {
        assert_eq!(found(&server, query).await, [60003, 60005], "{query}");
    }
    assert_eq!(found(&server, "patient=40001,40002").await.len(), 5);
    assert_eq!(found(&server, "patient=40001&patient=40002").await, Vec::<i64>::new(), "both at once is nobody");
    assert_eq!(
        found(&server, "patient._has:Group:member:_id=30001&code=omh:blood-pressure:4.0&patient=40001").await,
        [60003]
    );
    for (query, code) in [
        ("patient=abc", "value"),
        ("patient=", "required"),
        ("patient=-1", "value"),
        ("foo=bar", "required"),
        ("_count=5", "required"),
    ] {
        assert_eq!(
            get(&server, MARY, &format!("Observation?{query}")).await.expect(400).at("/issue/0/code"),
            code,
            "{query}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_scope_is_asked_of_practitioners_only() {
    let server = TestServer::start().await;
    let text = get(&server, MARY, "Observation").await.expect(400).at("/issue/0/diagnostics");
    assert_eq!(
        text,
        "Request parameter patient._has:Group:member:_id=<study_id> or patient=<patient_id> or patient.identifier=<system>|<value> must be provided."
    );
    assert_eq!(total(get(&server, PETER, "Observation").await), 2);
    assert_eq!(total(get(&server, MARY, "Observation?_lastUpdated=ge2000").await), 5);
    assert_eq!(total(get(&server, MARY, "Observation?_source=https://jupyterhealth.org/jhe").await), 5);
    assert_eq!(total(get(&server, MARY, "Observation?_source=https://elsewhere.example.org").await), 0);
    server.stop().await;
}

#[tokio::test]
async fn codes_are_tokens_of_twin_systems() {
    let server = TestServer::start().await;
    let omh = "https://w3id.org/openmhealth";
    let ieee = "https://w3id.org/ieee1752";
    for (code, expected) in [
        (format!("{omh}|omh:heart-rate:2.0"), 1),
        (format!("{ieee}|omh:heart-rate:2.0"), 1),
        ("omh:heart-rate:2.0".to_owned(), 1),
        ("omh:heart-rate:2.0,omh:blood-pressure:4.0".to_owned(), 2),
        (format!("{omh}|"), 2),
        ("http://loinc.org|omh:heart-rate:2.0".to_owned(), 0),
        ("OMH:HEART-RATE:2.0".to_owned(), 0),
    ] {
        assert_eq!(
            found(&server, &format!("patient=40001&code={}", code.replace('|', "%7C"))).await.len(),
            expected,
            "{code}"
        );
    }
    assert_eq!(found(&server, "patient=40001&code:not=omh:heart-rate:2.0").await, [60003]);
    assert_eq!(
        get(&server, MARY, "Observation?patient=40001&code:text=x").await.expect(400).at("/issue/0/code"),
        "not-supported"
    );
    server.stop().await;
}

#[tokio::test]
async fn times_compare_as_intervals() {
    let server = TestServer::start().await;
    let night = omh::heart_rate("55").replace(
        "\"date_time\":\"2026-04-15T14:30:00Z\"",
        "\"time_interval\":{\"start_date_time\":\"2026-04-14T22:00:00Z\",\"end_date_time\":\"2026-04-15T06:00:00Z\"}",
    );
    let body = omh::observation(40001, 70001, "omh:heart-rate:2.0", &night);
    server.post("/fhir/r5/Observation").as_user(PETER).json(&body).send().await.expect(201);
    for (query, expected) in [
        ("date=ge2026-04-15", 1),
        ("date=sa2026-04-15", 0),
        ("date=eq2026-04-15", 0),
        ("date=2026-04", 1),
        ("date=2026", 1),
        ("date=2025-10", 2),
        ("date=ne2025-10", 1),
        ("date=ge2025-01-01&date=le2025-12-31", 2),
        ("date=lt2000", 0),
        ("date=2025,2026", 3),
    ] {
        assert_eq!(found(&server, &format!("patient=40001&{query}")).await.len(), expected, "{query}");
    }
    for query in ["date=2026-13-01", "date=yesterday", "_lastUpdated=ge-not-a-date"] {
        assert_eq!(
            get(&server, MARY, &format!("Observation?patient=40001&{query}")).await.expect(400).at("/issue/0/code"),
            "value",
            "{query}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn polling_by_last_change_is_exact() {
    let server = TestServer::start().await;
    let reply = get(&server, MARY, "Observation?patient=40001&_sort=_lastUpdated").await.expect(200);
    let last = reply.at("/entry/1/resource/meta/lastUpdated");
    let last = last.as_str().unwrap();
    assert_eq!(found(&server, &format!("patient=40001&_lastUpdated=gt{last}")).await, Vec::<i64>::new());
    assert_eq!(found(&server, &format!("patient=40001&_lastUpdated=ge{last}")).await.len(), 1);
    assert_eq!(found(&server, &format!("patient=40001&_lastUpdated={last}")).await.len(), 1);
    assert_eq!(found(&server, "patient=40001&_lastUpdated=lt2000").await, Vec::<i64>::new());
    server.stop().await;
}

#[tokio::test]
async fn the_other_parameters_filter_too() {
    let server = TestServer::start().await;
    let mut body = super::heart_rate("60");
    body["identifier"] = json!([{"system": "https://phone.example.org/records", "value": "v01"}]);
    body["status"] = json!("preliminary");
    let id: i64 = server
        .post("/fhir/r5/Observation")
        .as_user(PETER)
        .json(&body)
        .send()
        .await
        .expect(201)
        .at("/id")
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(found(&server, "identifier=https://phone.example.org/records%7Cv01").await, [id]);
    assert_eq!(found(&server, "identifier=v01").await, [id]);
    assert_eq!(found(&server, "identifier=%7Cv01").await, Vec::<i64>::new());
    assert_eq!(found(&server, "patient=40001&identifier:not=v01").await, [60003, 60005]);
    assert_eq!(found(&server, "patient=40001&status=preliminary").await, [id]);
    assert_eq!(found(&server, "patient=40001&status:not=preliminary").await, [60003, 60005]);
    assert_eq!(found(&server, "patient=40001&status=amended").await, Vec::<i64>::new());
    assert_eq!(found(&server, "patient=40001&device=Device/70001").await.len(), 3);
    assert_eq!(found(&server, "patient=40001&device=70006").await, Vec::<i64>::new());
    assert_eq!(found(&server, "_id=60003").await, [60003]);
    assert_eq!(found(&server, "_id=60003,60005,not-an-integer").await, [60003, 60005]);
    for nothing in ["not-an-integer", "060003", "%00", "99999999999999999999"] {
        assert_eq!(found(&server, &format!("_id={nothing}")).await, Vec::<i64>::new(), "{nothing}");
    }
    server.execute("INSERT INTO core_patientidentifier (patient_id, system, value) VALUES (40001, 'https://hospital.example.com', 'MRN-12345')").await;
    assert_eq!(found(&server, "patient.identifier=https://hospital.example.com%7CMRN-12345").await.len(), 3);
    assert_eq!(found(&server, "patient.identifier=MRN-12345").await.len(), 3);
    assert_eq!(found(&server, "patient.identifier=other%7CMRN-12345").await, Vec::<i64>::new());
    server.stop().await;
}

#[tokio::test]
async fn unknown_parameters_are_named_or_refused() {
    let server = TestServer::start().await;
    let lenient = get(&server, MARY, "Observation?patient=40001&foo=bar&category=x").await.expect(200);
    assert_eq!(lenient.header("x-jhe-ignored-parameters"), "foo, category");
    let strict = server
        .get("/fhir/r5/Observation?patient=40001&foo=bar")
        .as_user(MARY)
        .header("prefer", "handling=strict")
        .send()
        .await;
    assert_eq!(strict.expect(400).at("/issue/0/code"), "not-supported");
    let outcome = server
        .get("/fhir/r5/Observation?patient=40001&foo=bar")
        .as_user(MARY)
        .header("prefer", "return=OperationOutcome")
        .send()
        .await
        .expect(200);
    assert_eq!(outcome.at("/entry/2/search/mode"), "outcome");
    server.stop().await;
}

#[tokio::test]
async fn hostile_values_are_letters_or_refused() {
    let server = TestServer::start().await;
    let values = [
        "%27",
        "%22%3B--",
        "%00",
        "%25%27%20OR%201=1",
        "%5C",
        "%F0%9F%92%A9",
        "1e999",
        "99999999999999999999",
        "%FF",
        "*",
        "(.*)",
    ];
    for name in [
        "patient",
        "patient.identifier",
        "_has:Group:member:_id",
        "code",
        "date",
        "status",
        "identifier",
        "device",
        "_id",
        "_lastUpdated",
        "_source",
        "_sort",
        "_count",
        "_page",
        "_offset",
        "_cursor",
        "_summary",
        "_elements",
        "_total",
        "patient.family",
    ] {
        for value in values {
            let reply = get(&server, MARY, &format!("Observation?_lastUpdated=ge2000&{name}={value}")).await;
            assert!(reply.status.as_u16() < 500, "{name}={value}: {}", reply.text());
        }
    }
    for name in ["identifier", "family", "name:contains", "birthdate", "email", "phone", "telecom", "_id", "_sort"] {
        for value in values {
            let reply = get(&server, MARY, &format!("Patient?{name}={value}")).await;
            assert!(reply.status.as_u16() < 500, "{name}={value}: {}", reply.text());
        }
    }
    let zero = get(&server, MARY, "Patient?family=a%00b").await.expect(400);
    assert_eq!(
        (zero.at("/issue/0/code"), zero.at("/issue/0/diagnostics")),
        (json!("value"), json!("Invalid value for family: 'a\0b'."))
    );
    for value in values {
        for path in ["Observation", "Patient"] {
            let reply = get(&server, MARY, &format!("{path}/{value}")).await;
            assert!(matches!(reply.status.as_u16(), 400 | 404), "{path}/{value}: {}", reply.text());
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_condition_that_names_nothing_does_not_widen() {
    let server = TestServer::start().await;
    for query in [
        "Patient?identifier=,",
        "Patient?patient=,",
        "Patient?name=,,",
        "Observation?_lastUpdated=ge2000&patient=,",
        "Observation?_lastUpdated=ge2000&patient.identifier=,",
        "Observation?_lastUpdated=ge2000&_has:Group:member:_id=,",
        "Observation?_lastUpdated=ge2000&code=,",
        "Observation?patient=https://evil.example/fhir/r5/Patient/40001",
    ] {
        get(&server, MARY, query).await.expect(400);
    }
    assert_eq!(total(get(&server, MARY, "Patient?_id=,").await), 0);
    let own = format!("Observation?patient={}/fhir/r5/Patient/40001", server.base);
    assert!(total(get(&server, MARY, &own).await) > 0);
    server.stop().await;
}

#[tokio::test]
async fn a_view_is_remembered_when_asked_for() {
    let server = TestServer::start().await;
    let view =
        async || server.get("/api/v1/users/profile").as_user(MARY).send().await.at("/settings/currentFhirResource");
    let path = "/fhir/r5/Observation?patient=40001&category=laboratory&_count=1&_has:Group:member:_id=30001";
    server.get(path).as_user(MARY).send().await.expect(200);
    assert_eq!(view().await, serde_json::Value::Null);
    server.get(path).as_user(MARY).header("x-jhe-remember-view", "1").send().await.expect(200);
    assert_eq!(view().await, "Observation?category=laboratory&patient=40001");
    server
        .get("/fhir/r5/Observation?patient=40005")
        .as_user(MARY)
        .header("x-jhe-remember-view", "1")
        .send()
        .await
        .expect(403);
    assert_eq!(view().await, "Observation?category=laboratory&patient=40001");
    server.stop().await;
}
