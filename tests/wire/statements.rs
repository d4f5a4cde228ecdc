//! No list takes more SQL statements for more rows: each is asked for one row and for all, and its number is pinned.

use jhe_testkit::{ADMIN, MARY, PETER, Person, TestServer};

/// Thirty of everything that a manager of organization 20003 sees, so that a statement for each row would stand out.
const ROWS: &str = "
    INSERT INTO core_jheuser (id, email, password, user_type)
        SELECT 190000 + n, 'many' || n || '@example.com', '!', 'patient' FROM generate_series(1, 30) n;
    INSERT INTO core_patient (id, jhe_user_id, name_family, name_given)
        SELECT 490000 + n, 190000 + n, 'Many', 'M' || n FROM generate_series(1, 30) n;
    INSERT INTO core_patientidentifier (patient_id, system, value)
        SELECT 490000 + n, 'https://many.example', n::text FROM generate_series(1, 30) n;
    INSERT INTO core_patientorganization (patient_id, organization_id)
        SELECT 490000 + n, 20003 FROM generate_series(1, 30) n;
    INSERT INTO core_organization (id, name, type, part_of_id)
        SELECT 290000 + n, 'Many ' || n, 'team', 20003 FROM generate_series(1, 30) n;
    INSERT INTO core_practitionerorganization (practitioner_id, organization_id, role)
        SELECT p.id, 290000 + n, 'manager' FROM generate_series(1, 30) n, core_practitioner p
        WHERE p.jhe_user_id = (SELECT id FROM core_jheuser WHERE email = 'manager_mary@example.com');
    INSERT INTO core_study (id, name, description, organization_id)
        SELECT 390000 + n, 'Many ' || n, '', 20003 FROM generate_series(1, 30) n;
    INSERT INTO core_studyscoperequest (study_id, scope_code_id)
        SELECT 390000 + n, 50001 FROM generate_series(1, 30) n;
    INSERT INTO core_studypatient (study_id, patient_id)
        SELECT 390000 + n, 40001 FROM generate_series(1, 30) n;
    INSERT INTO core_studypatient (study_id, patient_id)
        SELECT 30001, 490000 + n FROM generate_series(1, 30) n;
    INSERT INTO core_patientinvitation (patient_id, client_id, token_hash)
        SELECT 490000 + n, 1, 'many' || n FROM generate_series(1, 30) n;
    INSERT INTO core_datasource (id, name, type) SELECT 790000 + n, 'Many ' || n, 'personal_device' FROM generate_series(1, 30) n;
    INSERT INTO core_datasourcesupportedscope (data_source_id, scope_code_id)
        SELECT 790000 + n, 50001 FROM generate_series(1, 30) n;
    INSERT INTO core_studydatasource (study_id, data_source_id) SELECT 30001, 790000 + n FROM generate_series(1, 30) n;
    INSERT INTO core_fhirsource (patient_id, data_source_id) SELECT 40001, 790000 + n FROM generate_series(1, 30) n;
    INSERT INTO core_jhesetting (key, value_type, value_int) SELECT 'many.' || n, 'int', n FROM generate_series(1, 30) n;
    CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
";

/// The lists, who asks, and how many statements each takes, the one that reads the bearer token among them.
const LISTS: &[(&str, Person, usize)] = &[
    ("/api/v1/users", ADMIN, 8),
    ("/api/v1/users/organizations", MARY, 5),
    ("/api/v1/organizations", MARY, 6),
    ("/api/v1/organizations/20003/users", MARY, 4),
    ("/api/v1/organizations/20003/studies", MARY, 8),
    ("/api/v1/organizations/20003/tree", MARY, 2),
    ("/api/v1/studies", MARY, 7),
    ("/api/v1/studies/30001/patients", MARY, 8),
    ("/api/v1/studies/30001/data_sources", MARY, 10),
    ("/api/v1/observations", MARY, 3),
    ("/api/v1/patients", MARY, 7),
    ("/api/v1/patients/40001/consents", PETER, 9),
    ("/api/v1/invitation", MARY, 3),
    ("/api/v1/clients", MARY, 3),
    ("/api/v1/practitioners", ADMIN, 4),
    ("/api/v1/data_sources", MARY, 4),
    ("/api/v1/fhir_sources", MARY, 3),
    ("/api/v1/jhe_settings", ADMIN, 3),
    ("/fhir/r5/Patient", MARY, 6),
    ("/fhir/r5/Patient?patient.organization=20003", MARY, 7),
    ("/fhir/r5/Group", MARY, 4),
    ("/fhir/r5/Device", MARY, 4),
    ("/fhir/r5/Organization", MARY, 4),
    ("/fhir/r5/Practitioner", MARY, 4),
    ("/fhir/r5/Observation/$lastn?patient=40001", MARY, 4),
    ("/fhir/r5/Observation?patient=40001", MARY, 4),
];

/// How many statements have run in the server's database so far. The audit trail is written behind the answer, by a
/// statement of its own for all answers of a moment, and does not count.
async fn ran(server: &TestServer) -> usize {
    let count = server
        .scalar(
            "SELECT sum(calls)::text FROM pg_stat_statements
             WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND query !~ 'pg_stat_statements|INSERT INTO jhe_audit_event'",
        )
        .await;
    count.parse().unwrap()
}

#[tokio::test]
async fn no_list_takes_more_statements_for_more_rows() {
    let server = TestServer::start().await;
    server.execute(ROWS).await;
    let mut differs = Vec::new();
    for (path, person, pinned) in LISTS {
        let sign = if path.contains('?') { '&' } else { '?' };
        let name = if path.starts_with("/fhir") { "_count" } else { "pageSize" };
        let mut taken = Vec::new();
        for size in [1, 100] {
            let mut fewest = usize::MAX;
            // What the server does by itself now and then falls into few of the tries.
            for _ in 0..20 {
                let before = ran(&server).await;
                server.get(&format!("{path}{sign}{name}={size}")).as_user(*person).send().await.expect(200);
                fewest = fewest.min(ran(&server).await - before);
                if fewest <= *pinned {
                    break;
                }
            }
            taken.push(fewest);
        }
        // One row may have nothing below it that would have to be read.
        if taken[0] > *pinned || taken[1] != *pinned {
            differs.push(format!("{path}: {taken:?}, not {pinned}"));
        }
    }
    assert!(differs.is_empty(), "{differs:#?}");
    server.stop().await;
}

#[tokio::test]
async fn enrolling_many_takes_as_many_statements_as_enrolling_one() {
    let server = TestServer::start().await;
    server.execute(ROWS).await;
    let mut taken = Vec::new();
    for (study, last) in [(390_001, 490_001), (390_002, 490_030)] {
        let body = serde_json::json!({"patientIds": (490_001..=last).collect::<Vec<i64>>()});
        let before = ran(&server).await;
        let path = format!("/api/v1/studies/{study}/patients");
        let reply = server.post(&path).as_user(MARY).json(&body).send().await.expect(201);
        taken.push(ran(&server).await - before);
        let made = reply.at("/studyPatients").as_array().unwrap().len();
        assert_eq!(i64::try_from(made).unwrap(), last - 490_000);
    }
    // What the server does by itself may fall into one of them.
    assert!(taken[1] < taken[0] + 10, "{taken:?}");
    server.stop().await;
}

#[tokio::test]
async fn indexing_references_of_many_takes_as_many_statements_as_of_one() {
    let server = TestServer::start().await;
    server
        .execute(
            "CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
             INSERT INTO core_fhirsource (id, patient_id, data_source_id) SELECT 99000 + n, 40001, 70005 FROM generate_series(1, 9) n;
             INSERT INTO core_fhirauxresource (fhir_source_id, resource_type, fhir_resource_id, fhir_data)
                 SELECT 99000 + s, 'Condition', 'c' || n, jsonb_build_object('subject', jsonb_build_object('reference', 'Patient/' || n))
                 FROM generate_series(1, 9) s, generate_series(1, CASE WHEN s <= 3 THEN 1 WHEN s <= 6 THEN 999 ELSE 2500 END) n",
        )
        .await;
    let mut taken = [usize::MAX; 3];
    for source in 0..9 {
        let before = ran(&server).await;
        let path = format!("/api/v1/fhir_sources/{}/index_refs", 99001 + source);
        server.post(&path).as_user(PETER).send().await.expect(200);
        // What the server does by itself now and then falls into few of the tries.
        taken[source / 3] = taken[source / 3].min(ran(&server).await - before);
    }
    let [one, many, batches] = taken;
    assert_eq!(one, many, "statements do not grow with the rows of a batch");
    assert!(batches <= one * 3, "{batches} in three batches, {one} in one");
    server.stop().await;
}
