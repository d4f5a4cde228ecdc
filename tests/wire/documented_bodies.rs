//! What the API document says about bodies is true: each has a schema and an example, and the example works as it stands.

use std::collections::{BTreeMap, BTreeSet};

use jhe_testkit::{ADMIN, MARY, PETER, Person, TestServer};
use reqwest::Method;
use serde_json::Value;

const JSON: &str = "application/json";
const FHIR_JSON: &str = "application/fhir+json";
const FORM: &str = "application/x-www-form-urlencoded";

/// An operation of the document.
struct Operation {
    method: Method,
    path: String,
    document: Value,
}

impl Operation {
    /// What it takes in a media type.
    fn body(&self, media_type: &str) -> Option<&Value> {
        self.document["requestBody"]["content"].get(media_type)
    }

    /// Where it is.
    fn place(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// The operations of a document, by name.
fn operations(document: &Value) -> BTreeMap<String, Operation> {
    let mut operations = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap().to_owned();
            let method = method.to_uppercase().parse().unwrap();
            operations.insert(name, Operation { method, path: path.clone(), document: operation.clone() });
        }
    }
    operations
}

async fn document(server: &TestServer) -> Value {
    server.get("/api/v1/schema/?format=json").send().await.expect(200).json()
}

/// What a schema stands for: behind its reference, and beside the null of what is optional.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return resolved(document, document.pointer(&reference[1..]).unwrap());
    }
    match schema["oneOf"].as_array() {
        Some(choices) => resolved(document, choices.iter().find(|choice| choice["type"] != "null").unwrap()),
        None => schema,
    }
}

/// The name of a value's type.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Each member of the value is a property of its schema, each required property is there, and types and choices are kept.
#[track_caller]
fn assert_fits(document: &Value, schema: &Value, value: &Value, place: &str) {
    let schema = resolved(document, schema);
    if let Some(choices) = schema["enum"].as_array() {
        assert!(choices.contains(value), "{place}: {value} is none of {choices:?}");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        // Anything may be here.
        _ => return,
    };
    assert!(kinds.contains(&kind(value)), "{place}: {value} is not of type {kinds:?}");
    for item in value.as_array().into_iter().flatten() {
        assert_fits(document, &schema["items"], item, &format!("{place}[]"));
    }
    if let (Some(members), Some(properties)) = (value.as_object(), schema["properties"].as_object()) {
        for (name, member) in members {
            let property = properties.get(name);
            let property = property.unwrap_or_else(|| panic!("{place}: {name} is not among {:?}", properties.keys()));
            assert_fits(document, property, member, &format!("{place}.{name}"));
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(members.contains_key(name.as_str().unwrap()), "{place}: without {name}");
        }
    }
}

/// Who generates a client, or writes into Swagger UI, finds all members of each body, and one body that fits.
#[tokio::test]
async fn every_body_has_a_schema_and_an_example_that_fits() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    let mut seen = 0;
    for operation in operations(&document).values() {
        let is_form = operation.path.starts_with("/o/");
        let checked: &[&str] = if is_form { &[JSON, FORM] } else { &[JSON] };
        for media_type in checked {
            let Some(body) = operation.body(media_type) else { continue };
            let (schema, place) = (resolved(&document, &body["schema"]), operation.place());
            let properties = schema["properties"].as_object().unwrap_or_else(|| panic!("{place}: no properties"));
            for (name, property) in properties {
                // What may also be null is described beside that.
                let described = property["description"].is_string() || property["oneOf"][0]["description"].is_string();
                assert!(described, "{place}: {name} is not described");
            }
            assert!(schema["example"].is_object(), "{place}: no example");
            assert_fits(&document, schema, &schema["example"], &place);
            seen += 1;
        }
        for media_type in [FHIR_JSON, FORM] {
            if let (Some(body), false) = (operation.body(media_type), is_form) {
                assert!(body["example"].is_object(), "{}: no example", operation.place());
                assert!(operation.document["requestBody"]["description"].is_string(), "{}", operation.place());
            }
        }
    }
    assert!(seen > 60, "{seen}");
    server.stop().await;
}

/// Whoever reads the document is told what each answer means.
#[tokio::test]
async fn every_response_says_what_it_means() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    for operation in operations(&document).values() {
        for (status, response) in operation.document["responses"].as_object().unwrap() {
            let description = resolved(&document, response)["description"].as_str().unwrap_or_default();
            assert!(!description.trim().is_empty(), "{} {status}", operation.place());
        }
    }
    server.stop().await;
}

/// Rows that the examples are about. The invitations were made when the clock of a test begins; the last one's token is that of
/// the example.
const ROWS: &str = "
    INSERT INTO core_organization (id, name, type, part_of_id) VALUES (29001, 'Example', 'team', 20003);
    INSERT INTO core_study (id, name, description, organization_id) VALUES (39001, 'Example', 'd', 20003);
    INSERT INTO core_patientinvitation (id, patient_id, client_id, created, token_hash) VALUES
        (9001, 40001, 1, to_timestamp(1790000000), 'a'), (9002, 40001, 1, to_timestamp(1790000000), 'b'),
        (9003, 40001, 1, to_timestamp(1790000000), 'Y5vJWA4CDB10ch4Tlb8jXO0RL_jBu9kOWJ7g5GgkLYk');
    INSERT INTO core_fhirsource (id, patient_id, data_source_id) VALUES (99001, 40001, 70005);
    INSERT INTO core_datasource (id, name, type) VALUES (79001, 'Example', 'personal_device');
    INSERT INTO core_jhesetting (id, key, value_type, value_int) VALUES (9001, 'example.days', 'int', 1);
    INSERT INTO oauth2_provider_application (id, client_id, name, client_type, authorization_grant_type, grant_types, redirect_uris)
        VALUES (9002, 'example', 'Example', 'confidential', 'client-credentials', '{client_credentials}', '');
    INSERT INTO core_practitionerclient (id, application_id, practitioner_id) VALUES (9002, 9002, 80002);
";

/// The operations of the Admin API that take JSON: their name, the path that is asked, who asks, how it is answered. In an order
/// in which what is removed is not asked about any more.
const EXAMPLES: &[(&str, &str, Option<Person>, u16)] = &[
    // Accounts and who works with them.
    ("users_create", "/api/v1/users", Some(ADMIN), 201),
    ("users_patch", "/api/v1/users/10002", Some(MARY), 200),
    ("users_put", "/api/v1/users/10002", Some(ADMIN), 200),
    ("practitioners_create", "/api/v1/practitioners", Some(ADMIN), 201),
    ("practitioners_patch", "/api/v1/practitioners/80005", Some(ADMIN), 200),
    ("practitioners_put", "/api/v1/practitioners/80005", Some(ADMIN), 200),
    ("practitioner_clients_create", "/api/v1/practitioner_clients", Some(MARY), 201),
    ("practitioner_clients_patch", "/api/v1/practitioner_clients/9002", Some(MARY), 200),
    // Organizations.
    ("organizations_create", "/api/v1/organizations", Some(MARY), 201),
    ("organizations_patch", "/api/v1/organizations/29001", Some(MARY), 200),
    ("organizations_put", "/api/v1/organizations/29001", Some(MARY), 200),
    ("organizations_add_user", "/api/v1/organizations/20003/user", Some(MARY), 201),
    // Data sources and apps.
    ("data_sources_create", "/api/v1/data_sources", Some(ADMIN), 201),
    ("data_sources_patch", "/api/v1/data_sources/70001", Some(ADMIN), 200),
    ("data_sources_put", "/api/v1/data_sources/79001", Some(ADMIN), 200),
    ("data_sources_support", "/api/v1/data_sources/79001/supported_scopes", Some(ADMIN), 201),
    ("clients_create", "/api/v1/clients", Some(ADMIN), 201),
    ("clients_patch", "/api/v1/clients/1", Some(ADMIN), 200),
    ("clients_put", "/api/v1/clients/1", Some(ADMIN), 200),
    ("clients_attach_data_source", "/api/v1/clients/1/data_sources", Some(MARY), 201),
    // Patients and studies.
    ("patients_create", "/api/v1/patients", Some(MARY), 201),
    ("patients_patch", "/api/v1/patients/40001", Some(MARY), 200),
    ("patients_put", "/api/v1/patients/40001", Some(MARY), 200),
    ("studies_create", "/api/v1/studies", Some(MARY), 201),
    ("studies_patch", "/api/v1/studies/39001", Some(MARY), 200),
    ("studies_put", "/api/v1/studies/39001", Some(MARY), 200),
    ("studies_enrol", "/api/v1/studies/39001/patients", Some(MARY), 201),
    ("studies_request_scope", "/api/v1/studies/39001/scope_requests", Some(MARY), 201),
    ("studies_attach_data_source", "/api/v1/studies/39001/data_sources", Some(MARY), 201),
    ("studies_attach_client", "/api/v1/studies/39001/clients", Some(MARY), 201),
    ("consents_create", "/api/v1/patients/40001/consents", Some(PETER), 201),
    ("consents_change", "/api/v1/patients/40001/consents", Some(PETER), 200),
    ("observations_patch", "/api/v1/observations/60003", Some(MARY), 200),
    // Invitations.
    ("invitations_link_by_post", "/api/v1/patients/40001/invitation_link", Some(MARY), 200),
    ("invitations_redeem_from_body", "/api/v1/invitation/redeem", None, 200),
    ("invitations_patch", "/api/v1/invitation/9001", Some(MARY), 200),
    ("invitations_put", "/api/v1/invitation/9002", Some(MARY), 200),
    ("invitations_create", "/api/v1/invitation", Some(MARY), 201),
    // Record systems and settings.
    ("fhir_sources_create", "/api/v1/fhir_sources", Some(PETER), 201),
    ("fhir_sources_patch", "/api/v1/fhir_sources/99001", Some(PETER), 200),
    ("fhir_sources_put", "/api/v1/fhir_sources/99001", Some(PETER), 200),
    ("settings_create", "/api/v1/jhe_settings", Some(ADMIN), 201),
    ("settings_patch", "/api/v1/jhe_settings/9001", Some(ADMIN), 200),
    ("settings_put", "/api/v1/jhe_settings/9001", Some(ADMIN), 200),
    // What was made goes again.
    ("observations_delete", "/api/v1/observations/60003", Some(ADMIN), 204),
    ("consents_delete", "/api/v1/patients/40001/consents", Some(PETER), 204),
    ("studies_detach_client", "/api/v1/studies/39001/clients", Some(MARY), 204),
    ("studies_detach_data_source", "/api/v1/studies/39001/data_sources", Some(MARY), 204),
    ("studies_drop_scope", "/api/v1/studies/39001/scope_requests", Some(MARY), 204),
    ("studies_unenrol", "/api/v1/studies/39001/patients", Some(MARY), 204),
    ("clients_detach_data_source", "/api/v1/clients/1/data_sources", Some(MARY), 204),
    ("data_sources_drop_support", "/api/v1/data_sources/79001/supported_scopes", Some(ADMIN), 204),
    ("organizations_remove_user", "/api/v1/organizations/20003/remove_user", Some(MARY), 204),
];

/// Who sends an example as it stands gets what the operation promises. Every operation of the Admin API that takes JSON has a row.
#[tokio::test]
async fn every_example_of_the_admin_api_works() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    let operations = operations(&document);
    let takes_json = |operation: &Operation| operation.path.starts_with("/api/v1") && operation.body(JSON).is_some();
    let documented: BTreeSet<&str> =
        operations.iter().filter(|(_, operation)| takes_json(operation)).map(|(name, _)| name.as_str()).collect();
    let listed: BTreeSet<&str> = EXAMPLES.iter().map(|(name, ..)| *name).collect();
    assert_eq!(documented, listed);
    assert_eq!(listed.len(), EXAMPLES.len(), "a row for each");
    server.execute(ROWS).await;
    for (name, path, person, status) in EXAMPLES {
        let operation = &operations[*name];
        let schema = resolved(&document, &operation.body(JSON).unwrap()["schema"]);
        let call = server.call(operation.method.clone(), path).json(&schema["example"]);
        let call = match person {
            Some(person) => call.as_user(*person),
            None => call,
        };
        let reply = call.send().await;
        assert_eq!(reply.status.as_u16(), *status, "{name}: {}", reply.text());
        assert!(reply.status.is_success(), "{name}");
    }
    server.stop().await;
}

/// The readings of the examples can be uploaded, and uploaded again.
#[tokio::test]
async fn every_example_of_an_upload_works() {
    let server = TestServer::start().await;
    let operations = operations(&document(&server).await);
    let example = |name: &str| operations[name].body(FHIR_JSON).unwrap()["example"].to_string();
    let upload =
        async |path: &str, name: &str| server.post(path).as_user(PETER).body(FHIR_JSON, example(name)).send().await;
    for (expected, single) in [("201 Created", 201), ("409 Conflict", 409)] {
        let reply = upload("/fhir/r5/Observation", "fhir_createObservation").await.expect(single);
        if single == 409 {
            assert_eq!(reply.at("/issue/0/code"), "duplicate");
        }
        let reply = upload("/fhir/r5", "fhir_storeBundle").await.expect(200);
        for entry in ["/entry/0/response/status", "/entry/1/response/status"] {
            assert_eq!(reply.at(entry), expected);
        }
    }
    server.stop().await;
}
