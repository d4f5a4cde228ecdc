//! The rich demo: made once, and read in full by those who may (data model §8.8; case 222).

use std::collections::{BTreeMap, BTreeSet};

use jhe_app::seed::{self, RICH_STUDY, Seeded};
use jhe_testkit::{MARK, MARY, TestServer, VICTOR};
use serde_json::Value;

const GLUCOSE: &str = "omh:blood-glucose:4.0";

/// Follows `next` until there is none, as the guide's program does; what `id` points at in each entry that came.
async fn all(
    server: &TestServer,
    first: &str,
    entries: &str,
    next: impl Fn(&Value) -> Option<String>,
    id: &str,
) -> Vec<String> {
    let (mut url, mut ids) = (first.to_owned(), Vec::new());
    loop {
        let page = server.get(&url).as_user(MARY).send().await.expect(200).json();
        for entry in page[entries].as_array().unwrap() {
            let id = entry.pointer(id).unwrap();
            ids.push(id.as_str().map_or_else(|| id.to_string(), str::to_owned));
        }
        match next(&page) {
            Some(next) => url = next,
            None => return ids,
        }
    }
}

fn link(page: &Value) -> Option<String> {
    let links = page["link"].as_array().unwrap().iter();
    links.filter(|link| link["relation"] == "next").map(|link| link["url"].as_str().unwrap().to_owned()).next()
}

fn next(page: &Value) -> Option<String> {
    page["next"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn the_rich_demo_is_read_in_full_through_both_apis() {
    let server = TestServer::start().await;
    let now = server.app().now();
    assert_eq!(seed::rich(server.store(), now).await.unwrap(), Seeded::Made);
    let study: i64 =
        server.scalar("SELECT id::text FROM core_study WHERE name = 'CGM & Wearables Demo'").await.parse().unwrap();
    let facts = server
        .scalar(
            "SELECT concat_ws(' ', (SELECT organization_id FROM core_study WHERE name = 'CGM & Wearables Demo'),
                 (SELECT count(*) FROM core_studypatient AS e JOIN core_study AS s ON s.id = e.study_id AND s.name = 'CGM & Wearables Demo'),
                 (SELECT count(*) FROM core_patientidentifier WHERE system = 'demo'),
                 (SELECT count(*) FROM core_patient AS p JOIN core_jheuser AS u ON u.id = p.jhe_user_id WHERE u.identifier = u.email),
                 (SELECT string_agg(c.scope_code_id::text, ',' ORDER BY c.id) FROM core_studyscoperequest AS c
                    JOIN core_study AS s ON s.id = c.study_id AND s.name = 'CGM & Wearables Demo'))",
        )
        .await;
    assert_eq!(facts, "20001 20 20 20 50001,50012,50013,50014,50015,50016,50004,50006,50005");
    // Of today, where the site is.
    let newest = server
        .scalar(
            "SELECT string_agg(DISTINCT (newest AT TIME ZONE 'America/Los_Angeles')::date::text, ',') FROM (
                 SELECT max(coalesce(o.effective_date_time, o.effective_period_end)) AS newest FROM core_observation AS o
                   JOIN core_patientidentifier AS i ON i.patient_id = o.subject_patient_id AND i.system = 'demo'
                  GROUP BY o.subject_patient_id, o.codeable_concept_id) AS pair",
        )
        .await;
    assert_eq!(newest, (now - chrono::TimeDelta::hours(7)).date_naive().to_string());
    let stored: usize = server
        .scalar("SELECT count(*)::text FROM core_observation AS o JOIN core_patientidentifier AS i ON i.patient_id = o.subject_patient_id AND i.system = 'demo'")
        .await
        .parse()
        .unwrap();
    let glucose: usize = server
        .scalar("SELECT count(*)::text FROM core_observation AS o JOIN core_patientidentifier AS i ON i.patient_id = o.subject_patient_id AND i.system = 'demo'
                  WHERE o.codeable_concept_id = 50001")
        .await
        .parse()
        .unwrap();
    assert_eq!(glucose, 20 * 1345);
    assert!((20 * 60 * 8..=20 * 180 * 8).contains(&(stored - glucose)), "{stored}");
    // As a program reads all there is, through either API.
    let rest = format!("/api/v1/observations?organization_id=20001&study_id={study}&limit=10000");
    let ids = all(&server, &rest, "results", next, "/id").await;
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (stored, stored));
    let system = "https://w3id.org/openmhealth";
    let fhir = format!(
        "/FHIR/R5/Observation?patient._has:Group:member:_id={study}&patient.organization=20001&code={system}|{GLUCOSE}&_count=1000"
    );
    let ids = all(&server, &fhir, "entry", link, "/resource/id").await;
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (glucose, glucose));
    let count = server.get(&format!("{fhir}&_summary=count")).as_user(MARY).send().await.expect(200);
    assert_eq!(count.at("/total"), glucose);
    // The guides' exports: patient by patient, a hundred a page, each data type counted.
    let stored_of_each = server
        .scalar(
            "SELECT jsonb_object_agg(pair.key, pair.rows)::text FROM (
                 SELECT concat_ws(' ', o.subject_patient_id, c.coding_code) AS key, count(*) AS rows FROM core_observation AS o
                   JOIN core_codeableconcept AS c ON c.id = o.codeable_concept_id
                   JOIN core_patientidentifier AS i ON i.patient_id = o.subject_patient_id AND i.system = 'demo'
                  GROUP BY 1) AS pair",
        )
        .await;
    let patients = format!("/api/v1/patients?organization_id=20001&study_id={study}");
    let patients = server.get(&patients).as_user(MARY).send().await.expect(200).json();
    assert_eq!(patients["results"].as_array().unwrap().len(), 20);
    let mut exported = BTreeMap::new();
    for patient in patients["results"].as_array().unwrap() {
        let path = format!(
            "/api/v1/observations?organization_id=20001&study_id={study}&patient_id={}&limit=100",
            patient["id"]
        );
        for row in all(&server, &path, "results", next, "").await {
            let row: Value = serde_json::from_str(&row).unwrap();
            let code = row["codingCode"].as_str().unwrap();
            if code == GLUCOSE {
                let body = &row["valueAttachmentData"]["body"];
                assert!(
                    body["effective_time_frame"]["date_time"].is_string() && body["blood_glucose"]["value"].is_number()
                );
                let texts = ["patientNameDisplay", "dataSourceName", "created"];
                assert!(texts.iter().all(|key| row[key].is_string()), "{row}");
            }
            *exported.entry(format!("{} {code}", row["subjectPatient"])).or_insert(0) += 1;
        }
    }
    assert_eq!(exported, serde_json::from_str::<BTreeMap<String, i32>>(&stored_of_each).unwrap());
    // Who is in none of its organizations reads none of it, and who withdraws is not read any more.
    server.get(&fhir).as_user(MARK).send().await.expect(403);
    server.get(&fhir).as_user(VICTOR).send().await.expect(403);
    server
        .execute("UPDATE core_studypatientscopeconsent AS c SET consented = false FROM core_studypatient AS e JOIN core_patient AS p ON p.id = e.patient_id
                   WHERE e.id = c.study_patient_id AND p.name_family = 'Nguyen'")
        .await;
    let count = server.get(&format!("{fhir}&_summary=count")).as_user(MARY).send().await.expect(200);
    assert_eq!(count.at("/total"), glucose - 1345);
    server.stop().await;
}

/// Programs and guides name rows of the demo data by their ids (R33).
#[tokio::test]
async fn rows_of_the_demo_data_have_the_ids_they_are_known_by() {
    let server = TestServer::start().await;
    let observations =
        "SELECT string_agg(concat_ws(' ', o.id, o.subject_patient_id, k.coding_code), ', ' ORDER BY o.id)
                          FROM core_observation AS o JOIN core_codeableconcept AS k ON k.id = o.codeable_concept_id";
    assert_eq!(
        server.scalar(observations).await,
        "60001 40002 omh:blood-pressure:4.0, 60002 40002 omh:blood-pressure:4.0, 60003 40001 omh:blood-pressure:4.0, \
         60004 40002 omh:heart-rate:2.0, 60005 40001 omh:heart-rate:2.0, 60006 40005 omh:blood-glucose:4.0, \
         60007 40003 omh:body-temperature:4.0, 60008 40005 omh:oxygen-saturation:2.0, 60009 40004 omh:oxygen-saturation:2.0"
    );
    let links = "SELECT string_agg(concat_ws(' ', id, study_id, client_id), ', ' ORDER BY id) FROM core_studyclient";
    assert_eq!(server.scalar(links).await, "1 30001 1, 2 30002 1, 3 30001 3, 4 30004 2, 5 30003 2");
    let sources =
        "SELECT string_agg(concat_ws(' ', id, study_id, data_source_id), ', ' ORDER BY id) FROM core_studydatasource";
    assert_eq!(
        server.scalar(sources).await,
        "1 30001 70001, 2 30001 70005, 3 30002 70001, 4 30002 70005, 5 30004 70003, 6 30003 70002"
    );
    server.stop().await;
}

#[tokio::test]
async fn the_rich_demo_is_made_once_and_beside_nobody_elses_data() {
    let server = TestServer::start().await;
    let now = server.app().now();
    let refused = async |why: &str| {
        let before = server.scalar("SELECT count(*)::text FROM core_jheuser").await;
        let error = seed::rich(server.store(), now).await.unwrap_err();
        assert!(format!("{error:?}").contains(why), "{error:?}");
        assert_eq!(server.scalar("SELECT count(*)::text FROM core_jheuser").await, before);
    };
    server.execute("UPDATE core_organization SET name = 'Another' WHERE id = 20001").await;
    refused("needs an organization").await;
    server
        .execute("UPDATE core_organization SET name = 'The Planetary Research Institute of X' WHERE id = 20001")
        .await;
    server.execute("INSERT INTO core_jheuser (id, email, password) VALUES (19001, 'Zara.Ali@example.com', '!')").await;
    refused("has the address").await;
    server.execute("DELETE FROM core_jheuser WHERE id = 19001").await;
    assert_eq!(seed::rich(server.store(), now).await.unwrap(), Seeded::Made);
    let rows = "SELECT concat_ws(' ', (SELECT count(*) FROM core_observation), (SELECT count(*) FROM core_jheuser),
                     (SELECT count(*) FROM core_study), (SELECT max(last_updated) FROM core_observation))";
    let made = server.scalar(rows).await;
    assert_eq!(seed::rich(server.store(), now + chrono::TimeDelta::days(1)).await.unwrap(), Seeded::Present);
    assert_eq!(server.scalar(rows).await, made, "{RICH_STUDY}");
    // Nobody knows their passwords.
    assert_eq!(
        server
            .scalar("SELECT count(*)::text FROM core_jheuser WHERE identifier = email AND password LIKE '$argon2%'")
            .await,
        "0"
    );
    server.stop().await;
}
