//! Polling in the order of arrival: `_since-seq` (B-2).

use jhe_testkit::{ADMIN, MARK, MARY, NOBODY, PAMELA, PETER, Person, Reply, TestServer, omh};
use serde_json::json;

use super::{HEART_RATE, get, heart_rate, ids, link, store_many};

const RATES: &str = "Observation?patient=40001&code=omh:heart-rate:2.0";

/// The number to go on with.
fn sequence(reply: &Reply) -> String {
    let number = reply.header("x-jhe-sequence");
    assert!(!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()), "{number}");
    number
}

/// Waits for transactions of other databases: the cluster numbers them all, so an old one among them keeps arrivals back.
async fn settle(server: &TestServer) {
    const OLDER: &str = "SELECT count(*)::text FROM pg_stat_activity AS a
                          WHERE a.datname <> current_database() AND a.backend_xid IS NOT NULL
                            AND a.backend_xid::text::bigint
                                <= (SELECT max(xmin::text::bigint) FROM core_observation)";
    while server.scalar(OLDER).await != "0" {
        tokio::task::yield_now().await;
    }
}

/// What arrived since a number, page by page, and the number to go on with.
async fn since(server: &TestServer, person: Person, query: &str, number: &str) -> (Vec<i64>, String) {
    settle(server).await;
    let sign = if query.contains('?') { '&' } else { '?' };
    let mut page = get(server, person, &format!("{query}{sign}_since-seq={number}")).await.expect(200);
    let mut seen = ids(&page);
    while let Some(next) = link(&page, "next") {
        assert!(
            next.contains(&format!("_since-seq={}", sequence(&page))) && next.matches("_since-seq").count() == 1,
            "{next}"
        );
        page = server.get(&next).as_user(person).send().await.expect(200);
        seen.extend(ids(&page));
    }
    (seen, sequence(&page))
}

async fn upload(server: &TestServer) -> i64 {
    let reply = server.post("/fhir/r5/Observation").as_user(PETER).json(&heart_rate("60")).send().await.expect(201);
    reply.at("/id").as_str().unwrap().parse().unwrap()
}

/// Each is told once, in the order in which it arrived, and a change brings none back.
#[tokio::test]
async fn every_arrival_is_told_once_in_order() {
    let server = TestServer::start().await;
    let (seen, number) = since(&server, MARY, RATES, "0").await;
    assert_eq!(seen, [60005]);
    assert_eq!(since(&server, MARY, RATES, &number).await.0, Vec::<i64>::new());
    store_many(&server, PETER, 25).await;
    server.execute("UPDATE core_observation SET status = 'amended' WHERE id = 60005").await;
    // Smaller pages tell the same.
    let (few, _) = since(&server, MARY, &format!("{RATES}&_count=4"), &number).await;
    let (many, next) = since(&server, MARY, &format!("{RATES}&_count=1000"), &number).await;
    assert_eq!((few.len(), &few), (25, &many));
    assert!(many.is_sorted() && next.parse::<u128>().unwrap() > number.parse().unwrap());
    let page = get(&server, MARY, &format!("{RATES}&_since-seq={number}&_count=4")).await.expect(200);
    assert_eq!((page.at("/type"), page.at("/total"), ids(&page).len()), (json!("searchset"), json!(null), 4));
    assert_eq!(page.at("/entry/0/resource/subject/reference"), "Patient/40001");
    let last = upload(&server).await;
    assert_eq!(since(&server, MARY, RATES, &next).await.0, [last]);
    // The same by form, with what else a search narrows by.
    let form = [("patient", "40001"), ("_since-seq", next.as_str()), ("status", "final"), ("date", "2026-04")];
    let reply = server.post("/fhir/r5/Observation/_search").as_user(MARY).form(&form).send().await.expect(200);
    assert_eq!(ids(&reply), [last]);
    let narrowed = [("status", "amended"), ("date", "2025-01"), ("device", "70002"), ("identifier", "x|y")];
    for (name, value) in narrowed {
        assert_eq!(
            since(&server, MARY, &format!("{RATES}&{name}={value}"), &next).await.0,
            Vec::<i64>::new(),
            "{name}"
        );
    }
    server.stop().await;
}

/// What commits late is told when it has, and what commits before it waits for it: nobody who goes on by number misses it.
#[tokio::test]
async fn what_commits_late_is_not_missed() {
    let server = TestServer::start().await;
    let all = "Observation?patient=40001";
    let (_, number) = since(&server, MARY, all, "0").await;
    // A transaction that has stored a reading of another kind, whose counter nobody waits for, and stays open as long as the line is held.
    let mut gate = server.store().begin().await.unwrap();
    gate.queue_up("gate").await.unwrap();
    let store = server.store().clone();
    let late = tokio::spawn(async move {
        store
            .execute_raw(
                "INSERT INTO core_observation (id, subject_patient_id, codeable_concept_id, omh_data) VALUES (69001, 40001, 50002, '{}');
                 SELECT pg_advisory_xact_lock(hashtextextended('gate', 0))",
            )
            .await
    });
    let waiting = "SELECT count(*)::text FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
                    WHERE l.locktype = 'advisory' AND NOT l.granted AND d.datname = current_database()";
    while server.scalar(waiting).await == "0" {
        tokio::task::yield_now().await;
    }
    let early = upload(&server).await;
    assert_eq!(ids(&get(&server, MARY, &format!("{all}&_count=1")).await), [early], "it is there for a search");
    let (seen, next) = since(&server, MARY, all, &number).await;
    assert_eq!(seen, Vec::<i64>::new());
    gate.commit().await.unwrap();
    late.await.unwrap().unwrap();
    assert_eq!(since(&server, MARY, all, &next).await.0, [69001, early]);
    assert_eq!(since(&server, MARY, all, &number).await.0, [69001, early]);
    server.stop().await;
}

/// It tells what a search tells, and of the same people: consent counts at each poll, and what is named must be the caller's.
#[tokio::test]
async fn arrivals_are_told_to_those_who_may_read_them() {
    let server = TestServer::start().await;
    let all = "Observation?_lastUpdated=ge2000";
    for (person, expected) in [(MARY, 5), (ADMIN, 9), (MARK, 2), (NOBODY, 0)] {
        assert_eq!(since(&server, person, all, "0").await.0.len(), expected, "{person:?}");
    }
    assert_eq!(since(&server, PETER, "Observation", "0").await.0, [60003, 60005]);
    assert_eq!(since(&server, PAMELA, "Observation", "0").await.0.len(), 3);
    let (_, number) = since(&server, MARY, RATES, "0").await;
    upload(&server).await;
    assert_eq!(since(&server, MARY, RATES, &number).await.0.len(), 1);
    server.execute("UPDATE core_studypatientscopeconsent SET consented = false WHERE study_patient_id = 1").await;
    assert_eq!(since(&server, MARY, RATES, &number).await.0, Vec::<i64>::new());
    for (person, query, status) in [
        (MARK, "Observation?patient=40001&_since-seq=0", 403),
        (PETER, "Observation?patient=40002&_since-seq=0", 403),
        (MARY, "Observation?_since-seq=0", 400),
        (MARY, "Observation?patient=40001&_since-seq=x", 400),
        (MARY, "Observation?patient=40001&_since-seq=-1", 400),
        (MARY, "Observation?patient=40001&_since-seq=0&_sort=date", 400),
        (MARY, "Observation?patient=40001&_since-seq=0&_page=1", 400),
        (MARY, "Observation?patient=40001&_since-seq=0&_offset=1", 400),
        (MARY, "Observation?patient=40001&_since-seq=0&_summary=count", 400),
    ] {
        get(&server, person, query).await.expect(status);
    }
    server.get("/fhir/r5/Observation?patient=40001&_since-seq=0").send().await.expect(401);
    let read = "SELECT count(*)::text FROM jhe_audit_event WHERE actor_user_id = 10002 AND action = 'read' AND patient_id = 40001 AND rows = 1";
    assert_ne!(server.scalar(read).await, "0", "it is recorded as a read");
    server.stop().await;
}

/// However many readings of others arrive, a poll looks at a bounded number of them and says where to go on.
#[tokio::test]
async fn many_arrivals_of_others_are_passed_step_by_step() {
    let server = TestServer::start().await;
    let (_, number) = since(&server, MARY, RATES, "0").await;
    server
        .execute(
            "INSERT INTO core_observation (subject_patient_id, codeable_concept_id, omh_data)
                  SELECT 40003, 50003, '{}' FROM generate_series(1, 20050)",
        )
        .await;
    let mine = upload(&server).await;
    settle(&server).await;
    let first = get(&server, MARY, &format!("{RATES}&_since-seq={number}")).await.expect(200);
    assert_eq!(ids(&first), Vec::<i64>::new());
    let second = server.get(&link(&first, "next").unwrap()).as_user(MARY).send().await.expect(200);
    assert_eq!(ids(&second), Vec::<i64>::new());
    let third = server.get(&link(&second, "next").unwrap()).as_user(MARY).send().await.expect(200);
    assert_eq!((ids(&third), link(&third, "next")), (vec![mine], None));
    assert_eq!(since(&server, MARY, RATES, &number).await.0, [mine]);
    server.stop().await;
}

/// In a cluster that numbers its transactions anew, arrivals go on behind those that were brought along.
#[tokio::test]
async fn arrivals_go_on_in_another_cluster() {
    let server = TestServer::start().await;
    // As if all of it came from a cluster that had seen more transactions.
    server.execute("UPDATE core_observation SET arrival = arrival + 1000000000").await;
    let database = server.database();
    let moved = TestServer::on(database, &[]).await;
    let (seen, number) = since(&moved, MARY, RATES, "0").await;
    assert_eq!(seen, [60005]);
    let document = omh::observation(40001, 70001, HEART_RATE, &omh::heart_rate("61"));
    let reply = moved.post("/fhir/r5/Observation").as_user(PETER).json(&document).send().await.expect(201);
    let new: i64 = reply.at("/id").as_str().unwrap().parse().unwrap();
    assert_eq!(since(&moved, MARY, RATES, &number).await.0, [new]);
    // A further start changes nothing.
    let shift = moved.scalar("SELECT shift::text FROM jhe_arrival_shift").await;
    let again = TestServer::on(server.database(), &[]).await;
    assert_eq!(again.scalar("SELECT shift::text FROM jhe_arrival_shift").await, shift);
    assert_eq!(since(&again, MARY, RATES, "0").await.0, [60005, new]);
    for one in [again, moved, server] {
        one.stop().await;
    }
}
