//! Beyond the original: the newest reading of each kind, uploads that store nothing twice, the site's own discovery document.

use std::collections::BTreeSet;

use jhe_testkit::{ADMIN, MARK, MARY, NOBODY, PAMELA, PETER, Person, Reply, TestServer, VICTOR, omh};
use reqwest::Method;
use serde_json::{Value, json};

use super::{HEART_RATE, get, heart_rate, ids, link, store_many, total};

fn diagnostics(reply: &Reply) -> String {
    reply.at("/issue/0/diagnostics").as_str().unwrap_or_default().to_owned()
}

async fn observations(server: &TestServer) -> i64 {
    server.scalar("SELECT count(*)::text FROM core_observation").await.parse().unwrap()
}

fn id_of(reply: &Reply) -> i64 {
    reply.at("/id").as_str().unwrap().parse().unwrap()
}

async fn post(server: &TestServer, person: Person, body: &Value) -> Reply {
    server.post("/fhir/r5/Observation").as_user(person).json(body).send().await
}

// --- the newest of each kind ---

/// Stores a heart rate of Peter's that was taken at some time.
async fn taken(server: &TestServer, time: &str) -> i64 {
    let document = omh::heart_rate("60").replace("2026-04-15T14:30:00Z\"}}", &format!("{time}\"}}}}"));
    id_of(&post(server, PETER, &omh::observation(40001, 70001, HEART_RATE, &document)).await.expect(201))
}

/// What the operation finds, whatever its order.
async fn last(server: &TestServer, person: Person, query: &str) -> BTreeSet<i64> {
    let reply = get(server, person, &format!("Observation/$lastn?{query}")).await.expect(200);
    let found = ids(&reply);
    assert_eq!(reply.at("/total"), found.len(), "{query}");
    let distinct: BTreeSet<i64> = found.iter().copied().collect();
    assert_eq!(distinct.len(), found.len(), "{query}");
    distinct
}

/// Of each patient and data type the newest by when it was taken, as many as were asked for (B-3).
#[tokio::test]
async fn the_newest_of_each_kind_is_found_by_when_it_was_taken() {
    let server = TestServer::start().await;
    let spring = taken(&server, "2026-04-01T00:00:00Z").await;
    let summer = taken(&server, "2026-07-01T00:00:00Z").await;
    let winter = taken(&server, "2026-01-01T00:00:00Z").await;
    let rate = "patient=40001&code=omh:heart-rate:2.0";
    let check = async |query: &str, expected: &[i64]| {
        let expected: BTreeSet<i64> = expected.iter().copied().collect();
        assert_eq!(last(&server, MARY, query).await, expected, "{query}");
    };
    check(rate, &[summer]).await;
    check(&format!("{rate}&max=1"), &[summer]).await;
    check(&format!("{rate}&max=2"), &[summer, spring]).await;
    check(&format!("{rate}&max=100"), &[summer, spring, winter, 60005]).await;
    check("patient=40001", &[summer, 60003]).await;
    check("patient=40001&max=2", &[summer, spring, 60003]).await;
    check("subject=Patient/40001&code=omh:blood-pressure:4.0,omh:heart-rate:2.0", &[summer, 60003]).await;
    check("patient=40001&code:not=omh:heart-rate:2.0", &[60003]).await;
    check("patient=40001&code=omh:body-weight:3.0", &[]).await;
    // Conditions come first: the newest of what they leave.
    check(&format!("{rate}&date=lt2026-07"), &[spring]).await;
    check(&format!("{rate}&date=2025,2026-01&max=2"), &[winter, 60005]).await;
    check(&format!("{rate}&status=amended"), &[]).await;
    // Pamela has one heart rate and two blood pressures that were taken together.
    let both = last(&server, MARY, "patient=40001,40002").await;
    assert!(both.len() == 4 && both.contains(&summer) && both.contains(&60003) && both.contains(&60004), "{both:?}");
    check("patient=40001,40002&code=omh:heart-rate:2.0", &[summer, 60004]).await;
    check("_has:Group:member:_id=30001&code=omh:heart-rate:2.0", &[summer, 60004]).await;
    check("patient=40002&code=omh:blood-pressure:4.0&max=2", &[60001, 60002]).await;
    server.stop().await;
}

/// Readings without a time are ordered by when they changed (B-3).
#[tokio::test]
async fn undated_readings_count_by_their_last_change() {
    let server = TestServer::start().await;
    store_many(&server, PETER, 3).await;
    server
        .execute(
            "UPDATE core_observation SET effective_date_time = NULL WHERE codeable_concept_id = 50004;
             UPDATE core_observation SET status = 'amended' WHERE id = 60005;",
        )
        .await;
    let rate = "patient=40001&code=omh:heart-rate:2.0";
    assert_eq!(last(&server, MARY, rate).await, BTreeSet::from([60005]));
    assert_eq!(last(&server, MARY, &format!("{rate}&max=100")).await.len(), 4);
    server.stop().await;
}

/// The newest is the newest of what the caller may read, and asks what a search asks (B-3, 4.6).
#[tokio::test]
async fn the_newest_is_what_the_caller_may_read() {
    let server = TestServer::start().await;
    for query in ["", "code=omh:heart-rate:2.0", "max=5", "date=ge2000"] {
        let refused = get(&server, MARY, &format!("Observation/$lastn?{query}")).await.expect(400);
        assert_eq!(refused.at("/issue/0/code"), "required", "{query}");
    }
    for (person, query, what) in [
        (MARK, "patient=40001", "Patient/40001"),
        (MARK, "_has:Group:member:_id=30001", "Group/30001"),
        (MARK, "patient.organization=20003", "Organization/20003"),
        (PETER, "patient=40002", "Patient/40002"),
    ] {
        let refused = get(&server, person, &format!("Observation/$lastn?{query}")).await.expect(403);
        assert_eq!(diagnostics(&refused), format!("Current user is not authorized to access {what}."));
    }
    server.get("/fhir/r5/Observation/$lastn?patient=40001").send().await.expect(401);
    let all = "_lastUpdated=ge2000";
    // Mary: two of Peter, two of Pamela; Victor the same; an administrator one of each of the eight pairs.
    for (person, expected) in [(MARY, 4), (VICTOR, 4), (ADMIN, 8), (MARK, 2), (NOBODY, 0)] {
        assert_eq!(last(&server, person, all).await.len(), expected, "{person:?}");
    }
    assert_eq!(last(&server, PETER, "").await, BTreeSet::from([60003, 60005]));
    assert_eq!(last(&server, PAMELA, "code=omh:heart-rate:2.0").await, BTreeSet::from([60004]));
    server.execute("UPDATE core_studypatientscopeconsent SET consented = false WHERE study_patient_id = 1 AND scope_code_id = 50004").await;
    assert_eq!(last(&server, MARY, "patient=40001").await, BTreeSet::from([60003]));
    assert_eq!(last(&server, PETER, "").await, BTreeSet::from([60003, 60005]));
    server.execute("UPDATE core_studypatientscopeconsent SET scope_actions = 'r'").await;
    assert_eq!(last(&server, MARY, "patient=40001").await, BTreeSet::new());
    server.stop().await;
}

/// The answer is a search's Bundle, with its pages and forms; numbers that mean nothing are refused (B-3, E33).
#[tokio::test]
async fn the_newest_come_as_a_search_does() {
    let server = TestServer::start().await;
    let path = "Observation/$lastn?patient=40001,40002";
    let whole = get(&server, MARY, path).await.expect(200);
    assert_eq!(
        (whole.at("/resourceType"), whole.at("/type"), whole.at("/total")),
        (json!("Bundle"), json!("searchset"), json!(4))
    );
    assert_eq!(link(&whole, "self").unwrap(), format!("{}/fhir/r5/{path}", server.base));
    for entry in whole.at("/entry").as_array().unwrap() {
        let id = entry["resource"]["id"].as_str().unwrap();
        assert_eq!(entry["fullUrl"], format!("{}/fhir/r5/Observation/{id}", server.base));
        assert_eq!(entry["search"]["mode"], "match");
        assert_eq!(get(&server, MARY, &format!("Observation/{id}")).await.expect(200).json(), entry["resource"]);
    }
    // Page by page the same, in the same order.
    let mut page = get(&server, MARY, &format!("{path}&_count=3")).await.expect(200);
    let mut seen = ids(&page);
    while let Some(next) = link(&page, "next") {
        page = server.get(&next).as_user(MARY).send().await.expect(200);
        assert_eq!(page.at("/total"), 4);
        seen.extend(ids(&page));
    }
    assert_eq!(seen, ids(&whole));
    let count = get(&server, MARY, &format!("{path}&_summary=count")).await.expect(200);
    assert_eq!((count.at("/total"), count.at("/entry")), (json!(4), json!([])));
    let part = get(&server, MARY, &format!("{path}&_elements=code")).await.expect(200).at("/entry/0/resource");
    assert!(part["valueAttachment"].is_null() && part["meta"]["tag"][0]["code"] == "SUBSETTED");
    for max in ["0", "-1", "abc", "101", "1.5", "99999999999999999999"] {
        let refused = get(&server, MARY, &format!("{path}&max={max}")).await.expect(400);
        assert_eq!(refused.at("/issue/0/code"), "value", "{max}");
    }
    let lenient = get(&server, MARY, &format!("{path}&foo=bar")).await.expect(200);
    assert_eq!(lenient.header("x-jhe-ignored-parameters"), "foo");
    // `max` is a parameter of the operation alone.
    let search = get(&server, MARY, "Observation?patient=40001&max=1").await.expect(200);
    assert_eq!((search.at("/total"), search.header("x-jhe-ignored-parameters")), (json!(2), "max".to_owned()));
    let head = server.call(Method::HEAD, &format!("/FHIR/R5/{path}")).as_user(MARY).send().await.expect(200);
    assert!(head.bytes.is_empty());
    for method in [Method::PUT, Method::DELETE] {
        let reply = server.call(method, &format!("/fhir/r5/{path}")).as_user(MARY).send().await;
        assert!(matches!(reply.status.as_u16(), 404 | 405), "{}", reply.text());
    }
    get(&server, MARY, "Patient/$lastn?patient=40001").await.expect(404);
    server.stop().await;
}

/// Follows the pages of a search from its first, doing something after it; what they showed, page by page.
async fn pages(server: &TestServer, query: &str, between: impl AsyncFnOnce()) -> Vec<Vec<i64>> {
    let mut page = get(server, MARY, query).await.expect(200);
    between().await;
    let (total, mut seen) = (page.at("/total"), vec![ids(&page)]);
    while let Some(next) = link(&page, "next") {
        page = server.get(&next).as_user(MARY).send().await.expect(200);
        assert_eq!(page.at("/total"), total);
        seen.push(ids(&page));
    }
    seen
}

/// What arrives while a client pages is not shown and shifts nothing, wherever in the order it would stand (B-3, 4.9).
#[tokio::test]
async fn pages_of_the_newest_stay_put_while_readings_arrive() {
    let server = TestServer::start().await;
    let mut rates = Vec::new();
    for month in ["03", "02", "01"] {
        rates.push(taken(&server, &format!("2026-{month}-01T00:00:00Z")).await);
    }
    // Peter's heart rates lie in the middle: blood pressure before them, Pamela's behind.
    let expected: Vec<i64> = [vec![60003], rates.clone(), vec![60002, 60001], vec![60004]].concat();
    let query = "Observation/$lastn?patient=40001,40002&max=3&_count=2";
    assert_eq!(pages(&server, query, async || ()).await.concat(), expected);
    let arriving = async || {
        for time in ["2026-06-01T00:00:00Z", "2026-02-15T00:00:00Z", "2025-01-01T00:00:00Z"] {
            taken(&server, time).await;
        }
        let pressure = "INSERT INTO core_observation (subject_patient_id, codeable_concept_id, omh_data, effective_date_time)
            SELECT subject_patient_id, codeable_concept_id, omh_data, now() FROM core_observation WHERE id IN (60003, 60001)";
        server.execute(pressure).await;
    };
    assert_eq!(pages(&server, query, arriving).await.concat(), expected);
    // Undated ones stand where they changed.
    server.execute("UPDATE core_observation SET effective_date_time = NULL WHERE codeable_concept_id = 50004").await;
    let whole = ids(&get(&server, MARY, "Observation/$lastn?patient=40001,40002&max=5&_count=100").await.expect(200));
    let query = "Observation/$lastn?patient=40001,40002&max=5&_count=3";
    let seen = pages(&server, query, async || {
        server
            .execute("INSERT INTO core_observation (subject_patient_id, codeable_concept_id, omh_data)
                      SELECT subject_patient_id, codeable_concept_id, omh_data FROM core_observation WHERE id IN (60003, 60005, 60004)")
            .await;
    })
    .await;
    assert_eq!(seen.concat(), whole);
    server.stop().await;
}

/// Of a kind no more than were asked for, also when one that was shown goes while a client pages; consent counts anew (B-3, 4.9).
#[tokio::test]
async fn pages_of_the_newest_show_no_more_than_were_asked_for() {
    let server = TestServer::start().await;
    let mut rates = Vec::new();
    for month in ["05", "04", "03", "02", "01"] {
        rates.push(taken(&server, &format!("2026-{month}-01T00:00:00Z")).await);
    }
    let query = "Observation/$lastn?patient=40001&code=omh:heart-rate:2.0&max=3&_count=1";
    let seen = pages(&server, query, async || {
        server.execute("DELETE FROM core_observation WHERE effective_date_time = '2026-05-01T00:00:00Z'").await;
    })
    .await;
    assert_eq!(seen.concat(), rates[..3]);
    let first = get(&server, MARY, query).await.expect(200);
    let next = link(&first, "next").unwrap();
    let other = server.get(&next.replace("max=3", "max=4")).as_user(MARY).send().await.expect(400);
    assert_eq!(diagnostics(&other), "Invalid _cursor.");
    let search = server.get(&next.replace("/$lastn", "").replace("max=3&", "")).as_user(MARY).send().await.expect(400);
    assert_eq!(diagnostics(&search), "Invalid _cursor.");
    server.execute("UPDATE core_studypatientscopeconsent SET consented = false").await;
    assert_eq!(ids(&server.get(&next).as_user(MARY).send().await.expect(200)), Vec::<i64>::new());
    server.stop().await;
}

// --- uploads that store nothing twice ---

const SYSTEM: &str = "https://phone.example.org/records";

/// A heart rate of somebody's with an identifier.
fn identified(patient: i64, system: &str, value: &str) -> Value {
    let mut body = omh::observation(patient, 70001, HEART_RATE, &omh::heart_rate("60"));
    body["identifier"] = json!([{"system": system, "value": value}]);
    body
}

async fn unless(server: &TestServer, person: Person, condition: &str, body: &Value) -> Reply {
    server.post("/fhir/r5/Observation").as_user(person).header("if-none-exist", condition).json(body).send().await
}

/// Without a match it is stored; with one that is what comes back, and nothing is stored (B-4).
#[tokio::test]
async fn a_reading_that_is_there_is_not_stored_again() {
    let server = TestServer::start().await;
    let before = observations(&server).await;
    let condition = format!("identifier={SYSTEM}|r-1");
    let body = identified(40001, SYSTEM, "r-1");
    let first = unless(&server, PETER, &condition, &body).await.expect(201);
    let stored = first.json();
    assert_eq!(observations(&server).await, before + 1);
    for (person, condition) in [
        (PETER, condition.clone()),
        (MARY, condition.clone()),
        (ADMIN, condition.clone()),
        (PETER, "identifier=r-1".to_owned()),
        (PETER, "identifier=https%3A%2F%2Fphone.example.org%2Frecords%7Cr-1".to_owned()),
    ] {
        let again = unless(&server, person, &condition, &body).await.expect(200);
        assert_eq!(again.json(), stored, "{person:?} {condition}");
        assert_eq!(again.header("etag"), first.header("etag"), "{person:?} {condition}");
        assert_eq!(again.header("last-modified"), first.header("last-modified"), "{person:?} {condition}");
    }
    // What is sent then does not matter, and what is there stays as it is.
    let mut other = heart_rate("99");
    other["status"] = json!("amended");
    assert_eq!(unless(&server, PETER, &condition, &other).await.expect(200).json(), stored);
    assert_eq!(observations(&server).await, before + 1);
    let read = get(&server, PETER, &format!("Observation/{}", id_of(&first))).await.expect(200);
    assert_eq!(read.json(), stored);
    // Another value, another system, no system: no match.
    for (system, value, condition) in [
        (SYSTEM, "r-2", format!("identifier={SYSTEM}|r-2")),
        ("urn:other", "r-1", "identifier=urn:other|r-1".to_owned()),
        ("urn:none", "r-3", "identifier=|r-3".to_owned()),
    ] {
        unless(&server, PETER, &condition, &identified(40001, system, value)).await.expect(201);
    }
    assert_eq!(observations(&server).await, before + 4);
    // Who may not write learns nothing, match or not.
    for (person, status) in [(VICTOR, 403), (MARK, 403), (PAMELA, 403), (NOBODY, 403)] {
        let refused = unless(&server, person, &condition, &body).await.expect(status);
        assert_eq!(refused.at("/resourceType"), "OperationOutcome", "{person:?}");
    }
    server.stop().await;
}

/// The answer to a condition is as long as was asked for.
#[tokio::test]
async fn what_is_there_comes_back_as_it_was_asked_for() {
    let server = TestServer::start().await;
    let (condition, body) = (format!("identifier={SYSTEM}|r-1"), identified(40001, SYSTEM, "r-1"));
    let first = unless(&server, PETER, &condition, &body).await.expect(201);
    for prefer in ["return=minimal", "return=representation", "return=OperationOutcome"] {
        let call = server.post("/fhir/r5/Observation").as_user(PETER).header("if-none-exist", &condition);
        let again = call.header("prefer", prefer).json(&body).send().await.expect(200);
        assert_eq!(again.header("preference-applied"), prefer);
        assert_eq!(again.header("etag"), first.header("etag"));
        match prefer {
            "return=minimal" => assert!(again.bytes.is_empty()),
            "return=representation" => assert_eq!(again.json(), first.json()),
            _ => assert_eq!(again.at("/resourceType"), "OperationOutcome"),
        }
    }
    server.stop().await;
}

/// Several matches are refused, and so is one that the caller may not write for (B-4, E49, E66).
#[tokio::test]
async fn a_condition_that_fits_several_or_a_strangers_is_refused() {
    let server = TestServer::start().await;
    post(&server, PETER, &identified(40001, "urn:one", "same")).await.expect(201);
    post(&server, PETER, &identified(40001, "urn:two", "same")).await.expect(201);
    post(&server, PAMELA, &identified(40002, "urn:three", "hers")).await.expect(201);
    let before = observations(&server).await;
    let body = identified(40001, "urn:four", "new");
    let several = unless(&server, PETER, "identifier=same", &body).await.expect(412);
    assert_eq!(several.at("/issue/0/code"), "multiple-matches");
    assert_eq!(diagnostics(&several), "If-None-Exist matched more than one resource.");
    unless(&server, PETER, "identifier=urn:one|same,urn:two|same", &body).await.expect(412);
    for body in [&body, &identified(40001, "urn:three", "hers")] {
        let hidden = unless(&server, PETER, "identifier=urn:three|hers", body).await.expect(409);
        assert_eq!(hidden.at("/issue/0/code"), "duplicate");
        assert_eq!(diagnostics(&hidden), "Identifier already exists: system=urn:three value=hers");
        assert!(!hidden.text().contains("valueAttachment"));
    }
    assert_eq!(observations(&server).await, before);
    // Who manages both patients has it there.
    let hers = identified(40002, "urn:three", "hers");
    assert_eq!(
        unless(&server, MARY, "identifier=urn:three|hers", &hers).await.expect(200).at("/subject/reference"),
        "Patient/40002"
    );
    // One of several is named.
    unless(&server, PETER, "identifier=urn:one|same", &body).await.expect(200);
    assert_eq!(observations(&server).await, before);
    server.stop().await;
}

/// Writing for a patient is no right to read: without consent nothing of a reading comes back, not where it is nor since when
/// (R1, B-4).
#[tokio::test]
async fn a_condition_shows_nothing_without_consent() {
    let server = TestServer::start().await;
    let (condition, body) = (format!("identifier={SYSTEM}|r-1"), identified(40001, SYSTEM, "r-1"));
    unless(&server, PETER, &condition, &body).await.expect(201);
    let before = observations(&server).await;
    for statement in [
        "UPDATE core_studypatientscopeconsent SET consented = false WHERE study_patient_id = 1",
        "DELETE FROM core_studyscoperequest",
    ] {
        server.execute(statement).await;
        for person in [MARY, ADMIN] {
            let call = server.post("/fhir/r5/Observation").as_user(person).header("if-none-exist", &condition);
            let reply = call.header("prefer", "return=representation").json(&body).send().await.expect(409);
            assert_eq!(reply.at("/issue/0/code"), "duplicate", "{statement}");
            for header in ["location", "etag", "last-modified"] {
                assert_eq!(reply.header(header), "", "{statement}: {header}");
            }
            let bundle = bundle("batch", &[(body.clone(), Some(condition.as_str()))]);
            let call = server.post("/fhir/r5").as_user(person).header("prefer", "return=representation");
            let reply = call.json(&bundle).send().await.expect(200);
            assert_eq!(statuses(&reply), ["409 Conflict"], "{statement}");
            for told in ["location", "etag", "lastModified", "resource"] {
                assert_eq!(reply.at(&format!("/entry/0/response/{told}")), Value::Null, "{statement}: {told}");
            }
        }
        // Its own is its own.
        unless(&server, PETER, &condition, &body).await.expect(200);
        assert_eq!(observations(&server).await, before, "{statement}");
    }
    server.stop().await;
}

/// A condition that is not understood stores nothing.
#[tokio::test]
async fn a_condition_that_is_not_understood_stores_nothing() {
    let server = TestServer::start().await;
    let before = observations(&server).await;
    for condition in [
        "identifier=",
        "identifier=,",
        "identifier=|",
        "identifier=urn:x|",
        "identifier:not=urn:x|y",
        "identifier=urn:x|y&code=omh:heart-rate:2.0",
        "identifier=urn:x|y&identifier=urn:x|z",
        "code=omh:heart-rate:2.0",
        "bogus=1",
        "r-1",
        "_id=60003",
    ] {
        let refused = unless(&server, PETER, condition, &identified(40001, SYSTEM, "r-1")).await.expect(400);
        assert_eq!(refused.at("/issue/0/severity"), "error", "{condition}");
        let bundle = bundle("batch", &[(identified(40001, SYSTEM, "r-1"), Some(condition)), (heart_rate("60"), None)]);
        let reply = server.post("/fhir/r5").as_user(PETER).json(&bundle).send().await.expect(200);
        assert_eq!(statuses(&reply), ["400 Bad Request", "201 Created"], "{condition}");
    }
    assert_eq!(observations(&server).await, before + 11);
    server.stop().await;
}

/// Of uploads at the same time one stores (B-4).
#[tokio::test]
async fn of_conditional_uploads_at_once_one_stores() {
    let server = TestServer::start().await;
    let before = observations(&server).await;
    let upload = |n: usize| {
        let value = format!("r-{}", n / 6);
        let call = server
            .post("/fhir/r5/Observation")
            .as_user(PETER)
            .header("if-none-exist", &format!("identifier={SYSTEM}|{value}"))
            .json(&identified(40001, SYSTEM, &value));
        tokio::spawn(async move { call.send().await })
    };
    let uploads: Vec<_> = (0..18).map(upload).collect();
    let (mut created, mut there) = (BTreeSet::new(), BTreeSet::new());
    for upload in uploads {
        let reply = upload.await.unwrap();
        match reply.status.as_u16() {
            201 => assert!(created.insert(id_of(&reply)), "{}", reply.text()),
            _ => {
                there.insert(id_of(&reply.expect(200)));
            }
        }
    }
    assert_eq!(created.len(), 3);
    assert!(there.is_subset(&created), "{there:?} {created:?}");
    assert_eq!(observations(&server).await, before + 3);
    server.stop().await;
}

// --- the same in bundles ---

fn bundle(kind: &str, entries: &[(Value, Option<&str>)]) -> Value {
    let entry = |(resource, condition): &(Value, Option<&str>)| {
        let mut request = json!({"method": "POST", "url": "Observation"});
        if let Some(condition) = condition {
            request["ifNoneExist"] = json!(condition);
        }
        json!({"resource": resource, "request": request})
    };
    json!({"resourceType": "Bundle", "type": kind, "entry": entries.iter().map(entry).collect::<Vec<_>>()})
}

fn statuses(reply: &Reply) -> Vec<String> {
    let entries = reply.at("/entry");
    let status = |entry: &Value| entry["response"]["status"].as_str().unwrap().to_owned();
    entries.as_array().unwrap().iter().map(status).collect()
}

/// In a batch each entry has a condition of its own, which sees what earlier entries have stored (B-4).
#[tokio::test]
async fn a_later_entry_finds_what_an_earlier_one_stored() {
    let server = TestServer::start().await;
    post(&server, PAMELA, &identified(40002, "urn:three", "hers")).await.expect(201);
    post(&server, PETER, &identified(40001, "urn:one", "same")).await.expect(201);
    post(&server, PETER, &identified(40001, "urn:two", "same")).await.expect(201);
    let before = observations(&server).await;
    let one = Some("identifier=urn:a|1");
    let body = bundle(
        "batch",
        &[
            (identified(40001, "urn:a", "1"), one),
            (identified(40001, "urn:a", "1"), one),
            (identified(40001, "urn:a", "2"), Some("identifier=urn:a|2")),
            (heart_rate("61"), Some("identifier=2")),
            (identified(40001, "urn:a", "1"), None),
            (heart_rate("62"), Some("identifier=same")),
            (heart_rate("63"), Some("identifier=urn:three|hers")),
            (heart_rate("64"), None),
        ],
    );
    let reply = server.post("/fhir/r5").as_user(PETER).json(&body).send().await.expect(200);
    let expected = [
        "201 Created",
        "200 OK",
        "201 Created",
        "200 OK",
        "409 Conflict",
        "412 Precondition Failed",
        "409 Conflict",
        "201 Created",
    ];
    assert_eq!(statuses(&reply), expected);
    assert_eq!(observations(&server).await, before + 3);
    let entries = reply.at("/entry");
    for (first, second) in [(0_usize, 1_usize), (2, 3)] {
        let (made, there) = (&entries[first], &entries[second]);
        for member in ["location", "etag", "lastModified"] {
            assert!(made["response"][member].is_string(), "{made}");
            assert_eq!(made["response"][member], there["response"][member], "{member}");
        }
        assert_eq!(made["resource"]["id"], there["resource"]["id"]);
    }
    for (index, code) in [(4_usize, "duplicate"), (5, "multiple-matches"), (6, "duplicate")] {
        assert_eq!(entries[index]["response"]["outcome"]["issue"][0]["code"], code, "{}", entries[index]);
        assert!(entries[index].get("resource").is_none());
    }
    // The second time everything with a condition is there; what has none is stored or refused as ever.
    let again =
        server.post("/fhir/r5").as_user(PETER).header("prefer", "return=representation").json(&body).send().await;
    let again = again.expect(200);
    let expected = [
        "200 OK",
        "200 OK",
        "200 OK",
        "200 OK",
        "409 Conflict",
        "412 Precondition Failed",
        "409 Conflict",
        "201 Created",
    ];
    assert_eq!(statuses(&again), expected);
    assert_eq!(again.at("/entry/0/response/location"), entries[0]["response"]["location"]);
    let location = entries[0]["response"]["location"].as_str().unwrap();
    assert_eq!(again.at("/entry/0/resource"), get(&server, PETER, location).await.expect(200).json());
    assert_eq!(observations(&server).await, before + 4);
    server.stop().await;
}

/// A transaction with a condition that is refused stores nothing; with one that is met it stores the rest (B-4).
#[tokio::test]
async fn a_transaction_is_whole_with_conditions_too() {
    let server = TestServer::start().await;
    post(&server, PAMELA, &identified(40002, "urn:three", "hers")).await.expect(201);
    post(&server, PETER, &identified(40001, "urn:one", "same")).await.expect(201);
    post(&server, PETER, &identified(40001, "urn:two", "same")).await.expect(201);
    let before = observations(&server).await;
    for (condition, status, code) in
        [("identifier=same", 412, "multiple-matches"), ("identifier=urn:three|hers", 409, "duplicate")]
    {
        let entries = [
            (identified(40001, "urn:a", "1"), Some("identifier=urn:a|1")),
            (heart_rate("61"), Some(condition)),
            (heart_rate("62"), None),
        ];
        let body = bundle("transaction", &entries);
        let reply = server.post("/fhir/r5").as_user(PETER).json(&body).send().await.expect(status);
        assert_eq!((reply.at("/resourceType"), reply.at("/issue/0/code")), (json!("OperationOutcome"), json!(code)));
        assert_eq!(reply.at("/issue/0/expression"), json!(["Bundle.entry[1]"]), "{condition}");
        assert_eq!(observations(&server).await, before, "{condition}");
    }
    let entries = [
        (identified(40001, "urn:a", "1"), Some("identifier=urn:a|1")),
        (identified(40001, "urn:a", "1"), Some("identifier=urn:a|1")),
        (heart_rate("61"), Some("identifier=urn:one|same")),
        (heart_rate("62"), None),
    ];
    let body = bundle("transaction", &entries);
    let send = || server.post("/fhir/r5").as_user(PETER).json(&body).send();
    let reply = send().await.expect(200);
    assert_eq!(reply.at("/type"), "transaction-response");
    assert_eq!(statuses(&reply), ["201 Created", "200 OK", "200 OK", "201 Created"]);
    assert_eq!(observations(&server).await, before + 2);
    assert_eq!(statuses(&send().await.expect(200)), ["200 OK", "200 OK", "200 OK", "201 Created"]);
    assert_eq!(observations(&server).await, before + 3);
    assert_eq!(total(get(&server, PETER, "Observation?identifier=urn:a%7C1").await), 1);
    server.stop().await;
}

// --- discovery ---

/// The SMART document is also where clients look that know the site alone (9.2).
#[tokio::test]
async fn the_smart_document_is_at_the_site_itself_too() {
    let server = TestServer::start().await;
    let path = "/.well-known/smart-configuration";
    let below = server.get(&format!("/fhir/r5{path}")).send().await.expect(200);
    for bearer in ["bad".to_owned(), MARY.token()] {
        let reply = server.get(path).bearer(&bearer).send().await.expect(200);
        assert_eq!(reply.bytes, below.bytes);
    }
    for accept in ["application/json", "application/fhir+json", "text/html", "*/*"] {
        for method in [Method::GET, Method::HEAD] {
            let reply = server.call(method.clone(), path).header("accept", accept).send().await.expect(200);
            assert_eq!(reply.header("content-type"), "application/json", "{method} {accept}");
            assert_eq!(reply.header("access-control-allow-origin"), "*", "{method} {accept}");
            assert!(reply.header("cache-control").contains("max-age=3600"), "{method} {accept}");
            assert_eq!(reply.bytes.is_empty(), method == Method::HEAD);
        }
    }
    server.get(path).header("host", "evil.example").send().await.expect(400);
    let forwarded = server.get(path).header("x-forwarded-host", "evil.example").send().await.expect(200);
    assert_eq!(forwarded.bytes, below.bytes);
    let posted = server.post(path).as_user(MARY).json(&json!({})).send().await;
    assert!(matches!(posted.status.as_u16(), 404 | 405), "{}", posted.text());
    // It follows the site, as the documents beside it do.
    server.set("site.url", "string", "'https://moved.example.org'").await;
    let moved = server.get(path).send().await.expect(200);
    assert_eq!(moved.at("/issuer"), "https://moved.example.org/o");
    let openid = server.get("/o/.well-known/openid-configuration").send().await.expect(200);
    for member in ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"] {
        assert_eq!(moved.at(&format!("/{member}")), openid.at(&format!("/{member}")), "{member}");
    }
    server.stop().await;
}
