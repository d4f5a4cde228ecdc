//! Pages, orders, forms of a search.

use std::collections::BTreeSet;

use jhe_testkit::{ADMIN, MARY, MEGAN, PETER, TestServer, omh};
use serde_json::json;

use super::{get, ids, link, store_many, total};

#[tokio::test]
async fn cursors_visit_every_row_once() {
    let server = TestServer::start().await;
    store_many(&server, PETER, 100).await;
    let query = "Observation?patient=40001&code=omh:heart-rate:2.0&_count=10";
    let mut page = get(&server, MARY, query).await.expect(200);
    assert_eq!(page.at("/total"), 101);
    assert_eq!(link(&page, "self").unwrap(), format!("{}/fhir/r5/{query}", server.base));
    assert_eq!(link(&page, "previous"), None);
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        pages += 1;
        seen.extend(ids(&page));
        assert_eq!(page.at("/total"), 101);
        let Some(next) = link(&page, "next") else { break };
        page = server.get(&next).as_user(MARY).send().await.expect(200);
        assert_eq!(link(&page, "self").unwrap(), next);
    }
    assert_eq!((pages, seen.len()), (11, 101));
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 101);
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first");
    assert_eq!(ids(&page).len(), 1);
    let previous = server.get(&link(&page, "previous").unwrap()).as_user(MARY).send().await.expect(200);
    assert_eq!(ids(&previous), seen[90..100]);
    server.stop().await;
}

#[tokio::test]
async fn rows_that_arrive_meanwhile_shift_nothing_and_consent_counts_anew() {
    let server = TestServer::start().await;
    store_many(&server, PETER, 9).await;
    for sort in ["", "&_sort=date", "&_sort=-_lastUpdated"] {
        let query = format!("Observation?patient=40001&code=omh:heart-rate:2.0&_count=6{sort}");
        let first = get(&server, MARY, &query).await.expect(200);
        let all = first.at("/total");
        store_many(&server, PETER, 1).await;
        let second = server.get(&link(&first, "next").unwrap()).as_user(MARY).send().await.expect(200);
        assert_eq!(second.at("/total"), all, "{query}");
        let both: BTreeSet<i64> = ids(&first).into_iter().chain(ids(&second)).collect();
        assert_eq!(i64::try_from(both.len()).unwrap(), all.as_i64().unwrap().min(12), "{query}");
    }
    let first = get(&server, MARY, "Observation?patient=40001&_count=2").await.expect(200);
    server.execute("UPDATE core_studypatientscopeconsent SET consented = false").await;
    let second = server.get(&link(&first, "next").unwrap()).as_user(MARY).send().await.expect(200);
    assert!(ids(&second).is_empty());
    server.stop().await;
}

/// While others upload, whoever polls by time and goes on from where the last answer said misses nothing (B-2), and a first
/// page's number is that of the rows on all its pages (4.9).
#[tokio::test]
async fn polling_misses_nothing_and_numbers_agree_while_readings_arrive() {
    let server = TestServer::start().await;
    let begin = get(&server, MARY, "Observation?patient=40001&_sort=_lastUpdated").await.expect(200);
    let mut since = begin.at("/meta/lastUpdated").as_str().unwrap().to_owned();
    let known: BTreeSet<i64> = ids(&begin).into_iter().collect();
    let writers = futures_util::future::join_all((0..3).map(|_| async {
        for _ in 0..25 {
            store_many(&server, PETER, 12).await;
        }
    }));
    let done = std::cell::Cell::new(false);
    let poller = async {
        let mut seen = BTreeSet::new();
        loop {
            let is_last = done.get();
            let path = format!("Observation?patient=40001&_lastUpdated=gt{since}&_sort=_lastUpdated&_count=1000");
            let page = get(&server, MARY, &path).await.expect(200);
            seen.extend(ids(&page));
            page.at("/meta/lastUpdated").as_str().unwrap().clone_into(&mut since);
            if is_last {
                return seen;
            }
        }
    };
    let counter = async {
        let mut numbers = 0;
        while !done.get() {
            let mut page =
                get(&server, MARY, "Observation?patient=40001&_lastUpdated=ge2000&_sort=-date&_count=200").await;
            let (total, mut rows) = (page.at("/total").as_u64().unwrap(), ids(&page).len());
            if rows == 200 {
                // What commits while pages are followed may bear an earlier time: the number is that of one page here.
                page =
                    get(&server, MARY, "Observation?patient=40001&_lastUpdated=ge2000&_sort=-date&_count=1000").await;
                rows = ids(&page).len();
                assert_eq!(page.at("/total").as_u64().unwrap().min(1000), u64::try_from(rows).unwrap());
            } else {
                assert_eq!(total, u64::try_from(rows).unwrap());
            }
            numbers += 1;
        }
        numbers
    };
    let writing = async {
        writers.await;
        done.set(true);
    };
    let ((), seen, numbers) = tokio::join!(writing, poller, counter);
    let stored =
        server.scalar("SELECT string_agg(id::text, ',') FROM core_observation WHERE subject_patient_id = 40001").await;
    let stored: BTreeSet<i64> = stored.split(',').map(|id| id.parse().unwrap()).collect();
    let missed: Vec<_> = stored.difference(&seen).filter(|id| !known.contains(id)).collect();
    assert_eq!(missed, Vec::<&i64>::new());
    assert!(numbers > 0 && seen.len() >= 900);
    server.stop().await;
}

#[tokio::test]
async fn a_cursor_belongs_to_its_search_and_its_caller() {
    let server = TestServer::start().await;
    store_many(&server, PETER, 3).await;
    let first = get(&server, MARY, "Observation?patient=40001&_count=2").await.expect(200);
    let next = link(&first, "next").unwrap();
    let refused = |url: String, person| {
        let server = &server;
        async move {
            let reply = server.get(&url).as_user(person).send().await.expect(400);
            assert_eq!(reply.at("/issue/0/diagnostics"), "Invalid _cursor.", "{url}");
        }
    };
    server.get(&next).as_user(MARY).send().await.expect(200);
    refused(next.replace("patient=40001", "patient=40002"), MARY).await;
    refused(format!("{next}&code=omh:heart-rate:2.0"), MARY).await;
    refused(next.clone(), MEGAN).await;
    refused(format!("{next}A"), MARY).await;
    refused(format!("{}/fhir/r5/Observation?patient=40001&_cursor=zzz", server.base), MARY).await;
    server.stop().await;
}

#[tokio::test]
async fn numbered_pages_and_offsets_are_exact() {
    let server = TestServer::start().await;
    store_many(&server, PETER, 24).await;
    let base = "Observation?patient=40001&code=omh:heart-rate:2.0";
    let all = ids(&get(&server, MARY, &format!("{base}&_count=100")).await.expect(200));
    assert_eq!(all.len(), 25);
    let second = get(&server, MARY, &format!("{base}&_page=2&_count=10")).await.expect(200);
    assert_eq!(ids(&second), all[10..20]);
    assert!(
        link(&second, "next").unwrap().contains("_page=3") && link(&second, "previous").unwrap().contains("_page=1")
    );
    assert_eq!(ids(&get(&server, MARY, &format!("{base}&_page=last&_count=10")).await.expect(200)), all[20..]);
    for page in ["99", "abc", "0", "-1"] {
        let reply = get(&server, MARY, &format!("{base}&_page={page}")).await.expect(404);
        assert_eq!(reply.at("/issue/0/diagnostics"), "Invalid page.");
    }
    let offset = get(&server, MARY, &format!("{base}&_offset=5&_count=5")).await.expect(200);
    assert_eq!(ids(&offset), all[5..10]);
    assert!(link(&offset, "next").unwrap().contains("_offset=10"));
    assert!(ids(&get(&server, MARY, &format!("{base}&_offset=500")).await.expect(200)).is_empty());
    get(&server, MARY, &format!("{base}&_page=1&_offset=0")).await.expect(400);
    get(&server, MARY, "Observation?patient=40001&code=none&_page=1").await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn counts_are_clamped_and_forms_are_partial() {
    let server = TestServer::start().await;
    store_many(&server, PETER, 24).await;
    let base = "Observation?patient=40001";
    assert_eq!(ids(&get(&server, MARY, base).await).len(), 20);
    for count in ["abc", "-1"] {
        assert_eq!(ids(&get(&server, MARY, &format!("{base}&_count={count}")).await).len(), 20);
    }
    assert_eq!(ids(&get(&server, MARY, &format!("{base}&_count=5000")).await).len(), 26);
    for query in ["_count=0", "_summary=count"] {
        let reply = get(&server, MARY, &format!("{base}&{query}")).await.expect(200);
        assert_eq!((reply.at("/total"), ids(&reply).len()), (26.into(), 0));
        assert_eq!(reply.json()["link"].as_array().unwrap().len(), 1);
    }
    let untold = get(&server, MARY, &format!("{base}&_total=none&_count=10")).await.expect(200);
    assert!(untold.json().get("total").is_none() && link(&untold, "next").is_some());
    let part = get(&server, MARY, &format!("{base}&_elements=code")).await.expect(200);
    let resource = part.at("/entry/0/resource");
    assert!(resource["valueAttachment"].is_null() && resource["code"].is_object() && resource["status"].is_string());
    assert_eq!(resource["meta"]["tag"][0]["code"], "SUBSETTED");
    get(&server, MARY, &format!("{base}&_summary=bogus")).await.expect(400);
    server.stop().await;
}

#[tokio::test]
async fn a_chosen_order_puts_what_is_undated_last() {
    let server = TestServer::start().await;
    server.execute("DELETE FROM core_observation WHERE subject_patient_id = 40001").await;
    let at = |time: &str| omh::heart_rate("60").replace("2026-04-15T14:30:00Z\"}}", &format!("{time}\"}}}}"));
    let mut stored = Vec::new();
    for time in ["2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"] {
        let body = omh::observation(40001, 70001, "omh:heart-rate:2.0", &at(time));
        let reply = server.post("/fhir/r5/Observation").as_user(PETER).json(&body).send().await.expect(201);
        stored.push(reply.at("/id").as_str().unwrap().parse::<i64>().unwrap());
    }
    server
        .execute(
            "UPDATE core_observation SET effective_date_time = NULL WHERE effective_date_time = '2026-03-01T00:00:00Z'",
        )
        .await;
    let [middle, oldest, undated] = stored.try_into().unwrap();
    let order = |sort: &'static str| {
        let server = &server;
        async move { ids(&get(server, MARY, &format!("Observation?patient=40001&_sort={sort}")).await.expect(200)) }
    };
    assert_eq!(order("date").await, [oldest, middle, undated]);
    assert_eq!(order("-date").await, [middle, oldest, undated]);
    assert_eq!(order("_id").await, [middle, oldest, undated]);
    assert_eq!(order("-_id").await, [undated, oldest, middle]);
    let unknown = get(&server, MARY, "Observation?patient=40001&_sort=foo").await.expect(200);
    assert_eq!(unknown.header("x-jhe-ignored-parameters"), "_sort");
    server.stop().await;
}

/// All ids of a search from page to page; `between` happens after the first page.
async fn walk(server: &TestServer, query: &str, between: impl AsyncFnOnce(&[i64])) -> Vec<i64> {
    let mut page = get(server, MARY, query).await.expect(200);
    let mut seen = ids(&page);
    between(&seen).await;
    while let Some(next) = link(&page, "next") {
        page = server.get(&next).as_user(MARY).send().await.expect(200);
        seen.extend(ids(&page));
    }
    seen
}

fn once(seen: &[i64]) -> BTreeSet<i64> {
    let distinct: BTreeSet<i64> = seen.iter().copied().collect();
    assert_eq!(distinct.len(), seen.len(), "a row twice: {seen:?}");
    distinct
}

#[tokio::test]
async fn no_order_loses_what_stays_when_rows_of_earlier_pages_go() {
    let server = TestServer::start().await;
    store_many(&server, PETER, 20).await;
    for sort in ["", "_id", "-_id", "date", "-date", "_lastUpdated", "-_lastUpdated", "status,-_id", "code,patient"] {
        let query = format!("Observation?patient=40001&_count=4&_sort={sort}");
        let all = once(&walk(&server, &query, async |_| {}).await);
        let gone = std::cell::Cell::new(0);
        let seen = walk(&server, &query, async |first: &[i64]| {
            gone.set(first[3]);
            let path = format!("/api/v1/observations/{}", first[3]);
            server.delete(&path).as_user(ADMIN).json(&json!({"reason": "test"})).send().await.expect(204);
        });
        let seen = once(&seen.await);
        assert_eq!(seen, all, "sorted by {sort:?}: {} went after it was seen", gone.get());
    }
    server.stop().await;
}

#[tokio::test]
async fn the_newest_rows_are_found_after_newer_ones_are_removed() {
    let server = TestServer::start().await;
    store_many(&server, PETER, 3).await;
    let query = "Observation?_has:Group:member:_id=30001&_count=1";
    let all = walk(&server, query, async |_| {}).await;
    let pressure = server.scalar("SELECT id::text FROM core_observation WHERE codeable_concept_id = 50002 AND subject_patient_id = 40001 LIMIT 1").await;
    server.execute("UPDATE core_observation SET status = 'amended' WHERE codeable_concept_id = 50002").await;
    let path = format!("/api/v1/observations/{pressure}");
    server.delete(&path).as_user(ADMIN).json(&json!({"reason": "test"})).send().await.expect(204);
    let left = walk(&server, query, async |_| {}).await;
    assert_eq!(once(&left).len(), all.len() - 1);
    let newest = server.scalar("SELECT bool_and(s.newest = (SELECT max(o.last_updated) FROM core_observation AS o WHERE o.subject_patient_id = s.patient_id AND o.codeable_concept_id = s.scope_code_id))::text FROM jhe_observation_stats AS s WHERE s.n > 0").await;
    assert_eq!(newest, "true");
    server.stop().await;
}

/// Everything in one upload arrives at one moment, so all its pairs of patient and data type are equally new: pages of any
/// size show each reading once.
#[tokio::test]
async fn readings_of_one_moment_are_each_met_once() {
    let server = TestServer::start().await;
    server
        .execute(
            "WITH moment AS (SELECT clock_timestamp() AS now)
             INSERT INTO core_observation (subject_patient_id, codeable_concept_id, omh_data, created, last_updated)
             SELECT 40001, k.id, '{}', moment.now, moment.now
               FROM moment, generate_series(1, 4) AS n, core_codeableconcept AS k
              WHERE k.id IN (SELECT scope_code_id FROM jhe_releases WHERE patient_id = 40001) ORDER BY n, k.id DESC",
        )
        .await;
    let all = total(get(&server, MARY, "Observation?patient=40001&_summary=count").await);
    for count in 1..=5 {
        for (first, numbered) in [
            (format!("Observation?patient=40001&_count={count}"), false),
            (format!("Observation?patient=40001&_count={count}&_page=1"), true),
        ] {
            let mut page = get(&server, MARY, &first).await.expect(200);
            let mut seen = ids(&page);
            while let Some(next) = link(&page, "next") {
                page = server.get(&next).as_user(MARY).send().await.expect(200);
                seen.extend(ids(&page));
            }
            let met = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!((seen.len(), met), (usize::try_from(all).unwrap(), seen.len()), "{count} {numbered}");
        }
    }
    server.stop().await;
}
