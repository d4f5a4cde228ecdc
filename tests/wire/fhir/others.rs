//! Groups, Devices, Organizations and Practitioners: who finds which, by what, in which order.

use std::collections::BTreeSet;

use jhe_testkit::{ADMIN, MARK, MARY, MEGAN, NOBODY, PAT, PAUL, PERCY, PETER, Person, Reply, TOM, TestServer, VICTOR};
use reqwest::Method;
use serde_json::{Value, json};

use super::{get, ids, link, total};

const KINDS: [&str; 4] = ["Group", "Device", "Organization", "Practitioner"];
const MODEL: &str = "https://jupyterhealth.org/fhir/CodeSystem/model";
const HL7: &str = "http://terminology.hl7.org/CodeSystem/organization-type";
const SOURCE: &str = "https://jupyterhealth.org/fhir/CodeSystem/data-source-type";

/// The administrator is a member of every organization by rule and of none by a row: whether it counts among the
/// practitioners of one is not what these tests are about.
const ADMINISTRATOR: i64 = 80001;

/// What a search finds, in its order.
async fn found(server: &TestServer, person: Person, path: &str) -> Vec<i64> {
    let mut found = ids(&get(server, person, path).await.expect(200));
    found.retain(|id| *id != ADMINISTRATOR);
    found
}

async fn check(server: &TestServer, person: Person, cases: &[(&str, &[i64])]) {
    for (path, expected) in cases {
        assert_eq!(found(server, person, path).await, *expected, "{person:?} {path}");
    }
}

fn diagnostics(reply: &Reply) -> String {
    reply.at("/issue/0/diagnostics").as_str().unwrap_or_default().to_owned()
}

/// One of each kind that Mary may read.
const MARYS: [&str; 4] = ["Group/30001", "Device/70001", "Organization/20003", "Practitioner/80003"];

// --- who ---

/// Studies of one's organizations, data sources of those studies, the organizations, the people in them; a patient's are
/// those of its enrolments.
#[tokio::test]
async fn everybody_finds_what_belongs_to_its_organizations() {
    let server = TestServer::start().await;
    let lab: [&[i64]; 4] = [&[30001, 30002], &[70001, 70005], &[20003], &[80002, 80003, 80004, 80005]];
    for (person, groups, devices, organizations, practitioners) in [
        (MARY, lab[0], lab[1], &[20001, 20002, 20003][..], lab[3]),
        (MEGAN, lab[0], lab[1], lab[2], lab[3]),
        (VICTOR, lab[0], lab[1], lab[2], lab[3]),
        (
            TOM,
            &[30001, 30002, 30004, 30005][..],
            &[70001, 70003, 70005][..],
            &[20003, 20007, 20008][..],
            &[80002, 80003, 80004, 80005, 80006][..],
        ),
        (MARK, &[30003, 30004][..], &[70002, 70003][..], &[20004, 20005, 20006, 20007][..], &[80005, 80006][..]),
        (
            ADMIN,
            &[30001, 30002, 30003, 30004, 30005][..],
            &[70001, 70002, 70003, 70005][..],
            &[0, 20001, 20002, 20003, 20004, 20005, 20006, 20007, 20008][..],
            &[80002, 80003, 80004, 80005, 80006][..],
        ),
        (PETER, lab[0], lab[1], lab[2], lab[3]),
        (PERCY, &[30004][..], &[70003][..], &[20007][..], &[80005, 80006][..]),
        (PAUL, &[30005][..], &[][..], &[20008][..], &[80005][..]),
        (PAT, &[30003, 30005][..], &[70002][..], &[20006, 20008][..], &[80005, 80006][..]),
        (NOBODY, &[][..], &[][..], &[][..], &[][..]),
    ] {
        for (kind, expected) in KINDS.into_iter().zip([groups, devices, organizations, practitioners]) {
            let mut rows = found(&server, person, kind).await;
            rows.sort_unstable();
            assert_eq!(rows, expected, "{person:?} {kind}");
            for id in rows {
                get(&server, person, &format!("{kind}/{id}")).await.expect(200);
            }
        }
    }
    server.stop().await;
}

/// Who leaves an organization finds nothing of it from then on, and who never belonged to one finds nothing.
#[tokio::test]
async fn membership_counts_at_the_moment() {
    let server = TestServer::start().await;
    server.execute("DELETE FROM core_practitionerorganization WHERE practitioner_id = 80003").await;
    server.execute("DELETE FROM core_patientorganization WHERE patient_id = 40001").await;
    for kind in KINDS {
        for person in [MEGAN, PETER] {
            assert_eq!(total(get(&server, person, kind).await), 0, "{person:?} {kind}");
        }
    }
    for path in ["Group/30001", "Device/70001", "Organization/20003", "Practitioner/80002"] {
        get(&server, MARY, path).await.expect(200);
        get(&server, MEGAN, path).await.expect(404);
        get(&server, PETER, path).await.expect(404);
    }
    check(&server, MARY, &[("Practitioner?_id=80003", &[]), ("Practitioner?_id=80004", &[80004])]).await;
    server.execute("UPDATE core_jheuser SET is_active = false WHERE id = 10002").await;
    get(&server, MARY, "Group").await.expect(401);
    server.stop().await;
}

/// What is named must be the caller's; what a patient names beside itself does not apply (E04, E05, E06).
#[tokio::test]
async fn naming_what_is_not_the_callers_is_refused() {
    let server = TestServer::start().await;
    for kind in KINDS {
        for (person, query, what) in [
            (MARK, "patient=40001", "Patient/40001"),
            (MARK, "subject=999999", "Patient/999999"),
            (MARK, "_has:Group:member:_id=30001", "Group/30001"),
            (MARK, "patient.organization=20003", "Organization/20003"),
            (MARY, "patient=40001,40003", "Patient/40003"),
            (MARY, "patient=40001&patient=40003", "Patient/40003"),
            (MARY, "patient._has:Group:member:_id=30001,30004", "Group/30004"),
            (MARY, "patient.organization=999", "Organization/999"),
            (ADMIN, "patient=999999", "Patient/999999"),
            (ADMIN, "_has:Group:member:_id=999", "Group/999"),
            (ADMIN, "patient.organization=999", "Organization/999"),
            (PETER, "patient=40002", "Patient/40002"),
        ] {
            let refused = get(&server, person, &format!("{kind}?{query}")).await.expect(403);
            assert_eq!(refused.at("/issue/0/code"), "forbidden");
            assert_eq!(diagnostics(&refused), format!("Current user is not authorized to access {what}."), "{kind}");
        }
        for query in ["patient=abc", "patient=-1", "_has:Group:member:_id=x", "patient.organization=x", "patient=,"] {
            let refused = get(&server, MARY, &format!("{kind}?{query}")).await.expect(400);
            assert_eq!(refused.at("/issue/0/code"), "value", "{kind}?{query}");
        }
        let own = found(&server, PETER, kind).await;
        for query in ["patient=40001", "_has:Group:member:_id=999&patient.organization=20007"] {
            assert_eq!(found(&server, PETER, &format!("{kind}?{query}")).await, own, "{kind}?{query}");
        }
        assert_eq!(total(get(&server, NOBODY, &format!("{kind}?patient=40001")).await), 0, "{kind}");
    }
    server.stop().await;
}

/// A patient, a study and an organization narrow each kind as the table of the contract says, and never beyond what the
/// caller may read (4.3).
#[tokio::test]
async fn patients_studies_and_organizations_narrow_every_kind() {
    let server = TestServer::start().await;
    server.execute("INSERT INTO core_studydatasource (study_id, data_source_id) VALUES (30002, 70004)").await;
    server.execute("DELETE FROM core_studydatasource WHERE study_id = 30002 AND data_source_id = 70001").await;
    check(
        &server,
        MARY,
        &[
            ("Group?patient=40001", &[30002, 30001]),
            ("Group?subject=Patient/40001", &[30002, 30001]),
            ("Group?_has:Group:member:_id=30001", &[30001]),
            ("Group?patient._has:Group:member:_id=30001,30002", &[30002, 30001]),
            ("Group?_has:Group:member:_id=30001&_has:Group:member:_id=30002", &[]),
            ("Group?patient.organization=20003", &[30002, 30001]),
            ("Group?patient.organization=20001", &[]),
            ("Group?patient.identifier=urn:oid:1.2.3.4%7CE1234", &[30002, 30001]),
            ("Group?patient.identifier=E9999", &[]),
            ("Group?patient.family=merr", &[30002, 30001]),
            ("Group?patient.family=johnson", &[]),
            ("Device?patient=40001", &[70001, 70004, 70005]),
            ("Device?_has:Group:member:_id=30001", &[70001, 70005]),
            ("Device?patient._has:_group:member:_id=30002", &[70004, 70005]),
            ("Device?patient.organization=20003", &[70001, 70004, 70005]),
            ("Device?patient.organization=20002", &[]),
            ("Organization?patient=40001", &[20003]),
            ("Organization?_has:Group:member:_id=30001", &[20003]),
            ("Organization?patient.organization=20002", &[20002]),
            ("Organization?patient.organization=20001,20002", &[20001, 20002]),
            ("Organization?patient=40001&patient.organization=20002", &[]),
            ("Organization?patient.identifier=E1234", &[20003]),
            ("Practitioner?patient=40001", &[80003, 80005, 80002, 80004]),
            ("Practitioner?_has:Group:member:_id=30002", &[80003, 80005, 80002, 80004]),
            ("Practitioner?patient.organization=20002", &[80002]),
        ],
    )
    .await;
    // Pat is of Tom's organization 20008 and of 20006, which is not Tom's.
    check(
        &server,
        TOM,
        &[
            ("Group?patient=40005", &[30005]),
            ("Device?patient=40005", &[]),
            ("Device?patient.organization=20007", &[70003]),
            ("Organization?patient=40005", &[20008]),
            ("Practitioner?patient=40005", &[80005]),
            ("Practitioner?_has:Group:member:_id=30004", &[80005, 80006]),
            ("Practitioner?patient.organization=20008", &[80005]),
            ("Group?patient.family=herrera", &[30005]),
        ],
    )
    .await;
    // A stranger's identifier is no match, whoever asks.
    check(&server, MARK, &[("Group?patient.identifier=E1234", &[]), ("Organization?patient.family=merr", &[])]).await;
    server.execute("DELETE FROM core_studypatient WHERE study_id = 30002 AND patient_id = 40001").await;
    check(&server, MARY, &[("Group?patient=40001", &[30001]), ("Device?patient=40001", &[70001, 70005])]).await;
    check(&server, PETER, &[("Group", &[30001]), ("Device", &[70001, 70005]), ("Organization", &[20003])]).await;
    server.stop().await;
}

// --- by what ---

/// Each kind is found by its own parameters (4.4).
#[tokio::test]
async fn every_kind_has_parameters_of_its_own() {
    let server = TestServer::start().await;
    let both: &[i64] = &[30002, 30001];
    check(
        &server,
        MARY,
        &[
            ("Group?name=LIFESPAN", both),
            ("Group?name=study", &[]),
            ("Group?name:contains=hr", &[30001]),
            ("Group?name:exact=Lifespan Study on BP", &[30002]),
            ("Group?name:exact=lifespan study on bp", &[]),
            ("Group?name=xyz,life", both),
            ("Group?name=life&name:contains=%26", &[30001]),
            ("Group?code=study", both),
            ("Group?code=other", &[]),
            ("Group?code:not=study", &[]),
            ("Group?code:not=other", both),
            ("Group?type=person", both),
            ("Group?type=animal", &[]),
            ("Group?type:not=animal", both),
            ("Group?type:not=person", &[]),
            ("Group?managing-entity=Organization/20003", both),
            ("Group?managingEntity=20003", both),
            ("Group?managing-entity=20001,20003", both),
            ("Group?managing-entity=20001", &[]),
            ("Group?managing-entity=20007", &[]),
            ("Device?device-name=care", &[70001]),
            ("Device?deviceName:contains=TION", &[70005]),
            ("Device?device-name:exact=carex", &[]),
            ("Device?type=data-source", &[70001, 70005]),
            ("Device?type=personal_device", &[70001]),
            ("Device?type=personal_device,patient_app", &[70001, 70005]),
            ("Device?type:not=personal_device", &[70005]),
            ("Device?type:not=data-source", &[]),
            ("Organization?name=sat", &[20002]),
            ("Organization?name:contains=LAB", &[20003]),
            ("Organization?name:exact=Lifespan Lab", &[20003]),
            ("Organization?type=organization", &[20003, 20001, 20002]),
            ("Organization?type=laboratory", &[20003]),
            ("Organization?type=edu,team", &[20001, 20002]),
            ("Organization?type:not=laboratory", &[20001, 20002]),
            ("Organization?type:not=organization", &[]),
            ("Organization?partof=Organization/20001", &[20002]),
            ("Organization?partof=20001,20002", &[20003, 20002]),
            ("Organization?partof=20007", &[]),
            ("Practitioner?family=MIL", &[80002]),
            ("Practitioner?given=memberm", &[80003]),
            ("Practitioner?name=baker", &[80003]),
            ("Practitioner?name=viewer", &[80004]),
            ("Practitioner?name:contains=org", &[80005]),
            ("Practitioner?family:exact=miller", &[]),
            ("Practitioner?family=miller&given=member", &[]),
            ("Practitioner?identifier=fhir-222", &[80002]),
            ("Practitioner?identifier=fhir-222,fhir-444", &[80002, 80004]),
            ("Practitioner?identifier=%7Cfhir-222", &[80002]),
            ("Practitioner?identifier=urn:x%7Cfhir-222", &[]),
            ("Practitioner?identifier:not=fhir-222", &[80003, 80005, 80004]),
            ("Practitioner?identifier=fhir-888", &[]),
        ],
    )
    .await;
    server.stop().await;
}

/// A code is found under the system it is rendered with, and under no other (3.4 to 3.6).
#[tokio::test]
async fn a_code_belongs_to_its_system() {
    let server = TestServer::start().await;
    for (kind, name, system, code, expected) in [
        ("Group", "code", MODEL, "study", &[30002, 30001][..]),
        ("Group", "code", HL7, "study", &[][..]),
        ("Group", "code", MODEL, "", &[30002, 30001][..]),
        ("Device", "type", MODEL, "data-source", &[70001, 70005][..]),
        ("Device", "type", SOURCE, "patient_app", &[70005][..]),
        ("Device", "type", MODEL, "patient_app", &[][..]),
        ("Device", "type", SOURCE, "data-source", &[][..]),
        ("Organization", "type", MODEL, "organization", &[20003, 20001, 20002][..]),
        ("Organization", "type", MODEL, "laboratory", &[20003][..]),
        ("Organization", "type", HL7, "laboratory", &[][..]),
        ("Organization", "type", HL7, "team", &[20002][..]),
        ("Organization", "type", MODEL, "team", &[][..]),
        ("Organization", "type", HL7, "", &[20001, 20002][..]),
    ] {
        let path = format!("{kind}?{name}={system}%7C{code}");
        assert_eq!(found(&server, MARY, &path).await, expected, "{path}");
    }
    server.stop().await;
}

/// What all kinds have in common: ids, changes, sources, names nobody knows (4.1, 4.4, X-14).
#[tokio::test]
async fn ids_changes_and_sources_narrow_every_kind() {
    let server = TestServer::start().await;
    for (kind, id, foreign) in [
        ("Group", 30001, 30003),
        ("Device", 70001, 70002),
        ("Organization", 20003, 20004),
        ("Practitioner", 80003, 80006),
    ] {
        let all = found(&server, MARY, kind).await;
        let case = async |query: &str, expected: &[i64]| {
            assert_eq!(found(&server, MARY, &format!("{kind}?{query}")).await, expected, "{kind}?{query}");
        };
        case(&format!("_id={id}"), &[id]).await;
        case(&format!("_id={id},{foreign},abc"), &[id]).await;
        case(&format!("_id={foreign}"), &[]).await;
        case("_id=not-an-integer", &[]).await;
        case("_id=6f1d2c3b-0000-4000-8000-000000000001", &[]).await;
        case("_lastUpdated=ge2000", &all).await;
        case("_last_updated=lt2000", &[]).await;
        let read = get(&server, MARY, &format!("{kind}/{id}")).await.expect(200);
        let changed = read.at("/meta/lastUpdated").as_str().unwrap().to_owned();
        case(&format!("_id={id}&_lastUpdated={changed}"), &[id]).await;
        case(&format!("_id={id}&_lastUpdated=gt{changed}"), &[]).await;
        case("_source=https://jupyterhealth.org/jhe", &all).await;
        case("_source=https://elsewhere.example.org", &[]).await;
        case("_source:below=https://jupyterhealth.org/fhir/fhir-source", &[]).await;
        for (query, code) in [
            ("_lastUpdated=never", "value"),
            ("_id:not=1", "not-supported"),
            ("_include=*", "not-supported"),
            ("_summary=bogus", "value"),
            ("_cursor=zzz", "value"),
            ("patient:missing=true", "not-supported"),
        ] {
            let refused = get(&server, MARY, &format!("{kind}?{query}")).await.expect(400);
            assert_eq!(refused.at("/issue/0/code"), code, "{kind}?{query}");
        }
        let lenient = get(&server, MARY, &format!("{kind}?foo=bar&category=x")).await.expect(200);
        assert_eq!(lenient.header("x-jhe-ignored-parameters"), "foo, category", "{kind}");
        let path = format!("/fhir/r5/{kind}?foo=bar");
        let strict = server.get(&path).as_user(MARY).header("prefer", "handling=strict").send().await.expect(400);
        assert_eq!(strict.at("/issue/0/code"), "not-supported", "{kind}");
        // Parameters of outside records are unknown here.
        let outside = get(&server, MARY, &format!("{kind}?status=active")).await.expect(200);
        assert_eq!(outside.header("x-jhe-ignored-parameters"), "status", "{kind}");
    }
    server.stop().await;
}

/// Whatever a value holds, it is compared by letter or refused.
#[tokio::test]
async fn hostile_values_are_letters_or_refused() {
    let server = TestServer::start().await;
    let values =
        ["%27", "%22%3B--", "%00", "%25", "_", "%5C", "%F0%9F%92%A9", "1e999", "99999999999999999999", "%FF", "(.*)"];
    for (kind, names) in [
        ("Group", &["name", "name:contains", "code", "type", "managing-entity"][..]),
        ("Device", &["device-name", "device-name:exact", "type", "type:not"][..]),
        ("Organization", &["name", "type", "partof"][..]),
        ("Practitioner", &["name", "family", "given:contains", "identifier", "identifier:not"][..]),
    ] {
        let common =
            ["patient", "patient.family", "patient.identifier", "_id", "_lastUpdated", "_sort", "_count", "_page"];
        for name in names.iter().chain(&common) {
            for value in values {
                let reply = get(&server, MARY, &format!("{kind}?{name}={value}")).await;
                assert!(reply.status.as_u16() < 500, "{kind}?{name}={value}: {}", reply.text());
            }
        }
        for value in values {
            let reply = get(&server, MARY, &format!("{kind}/{value}")).await;
            assert!(matches!(reply.status.as_u16(), 400 | 404), "{kind}/{value}: {}", reply.text());
        }
    }
    // A wildcard of the database is a letter.
    check(
        &server,
        MARY,
        &[("Group?name=%25", &[]), ("Organization?name:contains=_", &[]), ("Practitioner?family=%25", &[])],
    )
    .await;
    server.stop().await;
}

// --- in which order ---

/// Things come by name, people by family and given name, unless another order is chosen (4.7, 4.9).
#[tokio::test]
async fn every_kind_comes_by_name() {
    let server = TestServer::start().await;
    let by_name: &[i64] = &[20006, 20008, 20005, 20003, 20004, 20007, 20001, 0, 20002];
    let by_name_descending: Vec<i64> = by_name.iter().rev().copied().collect();
    check(&server, ADMIN, &[("Organization", by_name), ("Organization?_sort=-name", &by_name_descending)]).await;
    check(
        &server,
        MARY,
        &[
            ("Group", &[30002, 30001]),
            ("Group?_sort=-name", &[30001, 30002]),
            ("Group?_sort=_id", &[30001, 30002]),
            ("Group?_sort=-_id", &[30002, 30001]),
            ("Device", &[70001, 70005]),
            ("Device?_sort=-name", &[70005, 70001]),
            ("Device?_sort=-_id", &[70005, 70001]),
            ("Organization?_sort=_id", &[20001, 20002, 20003]),
            ("Practitioner", &[80003, 80005, 80002, 80004]),
            ("Practitioner?_sort=-family", &[80004, 80002, 80005, 80003]),
            ("Practitioner?_sort=given", &[80002, 80003, 80005, 80004]),
            ("Practitioner?_sort=name", &[80003, 80005, 80002, 80004]),
            ("Practitioner?_sort=-name&_count=3", &[80004, 80002, 80005]),
            ("Practitioner?_sort=-_id", &[80005, 80004, 80003, 80002]),
        ],
    )
    .await;
    // Equal names come by id, and who has none comes last, in both directions.
    server
        .execute(
            "UPDATE core_practitioner SET name_family = 'Baker', name_given = 'Same' WHERE id IN (80002, 80004);
             UPDATE core_practitioner SET name_family = NULL, name_given = NULL WHERE id = 80003;
             UPDATE core_organization SET name = 'Same' WHERE id IN (20001, 20002);",
        )
        .await;
    check(
        &server,
        MARY,
        &[
            ("Practitioner", &[80002, 80004, 80005, 80003]),
            ("Practitioner?_sort=-family", &[80005, 80002, 80004, 80003]),
            ("Organization", &[20003, 20001, 20002]),
            ("Organization?_sort=-name", &[20001, 20002, 20003]),
        ],
    )
    .await;
    server.execute("UPDATE core_organization SET type = 'team' WHERE id = 20001").await;
    assert_eq!(found(&server, MARY, "Organization?_sort=-_lastUpdated").await[0], 20001);
    server.stop().await;
}

/// Forty-five organizations and as many people, of whom some have equal names and some have none.
const MANY: &str = "
    INSERT INTO core_organization (id, name, type, part_of_id)
    SELECT 21000 + n, 'Many ' || n / 4, 'team', 20003 FROM generate_series(1, 45) AS n;
    INSERT INTO core_practitionerorganization (practitioner_id, organization_id, role)
    SELECT 80002, 21000 + n, 'viewer' FROM generate_series(1, 45) AS n;
    INSERT INTO core_jheuser (id, email, password, user_type)
    SELECT 11000 + n, 'many' || n || '@example.org', '!', 'practitioner' FROM generate_series(1, 45) AS n;
    INSERT INTO core_practitioner (id, jhe_user_id, name_family, name_given, identifier)
    SELECT 81000 + n, 11000 + n, CASE WHEN n % 5 > 0 THEN 'Many' END, CASE WHEN n % 3 > 0 THEN 'M' || n / 9 END, 'many'
      FROM generate_series(1, 45) AS n;
    INSERT INTO core_practitionerorganization (practitioner_id, organization_id, role)
    SELECT 81000 + n, 20003, 'viewer' FROM generate_series(1, 45) AS n;";

/// Rows that arrive while somebody pages: before and behind the first page, in every order.
const LATER: &str = "
    INSERT INTO core_organization (name, type, part_of_id) VALUES ('Aaa', 'team', 20003), ('Many 5', 'team', 20003), ('Zzz', 'team', 20003);
    INSERT INTO core_practitionerorganization (practitioner_id, organization_id, role)
    SELECT 80002, id, 'viewer' FROM core_organization AS o WHERE name IN ('Aaa', 'Many 5', 'Zzz')
       AND NOT EXISTS (SELECT 1 FROM core_practitionerorganization AS m WHERE m.organization_id = o.id);
    INSERT INTO core_jheuser (email, password, user_type)
    SELECT name || random(), '!', 'practitioner' FROM (VALUES ('Aaa'), ('Many'), ('Zzz')) AS v (name);
    INSERT INTO core_practitioner (jhe_user_id, name_family, name_given, identifier)
    SELECT u.id, regexp_replace(u.email, '[0-9.e-]+$', ''), 'M2', 'many' FROM core_jheuser AS u
     WHERE u.email ~ '^(Aaa|Many|Zzz)[0-9]' AND NOT EXISTS (SELECT 1 FROM core_practitioner AS p WHERE p.jhe_user_id = u.id);
    INSERT INTO core_practitionerorganization (practitioner_id, organization_id, role)
    SELECT p.id, 20003, 'viewer' FROM core_practitioner AS p
     WHERE NOT EXISTS (SELECT 1 FROM core_practitionerorganization AS m WHERE m.practitioner_id = p.id)
       AND p.identifier = 'many';";

/// Pages show every row once, whatever arrives meanwhile, and say the total of the first one (4.9, B-1).
#[tokio::test]
async fn pages_show_every_row_once() {
    let server = TestServer::start().await;
    server.execute(MANY).await;
    // Ids of what arrives later are greater.
    server
        .execute(
            "ALTER TABLE core_organization ALTER COLUMN id RESTART WITH 22001;
             ALTER TABLE core_practitioner ALTER COLUMN id RESTART WITH 82001;
             ALTER TABLE core_jheuser ALTER COLUMN id RESTART WITH 12001;",
        )
        .await;
    for (base, sorts) in [
        ("Organization?partof=20003&_count=7", &["", "name", "-name", "_id", "-_id", "_lastUpdated"][..]),
        ("Practitioner?identifier=many&_count=7", &["", "family", "-family", "given,-_id", "-given", "-_id"][..]),
    ] {
        for sort in sorts {
            let query = format!("{base}&_sort={sort}");
            let mut page = get(&server, MARY, &query).await.expect(200);
            let all = page.at("/total");
            assert_eq!(link(&page, "previous"), None, "{query}");
            let mut seen = ids(&page);
            server.execute(LATER).await;
            let mut pages = 1;
            while let Some(next) = link(&page, "next") {
                assert!(!next.contains("Many"), "no name travels in a link");
                page = server.get(&next).as_user(MARY).send().await.expect(200);
                assert_eq!((page.at("/total"), link(&page, "self")), (all.clone(), Some(next)), "{query}");
                seen.extend(ids(&page));
                pages += 1;
            }
            let distinct: BTreeSet<i64> = seen.iter().copied().collect();
            assert_eq!(distinct.len(), seen.len(), "{query}: a row twice in {seen:?}");
            assert_eq!(i64::try_from(seen.len()).unwrap(), all.as_i64().unwrap(), "{query}");
            assert_eq!(pages, seen.len().div_ceil(7), "{query}");
            // The next search finds what has arrived.
            assert_eq!(total(get(&server, MARY, &query).await), all.as_i64().unwrap() + 3, "{query}");
        }
    }
    server.stop().await;
}

/// Whatever is changed while somebody pages, no row is lost: one that is touched keeps its place, one that gets another name
/// has its new one.
#[tokio::test]
async fn changes_lose_no_row_of_the_pages_that_follow() {
    let server = TestServer::start().await;
    server.execute(MANY).await;
    for (base, rename, touch) in [
        (
            "Organization?partof=20003&_count=7",
            "UPDATE core_organization SET name = 'Zzz' WHERE id =",
            "UPDATE core_organization SET last_updated = clock_timestamp() WHERE part_of_id = 20003",
        ),
        (
            "Practitioner?identifier=many&_count=7",
            "UPDATE core_practitioner SET name_family = 'Zzz' WHERE id =",
            "UPDATE core_practitioner SET last_updated = clock_timestamp() WHERE identifier = 'many'",
        ),
    ] {
        let mut page = get(&server, MARY, base).await.expect(200);
        let all = page.at("/total").as_i64().unwrap();
        let mut seen = ids(&page);
        server.execute(format!("{rename} {}", seen[2]).leak()).await;
        server.execute(touch).await;
        while let Some(next) = link(&page, "next") {
            page = server.get(&next).as_user(MARY).send().await.expect(200);
            seen.extend(ids(&page));
        }
        let distinct: BTreeSet<i64> = seen.iter().copied().collect();
        assert_eq!(i64::try_from(distinct.len()).unwrap(), all, "{base}");
        assert!(seen.len() <= distinct.len() + 1, "{base}: {seen:?}");
    }
    server.stop().await;
}

/// Numbered pages and offsets are exact while nothing changes; a cursor belongs to its kind, search and caller.
#[tokio::test]
async fn pages_are_asked_for_by_number_too() {
    let server = TestServer::start().await;
    server.execute(MANY).await;
    for base in ["Organization?partof=20003", "Practitioner?identifier=many"] {
        let all = ids(&get(&server, MARY, &format!("{base}&_count=100")).await.expect(200));
        assert_eq!(all.len(), 45);
        let second = get(&server, MARY, &format!("{base}&_page=2&_count=10")).await.expect(200);
        assert_eq!(ids(&second), all[10..20], "{base}");
        assert!(link(&second, "next").unwrap().contains("_page=3"), "{base}");
        assert_eq!(ids(&get(&server, MARY, &format!("{base}&_page=last&_count=10")).await.expect(200)), all[40..]);
        let offset = get(&server, MARY, &format!("{base}&_offset=7&_count=5")).await.expect(200);
        assert_eq!(ids(&offset), all[7..12], "{base}");
        assert_eq!(diagnostics(&get(&server, MARY, &format!("{base}&_page=99")).await.expect(404)), "Invalid page.");
        let first = get(&server, MARY, &format!("{base}&_count=10")).await.expect(200);
        let next = link(&first, "next").unwrap();
        let page = server.get(&next).as_user(MARY).send().await.expect(200);
        let back = server.get(&link(&page, "previous").unwrap()).as_user(MARY).send().await.expect(200);
        assert_eq!(ids(&back), all[..10], "{base}");
        let (asked, cursor) = next.split_once("&_cursor=").unwrap();
        for (url, person) in [
            (next.clone(), TOM),
            (format!("{asked}&_sort=-_id&_cursor={cursor}"), MARY),
            (format!("{asked}&name=x&_cursor={cursor}"), MARY),
            (format!("{}/fhir/r5/Group?_cursor={cursor}", server.base), MARY),
        ] {
            let refused = server.get(&url).as_user(person).send().await.expect(400);
            assert_eq!(diagnostics(&refused), "Invalid _cursor.", "{url}");
        }
    }
    server.stop().await;
}

// --- reading one ---

/// A resource without what changes with its row.
fn lasting(reply: &Reply) -> Value {
    let mut body = reply.json();
    let meta = body.as_object_mut().unwrap().remove("meta").unwrap();
    assert_eq!(meta["source"], "https://jupyterhealth.org/jhe");
    assert!(meta["versionId"].as_str().unwrap().parse::<i64>().is_ok(), "{meta}");
    assert!(meta["lastUpdated"].as_str().unwrap().ends_with('Z') && meta.get("tag").is_none(), "{meta}");
    body
}

fn concept(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

/// Each kind is R5 and has the members of the contract, all of them and no others (3.4 to 3.7, R-09).
#[tokio::test]
async fn each_kind_has_the_members_of_its_mapping() {
    let server = TestServer::start().await;
    let mut study = json!({
        "resourceType": "Group", "id": "30001", "active": true, "type": "person", "membership": "enumerated",
        "code": concept(MODEL, "study"), "name": "Lifespan Study on BP & HR", "description": "Blood Pressure & Heart Rate",
        "managingEntity": {"reference": "Organization/20003"}, "quantity": 2
    });
    let device = json!({
        "resourceType": "Device", "id": "70001", "displayName": "CareX",
        "name": [{"value": "CareX", "type": "user-friendly-name", "display": true}],
        "type": [{"coding": [{"system": MODEL, "code": "data-source"}, {"system": SOURCE, "code": "personal_device"}]}]
    });
    let laboratory = json!({
        "resourceType": "Organization", "id": "20003", "name": "Lifespan Lab", "partOf": {"reference": "Organization/20002"},
        "type": [concept(MODEL, "organization"), concept(MODEL, "laboratory")]
    });
    let institute = json!({
        "resourceType": "Organization", "id": "20001", "name": "Planetary Research Institute",
        "partOf": {"reference": "Organization/0"}, "type": [concept(MODEL, "organization"), concept(HL7, "edu")]
    });
    let practitioner = json!({
        "resourceType": "Practitioner", "id": "80002", "identifier": [{"value": "fhir-222"}],
        "name": [{"family": "Miller", "given": ["ManagerMary"]}]
    });
    let resources = [&study, &device, &laboratory, &institute, &practitioner];
    for resource in resources {
        let (kind, id) = (resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
        let read = get(&server, MARY, &format!("{kind}/{id}")).await.expect(200);
        assert_eq!(lasting(&read), *resource);
        let search = get(&server, MARY, &format!("{kind}?_id={id}")).await.expect(200);
        assert_eq!(search.at("/entry/0/resource"), read.json());
        assert_eq!(search.at("/entry/0/search/mode"), "match");
        assert_eq!(search.at("/entry/0/fullUrl"), format!("{}/fhir/r5/{kind}/{id}", server.base));
        assert_eq!((search.at("/type"), search.at("/total")), (json!("searchset"), json!(1)));
    }
    // How many take part is for practitioners.
    for person in [VICTOR, ADMIN] {
        assert_eq!(get(&server, person, "Group/30001").await.expect(200).at("/quantity"), 2);
    }
    study.as_object_mut().unwrap().remove("quantity");
    assert_eq!(lasting(&get(&server, PETER, "Group/30001").await.expect(200)), study);
    assert!(get(&server, PETER, "Group").await.expect(200).at("/entry/0/resource/quantity").is_null());
    // What is empty is left out.
    server
        .execute(
            "UPDATE core_practitioner SET identifier = '', name_given = NULL WHERE id = 80002;
             UPDATE core_practitioner SET identifier = NULL, name_family = '', name_given = '' WHERE id = 80003;
             UPDATE core_study SET description = '' WHERE id = 30001;",
        )
        .await;
    let bare = json!({"resourceType": "Practitioner", "id": "80002", "name": [{"family": "Miller"}]});
    assert_eq!(lasting(&get(&server, MARY, "Practitioner/80002").await.expect(200)), bare);
    let nameless = json!({"resourceType": "Practitioner", "id": "80003"});
    assert_eq!(lasting(&get(&server, MARY, "Practitioner/80003").await.expect(200)), nameless);
    assert!(get(&server, MARY, "Group/30001").await.expect(200).at("/description").is_null());
    server.stop().await;
}

/// Each names its version, which is another one after every change of what is shown (1.5).
#[tokio::test]
async fn each_names_its_version_and_is_not_sent_again() {
    let server = TestServer::start().await;
    let changes = [
        "DELETE FROM core_studypatient WHERE study_id = 30001 AND patient_id = 40002",
        "UPDATE core_datasource SET name = 'CareY' WHERE id = 70001",
        "UPDATE core_organization SET part_of_id = 20001 WHERE id = 20003",
        "UPDATE core_practitioner SET name_given = 'Meg' WHERE id = 80003",
    ];
    for (path, change) in MARYS.into_iter().zip(changes) {
        let url = format!("/fhir/r5/{path}");
        let whole = server.get(&url).as_user(MARY).send().await.expect(200);
        let (tag, modified) = (whole.header("etag"), whole.header("last-modified"));
        assert_eq!(tag, format!("W/\"{}\"", whole.at("/meta/versionId").as_str().unwrap()));
        assert!(modified.ends_with(" GMT"), "{modified}");
        for (name, value) in [("if-none-match", &tag), ("if-modified-since", &modified)] {
            let reply = server.get(&url).as_user(MARY).header(name, value).send().await.expect(304);
            assert!(reply.bytes.is_empty() && reply.header("etag") == tag, "{path} {name}");
        }
        let stale = server.get(&url).as_user(MARY).header("if-none-match", "W/\"1\"").send().await.expect(200);
        assert_eq!(stale.json(), whole.json());
        let head = server.call(Method::HEAD, &url).as_user(MARY).send().await.expect(200);
        assert!(head.bytes.is_empty() && head.header("etag") == tag && head.header("last-modified") == modified);
        server.execute(change).await;
        let changed = server.get(&url).as_user(MARY).header("if-none-match", &tag).send().await.expect(200);
        assert!(changed.header("etag") != tag && changed.json() != whole.json(), "{path}");
        let search = get(&server, MARY, path.split('/').next().unwrap()).await.expect(200);
        assert!(search.header("etag").is_empty(), "{path}");
        assert_eq!(search.header("cache-control"), "private, no-cache");
    }
    // The view that a practitioner looked at last is not shown, and so is no new version.
    let tag = get(&server, MARY, "Practitioner/80002").await.expect(200).header("etag");
    server.get("/fhir/r5/Group").as_user(MARY).header("x-jhe-remember-view", "1").send().await.expect(200);
    assert_eq!(get(&server, MARY, "Practitioner/80002").await.expect(200).header("etag"), tag);
    let profile = server.get("/api/v1/users/profile").as_user(MARY).send().await.expect(200);
    assert_eq!(profile.at("/settings/currentFhirResource"), "Group");
    server.stop().await;
}

/// What does not exist, is not the caller's or cannot be an id is not found, in the same words (E11).
#[tokio::test]
async fn what_one_may_not_read_is_not_there() {
    let server = TestServer::start().await;
    for (person, paths) in [
        (
            MARY,
            &[
                "Group/30004",
                "Device/70002",
                "Device/70004",
                "Organization/20004",
                "Organization/0",
                "Practitioner/80006",
            ][..],
        ),
        (MARK, &MARYS[..]),
        (NOBODY, &MARYS[..]),
        (PETER, &["Group/30003", "Device/70002", "Organization/20002", "Organization/20007", "Practitioner/80006"][..]),
        (ADMIN, &["Group/999", "Device/70004", "Organization/999", "Practitioner/999"][..]),
    ] {
        for path in paths {
            let reply = get(&server, person, path).await.expect(404);
            assert_eq!(reply.at("/issue/0/code"), "not-found", "{person:?} {path}");
            assert_eq!(diagnostics(&reply), format!("{path} not found."), "{person:?}");
            assert!(reply.header("etag").is_empty(), "{person:?} {path}");
        }
    }
    for kind in KINDS {
        for id in ["abc", "-1", "1.5", "00x", "99999999999999999999", "6f1d2c3b-0000-4000-8000-000000000001"] {
            let reply = get(&server, ADMIN, &format!("{kind}/{id}")).await.expect(404);
            assert_eq!(diagnostics(&reply), format!("{kind}/{id} not found."));
        }
        for path in [kind.to_owned(), format!("{kind}/1"), format!("{kind}/_search")] {
            server.get(&format!("/fhir/r5/{path}")).send().await.expect(401);
        }
    }
    server.stop().await;
}

/// The organization above all others is one like the others, for those who may read it: superusers.
#[tokio::test]
async fn the_root_is_an_organization_like_the_others() {
    let server = TestServer::start().await;
    let read = get(&server, ADMIN, "Organization/0").await.expect(200);
    let name = server.scalar("SELECT name FROM core_organization WHERE id = 0").await;
    let types = json!([concept(MODEL, "organization"), concept(MODEL, "root")]);
    assert_eq!(lasting(&read), json!({"resourceType": "Organization", "id": "0", "name": name, "type": types}));
    let unchanged = server.get("/fhir/r5/Organization/0").as_user(ADMIN).header("if-none-match", &read.header("etag"));
    unchanged.send().await.expect(304);
    check(
        &server,
        ADMIN,
        &[
            ("Organization?_id=0", &[0]),
            ("Organization?_id=0,20003", &[20003, 0]),
            ("Organization?type=root", &[0]),
            ("Organization?name=root", &[0]),
            ("Organization?partof=Organization/0", &[20004, 20001]),
            ("Organization?partof=0", &[20004, 20001]),
        ],
    )
    .await;
    for person in [MARY, MARK, PETER, NOBODY] {
        check(&server, person, &[("Organization?_id=0", &[]), ("Organization?type=root", &[])]).await;
        get(&server, person, "Organization/0").await.expect(404);
    }
    check(&server, MARY, &[("Organization?partof=Organization/0", &[20001])]).await;
    get(&server, ADMIN, "Group/0").await.expect(404);
    server.stop().await;
}

// --- forms, methods ---

/// None of the four is written here (E13, E15, E16).
#[tokio::test]
async fn what_is_managed_elsewhere_is_not_written_here() {
    let server = TestServer::start().await;
    let count = "SELECT (SELECT count(*) FROM core_study) || ' ' || (SELECT count(*) FROM core_datasource) || ' '
        || (SELECT count(*) FROM core_organization) || ' ' || (SELECT count(*) FROM core_practitioner)";
    let before = server.scalar(count).await;
    for path in MARYS {
        let kind = path.split('/').next().unwrap();
        let refusal = |interaction: &str| format!("The '{interaction}' interaction is not allowed for {kind}.");
        for (method, path, said, allowed) in [
            (Method::PUT, path, refusal("update"), "GET, HEAD, OPTIONS"),
            (Method::PATCH, path, refusal("patch"), "GET, HEAD, OPTIONS"),
            (Method::DELETE, path, refusal("delete"), "GET, HEAD, OPTIONS"),
            (Method::POST, kind, refusal("create"), "GET, HEAD, OPTIONS"),
            (Method::POST, path, "Method \"POST\" not allowed.".to_owned(), "GET, HEAD, OPTIONS"),
            (Method::PUT, kind, "An id is required to update a resource.".to_owned(), "GET, HEAD, OPTIONS"),
            (Method::DELETE, kind, "An id is required to delete a resource.".to_owned(), "GET, HEAD, OPTIONS"),
        ] {
            let call = server.call(method.clone(), &format!("/fhir/r5/{path}")).as_user(ADMIN);
            let reply = call.json(&json!({"resourceType": kind})).send().await.expect(405);
            assert_eq!((diagnostics(&reply), reply.header("allow")), (said, allowed.to_owned()), "{method} {path}");
            assert_eq!(reply.at("/issue/0/code"), "not-supported", "{method} {path}");
            server.call(method, &format!("/fhir/r5/{path}")).send().await.expect(401);
        }
        server.call(Method::OPTIONS, &format!("/fhir/r5/{kind}")).send().await.expect(204);
        let odd = server.put(&format!("/fhir/r5/{kind}/abc")).as_user(ADMIN).json(&json!({})).send().await.expect(404);
        assert_eq!(diagnostics(&odd), format!("{kind}/abc not found."));
        let below = get(&server, MARY, &format!("{path}/_history")).await.expect(404);
        assert_eq!(diagnostics(&below), format!("'_history' is not supported for {kind}."));
    }
    assert_eq!(server.scalar(count).await, before);
    server.stop().await;
}

/// A form means what the same parameters in an address mean, under every spelling of the base (1.1, 4.1).
#[tokio::test]
async fn a_form_is_answered_as_the_address() {
    let server = TestServer::start().await;
    let entries = |reply: &Reply| (reply.at("/total"), reply.at("/entry"));
    for query in
        ["_count=1", "_summary=count", "patient=40001&_sort=-_id", "_id=30001,70001,20003,80003", "patient=40003"]
    {
        for kind in KINDS {
            let asked = get(&server, MARY, &format!("{kind}?{query}")).await;
            let form = "application/x-www-form-urlencoded";
            let path = format!("/fhir/r5/{kind}/_search");
            let sent = server.post(&path).as_user(MARY).body(form, query).send().await;
            assert_eq!((sent.status, entries(&sent)), (asked.status, entries(&asked)), "{kind} {query}");
            let again = get(&server, MARY, &format!("{kind}/_search?{query}")).await;
            assert_eq!((again.status, entries(&again)), (asked.status, entries(&asked)), "{kind} {query}");
            let split = server.post(&format!("{path}?{query}")).as_user(MARY).body(form, "_elements=id").send().await;
            assert_eq!((split.status, split.at("/total")), (asked.status, asked.at("/total")), "{kind} {query}");
        }
    }
    for kind in KINDS {
        for base in ["/FHIR/R5", "/fhir"] {
            let reply = server.get(&format!("{base}/{kind}/?_count=1")).as_user(MARY).send().await.expect(200);
            let url = reply.at("/entry/0/fullUrl").as_str().unwrap().to_owned();
            assert!(url.starts_with(&format!("{}{base}/{kind}/", server.base)), "{url}");
        }
        let refused = server.post(&format!("/fhir/r5/{kind}/_search")).as_user(MARY).json(&json!({})).send().await;
        refused.expect(415);
        get(&server, MARY, &format!("{kind}?_format=xml")).await.expect(406);
    }
    server.stop().await;
}

/// Parts of a resource say that they are parts, and keep what R5 demands (4.7).
#[tokio::test]
async fn partial_forms_keep_what_is_mandatory() {
    let server = TestServer::start().await;
    for (path, kept) in MARYS.into_iter().zip([&["type", "membership"][..], &[][..], &[][..], &[][..]]) {
        let (kind, id) = path.split_once('/').unwrap();
        let members = async |query: &str| {
            let reply = get(&server, MARY, &format!("{kind}?_id={id}&{query}")).await.expect(200);
            let resource = reply.at("/entry/0/resource");
            let tag =
                json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}]);
            assert_eq!(resource["meta"]["tag"], tag, "{path} {query}");
            resource.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>()
        };
        let with = |more: &[&str]| -> BTreeSet<String> {
            ["resourceType", "id", "meta"].iter().chain(kept).chain(more).map(|name| (*name).to_owned()).collect()
        };
        assert_eq!(members("_elements=name").await, with(&["name"]), "{path}");
        assert_eq!(members("_elements=id").await, with(&[]), "{path}");
        assert_eq!(members(&format!("_elements={kind}.name,bogus")).await, with(&["name"]), "{path}");
        assert_eq!(members("_summary=text").await, with(&[]), "{path}");
        let whole = get(&server, MARY, path).await.expect(200).json();
        let all: BTreeSet<String> = whole.as_object().unwrap().keys().cloned().collect();
        assert_eq!(members("_summary=data").await, all, "{path}");
        assert!(members("_summary=true").await.is_subset(&all), "{path}");
        for query in ["_summary=count", "_count=0"] {
            let count = get(&server, MARY, &format!("{kind}?_id={id}&{query}")).await.expect(200);
            assert_eq!((count.at("/total"), count.at("/entry")), (json!(1), json!([])), "{kind} {query}");
            assert_eq!(count.at("/link").as_array().unwrap().len(), 1, "{kind} {query}");
        }
        let untold = get(&server, MARY, &format!("{kind}?_total=none")).await.expect(200);
        assert!(untold.json().get("total").is_none(), "{kind}");
        let prefer = server.get(&format!("/fhir/r5/{kind}?foo=bar&_id={id}")).as_user(MARY);
        let outcome = prefer.header("prefer", "return=OperationOutcome").send().await.expect(200);
        assert_eq!(outcome.at("/entry/1/search/mode"), "outcome", "{kind}");
    }
    server.stop().await;
}

/// The capability document offers all six kinds and the audit trail, each to search and to read.
#[tokio::test]
async fn the_capability_document_offers_every_kind() {
    let server = TestServer::start().await;
    let document = server.get("/fhir/r5/metadata").send().await.expect(200).json();
    let resources = document["rest"][0]["resource"].as_array().unwrap();
    let kinds: Vec<&Value> = resources.iter().map(|resource| &resource["type"]).collect();
    assert_eq!(kinds, ["AuditEvent", "Device", "Group", "Observation", "Organization", "Patient", "Practitioner"]);
    for (kind, names) in [
        ("Group", &["name", "code", "type", "managing-entity"][..]),
        ("Device", &["type", "device-name"][..]),
        ("Organization", &["name", "type", "partof"][..]),
        ("Practitioner", &["name", "family", "given", "identifier"][..]),
    ] {
        let resource = resources.iter().find(|resource| resource["type"] == kind).unwrap();
        let codes: Vec<&Value> = resource["interaction"].as_array().unwrap().iter().map(|one| &one["code"]).collect();
        assert_eq!(codes, ["read", "search-type"], "{kind}");
        let offered: BTreeSet<&str> =
            resource["searchParam"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        let common = ["patient", "patient.identifier", "patient.organization", "patient._has:Group:member:_id"];
        for name in names.iter().chain(&common).chain(&["_id", "_lastUpdated", "_source"]) {
            assert!(offered.contains(name), "{kind} {name}");
        }
    }
    server.stop().await;
}

/// G5: what names people, studies or organizations and means nothing is refused rather than ignored.
#[tokio::test]
async fn nothing_that_names_somebody_is_ignored() {
    let server = TestServer::start().await;
    check(&server, PETER, &[("Group?member=Patient/40001", &[30002, 30001]), ("Group?member=40001&name=zzz", &[])])
        .await;
    check(&server, MARY, &[("Patient?organization=20003", &[40002, 40001])]).await;
    for (person, query) in [
        (PETER, "Group?member=Patient/40002"),
        (MARY, "Group?member=Patient/40005"),
        (MARY, "Patient?organization=20008"),
    ] {
        get(&server, person, query).await.expect(403);
    }
    for query in [
        "Patient?study_id=30001",
        "Patient?general-practitioner=80001",
        "Patient?link=40001",
        "Group?identifier=x",
        "Observation?patient=40001&performer=Patient/40005",
        "Observation?patient=40001&group=30001",
        "Observation?patient=40001&study=30001",
        "Device?organization_id=20003",
        "Observation?patient=40001&patient-identifier=E1234",
        "Observation?patient=40001&subject_identifier=E1234",
        "Observation?_lastUpdated=ge2000&patientName=x",
        "Observation?_lastUpdated=ge2000&patient_organization=20004",
        "Observation?_lastUpdated=ge2000&studies=30001",
    ] {
        let refused = get(&server, MARY, query).await.expect(400);
        assert_eq!(refused.at("/issue/0/code"), "not-supported", "{query}");
    }
    let lenient = get(&server, MARY, "Observation?patient=40001&category=x").await.expect(200);
    assert_eq!(lenient.header("x-jhe-ignored-parameters"), "category");
    server.stop().await;
}

/// R21 and data model §5.8: on both APIs, and never as a patient.
#[tokio::test]
async fn a_superuser_is_a_member_everywhere_with_whatever_profiles() {
    let server = TestServer::start().await;
    let with_profile = found(&server, ADMIN, "Observation?patient=40001").await;
    server.execute("DELETE FROM core_practitioner WHERE id = 80001").await;
    for with_patient in [false, true] {
        if with_patient {
            server.execute("INSERT INTO core_patient (jhe_user_id) VALUES (10001)").await;
        }
        assert_eq!(found(&server, ADMIN, "Observation?patient=40001").await, with_profile, "{with_patient}");
        assert!(!found(&server, ADMIN, "Group").await.is_empty() && !found(&server, ADMIN, "Patient").await.is_empty());
        get(&server, ADMIN, "Observation/60007").await.expect(200);
        get(&server, ADMIN, "Observation?_count=1").await.expect(400);
        server.get("/api/v1/patients/me").as_user(ADMIN).send().await.expect(403);
        let source = json!({"dataSource": 70006, "label": "x", "fhirBaseUrl": "https://x.example"});
        server.post("/api/v1/fhir_sources").as_user(ADMIN).json(&source).send().await.expect(403);
    }
    // Consent is needed all the same.
    server.execute("UPDATE core_studypatientscopeconsent SET consented = false").await;
    assert!(found(&server, ADMIN, "Observation?patient=40001").await.is_empty());
    server.stop().await;
}
