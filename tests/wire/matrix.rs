//! The access matrix: every operation of the two APIs, asked by everybody, as a table that is kept in
//! `tests/golden/access_matrix.md` and read there. `UPDATE_GOLDEN=1` writes it anew; what changed is then a change of policy,
//! to be compared with the contract (data model §5.10).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use jhe_testkit::{ADMIN, MARK, MARY, MEGAN, NOBODY, PERCY, PETER, Person, TestServer, VICTOR};
use reqwest::Method;
use serde_json::Value;

/// Who asks. All rows asked about belong to organization 20003, its study 30001 or its patient 40001.
const PRINCIPALS: &[(&str, Option<Person>)] = &[
    ("nobody signed in", None),
    ("the patient", Some(PETER)),
    ("other patient", Some(PERCY)),
    ("bare account", Some(NOBODY)),
    ("outside practitioner", Some(MARK)),
    ("viewer", Some(VICTOR)),
    ("member", Some(MEGAN)),
    ("manager", Some(MARY)),
    ("superuser", Some(ADMIN)),
];

/// Rows that only the matrix uses up: each destructive operation has its own.
const ROWS: &str = "
    INSERT INTO core_organization (id, name, type, part_of_id) VALUES (29001, 'Matrix A', 'team', 20003), (29002, 'Matrix B', 'team', 20003);
    INSERT INTO core_study (id, name, description, organization_id) VALUES (39001, 'Matrix', 'd', 20003);
    INSERT INTO core_jheuser (id, email, password, user_type) VALUES (19001, 'matrix@example.com', '!', 'patient'), (19002, 'gone@example.com', '!', NULL);
    INSERT INTO core_patient (id, jhe_user_id, name_family) VALUES (49001, 19001, 'Matrix');
    INSERT INTO core_patientorganization (patient_id, organization_id) VALUES (49001, 20003);
    INSERT INTO core_patientinvitation (id, patient_id, client_id, token_hash) VALUES (9001, 40001, 1, 'a'), (9002, 40001, 1, 'b');
    INSERT INTO core_fhirsource (id, patient_id, data_source_id) VALUES (99001, 40001, 70005);
    INSERT INTO core_datasource (id, name, type) VALUES (79001, 'Matrix', 'personal_device');
    INSERT INTO core_jhesetting (id, key, value_type, value_int) VALUES (9001, 'matrix.a', 'int', 1), (9002, 'matrix.b', 'int', 1);
    INSERT INTO oauth2_provider_application (id, client_id, name, client_type, authorization_grant_type, grant_types, redirect_uris)
        VALUES (9001, 'matrix', 'Matrix', 'public', 'authorization-code', '{authorization_code}', 'https://x.example/');
    INSERT INTO core_jheclient (application_id, invitation_url) VALUES (9001, 'https://x.example/CODE');
    
";

/// An operation: what it does, its path in the API document, how it is asked.
struct Operation {
    what: &'static str,
    method: &'static str,
    template: &'static str,
    path: &'static str,
    body: &'static str,
}

const fn op(
    what: &'static str,
    method: &'static str,
    template: &'static str,
    path: &'static str,
    body: &'static str,
) -> Operation {
    Operation { what, method, template, path, body }
}

/// In an order in which what is removed is not asked about any more.
const OPERATIONS: &[Operation] = &[
    op("index of the API", "GET", "/api/v1/", "/api/v1/", ""),
    op("list the audit trail", "GET", "/api/v1/audit_events", "/api/v1/audit_events", ""),
    op(
        "list what was done with the patient's data",
        "GET",
        "/api/v1/audit_events",
        "/api/v1/audit_events?patientId=40001",
        "",
    ),
    op("read an entry of the audit trail", "GET", "/api/v1/audit_events/{id}", "/api/v1/audit_events/999999", ""),
    // Accounts.
    op("own profile", "GET", "/api/v1/users/profile", "/api/v1/users/profile", ""),
    op("own organizations", "GET", "/api/v1/users/organizations", "/api/v1/users/organizations", ""),
    op("list accounts", "GET", "/api/v1/users", "/api/v1/users", ""),
    op("list the account with an address", "GET", "/api/v1/users", "/api/v1/users?email=manager_mark@example.com", ""),
    op(
        "find an account by address",
        "GET",
        "/api/v1/users/search_by_email",
        "/api/v1/users/search_by_email?email=manager_mark@example.com",
        "",
    ),
    op("read the patient's account", "GET", "/api/v1/users/{id}", "/api/v1/users/10006", ""),
    op("rename the patient's account", "PATCH", "/api/v1/users/{id}", "/api/v1/users/10006", r#"{"firstName":"X"}"#),
    op(
        "replace the patient's account",
        "PUT",
        "/api/v1/users/{id}",
        "/api/v1/users/10006",
        r#"{"email":"ll_patient_peter@example.com"}"#,
    ),
    op(
        "make the patient an administrator",
        "PATCH",
        "/api/v1/users/{id}",
        "/api/v1/users/10007",
        r#"{"isSuperuser":true}"#,
    ),
    op("make an account", "POST", "/api/v1/users", "/api/v1/users", r#"{"email":"made@example.com"}"#),
    op("remove an account", "DELETE", "/api/v1/users/{id}", "/api/v1/users/19002", ""),
    // Organizations.
    op("list organizations", "GET", "/api/v1/organizations", "/api/v1/organizations", ""),
    op("organization types", "GET", "/api/v1/organizations/types", "/api/v1/organizations/types", ""),
    op("read an organization", "GET", "/api/v1/organizations/{id}", "/api/v1/organizations/20003", ""),
    op("organization tree", "GET", "/api/v1/organizations/{id}/tree", "/api/v1/organizations/20003/tree", ""),
    op("people of an organization", "GET", "/api/v1/organizations/{id}/users", "/api/v1/organizations/20003/users", ""),
    op(
        "studies of an organization",
        "GET",
        "/api/v1/organizations/{id}/studies",
        "/api/v1/organizations/20003/studies",
        "",
    ),
    op(
        "make a sub-organization",
        "POST",
        "/api/v1/organizations",
        "/api/v1/organizations",
        r#"{"name":"N","type":"team","partOf":20003}"#,
    ),
    op(
        "make a top-level organization",
        "POST",
        "/api/v1/organizations",
        "/api/v1/organizations",
        r#"{"name":"N","type":"team"}"#,
    ),
    op(
        "change a sub-organization",
        "PATCH",
        "/api/v1/organizations/{id}",
        "/api/v1/organizations/29001",
        r#"{"name":"N"}"#,
    ),
    op(
        "replace a sub-organization",
        "PUT",
        "/api/v1/organizations/{id}",
        "/api/v1/organizations/29001",
        r#"{"name":"N","type":"team"}"#,
    ),
    op(
        "add a practitioner",
        "POST",
        "/api/v1/organizations/{id}/user",
        "/api/v1/organizations/20003/user",
        r#"{"jheUserId":10005,"role":"viewer"}"#,
    ),
    op(
        "remove a practitioner's membership",
        "DELETE",
        "/api/v1/organizations/{id}/remove_user",
        "/api/v1/organizations/20003/remove_user",
        r#"{"jheUserId":10005}"#,
    ),
    op("remove a sub-organization", "DELETE", "/api/v1/organizations/{id}", "/api/v1/organizations/29002", ""),
    // Studies.
    op("list studies", "GET", "/api/v1/studies", "/api/v1/studies", ""),
    op("read a study", "GET", "/api/v1/studies/{id}", "/api/v1/studies/30001", ""),
    op(
        "make a study",
        "POST",
        "/api/v1/studies",
        "/api/v1/studies",
        r#"{"name":"S","description":"d","organization":20003}"#,
    ),
    op("change a study", "PATCH", "/api/v1/studies/{id}", "/api/v1/studies/30001", r#"{"name":"S"}"#),
    op(
        "replace a study",
        "PUT",
        "/api/v1/studies/{id}",
        "/api/v1/studies/30001",
        r#"{"name":"S","description":"d","organization":20003}"#,
    ),
    op("patients of a study", "GET", "/api/v1/studies/{id}/patients", "/api/v1/studies/30001/patients", ""),
    op(
        "enrol a patient",
        "POST",
        "/api/v1/studies/{id}/patients",
        "/api/v1/studies/39001/patients",
        r#"{"patientIds":[40001]}"#,
    ),
    op(
        "unenrol a patient",
        "DELETE",
        "/api/v1/studies/{id}/patients",
        "/api/v1/studies/39001/patients",
        r#"{"patientIds":[40001]}"#,
    ),
    op(
        "data types a study asks for",
        "GET",
        "/api/v1/studies/{id}/scope_requests",
        "/api/v1/studies/30001/scope_requests",
        "",
    ),
    op(
        "ask for a data type",
        "POST",
        "/api/v1/studies/{id}/scope_requests",
        "/api/v1/studies/39001/scope_requests",
        r#"{"scopeCodeId":50001}"#,
    ),
    op(
        "ask for it no longer",
        "DELETE",
        "/api/v1/studies/{id}/scope_requests",
        "/api/v1/studies/39001/scope_requests",
        r#"{"scopeCodeId":50001}"#,
    ),
    op("data sources of a study", "GET", "/api/v1/studies/{id}/data_sources", "/api/v1/studies/30001/data_sources", ""),
    op(
        "attach a data source",
        "POST",
        "/api/v1/studies/{id}/data_sources",
        "/api/v1/studies/39001/data_sources",
        r#"{"dataSourceId":70001}"#,
    ),
    op(
        "detach a data source",
        "DELETE",
        "/api/v1/studies/{id}/data_sources",
        "/api/v1/studies/39001/data_sources",
        r#"{"dataSourceId":70001}"#,
    ),
    op("apps of a study", "GET", "/api/v1/studies/{id}/clients", "/api/v1/studies/30001/clients", ""),
    op("attach an app", "POST", "/api/v1/studies/{id}/clients", "/api/v1/studies/39001/clients", r#"{"clientId":1}"#),
    op("detach an app", "DELETE", "/api/v1/studies/{id}/clients", "/api/v1/studies/39001/clients", r#"{"clientId":1}"#),
    op("remove a study", "DELETE", "/api/v1/studies/{id}", "/api/v1/studies/39001", ""),
    // Observations.
    op("list readings", "GET", "/api/v1/observations", "/api/v1/observations?study_id=30001", ""),
    op("read a reading", "GET", "/api/v1/observations/{id}", "/api/v1/observations/60003", ""),
    op(
        "mark a reading as entered in error",
        "PATCH",
        "/api/v1/observations/{id}",
        "/api/v1/observations/60003",
        r#"{"status":"entered-in-error"}"#,
    ),
    op(
        "delete a reading",
        "DELETE",
        "/api/v1/observations/{id}",
        "/api/v1/observations/60003",
        r#"{"reason":"matrix"}"#,
    ),
    // Patients.
    op("list patients", "GET", "/api/v1/patients", "/api/v1/patients", ""),
    op("own record", "GET", "/api/v1/patients/me", "/api/v1/patients/me", ""),
    op("read a patient", "GET", "/api/v1/patients/{id}", "/api/v1/patients/40001", ""),
    op(
        "look a patient up by address",
        "GET",
        "/api/v1/patients/global_lookup",
        "/api/v1/patients/global_lookup?email=ll_patient_peter@example.com",
        "",
    ),
    op(
        "register a patient",
        "POST",
        "/api/v1/patients",
        "/api/v1/patients",
        r#"{"organizationId":20003,"telecomEmail":"p@example.com","nameFamily":"P","nameGiven":"Q","birthDate":"1980-01-01"}"#,
    ),
    op("change a patient", "PATCH", "/api/v1/patients/{id}", "/api/v1/patients/40001", r#"{"nameGiven":"X"}"#),
    op("replace a patient", "PUT", "/api/v1/patients/{id}", "/api/v1/patients/40001", r#"{"nameGiven":"X"}"#),
    op(
        "attach a patient of others",
        "PATCH",
        "/api/v1/patients/{id}/global_add_organization",
        "/api/v1/patients/40004/global_add_organization?organization_id=20003",
        "",
    ),
    op("read consents", "GET", "/api/v1/patients/{id}/consents", "/api/v1/patients/40001/consents", ""),
    op(
        "give consent",
        "POST",
        "/api/v1/patients/{id}/consents",
        "/api/v1/patients/40001/consents",
        r#"{"studyScopeConsents":[{"studyId":30001,"scopeConsents":[{"codingSystem":"https://w3id.org/openmhealth","codingCode":"omh:heart-rate:2.0","consented":true}]}]}"#,
    ),
    op(
        "change a consent",
        "PATCH",
        "/api/v1/patients/{id}/consents",
        "/api/v1/patients/40001/consents",
        r#"{"studyScopeConsents":[{"studyId":30001,"scopeConsents":[{"codingSystem":"https://w3id.org/openmhealth","codingCode":"omh:heart-rate:2.0","consented":true}]}]}"#,
    ),
    op(
        "delete a consent",
        "DELETE",
        "/api/v1/patients/{id}/consents",
        "/api/v1/patients/40001/consents",
        r#"{"studyScopeConsents":[{"studyId":30002,"scopeConsents":[{"codingSystem":"https://w3id.org/openmhealth","codingCode":"omh:blood-pressure:4.0"}]}]}"#,
    ),
    op(
        "apps of a patient",
        "GET",
        "/api/v1/patients/{id}/consolidated_clients",
        "/api/v1/patients/40001/consolidated_clients",
        "",
    ),
    op(
        "wearables of a patient",
        "GET",
        "/api/v1/patients/{id}/wearable-status",
        "/api/v1/patients/40001/wearable-status",
        "",
    ),
    op(
        "make a patient link",
        "GET",
        "/api/v1/patients/{id}/invitation_link",
        "/api/v1/patients/40001/invitation_link",
        "",
    ),
    op(
        "make a patient link by POST",
        "POST",
        "/api/v1/patients/{id}/invitation_link",
        "/api/v1/patients/40001/invitation_link",
        "",
    ),
    op(
        "remove a patient from an organization",
        "DELETE",
        "/api/v1/patients/{id}",
        "/api/v1/patients/49001?organization_id=20003",
        "",
    ),
    // Invitations.
    op("list invitations", "GET", "/api/v1/invitation", "/api/v1/invitation", ""),
    op("read an invitation", "GET", "/api/v1/invitation/{id}", "/api/v1/invitation/9001", ""),
    op("invite a patient", "POST", "/api/v1/invitation", "/api/v1/invitation", r#"{"patientId":40001,"clientId":2}"#),
    op(
        "cancel an invitation",
        "PATCH",
        "/api/v1/invitation/{id}",
        "/api/v1/invitation/9001",
        r#"{"status":"cancelled"}"#,
    ),
    op(
        "replace an invitation",
        "PUT",
        "/api/v1/invitation/{id}",
        "/api/v1/invitation/9002",
        r#"{"status":"cancelled"}"#,
    ),
    op("delete an invitation", "DELETE", "/api/v1/invitation/{id}", "/api/v1/invitation/9002", ""),
    op(
        "redeem an unknown invitation",
        "POST",
        "/api/v1/invitation/{id}",
        "/api/v1/invitation/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "",
    ),
    op(
        "redeem an unknown invitation by body",
        "POST",
        "/api/v1/invitation/redeem",
        "/api/v1/invitation/redeem",
        r#"{"token":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#,
    ),
    // Apps.
    op("list apps", "GET", "/api/v1/clients", "/api/v1/clients", ""),
    op("read an app", "GET", "/api/v1/clients/{id}", "/api/v1/clients/1", ""),
    op("data sources of an app", "GET", "/api/v1/clients/{id}/data_sources", "/api/v1/clients/1/data_sources", ""),
    op(
        "link a data source to an app",
        "POST",
        "/api/v1/clients/{id}/data_sources",
        "/api/v1/clients/1/data_sources",
        r#"{"dataSourceId":70003}"#,
    ),
    op(
        "unlink a data source",
        "DELETE",
        "/api/v1/clients/{id}/data_sources",
        "/api/v1/clients/1/data_sources",
        r#"{"dataSourceId":70003}"#,
    ),
    op(
        "register an app",
        "POST",
        "/api/v1/clients",
        "/api/v1/clients",
        r#"{"name":"N","clientId":"n","invitationUrl":"https://n.example/CODE"}"#,
    ),
    op("change an app", "PATCH", "/api/v1/clients/{id}", "/api/v1/clients/9001", r#"{"name":"N"}"#),
    op("replace an app", "PUT", "/api/v1/clients/{id}", "/api/v1/clients/9001", r#"{"name":"N"}"#),
    op("remove an app", "DELETE", "/api/v1/clients/{id}", "/api/v1/clients/9001", ""),
    // Keys of practitioners: always the caller's own.
    op("list own API keys", "GET", "/api/v1/practitioner_clients", "/api/v1/practitioner_clients", ""),
    op("make an API key", "POST", "/api/v1/practitioner_clients", "/api/v1/practitioner_clients", "{}"),
    op(
        "read somebody else's API key",
        "GET",
        "/api/v1/practitioner_clients/{id}",
        "/api/v1/practitioner_clients/9001",
        "",
    ),
    op(
        "change somebody else's API key",
        "PATCH",
        "/api/v1/practitioner_clients/{id}",
        "/api/v1/practitioner_clients/9001",
        r#"{"label":"x"}"#,
    ),
    op(
        "remove somebody else's API key",
        "DELETE",
        "/api/v1/practitioner_clients/{id}",
        "/api/v1/practitioner_clients/9001",
        "",
    ),
    // Record systems.
    op("list record systems", "GET", "/api/v1/fhir_sources", "/api/v1/fhir_sources", ""),
    op("read a record system", "GET", "/api/v1/fhir_sources/{id}", "/api/v1/fhir_sources/99001", ""),
    op("name an own record system", "POST", "/api/v1/fhir_sources", "/api/v1/fhir_sources", r#"{"dataSource":70005}"#),
    op(
        "change a record system",
        "PATCH",
        "/api/v1/fhir_sources/{id}",
        "/api/v1/fhir_sources/99001",
        r#"{"label":"x"}"#,
    ),
    op("replace a record system", "PUT", "/api/v1/fhir_sources/{id}", "/api/v1/fhir_sources/99001", r#"{"label":"x"}"#),
    op("remove a record system", "DELETE", "/api/v1/fhir_sources/{id}", "/api/v1/fhir_sources/99001", ""),
    // Data sources and data types.
    op("list data sources", "GET", "/api/v1/data_sources", "/api/v1/data_sources", ""),
    op("list data types", "GET", "/api/v1/data_sources/all_scopes", "/api/v1/data_sources/all_scopes", ""),
    op("read a data source", "GET", "/api/v1/data_sources/{id}", "/api/v1/data_sources/70001", ""),
    op(
        "data types of a data source",
        "GET",
        "/api/v1/data_sources/{id}/supported_scopes",
        "/api/v1/data_sources/70001/supported_scopes",
        "",
    ),
    op("make a data source", "POST", "/api/v1/data_sources", "/api/v1/data_sources", r#"{"name":"N"}"#),
    op(
        "add a data type to it",
        "POST",
        "/api/v1/data_sources/{id}/supported_scopes",
        "/api/v1/data_sources/79001/supported_scopes",
        r#"{"scopeCodeId":50001}"#,
    ),
    op(
        "take a data type from it",
        "DELETE",
        "/api/v1/data_sources/{id}/supported_scopes",
        "/api/v1/data_sources/79001/supported_scopes",
        r#"{"scopeCodeId":50001}"#,
    ),
    op("change a data source", "PATCH", "/api/v1/data_sources/{id}", "/api/v1/data_sources/79001", r#"{"name":"M"}"#),
    op("replace a data source", "PUT", "/api/v1/data_sources/{id}", "/api/v1/data_sources/79001", r#"{"name":"M"}"#),
    op("remove a data source", "DELETE", "/api/v1/data_sources/{id}", "/api/v1/data_sources/79001", ""),
    // Administration.
    op("list practitioners", "GET", "/api/v1/practitioners", "/api/v1/practitioners", ""),
    op("read a practitioner", "GET", "/api/v1/practitioners/{id}", "/api/v1/practitioners/80003", ""),
    op(
        "make a practitioner",
        "POST",
        "/api/v1/practitioners",
        "/api/v1/practitioners",
        r#"{"telecomEmail":"doc@example.com"}"#,
    ),
    op(
        "change a practitioner",
        "PATCH",
        "/api/v1/practitioners/{id}",
        "/api/v1/practitioners/80005",
        r#"{"nameGiven":"X"}"#,
    ),
    op(
        "replace a practitioner",
        "PUT",
        "/api/v1/practitioners/{id}",
        "/api/v1/practitioners/80005",
        r#"{"nameGiven":"X"}"#,
    ),
    op("remove a practitioner", "DELETE", "/api/v1/practitioners/{id}", "/api/v1/practitioners/80005", ""),
    op("list settings", "GET", "/api/v1/jhe_settings", "/api/v1/jhe_settings", ""),
    op("read a setting", "GET", "/api/v1/jhe_settings/{id}", "/api/v1/jhe_settings/9001", ""),
    op(
        "make a setting",
        "POST",
        "/api/v1/jhe_settings",
        "/api/v1/jhe_settings",
        r#"{"key":"matrix.c","valueType":"int","value":1}"#,
    ),
    op("change a setting", "PATCH", "/api/v1/jhe_settings/{id}", "/api/v1/jhe_settings/9001", r#"{"value":2}"#),
    op("replace a setting", "PUT", "/api/v1/jhe_settings/{id}", "/api/v1/jhe_settings/9001", r#"{"value":3}"#),
    op("remove a setting", "DELETE", "/api/v1/jhe_settings/{id}", "/api/v1/jhe_settings/9002", ""),
];

/// How an answer is shown: its status, and how many rows a list had.
fn shown(status: u16, body: &[u8]) -> String {
    let rows = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Array(rows)) => Some(rows.len() as u64),
        Ok(Value::Object(body)) if body.contains_key("results") => body.get("count").and_then(Value::as_u64),
        _ => None,
    };
    match rows {
        Some(rows) if status == 200 => format!("200 ({rows})"),
        _ => status.to_string(),
    }
}

async fn column(person: Option<Person>) -> Vec<String> {
    let server = TestServer::start().await;
    server.execute(ROWS).await;
    let mut cells = Vec::with_capacity(OPERATIONS.len());
    for operation in OPERATIONS {
        let method: Method = operation.method.parse().unwrap();
        let mut call = server.call(method, operation.path);
        if let Some(person) = person {
            call = call.as_user(person);
        }
        if !operation.body.is_empty() {
            call = call.body("application/json", operation.body);
        }
        let reply = call.send().await;
        cells.push(shown(reply.status.as_u16(), &reply.bytes));
    }
    server.stop().await;
    cells
}

fn golden() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/access_matrix.md"))
}

const LEGEND: &str = "# Who may do what

Everything the Admin API can do, asked by everybody. All rows asked about belong to one organization (20003), its study (30001) or its
patient (40001); viewer, member and manager are practitioners of that organization, and the outside practitioner is one of another.

- **200, 201, 204**: done. A number in brackets says how many rows a list showed: 0 means that there is nothing to see for this person.
- **400**: understood, and refused for what was asked. **401**: sign in first. **403**: not permitted.
- **404**: not there, or not for this person to know of. **405**: nobody can do this.

";

#[tokio::test]
async fn the_access_matrix_is_the_agreed_one() {
    let mut cells = Vec::new();
    for (_, person) in PRINCIPALS {
        cells.push(column(*person).await);
    }
    let mut table = LEGEND.to_owned();
    let names: Vec<&str> = PRINCIPALS.iter().map(|(name, _)| *name).collect();
    writeln!(table, "| what | request | {} |", names.join(" | ")).unwrap();
    writeln!(table, "|---|---|{}", "---|".repeat(names.len())).unwrap();
    for (index, operation) in OPERATIONS.iter().enumerate() {
        let row: Vec<&str> = cells.iter().map(|column| column[index].as_str()).collect();
        writeln!(table, "| {} | `{} {}` | {} |", operation.what, operation.method, operation.template, row.join(" | "))
            .unwrap();
        assert!(row.iter().all(|cell| !cell.starts_with('5')), "{}: {row:?}", operation.what);
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden(), &table).unwrap();
    }
    let agreed = std::fs::read_to_string(golden()).unwrap_or_default();
    for (now, then) in table.lines().zip(agreed.lines()) {
        assert_eq!(now, then, "the policy changed");
    }
    assert_eq!(table.lines().count(), agreed.lines().count(), "rows are missing or new");
}

#[tokio::test]
async fn every_operation_of_the_document_is_in_the_matrix() {
    let server = TestServer::start().await;
    let document = server.get("/api/v1/schema/?format=json").send().await.expect(200).json();
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|_| path.starts_with("/api/v1")) {
            documented.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let covered: BTreeSet<String> =
        OPERATIONS.iter().map(|operation| format!("{} {}", operation.method, operation.template)).collect();
    assert!(documented.len() > 100, "{}", documented.len());
    assert_eq!(documented.difference(&covered).collect::<Vec<_>>(), Vec::<&String>::new(), "without a row");
    assert_eq!(covered.difference(&documented).collect::<Vec<_>>(), Vec::<&String>::new(), "no such operation");
    server.stop().await;
}
