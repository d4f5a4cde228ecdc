//! The operations of the Admin API, and the rows they use up.

use super::Operation;

/// Rows that only the matrix uses up: each destructive operation has its own.
pub(super) const ROWS: &str = "
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

/// What it does, its method, its path in the API document, the path that is asked, the body. In an order in which what is removed is
/// not asked about any more.
const OPERATIONS: &[(&str, &str, &str, &str, &str)] = &[
    ("index of the API", "GET", "/api/v1/", "/api/v1/", ""),
    ("list the audit trail", "GET", "/api/v1/audit_events", "/api/v1/audit_events", ""),
    (
        "list what was done with the patient's data",
        "GET",
        "/api/v1/audit_events",
        "/api/v1/audit_events?patientId=40001",
        "",
    ),
    ("read an entry of the audit trail", "GET", "/api/v1/audit_events/{id}", "/api/v1/audit_events/999999", ""),
    // Accounts.
    ("own profile", "GET", "/api/v1/users/profile", "/api/v1/users/profile", ""),
    ("own organizations", "GET", "/api/v1/users/organizations", "/api/v1/users/organizations", ""),
    ("list accounts", "GET", "/api/v1/users", "/api/v1/users", ""),
    ("list the account with an address", "GET", "/api/v1/users", "/api/v1/users?email=manager_mark@example.com", ""),
    (
        "find an account by address",
        "GET",
        "/api/v1/users/search_by_email",
        "/api/v1/users/search_by_email?email=manager_mark@example.com",
        "",
    ),
    ("read the patient's account", "GET", "/api/v1/users/{id}", "/api/v1/users/10006", ""),
    ("rename the patient's account", "PATCH", "/api/v1/users/{id}", "/api/v1/users/10006", r#"{"firstName":"X"}"#),
    (
        "replace the patient's account",
        "PUT",
        "/api/v1/users/{id}",
        "/api/v1/users/10006",
        r#"{"email":"ll_patient_peter@example.com"}"#,
    ),
    (
        "make the patient an administrator",
        "PATCH",
        "/api/v1/users/{id}",
        "/api/v1/users/10007",
        r#"{"isSuperuser":true}"#,
    ),
    ("make an account", "POST", "/api/v1/users", "/api/v1/users", r#"{"email":"made@example.com"}"#),
    ("remove an account", "DELETE", "/api/v1/users/{id}", "/api/v1/users/19002", ""),
    // Organizations.
    ("list organizations", "GET", "/api/v1/organizations", "/api/v1/organizations", ""),
    ("organization types", "GET", "/api/v1/organizations/types", "/api/v1/organizations/types", ""),
    ("read an organization", "GET", "/api/v1/organizations/{id}", "/api/v1/organizations/20003", ""),
    ("organization tree", "GET", "/api/v1/organizations/{id}/tree", "/api/v1/organizations/20003/tree", ""),
    ("people of an organization", "GET", "/api/v1/organizations/{id}/users", "/api/v1/organizations/20003/users", ""),
    (
        "studies of an organization",
        "GET",
        "/api/v1/organizations/{id}/studies",
        "/api/v1/organizations/20003/studies",
        "",
    ),
    (
        "make a sub-organization",
        "POST",
        "/api/v1/organizations",
        "/api/v1/organizations",
        r#"{"name":"N","type":"team","partOf":20003}"#,
    ),
    (
        "make a top-level organization",
        "POST",
        "/api/v1/organizations",
        "/api/v1/organizations",
        r#"{"name":"N","type":"team"}"#,
    ),
    (
        "change a sub-organization",
        "PATCH",
        "/api/v1/organizations/{id}",
        "/api/v1/organizations/29001",
        r#"{"name":"N"}"#,
    ),
    (
        "replace a sub-organization",
        "PUT",
        "/api/v1/organizations/{id}",
        "/api/v1/organizations/29001",
        r#"{"name":"N","type":"team"}"#,
    ),
    (
        "add a practitioner",
        "POST",
        "/api/v1/organizations/{id}/user",
        "/api/v1/organizations/20003/user",
        r#"{"jheUserId":10005,"role":"viewer"}"#,
    ),
    (
        "remove a practitioner's membership",
        "DELETE",
        "/api/v1/organizations/{id}/remove_user",
        "/api/v1/organizations/20003/remove_user",
        r#"{"jheUserId":10005}"#,
    ),
    ("remove a sub-organization", "DELETE", "/api/v1/organizations/{id}", "/api/v1/organizations/29002", ""),
    // Studies.
    ("list studies", "GET", "/api/v1/studies", "/api/v1/studies", ""),
    ("read a study", "GET", "/api/v1/studies/{id}", "/api/v1/studies/30001", ""),
    (
        "make a study",
        "POST",
        "/api/v1/studies",
        "/api/v1/studies",
        r#"{"name":"S","description":"d","organization":20003}"#,
    ),
    ("change a study", "PATCH", "/api/v1/studies/{id}", "/api/v1/studies/30001", r#"{"name":"S"}"#),
    (
        "replace a study",
        "PUT",
        "/api/v1/studies/{id}",
        "/api/v1/studies/30001",
        r#"{"name":"S","description":"d","organization":20003}"#,
    ),
    ("patients of a study", "GET", "/api/v1/studies/{id}/patients", "/api/v1/studies/30001/patients", ""),
    (
        "enrol a patient",
        "POST",
        "/api/v1/studies/{id}/patients",
        "/api/v1/studies/39001/patients",
        r#"{"patientIds":[40001]}"#,
    ),
    (
        "unenrol a patient",
        "DELETE",
        "/api/v1/studies/{id}/patients",
        "/api/v1/studies/39001/patients",
        r#"{"patientIds":[40001]}"#,
    ),
    (
        "data types a study asks for",
        "GET",
        "/api/v1/studies/{id}/scope_requests",
        "/api/v1/studies/30001/scope_requests",
        "",
    ),
    (
        "ask for a data type",
        "POST",
        "/api/v1/studies/{id}/scope_requests",
        "/api/v1/studies/39001/scope_requests",
        r#"{"scopeCodeId":50001}"#,
    ),
    (
        "ask for it no longer",
        "DELETE",
        "/api/v1/studies/{id}/scope_requests",
        "/api/v1/studies/39001/scope_requests",
        r#"{"scopeCodeId":50001}"#,
    ),
    ("data sources of a study", "GET", "/api/v1/studies/{id}/data_sources", "/api/v1/studies/30001/data_sources", ""),
    (
        "attach a data source",
        "POST",
        "/api/v1/studies/{id}/data_sources",
        "/api/v1/studies/39001/data_sources",
        r#"{"dataSourceId":70001}"#,
    ),
    (
        "detach a data source",
        "DELETE",
        "/api/v1/studies/{id}/data_sources",
        "/api/v1/studies/39001/data_sources",
        r#"{"dataSourceId":70001}"#,
    ),
    ("apps of a study", "GET", "/api/v1/studies/{id}/clients", "/api/v1/studies/30001/clients", ""),
    ("attach an app", "POST", "/api/v1/studies/{id}/clients", "/api/v1/studies/39001/clients", r#"{"clientId":1}"#),
    ("detach an app", "DELETE", "/api/v1/studies/{id}/clients", "/api/v1/studies/39001/clients", r#"{"clientId":1}"#),
    ("remove a study", "DELETE", "/api/v1/studies/{id}", "/api/v1/studies/39001", ""),
    // Observations.
    ("list readings", "GET", "/api/v1/observations", "/api/v1/observations?study_id=30001", ""),
    ("read a reading", "GET", "/api/v1/observations/{id}", "/api/v1/observations/60003", ""),
    (
        "mark a reading as entered in error",
        "PATCH",
        "/api/v1/observations/{id}",
        "/api/v1/observations/60003",
        r#"{"status":"entered-in-error"}"#,
    ),
    ("delete a reading", "DELETE", "/api/v1/observations/{id}", "/api/v1/observations/60003", r#"{"reason":"matrix"}"#),
    // Patients.
    ("list patients", "GET", "/api/v1/patients", "/api/v1/patients", ""),
    ("own record", "GET", "/api/v1/patients/me", "/api/v1/patients/me", ""),
    ("read a patient", "GET", "/api/v1/patients/{id}", "/api/v1/patients/40001", ""),
    (
        "look a patient up by address",
        "GET",
        "/api/v1/patients/global_lookup",
        "/api/v1/patients/global_lookup?email=ll_patient_peter@example.com",
        "",
    ),
    (
        "register a patient",
        "POST",
        "/api/v1/patients",
        "/api/v1/patients",
        r#"{"organizationId":20003,"telecomEmail":"p@example.com","nameFamily":"P","nameGiven":"Q","birthDate":"1980-01-01"}"#,
    ),
    ("change a patient", "PATCH", "/api/v1/patients/{id}", "/api/v1/patients/40001", r#"{"nameGiven":"X"}"#),
    ("replace a patient", "PUT", "/api/v1/patients/{id}", "/api/v1/patients/40001", r#"{"nameGiven":"X"}"#),
    (
        "attach a patient of others",
        "PATCH",
        "/api/v1/patients/{id}/global_add_organization",
        "/api/v1/patients/40004/global_add_organization?organization_id=20003",
        "",
    ),
    ("read consents", "GET", "/api/v1/patients/{id}/consents", "/api/v1/patients/40001/consents", ""),
    (
        "give consent",
        "POST",
        "/api/v1/patients/{id}/consents",
        "/api/v1/patients/40001/consents",
        r#"{"studyScopeConsents":[{"studyId":30001,"scopeConsents":[{"codingSystem":"https://w3id.org/openmhealth","codingCode":"omh:heart-rate:2.0","consented":true}]}]}"#,
    ),
    (
        "change a consent",
        "PATCH",
        "/api/v1/patients/{id}/consents",
        "/api/v1/patients/40001/consents",
        r#"{"studyScopeConsents":[{"studyId":30001,"scopeConsents":[{"codingSystem":"https://w3id.org/openmhealth","codingCode":"omh:heart-rate:2.0","consented":true}]}]}"#,
    ),
    (
        "delete a consent",
        "DELETE",
        "/api/v1/patients/{id}/consents",
        "/api/v1/patients/40001/consents",
        r#"{"studyScopeConsents":[{"studyId":30002,"scopeConsents":[{"codingSystem":"https://w3id.org/openmhealth","codingCode":"omh:blood-pressure:4.0"}]}]}"#,
    ),
    (
        "apps of a patient",
        "GET",
        "/api/v1/patients/{id}/consolidated_clients",
        "/api/v1/patients/40001/consolidated_clients",
        "",
    ),
    (
        "wearables of a patient",
        "GET",
        "/api/v1/patients/{id}/wearable-status",
        "/api/v1/patients/40001/wearable-status",
        "",
    ),
    (
        "make a patient link",
        "GET",
        "/api/v1/patients/{id}/invitation_link",
        "/api/v1/patients/40001/invitation_link",
        "",
    ),
    (
        "make a patient link by POST",
        "POST",
        "/api/v1/patients/{id}/invitation_link",
        "/api/v1/patients/40001/invitation_link",
        "",
    ),
    (
        "remove a patient from an organization",
        "DELETE",
        "/api/v1/patients/{id}",
        "/api/v1/patients/49001?organization_id=20003",
        "",
    ),
    // Invitations.
    ("list invitations", "GET", "/api/v1/invitation", "/api/v1/invitation", ""),
    ("read an invitation", "GET", "/api/v1/invitation/{id}", "/api/v1/invitation/9001", ""),
    ("invite a patient", "POST", "/api/v1/invitation", "/api/v1/invitation", r#"{"patientId":40001,"clientId":2}"#),
    (
        "cancel an invitation",
        "PATCH",
        "/api/v1/invitation/{id}",
        "/api/v1/invitation/9001",
        r#"{"status":"cancelled"}"#,
    ),
    ("replace an invitation", "PUT", "/api/v1/invitation/{id}", "/api/v1/invitation/9002", r#"{"status":"cancelled"}"#),
    ("delete an invitation", "DELETE", "/api/v1/invitation/{id}", "/api/v1/invitation/9002", ""),
    (
        "redeem an unknown invitation",
        "POST",
        "/api/v1/invitation/{id}",
        "/api/v1/invitation/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "",
    ),
    (
        "redeem an unknown invitation by body",
        "POST",
        "/api/v1/invitation/redeem",
        "/api/v1/invitation/redeem",
        r#"{"token":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#,
    ),
    // Apps.
    ("list apps", "GET", "/api/v1/clients", "/api/v1/clients", ""),
    ("read an app", "GET", "/api/v1/clients/{id}", "/api/v1/clients/1", ""),
    ("data sources of an app", "GET", "/api/v1/clients/{id}/data_sources", "/api/v1/clients/1/data_sources", ""),
    (
        "link a data source to an app",
        "POST",
        "/api/v1/clients/{id}/data_sources",
        "/api/v1/clients/1/data_sources",
        r#"{"dataSourceId":70003}"#,
    ),
    (
        "unlink a data source",
        "DELETE",
        "/api/v1/clients/{id}/data_sources",
        "/api/v1/clients/1/data_sources",
        r#"{"dataSourceId":70003}"#,
    ),
    (
        "register an app",
        "POST",
        "/api/v1/clients",
        "/api/v1/clients",
        r#"{"name":"N","clientId":"n","invitationUrl":"https://n.example/CODE"}"#,
    ),
    ("change an app", "PATCH", "/api/v1/clients/{id}", "/api/v1/clients/9001", r#"{"name":"N"}"#),
    ("replace an app", "PUT", "/api/v1/clients/{id}", "/api/v1/clients/9001", r#"{"name":"N"}"#),
    ("remove an app", "DELETE", "/api/v1/clients/{id}", "/api/v1/clients/9001", ""),
    // Keys of practitioners: always the caller's own.
    ("list own API keys", "GET", "/api/v1/practitioner_clients", "/api/v1/practitioner_clients", ""),
    ("make an API key", "POST", "/api/v1/practitioner_clients", "/api/v1/practitioner_clients", "{}"),
    (
        "read somebody else's API key",
        "GET",
        "/api/v1/practitioner_clients/{id}",
        "/api/v1/practitioner_clients/9001",
        "",
    ),
    (
        "change somebody else's API key",
        "PATCH",
        "/api/v1/practitioner_clients/{id}",
        "/api/v1/practitioner_clients/9001",
        r#"{"label":"x"}"#,
    ),
    (
        "remove somebody else's API key",
        "DELETE",
        "/api/v1/practitioner_clients/{id}",
        "/api/v1/practitioner_clients/9001",
        "",
    ),
    // Record systems.
    ("list record systems", "GET", "/api/v1/fhir_sources", "/api/v1/fhir_sources", ""),
    ("read a record system", "GET", "/api/v1/fhir_sources/{id}", "/api/v1/fhir_sources/99001", ""),
    ("name an own record system", "POST", "/api/v1/fhir_sources", "/api/v1/fhir_sources", r#"{"dataSource":70005}"#),
    ("change a record system", "PATCH", "/api/v1/fhir_sources/{id}", "/api/v1/fhir_sources/99001", r#"{"label":"x"}"#),
    ("replace a record system", "PUT", "/api/v1/fhir_sources/{id}", "/api/v1/fhir_sources/99001", r#"{"label":"x"}"#),
    (
        "index the references of a record system",
        "POST",
        "/api/v1/fhir_sources/{id}/index_refs",
        "/api/v1/fhir_sources/99001/index_refs",
        "",
    ),
    ("remove a record system", "DELETE", "/api/v1/fhir_sources/{id}", "/api/v1/fhir_sources/99001", ""),
    // Data sources and data types.
    ("list data sources", "GET", "/api/v1/data_sources", "/api/v1/data_sources", ""),
    ("list data types", "GET", "/api/v1/data_sources/all_scopes", "/api/v1/data_sources/all_scopes", ""),
    ("read a data source", "GET", "/api/v1/data_sources/{id}", "/api/v1/data_sources/70001", ""),
    (
        "data types of a data source",
        "GET",
        "/api/v1/data_sources/{id}/supported_scopes",
        "/api/v1/data_sources/70001/supported_scopes",
        "",
    ),
    ("make a data source", "POST", "/api/v1/data_sources", "/api/v1/data_sources", r#"{"name":"N"}"#),
    (
        "add a data type to it",
        "POST",
        "/api/v1/data_sources/{id}/supported_scopes",
        "/api/v1/data_sources/79001/supported_scopes",
        r#"{"scopeCodeId":50001}"#,
    ),
    (
        "take a data type from it",
        "DELETE",
        "/api/v1/data_sources/{id}/supported_scopes",
        "/api/v1/data_sources/79001/supported_scopes",
        r#"{"scopeCodeId":50001}"#,
    ),
    ("change a data source", "PATCH", "/api/v1/data_sources/{id}", "/api/v1/data_sources/79001", r#"{"name":"M"}"#),
    ("replace a data source", "PUT", "/api/v1/data_sources/{id}", "/api/v1/data_sources/79001", r#"{"name":"M"}"#),
    ("remove a data source", "DELETE", "/api/v1/data_sources/{id}", "/api/v1/data_sources/79001", ""),
    // Administration.
    ("list practitioners", "GET", "/api/v1/practitioners", "/api/v1/practitioners", ""),
    ("read a practitioner", "GET", "/api/v1/practitioners/{id}", "/api/v1/practitioners/80003", ""),
    (
        "make a practitioner",
        "POST",
        "/api/v1/practitioners",
        "/api/v1/practitioners",
        r#"{"telecomEmail":"doc@example.com"}"#,
    ),
    (
        "change a practitioner",
        "PATCH",
        "/api/v1/practitioners/{id}",
        "/api/v1/practitioners/80005",
        r#"{"nameGiven":"X"}"#,
    ),
    (
        "replace a practitioner",
        "PUT",
        "/api/v1/practitioners/{id}",
        "/api/v1/practitioners/80005",
        r#"{"nameGiven":"X"}"#,
    ),
    ("remove a practitioner", "DELETE", "/api/v1/practitioners/{id}", "/api/v1/practitioners/80005", ""),
    ("list settings", "GET", "/api/v1/jhe_settings", "/api/v1/jhe_settings", ""),
    ("read a setting", "GET", "/api/v1/jhe_settings/{id}", "/api/v1/jhe_settings/9001", ""),
    (
        "make a setting",
        "POST",
        "/api/v1/jhe_settings",
        "/api/v1/jhe_settings",
        r#"{"key":"matrix.c","valueType":"int","value":1}"#,
    ),
    ("change a setting", "PATCH", "/api/v1/jhe_settings/{id}", "/api/v1/jhe_settings/9001", r#"{"value":2}"#),
    ("replace a setting", "PUT", "/api/v1/jhe_settings/{id}", "/api/v1/jhe_settings/9001", r#"{"value":3}"#),
    ("remove a setting", "DELETE", "/api/v1/jhe_settings/{id}", "/api/v1/jhe_settings/9002", ""),
];

pub(super) fn operations() -> Vec<Operation> {
    let operation = |(what, method, template, path, body): &(&str, &str, &str, &str, &str)| {
        Operation::new(what, method, template, path, body)
    };
    OPERATIONS.iter().map(operation).collect()
}
