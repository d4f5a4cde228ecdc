//! Acceptance cases of the contract (FHIR §12) that no other module of this suite holds.

use std::collections::BTreeSet;

use jhe_domain::client::GrantType;
use jhe_testkit::{ADMIN, Call, MARK, MARY, MEGAN, NOBODY, PAMELA, PETER, Person, Reply, TOM, TestServer, VICTOR, omh};
use reqwest::Method;
use serde_json::{Value, json};

use super::{HEART_RATE, get, heart_rate, ids, link, store_many, total};
use crate::oauth::{self, text};

const GLUCOSE: &str = "omh:blood-glucose:4.0";

/// Study 30001 requests every data type and Peter consented to all of them.
const EVERYTHING: &str = "
    INSERT INTO core_studyscoperequest (study_id, scope_code_id) SELECT 30001, id FROM core_codeableconcept
    ON CONFLICT DO NOTHING;
    INSERT INTO core_studypatientscopeconsent (study_patient_id, scope_code_id, consented, consented_time)
    SELECT 1, id, true, now() FROM core_codeableconcept ON CONFLICT DO NOTHING;";

/// An answer without what differs from one Bundle to the next: its id, its time, the address it was asked at.
fn lasting(reply: &Reply) -> Value {
    let mut body = reply.json();
    let members = body.as_object_mut().unwrap();
    if members["resourceType"] == "Bundle" {
        for member in ["id", "link", "meta"] {
            members.remove(member);
        }
    }
    body
}

fn diagnostics(reply: &Reply) -> String {
    reply.at("/issue/0/diagnostics").as_str().unwrap_or_default().to_owned()
}

/// All ids of a search from page to page; the total must stay.
async fn walk(server: &TestServer, person: Person, query: &str) -> Vec<i64> {
    let mut page = get(server, person, query).await.expect(200);
    let all = page.at("/total");
    let mut seen = ids(&page);
    while let Some(next) = link(&page, "next") {
        page = server.get(&next).as_user(person).send().await.expect(200);
        assert_eq!(page.at("/total"), all, "{next}");
        seen.extend(ids(&page));
    }
    seen
}

async fn observations(server: &TestServer) -> i64 {
    server.scalar("SELECT count(*)::text FROM core_observation").await.parse().unwrap()
}

// --- paths ---

/// Links, full addresses and locations are where the caller is, which a proxy tells only when it is a trusted one (P-10).
#[tokio::test]
async fn only_a_trusted_proxy_says_where_the_caller_is() {
    for (proxies, believed) in [("127.0.0.1", true), ("192.0.2.1", false)] {
        let server =
            TestServer::with(&[("JHE_TRUSTED_PROXIES", proxies), ("ALLOWED_HOSTS", "localhost,jhe.test")]).await;
        let origin = if believed { "https://jhe.test" } else { server.base.as_str() };
        let forwarded = |call: Call, host: &str| {
            call.as_user(PETER).header("x-forwarded-proto", "https").header("x-forwarded-host", host)
        };
        let path = "/FHIR/R5/Observation?patient=40001&_count=1";
        let page = forwarded(server.get(path), "jhe.test").send().await.expect(200);
        assert_eq!(link(&page, "self").unwrap(), format!("{origin}{path}"));
        assert!(link(&page, "next").unwrap().starts_with(&format!("{origin}{path}&_cursor=")), "{}", page.text());
        let full = page.at("/entry/0/fullUrl").as_str().unwrap().to_owned();
        assert!(full.starts_with(&format!("{origin}/FHIR/R5/Observation/6")), "{full}");
        let stored = forwarded(server.post("/fhir/Observation"), "jhe.test").json(&heart_rate("60")).send().await;
        let location = stored.expect(201).header("location");
        assert!(location.starts_with(&format!("{origin}/fhir/Observation/6")), "{location}");
        let metadata = forwarded(server.get("/fhir/r5/metadata"), "jhe.test").send().await.expect(200);
        assert_eq!(metadata.at("/implementation/url"), format!("{origin}/fhir/r5/"));
        // A proxy is believed, and what it tells is still checked.
        let evil = forwarded(server.get(path), "evil.example").send().await;
        assert_eq!(evil.status.as_u16(), if believed { 400 } else { 200 });
        server.stop().await;
    }
}

/// A token that has expired is answered like none, but for the challenge (P-05).
#[tokio::test]
async fn an_expired_token_is_no_token() {
    let server = TestServer::start().await;
    let missing = server.get("/fhir/r5/Observation/60003").send().await.expect(401);
    get(&server, MARY, "Observation/60003").await.expect(200);
    server.execute("UPDATE oauth2_provider_accesstoken SET expires = '2026-01-02' WHERE user_id = 10002").await;
    for path in ["Observation?patient=40001", "Observation/60003", "Patient", "Patient/40001", "Bogus", ""] {
        let reply = get(&server, MARY, path).await.expect(401);
        assert_eq!(reply.json(), missing.json(), "{path}");
        let challenge = reply.header("www-authenticate");
        assert!(challenge.starts_with("Bearer realm=\"api\"") && challenge.contains("error=\"invalid_token\""));
    }
    let body = json!({"resourceType": "Bundle", "type": "batch"});
    server.post("/fhir/r5").as_user(MARY).json(&body).send().await.expect(401);
    server.post("/fhir/r5/Observation").as_user(MARY).json(&heart_rate("60")).send().await.expect(401);
    get(&server, MARY, "metadata").await.expect(200);
    get(&server, MARY, ".well-known/smart-configuration").await.expect(200);
    server.stop().await;
}

/// A form means what the same parameters in an address mean, also where it is refused (P-12, F-29).
#[tokio::test]
async fn a_form_is_answered_as_the_address() {
    let server = TestServer::start().await;
    for (path, query) in [
        ("Observation", "patient=40001&_summary=count"),
        ("Observation", "patient=40001"),
        ("Observation", "patient=40001,40002&code=omh:heart-rate:2.0&_sort=-date&_count=1"),
        ("Observation", "patient=40001&status=amended"),
        ("Observation", "patient=40001&_elements=code&foo=bar"),
        ("Observation", "code=omh:heart-rate:2.0"),
        ("Observation", "patient=40005"),
        ("Observation", "patient=abc"),
        ("Patient", "family=merr&_sort=-_id"),
        ("Patient", "_summary=count"),
    ] {
        let asked = get(&server, MARY, &format!("{path}?{query}")).await;
        for at in ["_search", "_search/"] {
            let sent = server
                .post(&format!("/fhir/r5/{path}/{at}"))
                .as_user(MARY)
                .body("application/x-www-form-urlencoded", query)
                .send()
                .await;
            assert_eq!((sent.status, lasting(&sent)), (asked.status, lasting(&asked)), "{path}/{at} {query}");
            let ignored = "x-jhe-ignored-parameters";
            assert_eq!(sent.header(ignored), asked.header(ignored), "{path}/{at} {query}");
        }
    }
    server.stop().await;
}

/// A token that a practitioner's API key got sees what the practitioner sees, no more and no less (P-17).
#[tokio::test]
async fn a_key_sees_what_its_owner_sees() {
    let server = TestServer::start().await;
    let made = server.post("/api/v1/practitioner_clients").as_user(TOM).json(&json!({})).send().await.expect(201);
    let basic = format!("Basic {}", made.at("/key").as_str().unwrap());
    let form = [("grant_type", "client_credentials")];
    let tokens = server.post("/o/token/").header("authorization", &basic).form(&form).send().await.expect(200);
    let access = tokens.at("/access_token").as_str().unwrap().to_owned();
    for (path, status) in [
        ("Observation?_lastUpdated=ge2000", 200),
        ("Observation?_has:Group:member:_id=30004", 200),
        ("Observation?patient.organization=20001", 403),
        ("Observation?patient=40001&_count=1", 200),
        ("Observation", 400),
        ("Patient", 200),
        ("Observation/60007", 200),
        ("Observation/60006", 404),
        ("Patient/40002", 200),
    ] {
        let own = get(&server, TOM, path).await.expect(status);
        let key = server.get(&format!("/fhir/r5/{path}")).bearer(&access).send().await.expect(status);
        assert_eq!(lasting(&key), lasting(&own), "{path}");
    }
    // Tom views organization 20003 and leads another.
    let write = server.post("/fhir/r5/Observation").bearer(&access).json(&heart_rate("60")).send().await.expect(403);
    assert_eq!(diagnostics(&write), "Current user doesn't have access to the Patient.");
    server.stop().await;
}

/// A client without an owner is known but nobody; one whose owner may not sign in is not known (P-18).
#[tokio::test]
async fn a_client_without_an_owner_may_nothing() {
    let server = TestServer::start().await;
    let grants = [GrantType::ClientCredentials];
    let (client, secret) =
        oauth::register(&server, "Pipeline", &grants, &[], |request| request.confidential = true).await;
    let ask = async || {
        let form =
            [("grant_type", "client_credentials"), ("client_id", client.as_str()), ("client_secret", secret.as_str())];
        text(&oauth::token(&server, &form).await.expect(200).json(), "access_token")
    };
    let access = ask().await;
    let bundle = json!({"resourceType": "Bundle", "type": "batch"});
    let paths = ["Observation?patient=40001", "Observation", "Observation/60003", "Patient", "Patient/40001"];
    let mut replies = Vec::new();
    for path in paths {
        replies.push(server.get(&format!("/fhir/r5/{path}")).bearer(&access).send().await);
    }
    replies.push(server.post("/fhir/r5").bearer(&access).json(&bundle).send().await);
    replies.push(server.post("/fhir/r5/Observation").bearer(&access).json(&heart_rate("60")).send().await);
    let form = [("patient", "40001")];
    replies.push(server.post("/fhir/r5/Observation/_search").bearer(&access).form(&form).send().await);
    for reply in replies {
        let reply = reply.expect(403);
        assert_eq!(reply.at("/issue/0/code"), "forbidden");
        assert_eq!(diagnostics(&reply), "You do not have permission to perform this action.");
    }
    server.execute("UPDATE oauth2_provider_application SET user_id = 10002 WHERE name = 'Pipeline'").await;
    let access = ask().await;
    let search = || server.get("/fhir/r5/Observation?patient=40001").bearer(&access).send();
    assert_eq!(total(search().await), 2);
    server.execute("UPDATE core_jheuser SET is_active = false WHERE id = 10002").await;
    assert_eq!(search().await.expect(401).at("/issue/0/code"), "login");
    server.stop().await;
}

/// An id in the form of an outside record's names no row of ours, whatever is asked for it (2.3).
#[tokio::test]
async fn an_outside_id_names_no_row_of_ours() {
    let server = TestServer::start().await;
    let id = "6f1d2c3b-0000-4000-8000-000000000001";
    for kind in ["Observation", "Patient"] {
        for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
            let path = format!("/fhir/r5/{kind}/{id}");
            let reply = server.call(method.clone(), &path).as_user(MARY).send().await.expect(404);
            assert_eq!(diagnostics(&reply), format!("{kind}/{id} not found."), "{method}");
        }
    }
    server.stop().await;
}

// --- envelope and pages ---

/// More rows than a page can hold are seen once each, and a page is never larger than a thousand (S-04, S-06).
#[tokio::test]
async fn more_than_a_thousand_rows_are_seen_once_each() {
    let server = TestServer::start().await;
    for _ in 0..3 {
        store_many(&server, PETER, 350).await;
    }
    let base = "Observation?patient=40001&code=omh:heart-rate:2.0";
    for count in [1000, 333] {
        let seen = walk(&server, MARY, &format!("{base}&_count={count}")).await;
        assert_eq!(seen.len(), 1051, "_count={count}");
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 1051, "_count={count}");
    }
    let page = get(&server, MARY, &format!("{base}&_count=5000")).await.expect(200);
    assert_eq!((page.at("/total"), ids(&page).len()), (json!(1051), 1000));
    let next = link(&page, "next").unwrap();
    assert!(next.contains("&_count=1000&") && !next.contains("5000"), "{next}");
    let rest = server.get(&next).as_user(MARY).send().await.expect(200);
    assert_eq!((ids(&rest).len(), link(&rest, "next")), (51, None));
    server.stop().await;
}

/// A search without matches is a Bundle with all its members (S-05).
#[tokio::test]
async fn nothing_found_is_a_bundle_too() {
    let server = TestServer::start().await;
    for path in [
        "Observation?patient=40001&status=amended",
        "Observation?_id=not-an-integer",
        "Observation?patient=40001&_source=https://elsewhere.example.org",
        "Patient?identifier=E9999",
    ] {
        let body = get(&server, MARY, path).await.expect(200).json();
        let members: BTreeSet<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, BTreeSet::from(["entry", "id", "link", "meta", "resourceType", "total", "type"]), "{path}");
        assert_eq!((&body["resourceType"], &body["type"]), (&json!("Bundle"), &json!("searchset")), "{path}");
        assert_eq!((&body["total"], &body["entry"]), (&json!(0), &json!([])), "{path}");
        let url = format!("{}/fhir/r5/{path}", server.base);
        assert_eq!(body["link"], json!([{"relation": "self", "url": url}]));
        assert!(body["meta"]["lastUpdated"].as_str().unwrap().ends_with('Z'), "{path}");
        assert_eq!(body["id"].as_str().unwrap().len(), 36, "{path}");
    }
    server.stop().await;
}

/// Every match says that it is one, and where it is (S-22).
#[tokio::test]
async fn every_match_says_where_it_is() {
    let server = TestServer::start().await;
    for (path, kind, expected) in
        [("Observation?_lastUpdated=ge2000", "Observation", 5), ("Patient?_count=1", "Patient", 1)]
    {
        let entries = get(&server, MARY, path).await.expect(200).at("/entry");
        let entries = entries.as_array().unwrap();
        assert_eq!(entries.len(), expected);
        for entry in entries {
            assert_eq!(entry["search"], json!({"mode": "match"}));
            let id = entry["resource"]["id"].as_str().unwrap();
            assert_eq!(entry["fullUrl"], format!("{}/fhir/r5/{kind}/{id}", server.base));
            assert_eq!(entry["resource"]["resourceType"], kind);
        }
    }
    server.stop().await;
}

/// An order that means nothing is passed over and named, or refused (S-16); so is a modifier, always (S-21).
#[tokio::test]
async fn an_order_or_modifier_that_means_nothing_is_told() {
    let server = TestServer::start().await;
    store_many(&server, PETER, 3).await;
    let strict = async |query: &str| {
        let path = format!("/fhir/r5/Observation?patient=40001&{query}");
        server.get(&path).as_user(MARY).header("prefer", "handling=strict").send().await
    };
    for sort in ["foo", "date,foo", "-birthdate"] {
        let refused = strict(&format!("_sort={sort}")).await.expect(400);
        assert_eq!(refused.at("/issue/0/code"), "not-supported", "{sort}");
        let lenient = get(&server, MARY, &format!("Observation?patient=40001&_sort={sort}")).await.expect(200);
        assert_eq!(lenient.header("x-jhe-ignored-parameters"), "_sort", "{sort}");
    }
    for sort in ["-_lastUpdated", "-lastUpdated", "-_last_updated"] {
        let page = strict(&format!("_sort={sort}")).await.expect(200);
        let entries = page.at("/entry");
        let version = |entry: &Value| entry["resource"]["meta"]["versionId"].as_str().unwrap().parse::<i64>().unwrap();
        let versions: Vec<i64> = entries.as_array().unwrap().iter().map(version).collect();
        assert!(versions.len() == 5 && versions.is_sorted_by(|a, b| a >= b), "{sort}: {versions:?}");
    }
    for (query, modifier, parameter) in
        [("patient:missing=true", "missing", "patient"), ("patient=40001&code:text=x", "text", "code")]
    {
        let refused = get(&server, MARY, &format!("Observation?{query}")).await.expect(400);
        assert_eq!(refused.at("/issue/0/code"), "not-supported", "{query}");
        let said = format!("Modifier ':{modifier}' is not supported for parameter '{parameter}'.");
        assert_eq!(diagnostics(&refused), said);
    }
    server.stop().await;
}

// --- filters ---

/// Studies of one organization, what they request, who is enrolled and consented, and readings of three patients. The last
/// of them has readings and a consent of a type that the study does not request.
const MATRIX: &str = "
    DELETE FROM core_observation;
    INSERT INTO core_patient (id, name_family) VALUES (41001, 'Pressure');
    INSERT INTO core_patientorganization (patient_id, organization_id) VALUES (41001, 20003);
    INSERT INTO core_study (id, name, description, organization_id)
    VALUES (31001, 'Rate', '', 20003), (31002, 'Pressure', '', 20003), (31003, 'Both', '', 20003);
    INSERT INTO core_studyscoperequest (study_id, scope_code_id)
    VALUES (31001, 50004), (31002, 50002), (31003, 50004), (31003, 50002);
    INSERT INTO core_studypatient (id, study_id, patient_id)
    VALUES (901, 31001, 40001), (902, 31002, 40001), (903, 31003, 40001), (904, 31003, 40002), (905, 31001, 41001);
    INSERT INTO core_studypatientscopeconsent (study_patient_id, scope_code_id, consented, consented_time)
    SELECT v.enrolment, v.scope, true, now() FROM (VALUES (901, 50004), (902, 50002), (903, 50004), (903, 50002),
        (904, 50004), (904, 50002), (905, 50004), (905, 50002)) AS v (enrolment, scope);
    INSERT INTO core_observation (subject_patient_id, codeable_concept_id, omh_data, effective_date_time)
    SELECT v.patient, v.scope, '{}', '2026-01-01' FROM (VALUES (40001, 50004, 2), (40001, 50002, 3), (40001, 50001, 4),
        (40002, 50004, 2), (40002, 50002, 3), (41001, 50002, 5)) AS v (patient, scope, n), generate_series(1, v.n);";

/// A study shows what it requests of those who are enrolled in it and consented to it, and nothing else
/// (F-04 to F-08).
#[tokio::test]
async fn a_study_shows_what_it_requests_and_was_granted() {
    let server = TestServer::start().await;
    server.execute(MATRIX).await;
    let check = async |query: &str, expected: i64| {
        for spelling in ["_has:Group:member:_id", "patient._has:Group:member:_id"] {
            let path = format!("Observation?{}", query.replace("study", spelling));
            assert_eq!(total(get(&server, MARY, &path).await), expected, "{path}");
        }
    };
    check("study=31001", 2).await;
    check("study=31002", 3).await;
    check("study=31003", 10).await;
    check("study=31003&patient=40001", 5).await;
    check("study=31003&patient=40002", 5).await;
    check("study=31003&code=omh:heart-rate:2.0", 4).await;
    check("study=31001&code=omh:blood-pressure:4.0", 0).await;
    check("study=31001&patient=41001", 0).await;
    check("study=31002&patient=40002", 0).await;
    check("study=31001,31002", 5).await;
    check("study=31001&study=31002", 0).await;
    check("patient=41001", 0).await;
    check("patient=40001", 5).await;
    check("patient=40001&code=omh:blood-glucose:4.0", 0).await;
    // Declined in this study, granted in another.
    server.execute("UPDATE core_studypatientscopeconsent SET consented = false WHERE study_patient_id = 903 AND scope_code_id = 50002").await;
    check("study=31003&patient=40001", 2).await;
    check("study=31003", 7).await;
    check("study=31002", 3).await;
    check("patient=40001", 5).await;
    // Enrolled no more.
    server.execute("DELETE FROM core_studypatient WHERE id = 904").await;
    check("study=31003", 2).await;
    check("study=31003&patient=40002", 0).await;
    server.stop().await;
}

/// Peter takes part in a study of another institution as well, with a type of its own and one that both ask for.
const ELSEWHERE: &str = "
    INSERT INTO core_patientorganization (patient_id, organization_id) VALUES (40001, 20007);
    INSERT INTO core_studyscoperequest (study_id, scope_code_id) VALUES (30004, 50004);
    INSERT INTO core_studypatient (id, study_id, patient_id) VALUES (901, 30004, 40001);
    INSERT INTO core_studypatientscopeconsent (study_patient_id, scope_code_id, consented, consented_time)
    VALUES (901, 50003, true, now()), (901, 50004, true, now());
    INSERT INTO core_observation (id, subject_patient_id, codeable_concept_id, omh_data) VALUES (61001, 40001, 50003, '{}');";

/// What a patient grants to a study of one institution is not seen by another one (F-10).
#[tokio::test]
async fn a_grant_reaches_its_own_institution_only() {
    let server = TestServer::start().await;
    server.execute(ELSEWHERE).await;
    let check = async |person: Person, query: &str, expected: i64| {
        assert_eq!(total(get(&server, person, &format!("Observation?{query}")).await), expected, "{person:?} {query}");
    };
    check(MARY, "patient=40001", 2).await;
    check(MARY, "_has:Group:member:_id=30001", 5).await;
    check(MARK, "patient=40001", 2).await;
    check(MARK, "_has:Group:member:_id=30004&patient=40001", 2).await;
    get(&server, MARY, "Observation/61001").await.expect(404);
    get(&server, MARK, "Observation/60003").await.expect(404);
    get(&server, MARK, "Observation/60005").await.expect(200);
    get(&server, MARY, "Observation?_has:Group:member:_id=30004").await.expect(403);
    get(&server, MARK, "Observation?_has:Group:member:_id=30001").await.expect(403);
    // Tom belongs to both; all that is named must hold in one study.
    check(TOM, "patient=40001", 3).await;
    check(TOM, "patient=40001&patient.organization=20003", 2).await;
    check(TOM, "patient=40001&patient.organization=20007", 2).await;
    check(TOM, "_has:Group:member:_id=30004&patient.organization=20003", 0).await;
    // Withdrawn here, it is still granted there.
    server.execute("UPDATE core_studypatientscopeconsent SET consented = false WHERE study_patient_id = 1 AND scope_code_id = 50004").await;
    check(MARY, "patient=40001", 1).await;
    check(MARK, "patient=40001", 2).await;
    check(TOM, "patient=40001", 3).await;
    check(TOM, "patient=40001&patient.organization=20003", 1).await;
    get(&server, MARY, "Observation/60005").await.expect(404);
    get(&server, MARK, "Observation/60005").await.expect(200);
    server.stop().await;
}

/// Rows stored under IEEE 1752.1 are found under the system that clients send for both (F-15).
#[tokio::test]
async fn rows_of_one_system_are_found_under_its_twin() {
    let server = TestServer::start().await;
    server.execute(EVERYTHING).await;
    server.execute("INSERT INTO core_observation (id, subject_patient_id, codeable_concept_id, omh_data) VALUES (61001, 40001, 50014, '{}')").await;
    for (code, found) in [
        ("https://w3id.org/openmhealth%7Cieee:sleep-stage-summary:1.0", true),
        ("https://w3id.org/ieee1752%7Cieee:sleep-stage-summary:1.0", true),
        ("ieee:sleep-stage-summary:1.0", true),
        ("https://w3id.org/ieee1752%7C", true),
        ("http://loinc.org%7Cieee:sleep-stage-summary:1.0", false),
        ("%7Cieee:sleep-stage-summary:1.0", false),
    ] {
        let reply = get(&server, MARY, &format!("Observation?patient=40001&code={code}")).await.expect(200);
        assert_eq!(ids(&reply), if found { vec![61001] } else { vec![] }, "{code}");
        if found {
            assert_eq!(reply.at("/entry/0/resource/code/coding/0/system"), "https://w3id.org/ieee1752");
        }
    }
    server.stop().await;
}

/// A practitioner says whose observations are meant, as long as the site asks for it (F-17, F-18).
#[tokio::test]
async fn whose_observations_are_meant_is_asked_as_the_site_says() {
    let server = TestServer::start().await;
    let empty = ["", "_count=5", "code=omh:heart-rate:2.0", "date=ge2000", "status=final", "patient=", "_id="];
    for query in empty {
        let refused = get(&server, MARY, &format!("Observation?{query}")).await.expect(400);
        assert_eq!(refused.at("/issue/0/code"), "required", "{query}");
        assert!(diagnostics(&refused).ends_with("must be provided."), "{query}");
    }
    for query in ["_lastUpdated=ge2000", "_id=60003", "patient.organization=20003", "identifier=x", "subject=40001"] {
        get(&server, MARY, &format!("Observation?{query}")).await.expect(200);
    }
    server.set("fhir.observation_search_requires_scope", "bool", "false").await;
    for query in empty {
        get(&server, MARY, &format!("Observation?{query}")).await.expect(200);
    }
    for (person, expected) in [(MARY, 5), (TOM, 8), (MARK, 2), (ADMIN, 9), (PETER, 2), (NOBODY, 0)] {
        assert_eq!(total(get(&server, person, "Observation").await), expected, "{person:?}");
    }
    assert_eq!(total(get(&server, MARY, "Observation?code=omh:heart-rate:2.0").await), 2);
    get(&server, MARY, "Observation?patient=40005").await.expect(403);
    server.stop().await;
}

// --- rights ---

/// A patient is known to those who share it, and none of its readings without consent, not even to superusers.
#[tokio::test]
async fn a_shared_patient_shows_no_reading_without_consent() {
    let server = TestServer::start().await;
    server.execute("DELETE FROM core_studypatientscopeconsent WHERE study_patient_id IN (3, 4)").await;
    for person in [MARY, VICTOR, ADMIN] {
        let reply = get(&server, person, "Observation?patient=40002").await.expect(200);
        assert_eq!((reply.at("/total"), ids(&reply)), (json!(0), vec![]), "{person:?}");
        get(&server, person, "Patient/40002").await.expect(200);
        get(&server, person, "Observation/60001").await.expect(404);
        assert_eq!(total(get(&server, person, "Observation?patient=40001").await), 2, "{person:?}");
    }
    assert_eq!(total(get(&server, PAMELA, "Observation").await), 3);
    server.stop().await;
}

/// What is granted or requested again is seen again at once.
#[tokio::test]
async fn what_is_granted_or_requested_again_is_seen_again() {
    let server = TestServer::start().await;
    let seen = async |expected: &[i64]| {
        let mut found = ids(&get(&server, MARY, "Observation?patient=40001").await.expect(200));
        found.sort_unstable();
        assert_eq!(found, expected);
        for id in [60003, 60005] {
            let status = if expected.contains(&id) { 200 } else { 404 };
            get(&server, MARY, &format!("Observation/{id}")).await.expect(status);
        }
    };
    seen(&[60003, 60005]).await;
    server.execute("UPDATE core_studypatientscopeconsent SET consented = false WHERE scope_code_id = 50004").await;
    seen(&[60003]).await;
    server.execute("UPDATE core_studypatientscopeconsent SET consented = true WHERE scope_code_id = 50004").await;
    seen(&[60003, 60005]).await;
    server.execute("DELETE FROM core_studyscoperequest WHERE scope_code_id = 50004").await;
    seen(&[60003]).await;
    server.execute("INSERT INTO core_studyscoperequest (study_id, scope_code_id) VALUES (30001, 50004)").await;
    seen(&[60003, 60005]).await;
    server.stop().await;
}

/// A patient who leaves an organization, or has not agreed to belong to it, is hidden with all its readings.
#[tokio::test]
async fn who_leaves_an_organization_is_hidden_from_it() {
    for (statement, what) in [
        ("DELETE FROM core_patientorganization WHERE patient_id = 40001", "left"),
        ("UPDATE core_patientorganization SET confirmed = false WHERE patient_id = 40001", "has not agreed"),
    ] {
        let server = TestServer::start().await;
        get(&server, MARY, "Patient/40001").await.expect(200);
        server.execute(statement).await;
        for person in [MARY, VICTOR] {
            assert_eq!(total(get(&server, person, "Observation?_id=60003,60005").await), 0, "{what}");
            assert_eq!(total(get(&server, person, "Observation?_has:Group:member:_id=30001").await), 3, "{what}");
            assert_eq!(total(get(&server, person, "Patient").await), 1, "{what}");
            get(&server, person, "Observation/60003").await.expect(404);
            get(&server, person, "Patient/40001").await.expect(404);
            let refused = get(&server, person, "Observation?patient=40001").await.expect(403);
            assert_eq!(diagnostics(&refused), "Current user is not authorized to access Patient/40001.");
        }
        assert_eq!(total(get(&server, ADMIN, "Observation?_id=60003").await), 0, "{what}");
        assert_eq!(total(get(&server, PETER, "Observation").await), 2, "{what}");
        server.stop().await;
    }
}

/// A second organization and a second study of one practitioner that hold the same patient.
const TWICE: &str = "
    INSERT INTO core_patientorganization (patient_id, organization_id) VALUES (40001, 20002);
    INSERT INTO core_study (id, name, description, organization_id) VALUES (31001, 'Second', '', 20002);
    INSERT INTO core_studyscoperequest (study_id, scope_code_id) VALUES (31001, 50004);
    INSERT INTO core_studypatient (id, study_id, patient_id) VALUES (901, 31001, 40001);
    INSERT INTO core_studypatientscopeconsent (study_patient_id, scope_code_id, consented, consented_time)
    VALUES (901, 50004, true, now());";

/// Who is shared in two organizations and enrolled in two studies is one patient with each reading once.
#[tokio::test]
async fn what_is_shared_twice_is_listed_once() {
    let server = TestServer::start().await;
    server.execute(TWICE).await;
    for person in [MARY, ADMIN] {
        for (path, expected) in [
            ("Observation?patient=40001", 2),
            ("Observation?patient=40001&_sort=date", 2),
            ("Observation?patient=40001&_has:Group:member:_id=30001,31001", 2),
            ("Observation?patient=40001&patient.organization=20002,20003", 2),
            ("Observation?_id=60003,60005", 2),
            ("Patient?patient=40001", 1),
            ("Patient?_has:Group:member:_id=30001,31001", 2),
            ("Patient?patient.organization=20002,20003", 2),
            ("Patient?_id=40001,40002", 2),
        ] {
            let reply = get(&server, person, path).await.expect(200);
            let found = ids(&reply);
            assert_eq!((reply.at("/total"), found.len()), (json!(expected), expected), "{person:?} {path}");
            assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), expected, "{person:?} {path}");
        }
    }
    assert_eq!(walk(&server, MARY, "Observation?patient=40001&_count=1").await.len(), 2);
    assert_eq!(walk(&server, MARY, "Patient?_count=1").await.len(), 2);
    server.stop().await;
}

/// A practitioner without memberships finds nothing, and may name nothing.
#[tokio::test]
async fn a_practitioner_without_memberships_finds_nothing() {
    let server = TestServer::start().await;
    assert_eq!(total(get(&server, MEGAN, "Patient").await), 2);
    server.execute("DELETE FROM core_practitionerorganization WHERE practitioner_id = 80003").await;
    for path in ["Patient", "Patient?_id=40001", "Observation?_lastUpdated=ge2000", "Observation?_id=60003"] {
        let reply = get(&server, MEGAN, path).await.expect(200);
        assert_eq!((reply.at("/total"), reply.at("/entry")), (json!(0), json!([])), "{path}");
    }
    for path in
        ["Observation?patient=40001", "Patient?_has:Group:member:_id=30001", "Patient?patient.organization=20003"]
    {
        get(&server, MEGAN, path).await.expect(403);
    }
    get(&server, MEGAN, "Patient/40001").await.expect(404);
    get(&server, MEGAN, "Observation/60003").await.expect(404);
    get(&server, MEGAN, "Observation").await.expect(400);
    server.stop().await;
}

/// Peter is a practitioner as well, with a token of the console beside that of his app.
const DUAL: &str = "
    INSERT INTO core_practitioner (id, jhe_user_id, name_family) VALUES (81001, 10006, 'Merritt');
    INSERT INTO core_practitionerorganization (practitioner_id, organization_id, role) VALUES (81001, 20003, 'viewer');
    INSERT INTO oauth2_provider_accesstoken (token_digest, user_id, application_id, scope, created, expires)
    VALUES (sha256(convert_to('console-of-peter', 'UTF8')), 10006, 4, 'openid email', '2026-01-01', '2099-01-01');";

/// Who is patient and practitioner is the one through a patient client and the other through any other.
#[tokio::test]
async fn an_account_of_both_kinds_is_what_its_client_is_for() {
    let server = TestServer::start().await;
    server.execute(DUAL).await;
    let console = async |path: &str| server.get(&format!("/fhir/r5/{path}")).bearer("console-of-peter").send().await;
    assert_eq!(total(get(&server, PETER, "Observation").await), 2);
    assert_eq!(total(get(&server, PETER, "Patient").await), 1);
    get(&server, PETER, "Observation?patient=40002").await.expect(403);
    get(&server, PETER, "Patient/40002").await.expect(403);
    console("Observation").await.expect(400);
    assert_eq!(total(console("Observation?_lastUpdated=ge2000").await), 5);
    assert_eq!(total(console("Observation?patient=40002").await), 3);
    assert_eq!(total(console("Patient").await), 2);
    console("Patient/40002").await.expect(200);
    // The own record needs consent where it is read as a practitioner.
    server.execute("UPDATE core_studypatientscopeconsent SET consented = false WHERE study_patient_id = 1 AND scope_code_id = 50004").await;
    assert_eq!(total(get(&server, PETER, "Observation").await), 2);
    assert_eq!(total(console("Observation?patient=40001").await), 1);
    console("Observation/60005").await.expect(404);
    server.execute("UPDATE core_studypatientscopeconsent SET consented = true").await;
    // Writing follows the same rule.
    let pamelas = omh::observation(40002, 70001, HEART_RATE, &omh::heart_rate("60"));
    let post = |call: Call, body: &Value| call.json(body).send();
    let app = || server.post("/fhir/r5/Observation").as_user(PETER);
    let site = || server.post("/fhir/r5/Observation").bearer("console-of-peter");
    post(app(), &heart_rate("60")).await.expect(201);
    let refused = post(app(), &pamelas).await.expect(403);
    assert_eq!(diagnostics(&refused), "The Subject Patient does not match the current user.");
    let refused = post(site(), &heart_rate("60")).await.expect(403);
    assert_eq!(diagnostics(&refused), "Current user doesn't have access to the Patient.");
    server.execute("UPDATE core_practitionerorganization SET role = 'member' WHERE practitioner_id = 81001").await;
    post(site(), &pamelas).await.expect(201);
    server.stop().await;
}

// --- representation ---

/// An observation names its version, and is not sent again to who has it.
#[tokio::test]
async fn an_observation_is_not_sent_to_who_has_it() {
    let server = TestServer::start().await;
    let path = "/fhir/r5/Observation/60003";
    let ask = |name: &str, value: &str| server.get(path).as_user(MARY).header(name, value).send();
    let whole = server.get(path).as_user(MARY).send().await.expect(200);
    let (tag, modified) = (whole.header("etag"), whole.header("last-modified"));
    assert_eq!(tag, format!("W/\"{}\"", whole.at("/meta/versionId").as_str().unwrap()));
    let listed = format!("W/\"1\", {tag}");
    for (name, value) in [
        ("if-none-match", tag.as_str()),
        ("if-none-match", "*"),
        ("if-none-match", listed.as_str()),
        ("if-modified-since", modified.as_str()),
        ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT"),
    ] {
        let reply = ask(name, value).await.expect(304);
        assert!(reply.bytes.is_empty() && reply.header("etag") == tag, "{name}: {value}");
    }
    for (name, value) in [
        ("if-none-match", "W/\"1\""),
        ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("if-modified-since", "yesterday"),
    ] {
        assert_eq!(ask(name, value).await.expect(200).json(), whole.json(), "{name}: {value}");
    }
    let head = server.call(Method::HEAD, path).as_user(MARY).send().await.expect(200);
    assert!(head.bytes.is_empty() && head.header("etag") == tag && head.header("last-modified") == modified);
    // Who may not read it learns nothing of its version.
    let denied = server.get(path).as_user(MARK).header("if-none-match", &tag).send().await.expect(404);
    assert!(denied.header("etag").is_empty());
    server.execute("UPDATE core_observation SET status = 'amended' WHERE id = 60003").await;
    let changed = ask("if-none-match", &tag).await.expect(200);
    assert!(changed.at("/status") == "amended" && changed.header("etag") != tag);
    let search = get(&server, MARY, "Observation?_id=60003").await.expect(200);
    assert!(search.header("etag").is_empty());
    server.stop().await;
}

/// The names of all members, at any depth.
fn names(value: &Value, into: &mut BTreeSet<String>) {
    if let Some(members) = value.as_object() {
        into.extend(members.keys().cloned());
    }
    let below: Vec<&Value> = match value {
        Value::Object(members) => members.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    for value in below {
        names(value, into);
    }
}

/// What is sent has FHIR's members and no others.
#[tokio::test]
async fn no_member_is_a_stranger_to_fhir() {
    let server = TestServer::start().await;
    let mut body = heart_rate("60");
    body["identifier"] = json!([{"system": "https://phone.example.org", "value": "r-1"}]);
    server.post("/fhir/r5/Observation").as_user(PETER).json(&body).send().await.expect(201);
    let mut found = BTreeSet::new();
    for path in ["Observation?patient=40001,40002", "Patient", "Observation?patient=40001&_summary=true"] {
        names(&get(&server, MARY, path).await.expect(200).json(), &mut found);
    }
    for path in ["Observation/60003", "Patient/40001", "Observation/999999", "Observation", "Observation?patient=40005"]
    {
        names(&get(&server, MARY, path).await.json(), &mut found);
    }
    let known = [
        "birthDate",
        "code",
        "coding",
        "contentType",
        "data",
        "device",
        "diagnostics",
        "display",
        "effectiveDateTime",
        "effectivePeriod",
        "end",
        "entry",
        "expression",
        "family",
        "fullUrl",
        "given",
        "id",
        "identifier",
        "issue",
        "issued",
        "lastUpdated",
        "link",
        "meta",
        "mode",
        "name",
        "reference",
        "relation",
        "resource",
        "resourceType",
        "search",
        "severity",
        "source",
        "start",
        "status",
        "subject",
        "system",
        "tag",
        "telecom",
        "total",
        "type",
        "url",
        "use",
        "value",
        "valueAttachment",
        "versionId",
    ];
    let strange: Vec<&String> = found.iter().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(strange.is_empty(), "{strange:?}");
    server.stop().await;
}

// --- create ---

/// An Open mHealth document of a type, around a body.
fn document(code: &str, body: &Value) -> String {
    let parts: Vec<&str> = code.split(':').collect();
    let header = json!({
        "uuid": "09532218-b07f-44c9-84aa-f11d2368c1f6",
        "schema_id": {"namespace": parts[0], "name": parts[1], "version": parts[2]},
        "source_creation_date_time": "2026-04-15T07:31:05-07:00",
        "modality": "sensed",
        "external_datasheets": [{"datasheet_type": "manufacturer", "datasheet_reference": "iHealth"}]
    });
    json!({"header": header, "body": body}).to_string()
}

/// An observation of Peter's around a body that says when it was.
fn reading(code: &str, mut body: Value) -> Value {
    body["effective_time_frame"] = json!({"date_time": "2026-04-15T07:30:00-07:00"});
    omh::observation(40001, 70001, code, &document(code, &body))
}

async fn post(server: &TestServer, person: Person, body: &Value) -> Reply {
    server.post("/fhir/r5/Observation").as_user(person).json(body).send().await
}

/// Values of the schemas' lists are stored, others are named; a data sheet is any text (CR-14, CR-15, CR-16, CR-18).
#[tokio::test]
async fn what_a_schema_lists_is_stored_and_the_rest_is_named() {
    let server = TestServer::start().await;
    server.execute(EVERYTHING).await;
    let glucose = |member: &str, value: &str| {
        let mut body = json!({"blood_glucose": {"value": 104, "unit": "mg/dL"}});
        body[member] = json!(value);
        reading(GLUCOSE, body)
    };
    let rate = |relation: &str| {
        let relation = json!(relation);
        let rate = json!({"value": 58, "unit": "beats/min"});
        reading(HEART_RATE, json!({"heart_rate": rate, "temporal_relationship_to_physical_activity": relation}))
    };
    let lungs = |code: &str, name: &str, unit: &str| {
        let mut body = json!({});
        body[name] = json!({"value": 4.1, "unit": unit});
        reading(code, body)
    };
    let vital = ("omh:forced-vital-capacity:1.0", "forced_vital_capacity");
    let second = ("omh:forced-expiratory-volume-1-second:1.0", "forced_expiratory_volume_1_second");
    let meal = "temporal_relationship_to_meal";
    let mut stored = 0;
    for (body, named) in [
        (glucose(meal, "fasting"), ""),
        (glucose(meal, "not fasting"), ""),
        (glucose(meal, "before meal"), ""),
        (glucose(meal, "after meal"), ""),
        (glucose(meal, "2 hours postprandial"), ""),
        (glucose(meal, "unknown"), "unknown"),
        (glucose("specimen_source", "interstitial fluid"), ""),
        (glucose("specimen_source", "blood"), "blood"),
        (rate("at rest"), ""),
        (rate("active"), ""),
        (rate("before exercise"), ""),
        (rate("after exercise"), ""),
        (rate("during exercise"), ""),
        (rate("asleep"), "asleep"),
        (lungs(vital.0, vital.1, "L"), ""),
        (lungs(vital.0, vital.1, "mL"), "mL"),
        (lungs(second.0, second.1, "L"), ""),
        (lungs(second.0, second.1, "mL"), "mL"),
    ] {
        let before = observations(&server).await;
        let reply = post(&server, PETER, &body).await;
        if named.is_empty() {
            reply.expect(201);
            stored += 1;
            assert_eq!(observations(&server).await, before + 1);
        } else {
            let reply = reply.expect(422);
            assert_eq!(reply.at("/issue/0/code"), "invalid");
            assert!(diagnostics(&reply).contains(&format!("\"{named}\"")), "{}", reply.text());
            assert_eq!(reply.at("/issue/0/expression/0"), "Observation.valueAttachment.data");
            assert_eq!(observations(&server).await, before);
        }
    }
    assert_eq!(stored, 13);
    server.stop().await;
}

/// A reading comes from a device, of a patient or of a clinic, and from nothing else (CR-08).
#[tokio::test]
async fn a_reading_comes_from_a_device() {
    let server = TestServer::start().await;
    let with = |device: Value| {
        let mut body = heart_rate("60");
        body["device"] = device;
        body
    };
    for id in ["70001", "70006"] {
        let stored = post(&server, PETER, &with(json!({"reference": format!("Device/{id}")}))).await.expect(201);
        assert_eq!(stored.at("/device/reference"), format!("Device/{id}"));
    }
    for (device, code, said) in [
        (json!({"reference": "70001"}), "value", "Device is required and must be a reference"),
        (json!({"reference": "DataSource/70001"}), "value", "Device is required and must be a reference"),
        (json!({"display": "a watch"}), "required", "Device is required and must be a reference"),
        (json!({"reference": "Device/70005"}), "not-found", "Device Data Source id=70005 can not be found."),
        (json!({"reference": "Device/99999"}), "not-found", "Device Data Source id=99999 can not be found."),
        (json!({"reference": "Device/abc"}), "not-found", "Device Data Source id=abc can not be found."),
    ] {
        let refused = post(&server, PETER, &with(device.clone())).await.expect(400);
        assert_eq!(refused.at("/issue/0/code"), code, "{device}");
        assert!(diagnostics(&refused).starts_with(said), "{}", refused.text());
    }
    server.stop().await;
}

/// A type that is registered, requested and granted needs a schema all the same (CR-30).
#[tokio::test]
async fn a_type_without_a_schema_is_not_stored() {
    let server = TestServer::start().await;
    server.execute("INSERT INTO core_codeableconcept (coding_system, coding_code, text) VALUES ('https://w3id.org/openmhealth', 'omh:mood:1.0', 'Mood')").await;
    server.execute(EVERYTHING).await;
    let before = observations(&server).await;
    let reply = post(&server, PETER, &reading("omh:mood:1.0", json!({"mood": "fine"}))).await.expect(422);
    assert_eq!(reply.at("/issue/0/code"), "not-supported");
    assert_eq!(diagnostics(&reply), "No JSON schema is installed for omh:mood:1.0.");
    assert_eq!(observations(&server).await, before);
    server.stop().await;
}

/// The sender's time counts where the document has none (CR-23).
#[tokio::test]
async fn the_senders_time_counts_where_the_document_has_none() {
    let server = TestServer::start().await;
    server.execute(EVERYTHING).await;
    let code = "omh:rr-interval:1.0";
    let interval = json!({"rr_interval": {"value": 812, "unit": "ms"}});
    let period = json!({"start": "2026-04-15T14:00:00Z", "end": "2026-04-15T15:00:00Z"});
    for (member, sent, at, spell) in [
        ("effectiveDateTime", json!("2026-04-15T07:41:30-07:00"), json!("2026-04-15T14:41:30Z"), Value::Null),
        ("effectiveDateTime", json!("2026-04-15"), json!("2026-04-15T00:00:00Z"), Value::Null),
        ("effectiveInstant", json!("2026-04-15T14:41:30Z"), json!("2026-04-15T14:41:30Z"), Value::Null),
        ("effectivePeriod", period.clone(), Value::Null, period.clone()),
        (
            "effectivePeriod",
            json!({"start": "2026-04-15T14:00:00Z"}),
            Value::Null,
            json!({"start": "2026-04-15T14:00:00Z"}),
        ),
        ("language", json!("en"), Value::Null, Value::Null),
    ] {
        let mut body = omh::observation(40001, 70001, code, &document(code, &interval));
        body[member] = sent.clone();
        let stored = post(&server, PETER, &body).await.expect(201);
        let read = get(&server, MARY, &format!("Observation/{}", stored.at("/id").as_str().unwrap())).await.expect(200);
        for reply in [stored, read] {
            assert_eq!(
                (reply.at("/effectiveDateTime"), reply.at("/effectivePeriod")),
                (at.clone(), spell.clone()),
                "{sent}"
            );
        }
        // Where the document has one, that one counts.
        let mut body = reading(code, interval.clone());
        body[member] = sent;
        let stored = post(&server, PETER, &body).await.expect(201);
        assert_eq!(stored.at("/effectiveDateTime"), "2026-04-15T14:30:00Z");
        assert_eq!(stored.at("/effectivePeriod"), Value::Null);
    }
    assert_eq!(
        total(get(&server, MARY, "Observation?patient=40001&code=omh:rr-interval:1.0&date=2026-04-15").await),
        10
    );
    server.stop().await;
}

/// Bytes as one block that is not compressed (RFC 1951 §3.2.4).
fn block(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let last: &[u8] = &[1];
    [last, &length.to_le_bytes(), &(!length).to_le_bytes(), bytes].concat()
}

/// RFC 1952.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    let length = u32::try_from(bytes.len()).unwrap();
    let head: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    [head, &block(bytes), &(!crc).to_le_bytes(), &length.to_le_bytes()].concat()
}

/// RFC 1950, which HTTP calls deflate.
fn deflate(bytes: &[u8]) -> Vec<u8> {
    let (low, high) = bytes.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    let head: &[u8] = &[0x78, 0x01];
    [head, &block(bytes), &((high << 16) | low).to_be_bytes()].concat()
}

/// RFC 8878, as one raw block; for 256 bytes and more.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    let size = u16::try_from(length - 256).unwrap();
    let head: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd, 0x60];
    [head, &size.to_le_bytes(), &((length << 3) | 1).to_le_bytes()[..3], bytes].concat()
}

/// Compressed uploads are stored as what they decode to, which is also what the limit counts (1.3, R28).
#[tokio::test]
async fn compressed_uploads_are_what_they_decode_to() {
    let server = TestServer::with(&[("MAX_BODY_BYTES", "4000")]).await;
    let send = |path: &str, coding: &str, bytes: Vec<u8>| {
        server
            .post(&format!("/fhir/r5{path}"))
            .as_user(PETER)
            .header("content-encoding", coding)
            .body("application/fhir+json", bytes)
            .send()
    };
    let single = heart_rate("61");
    let entry = json!({"resource": heart_rate("62"), "request": {"method": "POST", "url": "Observation"}});
    let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry]}).to_string();
    let codings: [(&str, fn(&[u8]) -> Vec<u8>); 5] =
        [("gzip", gzip), ("GZip", gzip), ("deflate", deflate), ("zstd", zstd), ("identity", <[u8]>::to_vec)];
    for (coding, encode) in codings {
        let reply = send("/Observation", coding, encode(single.to_string().as_bytes())).await.expect(201);
        assert_eq!(reply.at("/valueAttachment/data"), single["valueAttachment"]["data"], "{coding}");
        let reply = send("", coding, encode(bundle.as_bytes())).await.expect(200);
        assert_eq!(reply.at("/entry/0/response/status"), "201 Created", "{coding}");
        let long = format!("{}{}", " ".repeat(4000), single);
        let refused = send("/Observation", coding, encode(long.as_bytes())).await.expect(413);
        assert_eq!(diagnostics(&refused), "Request body exceeds 4000 bytes.", "{coding}");
        // A search form is a body, too.
        let form = format!("patient=40001&_summary=count{}", "&_format=json".repeat(30));
        let call = server.post("/fhir/r5/Observation/_search").as_user(PETER).header("content-encoding", coding);
        let found = call.body("application/x-www-form-urlencoded", encode(form.as_bytes())).send().await;
        assert!(total(found) > 2, "{coding}");
    }
    // A few bytes that decode to a hundred thousand blanks.
    let head: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    let bomb = [head, &100_000_u32.to_le_bytes(), &((100_000_u32 << 3) | 3).to_le_bytes()[..3], b" "].concat();
    send("/Observation", "zstd", bomb).await.expect(413);
    // What is not what it says it is.
    for (coding, bytes) in [("gzip", b"plain".to_vec()), ("zstd", gzip(b"{}")), ("deflate", Vec::new())] {
        let refused = send("/Observation", coding, bytes).await.expect(400);
        assert_eq!(refused.at("/resourceType"), "OperationOutcome", "{coding}");
    }
    server.stop().await;
}

// --- bundles ---

fn bundle(kind: &str, resources: Vec<Value>) -> Value {
    let entry = |resource: Value| json!({"resource": resource, "request": {"method": "POST", "url": "Observation"}});
    json!({"resourceType": "Bundle", "type": kind, "entry": resources.into_iter().map(entry).collect::<Vec<_>>()})
}

fn identified(value: &str) -> Value {
    let mut body = heart_rate("60");
    body["identifier"] = json!([{"system": "https://phone.example.org", "value": value}]);
    body
}

/// An upload with identifiers may be repeated: the second time everything is there already (BU-14).
#[tokio::test]
async fn an_upload_that_is_repeated_stores_nothing_twice() {
    let server = TestServer::start().await;
    for kind in ["batch", "transaction"] {
        let resources = (0..10).map(|n| identified(&format!("{kind}-{n}"))).collect();
        let body = bundle(kind, resources);
        let send = || server.post("/fhir/r5").as_user(PETER).json(&body).send();
        let before = observations(&server).await;
        let first = send().await.expect(200).at("/entry");
        assert!(first.as_array().unwrap().iter().all(|entry| entry["response"]["status"] == "201 Created"));
        assert_eq!(observations(&server).await, before + 10);
        let second = send().await;
        if kind == "batch" {
            let entries = second.expect(200).at("/entry");
            assert_eq!(entries.as_array().unwrap().len(), 10);
            for entry in entries.as_array().unwrap() {
                assert_eq!(entry["response"]["status"], "409 Conflict");
                assert_eq!(entry["response"]["outcome"]["issue"][0]["code"], "duplicate");
                assert!(entry.get("resource").is_none());
            }
        } else {
            assert_eq!(second.expect(409).at("/issue").as_array().unwrap().len(), 10);
        }
        assert_eq!(observations(&server).await, before + 10);
    }
    server.stop().await;
}

/// The caller chooses how much comes back of a Bundle; each stored entry tells its version (5.2).
#[tokio::test]
async fn each_entry_tells_its_version_and_as_much_as_was_asked_for() {
    let server = TestServer::start().await;
    let mut refused = heart_rate("60");
    refused.as_object_mut().unwrap().remove("status");
    let body = bundle("batch", vec![heart_rate("60"), refused, heart_rate("61")]);
    for prefer in ["", "return=minimal", "return=representation", "return=OperationOutcome"] {
        let reply =
            server.post("/fhir/r5").as_user(PETER).header("prefer", prefer).json(&body).send().await.expect(200);
        assert_eq!(reply.header("preference-applied"), prefer);
        let entries = reply.at("/entry");
        for index in [0_usize, 2] {
            let (response, resource) = (&entries[index]["response"], &entries[index]["resource"]);
            assert_eq!(response["status"], "201 Created");
            let location = response["location"].as_str().unwrap();
            let read = get(&server, PETER, location).await.expect(200);
            assert_eq!(response["etag"], read.header("etag"), "{prefer}");
            assert_eq!(response["lastModified"], read.at("/meta/lastUpdated"), "{prefer}");
            match prefer {
                "" => {
                    assert_eq!((&resource["id"], &resource["status"]), (&read.at("/id"), &json!("final")));
                    assert_eq!(resource["code"], read.at("/code"));
                    assert_eq!(resource["meta"]["tag"][0]["code"], "SUBSETTED");
                    assert!(resource.get("valueAttachment").is_none() && resource.get("subject").is_none());
                }
                "return=representation" => assert_eq!(*resource, read.json()),
                "return=minimal" => assert!(resource.is_null() && response.get("outcome").is_none()),
                _ => assert_eq!(response["outcome"]["issue"][0]["severity"], "information"),
            }
        }
        // A failure says what it is, whatever was preferred.
        let response = &entries[1]["response"];
        assert_eq!(response["status"], "400 Bad Request", "{prefer}");
        assert_eq!(response["outcome"]["issue"][0]["severity"], "error", "{prefer}");
        assert!(response.get("etag").is_none() && response.get("location").is_none(), "{prefer}");
    }
    server.stop().await;
}

/// An entry that asks for anything but a create is refused alone and stores nothing (BU-05).
#[tokio::test]
async fn an_entry_only_creates() {
    let server = TestServer::start().await;
    let before = observations(&server).await;
    let entry =
        |method: &str, url: &str| json!({"resource": heart_rate("60"), "request": {"method": method, "url": url}});
    let absolute = format!("{}/FHIR/R5/Observation", server.base);
    let entries = json!([
        entry("GET", "Observation"),
        entry("PUT", "Observation/60003"),
        entry("DELETE", "Observation/60003"),
        entry("POST", "Patient"),
        entry("POST", "https://elsewhere.example.org/fhir/r5/Observation"),
        entry("POST", "Observation/"),
        entry("POST", &absolute),
    ]);
    let body = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
    let reply = server.post("/fhir/r5").as_user(PETER).json(&body).send().await.expect(200).at("/entry");
    let statuses: Vec<&str> =
        reply.as_array().unwrap().iter().map(|entry| entry["response"]["status"].as_str().unwrap()).collect();
    assert_eq!(statuses[..5], ["400 Bad Request"; 5]);
    assert_eq!(statuses[5..], ["201 Created"; 2]);
    for index in 0..3_usize {
        let said = &reply[index]["response"]["outcome"]["issue"][0]["diagnostics"];
        assert_eq!(said, "Only POST/Create method supported.");
    }
    assert_eq!(observations(&server).await, before + 2);
    get(&server, PETER, "Observation/60003").await.expect(200);
    server.stop().await;
}

// --- outside sources, discovery ---

/// The header that names an outside source for what is written means nothing to what is read.
#[tokio::test]
async fn a_source_header_means_nothing_to_reading() {
    let server = TestServer::start().await;
    for path in ["Observation?patient=40001", "Observation/60003", "Patient", "Patient/40001", "Patient/999"] {
        let plain = get(&server, MARY, path).await;
        for source in ["90001", "777", "bogus", "", "90001, 90002"] {
            let call = server.get(&format!("/fhir/r5/{path}")).as_user(MARY);
            let named = call.header("x-jhe-fhir-source-id", source).send().await;
            assert_eq!((named.status, lasting(&named)), (plain.status, lasting(&plain)), "{path} {source}");
        }
    }
    let form = [("patient", "40001")];
    let search = server.post("/fhir/r5/Observation/_search").as_user(MARY).header("x-jhe-fhir-source-id", "bogus");
    assert_eq!(total(search.form(&form).send().await), 2);
    server.stop().await;
}

/// What the capability document says is there, and what it does not say is not (D-03).
#[tokio::test]
async fn the_capability_document_says_what_is_routed() {
    let server = TestServer::start().await;
    let document = server.get("/fhir/r5/metadata").send().await.expect(200).json();
    let call =
        async |method: Method, path: &str| server.call(method, &format!("/fhir/r5/{path}")).as_user(MARY).send().await;
    let mut kinds = BTreeSet::new();
    for resource in document["rest"][0]["resource"].as_array().unwrap() {
        let kind = resource["type"].as_str().unwrap();
        kinds.insert(kind);
        let offered: BTreeSet<&str> =
            resource["interaction"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
        assert!(offered.contains("read") && offered.contains("search-type"), "{kind}");
        let unread = call(Method::GET, &format!("{kind}/999999")).await.expect(404);
        assert_eq!(diagnostics(&unread), format!("{kind}/999999 not found."));
        call(Method::GET, &format!("{kind}?_id=1")).await.expect(200);
        let form = [("_id", "1")];
        server.post(&format!("/fhir/r5/{kind}/_search")).as_user(MARY).form(&form).send().await.expect(200);
        let create = server.post(&format!("/fhir/r5/{kind}")).as_user(MARY).json(&json!({})).send().await;
        assert_eq!(create.status.as_u16(), if offered.contains("create") { 400 } else { 405 }, "{kind}");
        for (interaction, method) in [("update", Method::PUT), ("patch", Method::PATCH), ("delete", Method::DELETE)] {
            let reply = call(method, &format!("{kind}/999999")).await;
            assert_eq!(offered.contains(interaction), reply.status.as_u16() != 405, "{kind} {interaction}");
        }
    }
    for kind in ["Condition", "Encounter", "Medication", "Group", "Device", "Organization", "Practitioner", "Bogus"] {
        if !kinds.contains(kind) {
            for method in [Method::GET, Method::POST] {
                let unknown = call(method, kind).await.expect(404);
                assert_eq!(diagnostics(&unknown), format!("Unsupported FHIR resource type: {kind}."));
            }
        }
    }
    server.stop().await;
}

/// The capability document is public, always the same, and asks no database (D-01, D-02, D-03, D-06, D-07).
#[tokio::test]
async fn the_capability_document_is_public_and_stands_still() {
    let server = TestServer::start().await;
    server.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await;
    let first = server.get("/fhir/r5/metadata").send().await.expect(200);
    let ran = "SELECT sum(calls)::text FROM pg_stat_statements
         WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query !~ 'pg_stat_statements'";
    let mut fewest = usize::MAX;
    // What the server does by itself now and then falls into few of the tries.
    for _ in 0..5 {
        let before: usize = server.scalar(ran).await.parse().unwrap();
        let again = server.get("/fhir/r5/metadata").bearer("bad").send().await.expect(200);
        assert_eq!(again.bytes, first.bytes);
        fewest = fewest.min(server.scalar(ran).await.parse::<usize>().unwrap() - before);
    }
    assert_eq!(fewest, 0, "statements");
    let document = first.json();
    for (member, expected) in [
        ("resourceType", json!("CapabilityStatement")),
        ("status", json!("active")),
        ("kind", json!("instance")),
        ("fhirVersion", json!("5.0.0")),
        ("software", json!({"name": "JupyterHealth Exchange"})),
        ("format", json!(["json"])),
        ("patchFormat", json!(["application/json"])),
    ] {
        assert_eq!(document[member], expected, "{member}");
    }
    let rest = &document["rest"][0];
    let codes: Vec<&Value> = rest["interaction"].as_array().unwrap().iter().map(|one| &one["code"]).collect();
    assert_eq!(codes, ["batch", "transaction"]);
    let resources = rest["resource"].as_array().unwrap();
    assert!(resources.is_sorted_by_key(|resource| resource["type"].as_str().unwrap()));
    for resource in resources {
        let parameters = resource["searchParam"].as_array().unwrap();
        for name in ["_id", "_lastUpdated", "_source"] {
            assert!(parameters.iter().any(|parameter| parameter["name"] == name), "{name} of {}", resource["type"]);
        }
        for stated in parameters.iter().chain(resource["interaction"].as_array().unwrap()) {
            assert_eq!(stated["extension"][0]["valueCode"], "SHALL", "{stated}");
        }
    }
    for path in ["/fhir/r5/metadata", "/FHIR/R5/metadata/", "/fhir/metadata"] {
        let head = server.call(Method::HEAD, path).header("accept", "application/fhir+json").send().await.expect(200);
        assert!(head.bytes.is_empty() && head.header("content-type").starts_with("application/fhir+json"), "{path}");
        assert!(head.header("cache-control").contains("max-age=3600"), "{path}");
        assert_eq!(head.header("access-control-allow-origin"), "*", "{path}");
    }
    server.stop().await;
}

/// Whatever host a caller claims, sign-in is at the site's own address (D-07).
#[tokio::test]
async fn a_forged_host_moves_no_sign_in() {
    let server = TestServer::with(&[("ALLOWED_HOSTS", "*")]).await;
    let forged = |path: &str| {
        server
            .get(path)
            .header("host", "evil.example")
            .header("x-forwarded-host", "worse.example")
            .header("x-forwarded-proto", "https")
            .send()
    };
    let metadata = forged("/fhir/r5/metadata").await.expect(200);
    assert_eq!(metadata.at("/implementation/url"), "http://evil.example/fhir/r5/", "as the caller came");
    assert!(!metadata.text().contains("worse.example"));
    let openid = server.get("/o/.well-known/openid-configuration").send().await.expect(200);
    let uris = metadata.at("/rest/0/security/extension/0/extension");
    for (uri, name, member) in
        [(&uris[0], "authorize", "authorization_endpoint"), (&uris[1], "token", "token_endpoint")]
    {
        assert_eq!((&uri["url"], &uri["valueUri"]), (&json!(name), &openid.at(&format!("/{member}"))));
        assert_eq!(uri["valueUri"], format!("{}/o/{name}/", server.base));
    }
    let smart = forged("/fhir/r5/.well-known/smart-configuration").await.expect(200);
    assert!(!smart.text().contains(".example"), "{}", smart.text());
    server.stop().await;
    // A host that is not ours is refused, however it is told.
    let server = TestServer::with(&[("JHE_TRUSTED_PROXIES", "127.0.0.1")]).await;
    for path in ["/fhir/r5/metadata", "/fhir/r5/.well-known/smart-configuration", "/fhir/r5/Observation"] {
        for name in ["host", "x-forwarded-host"] {
            let refused = server.get(path).header(name, "evil.example").send().await.expect(400);
            assert_eq!(diagnostics(&refused), "Invalid host header.", "{path} {name}");
        }
    }
    server.stop().await;
}

/// The SMART document has its members, and says what the OpenID document says (D-08, 9.2).
#[tokio::test]
async fn the_smart_document_agrees_with_the_openid_document() {
    let server = TestServer::start().await;
    let path = "/fhir/r5/.well-known/smart-configuration";
    let reply = server.get(path).bearer("bad").send().await.expect(200);
    let base = &server.base;
    assert_eq!(
        reply.json(),
        json!({
            "issuer": format!("{base}/o"),
            "authorization_endpoint": format!("{base}/o/authorize/"),
            "token_endpoint": format!("{base}/o/token/"),
            "jwks_uri": format!("{base}/o/.well-known/jwks.json"),
            "revocation_endpoint": format!("{base}/o/revoke_token/"),
            "introspection_endpoint": format!("{base}/o/introspect/"),
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "none"],
            "grant_types_supported": ["authorization_code"],
            "response_types_supported": ["code"],
            "scopes_supported": ["openid", "email", "read", "write"],
            "code_challenge_methods_supported": ["S256"],
            "capabilities": ["launch-standalone", "client-public", "client-confidential-symmetric"],
        })
    );
    let openid = server.get("/o/.well-known/openid-configuration").send().await.expect(200).json();
    for member in [
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "revocation_endpoint",
        "introspection_endpoint",
        "token_endpoint_auth_methods_supported",
    ] {
        assert_eq!(reply.at(&format!("/{member}")), openid[member], "{member}");
    }
    for path in [path, "/FHIR/R5/.well-known/smart-configuration", "/fhir/.well-known/smart-configuration"] {
        for method in [Method::GET, Method::HEAD] {
            let reply = server.call(method, path).send().await.expect(200);
            assert_eq!(reply.header("content-type"), "application/json", "{path}");
            assert_eq!(reply.header("access-control-allow-origin"), "*", "{path}");
            assert!(reply.header("cache-control").contains("max-age=3600"), "{path}");
        }
    }
    server.stop().await;
}
