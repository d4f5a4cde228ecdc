//! Writers that meet: no failure of the server, no half state, no lost history.

use jhe_testkit::{ADMIN, Call, MARY, MEGAN, PETER, Reply, TestServer, VICTOR};
use serde_json::{Value, json};

/// All at once; what they answered, in order.
async fn together(calls: impl IntoIterator<Item = Call>) -> Vec<Reply> {
    let running: Vec<_> = calls.into_iter().map(|call| tokio::spawn(async move { call.send().await })).collect();
    let mut replies = Vec::new();
    for call in running {
        replies.push(call.await.unwrap());
    }
    let failed: Vec<usize> = (0..replies.len()).filter(|at| replies[*at].status.as_u16() >= 500).collect();
    assert!(failed.is_empty(), "the server failed at {failed:?}");
    replies
}

fn statuses(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(|reply| reply.status.as_u16()).collect()
}

#[tokio::test]
async fn every_answer_to_a_study_is_in_the_history() {
    let server = TestServer::start().await;
    let path = "/api/v1/patients/40001/consents";
    let answer = |consented: bool| {
        json!({"studyScopeConsents": [{"studyId": 30001, "scopeConsents": [{"codingSystem": "https://w3id.org/openmhealth",
            "codingCode": "omh:heart-rate:2.0", "consented": consented}]}]})
    };
    let count = "SELECT count(*)::text FROM jhe_consent_event";
    let before: usize = server.scalar(count).await.parse().unwrap();
    let replies = together((0..20).map(|turn| {
        let person = if turn % 3 == 0 { MARY } else { PETER };
        server.post(path).as_user(person).json(&answer(turn % 2 == 0))
    }))
    .await;
    assert_eq!(statuses(&replies), [201; 20]);
    let after: usize = server.scalar(count).await.parse().unwrap();
    assert_eq!(after - before, 20, "one event for each answer");
    let last = "SELECT ((SELECT consented FROM jhe_consent_event WHERE patient_id = 40001 ORDER BY id DESC LIMIT 1) =
        (SELECT c.consented FROM core_studypatientscopeconsent c JOIN core_studypatient e ON e.id = c.study_patient_id
         JOIN core_codeableconcept k ON k.id = c.scope_code_id
         WHERE e.study_id = 30001 AND e.patient_id = 40001 AND k.coding_code = 'omh:heart-rate:2.0'))::text";
    assert_eq!(server.scalar(last).await, "true", "the last event is what holds");
    server.stop().await;
}

#[tokio::test]
async fn one_enrolment_is_made_however_often_it_is_asked_for_at_once() {
    let server = TestServer::start().await;
    let body = json!({"name": "n", "description": "d", "organization": 20003});
    let study = server.post("/api/v1/studies").as_user(MARY).json(&body).send().await.expect(201).at("/id");
    let path = format!("/api/v1/studies/{study}/patients");
    let replies = together((0..10).map(|turn| {
        let patients = if turn % 2 == 0 { [40001, 40002] } else { [40002, 40001] };
        server.post(&path).as_user(MARY).json(&json!({"patientIds": patients}))
    }))
    .await;
    let made = statuses(&replies).into_iter().filter(|status| *status == 201).count();
    assert_eq!(
        (made, replies.iter().filter(|reply| reply.status == 200).count()),
        (1, 9),
        "one made it, the others found it"
    );
    let rows = format!("SELECT count(*)::text FROM core_studypatient WHERE study_id = {study}");
    assert_eq!(server.scalar(rows.leak()).await, "2");
    server.stop().await;
}

#[tokio::test]
async fn an_identifier_that_two_patients_ask_for_goes_to_one_of_them_whole() {
    let server = TestServer::start().await;
    for turn in 0..5 {
        let body = |name: &str| {
            json!({"nameGiven": name, "identifiers": [
                {"system": "urn:shared", "value": turn.to_string()}, {"system": format!("urn:{name}"), "value": turn.to_string()}]})
        };
        let replies = together([
            server.patch("/api/v1/patients/40001").as_user(MARY).json(&body("one")),
            server.patch("/api/v1/patients/40002").as_user(MARY).json(&body("two")),
        ])
        .await;
        let mut got = statuses(&replies);
        got.sort_unstable();
        assert_eq!(got, [200, 400]);
        for (id, name, reply) in [(40001, "one", &replies[0]), (40002, "two", &replies[1])] {
            let stored = server.get(&format!("/api/v1/patients/{id}")).as_user(MARY).send().await.expect(200);
            let holds = |system: &str| {
                let wanted = (json!(system), json!(turn.to_string()));
                let identifiers = stored.at("/identifiers");
                identifiers
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|one| (one["system"].clone(), one["value"].clone()) == wanted)
            };
            let won = reply.status == 200;
            assert_eq!((holds("urn:shared"), holds(&format!("urn:{name}"))), (won, won), "all of it or nothing");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn identifiers_that_two_patients_ask_for_in_opposite_orders_are_waited_for_in_a_line() {
    let server = TestServer::start().await;
    for turn in 0..3 {
        let list = |reversed: bool| {
            let mut list: Vec<Value> =
                (0..2000).map(|n| json!({"system": format!("urn:{turn}"), "value": format!("{n:04}")})).collect();
            if reversed {
                list.reverse();
            }
            json!({"identifiers": list})
        };
        let replies = together([
            server.patch("/api/v1/patients/40001").as_user(MARY).json(&list(false)),
            server.patch("/api/v1/patients/40002").as_user(MARY).json(&list(true)),
        ])
        .await;
        let mut got = statuses(&replies);
        got.sort_unstable();
        assert_eq!(got, [200, 400]);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_practitioner_made_often_at_once_of_an_account_that_exists_is_one() {
    let server = TestServer::start().await;
    let body = json!({"telecomEmail": "ccl_patient_paul@example.com", "organizationId": 20003});
    let replies = together((0..10).map(|_| server.post("/api/v1/practitioners").as_user(ADMIN).json(&body))).await;
    assert_eq!(statuses(&replies), [201; 10]);
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_practitioner WHERE jhe_user_id = 10010").await, "1");
    server.stop().await;
}

#[tokio::test]
async fn moves_that_meet_make_no_cycle() {
    let server = TestServer::start().await;
    let make = async |name: &str, above: i64| {
        let body = json!({"name": name, "type": "team", "partOf": above});
        server
            .post("/api/v1/organizations")
            .as_user(ADMIN)
            .json(&body)
            .send()
            .await
            .expect(201)
            .at("/id")
            .as_i64()
            .unwrap()
    };
    for _ in 0..6 {
        let ids = [make("A", 20003).await, make("B", 20003).await, make("C", 20003).await];
        let below = |one: i64, other: i64| {
            server.patch(&format!("/api/v1/organizations/{one}")).as_user(ADMIN).json(&json!({"partOf": other}))
        };
        let replies = together([below(ids[0], ids[1]), below(ids[1], ids[2]), below(ids[2], ids[0])]).await;
        let refused = replies.iter().filter(|reply| reply.status == 400).count();
        assert!(refused >= 1, "{:?}", statuses(&replies));
        let reached = server
            .scalar(
                "WITH RECURSIVE below AS (
                     SELECT id FROM core_organization WHERE part_of_id IS NULL
                     UNION SELECT o.id FROM core_organization o JOIN below b ON o.part_of_id = b.id)
                 SELECT (SELECT count(*) FROM core_organization) - (SELECT count(*) FROM below) || ''",
            )
            .await;
        assert_eq!(reached, "0", "every organization hangs below a top-level one");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_deleted_under_readers_is_there_or_not() {
    let server = TestServer::start().await;
    for turn in 0..4 {
        let patient = server
            .post("/api/v1/patients")
            .as_user(MARY)
            .json(
                &json!({"organizationId": 20003, "telecomEmail": format!("gone{turn}@example.com"), "nameFamily": "G",
                "nameGiven": "G", "birthDate": "1990-01-01"}),
            )
            .send()
            .await
            .expect(201)
            .at("/id");
        let enrol = json!({"patientIds": [patient]});
        server.post("/api/v1/studies/30001/patients").as_user(MARY).json(&enrol).send().await.expect(201);
        let one = format!("/api/v1/patients/{patient}");
        let mut calls = vec![server.delete(&format!("{one}?organization_id=20003")).as_user(MARY)];
        for person in [MARY, MEGAN, VICTOR] {
            calls.push(server.get(&one).as_user(person));
            calls.push(server.get("/api/v1/patients").as_user(person));
            calls.push(server.get(&format!("{one}/consents")).as_user(person));
            calls.push(server.get("/api/v1/studies/30001/patients").as_user(person));
            calls.push(server.get("/fhir/r5/Patient").as_user(person));
        }
        calls.push(server.patch(&one).as_user(MEGAN).json(&json!({"nameGiven": "H"})));
        let invite: Value = json!({"patientId": patient, "clientId": 1});
        calls.push(server.post("/api/v1/invitation").as_user(MEGAN).json(&invite));
        let replies = together(calls).await;
        assert_eq!(replies[0].status, 204);
        for reply in &replies[1..] {
            assert!([200, 201, 403, 404].contains(&reply.status.as_u16()), "{}: {}", reply.status, reply.text());
        }
        server.get(&one).as_user(MARY).send().await.expect(404);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_practitioner_made_twice_at_once_is_one() {
    let server = TestServer::start().await;
    let body = json!({"telecomEmail": "twice@example.com", "organizationId": 20003});
    let replies = together((0..8).map(|_| server.post("/api/v1/practitioners").as_user(ADMIN).json(&body))).await;
    assert_eq!(statuses(&replies), [201; 8]);
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_jheuser WHERE email = 'twice@example.com'").await, "1");
    server.stop().await;
}

#[tokio::test]
async fn what_is_added_to_a_study_that_goes_is_added_before_or_not_at_all() {
    let server = TestServer::start().await;
    for _ in 0..6 {
        let body = json!({"name": "n", "description": "d", "organization": 20003});
        let study = server.post("/api/v1/studies").as_user(MARY).json(&body).send().await.expect(201).at("/id");
        let one = format!("/api/v1/studies/{study}");
        let add = |list: &str, body: Value| server.post(&format!("{one}/{list}")).as_user(MARY).json(&body);
        let replies = together([
            add("patients", json!({"patientIds": [40001, 40002]})),
            add("scope_requests", json!({"scopeCodeId": 50001})),
            server.delete(&one).as_user(MARY),
            add("data_sources", json!({"dataSourceId": 70001})),
            add("clients", json!({"clientId": 1})),
            add("patients", json!({"patientIds": [40002]})),
        ])
        .await;
        for reply in &replies {
            assert!([200, 201, 204, 403, 404].contains(&reply.status.as_u16()), "{}: {}", reply.status, reply.text());
        }
        server.get(&one).as_user(MARY).send().await.expect(403);
    }
    server.stop().await;
}

#[tokio::test]
async fn one_record_system_named_at_once_is_one_source() {
    let server = TestServer::start().await;
    let body = json!({"dataSource": 70006, "label": "Halo", "fhirBaseUrl": "https://race.example/R4/"});
    let sent: Vec<_> =
        (0..6).map(|_| tokio::spawn(server.post("/api/v1/fhir_sources").as_user(PETER).json(&body).send())).collect();
    let mut ids = std::collections::BTreeSet::new();
    for reply in sent {
        let reply = reply.await.unwrap();
        assert!(reply.status.is_success(), "{}", reply.text());
        ids.insert(reply.at("/id").to_string());
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
    server.stop().await;
}
