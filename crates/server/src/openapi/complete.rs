//! What every operation of a family can answer, added once to the document that the routes make: its errors with their
//! bodies, a name no other operation has, and the other forms of an answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{OneOfBuilder, Schema};
use utoipa::openapi::{OpenApi as Document, PathItem, Ref, RefOr};

const JSON: &str = "application/json";

/// A family of the document, and how it tells of failures.
struct Family {
    base: &'static str,
    media_type: &'static str,
    schema: &'static str,
    example: fn(u16) -> Value,
}

const FAMILIES: [Family; 2] = [
    Family { base: "/api/v1", media_type: JSON, schema: "Failure", example: failure },
    Family { base: "/fhir/r5", media_type: "application/fhir+json", schema: "OperationOutcome", example: outcome },
];

type Applies = fn(&Operation) -> bool;

/// Status, what it means, and which operations can give it.
const ERRORS: [(u16, &str, Applies); 9] = [
    (400, "The request does not make sense", |_| true),
    (401, "No valid bearer token", |operation| !is_public(operation)),
    (403, "Not permitted", |operation| !is_public(operation)),
    (404, "Not there, or not for the caller to know of", |_| true),
    (406, "None of the accepted media types is served", |_| true),
    (413, "The body is too large", |operation| operation.request_body.is_some()),
    (415, "The media type of the body is not read", |operation| operation.request_body.is_some()),
    (429, "Too many requests; see `Retry-After`", |_| true),
    (503, "Not able to answer now; see `Retry-After`", |_| true),
];

fn is_public(operation: &Operation) -> bool {
    let open = |requirement: &utoipa::openapi::SecurityRequirement| json!(requirement) == json!({});
    operation.security.as_ref().is_some_and(|requirements| requirements.iter().any(open))
}

fn meaning(status: u16) -> &'static str {
    ERRORS.iter().find(|(known, ..)| *known == status).map_or("Refused", |(_, text, _)| text)
}

fn failure(status: u16) -> Value {
    match status {
        400 => json!({"detail": "name: This field is required.", "name": ["This field is required."]}),
        401 => json!({"detail": "Authentication credentials were not provided."}),
        403 => json!({"detail": "You do not have permission to perform this action."}),
        404 => json!({"detail": "Not found."}),
        _ => json!({"detail": format!("{}.", meaning(status))}),
    }
}

fn outcome(status: u16) -> Value {
    let code = match status {
        400 => "invalid",
        401 => "login",
        403 => "forbidden",
        404 => "not-found",
        406 | 415 => "not-supported",
        413 => "too-long",
        429 => "throttled",
        503 => "transient",
        _ => "processing",
    };
    json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code, "diagnostics": meaning(status)}]})
}

/// Completes the document.
pub(super) fn complete(document: &mut Document) {
    let bare = lists(document);
    for (path, item) in &mut document.paths.paths {
        let family = FAMILIES.iter().find(|family| path.starts_with(family.base));
        for operation in operations(item) {
            name(operation);
            if let Some(family) = family {
                errors(operation, family);
                forms(operation, family, &bare);
            }
        }
    }
    let components = document.components.get_or_insert_default();
    components.schemas.extend(schemas());
    components.responses.extend(responses());
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

/// `<entity>_<what>`: handlers of different entities share their names.
fn name(operation: &mut Operation) {
    if let (Some(id), Some(tag)) = (&operation.operation_id, operation.tags.iter().flatten().next()) {
        operation.operation_id = Some(format!("{}_{id}", tag.replace([' ', '-'], "_")));
    }
}

fn errors(operation: &mut Operation, family: &Family) {
    for (status, _, applies) in ERRORS {
        let key = status.to_string();
        if applies(operation) {
            let shared = Ref::from_response_name(shared_name(family, status));
            operation.responses.responses.entry(key).or_insert(RefOr::Ref(shared));
        }
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            outcome_of(status).clone_into(&mut response.description);
        }
        if let (Ok(status @ 400..), RefOr::T(response)) = (status.parse::<u16>(), response)
            && response.content.is_empty()
        {
            response.content.insert(family.media_type.to_owned(), RefOr::T(body(family, status)));
        }
    }
}

/// What happened, where an operation says nothing of its own about a status. Every response must be described (OpenAPI 3.1
/// §4.8.17).
fn outcome_of(status: &str) -> &'static str {
    match status {
        "201" => "Made; the body is how it is now",
        "204" => "Done; there is no body",
        _ => "The body is how it is now",
    }
}

fn shared_name(family: &Family, status: u16) -> String {
    format!("{}{status}", family.schema)
}

fn body(family: &Family, status: u16) -> Content {
    let schema = Ref::from_schema_name(family.schema);
    ContentBuilder::new().schema(Some(schema)).example(Some((family.example)(status))).build()
}

/// What an operation refers to where it says nothing of its own about a status.
fn responses() -> impl Iterator<Item = (String, RefOr<Response>)> {
    FAMILIES.iter().flat_map(|family| {
        ERRORS.map(|(status, description, _)| {
            let mut shared = ResponseBuilder::new().description(description).build();
            shared.content.insert(family.media_type.to_owned(), RefOr::T(body(family, status)));
            if family.media_type != JSON {
                shared.content.insert(JSON.to_owned(), RefOr::T(body(family, status)));
            }
            (shared_name(family, status), RefOr::T(shared))
        })
    })
}

/// An array of the rows of each schema of a page, by the reference to the page.
fn lists(document: &Document) -> BTreeMap<String, RefOr<Schema>> {
    let schemas = document.components.iter().flat_map(|components| &components.schemas);
    schemas
        .filter_map(|(name, schema)| match schema {
            RefOr::T(Schema::Object(page)) if name.starts_with("PageJson_") => {
                Some((Ref::from_schema_name(name).ref_location, page.properties.get("results")?.clone()))
            }
            _ => None,
        })
        .collect()
}

/// `paginate=false` answers the rows alone; FHIR answers come as plain JSON to those who ask for it.
fn forms(operation: &mut Operation, family: &Family, bare: &BTreeMap<String, RefOr<Schema>>) {
    let pages_are_optional = operation.parameters.iter().flatten().any(|parameter| is_named(parameter, "paginate"));
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(Response { content, .. }) = response else { continue };
        if let Some(RefOr::T(fhir)) = content.get(family.media_type).cloned()
            && family.media_type != JSON
        {
            content.insert(JSON.to_owned(), RefOr::T(fhir));
        }
        for form in content.values_mut() {
            if let RefOr::T(Content { schema: Some(schema), .. }) = form
                && let RefOr::Ref(page) = &*schema
                && let Some(rows) = bare.get(&page.ref_location)
                && pages_are_optional
            {
                let either = OneOfBuilder::new().item(page.clone()).item(rows.clone()).build();
                *schema = RefOr::T(Schema::OneOf(either));
            }
        }
    }
}

fn is_named(parameter: &RefOr<Parameter>, name: &str) -> bool {
    matches!(parameter, RefOr::T(parameter) if parameter.name == name)
}

fn schemas() -> BTreeMap<String, RefOr<Schema>> {
    let known = [
        (
            "Failure",
            json!({"type": "object", "required": ["detail"],
                "description": "Why a request failed: a sentence, and below the name of each field at fault its faults.",
                "properties": {"detail": {"type": "string"}}}),
        ),
        (
            "OperationOutcome",
            json!({"type": "object", "required": ["resourceType", "issue"], "description": "Why a request failed (FHIR R5).",
                "properties": {
                    "resourceType": {"type": "string", "enum": ["OperationOutcome"]},
                    "issue": {"type": "array", "items": {"type": "object", "required": ["severity", "code"], "properties": {
                        "severity": {"type": "string"}, "code": {"type": "string"}, "diagnostics": {"type": "string"}}}}}}),
        ),
    ];
    known
        .into_iter()
        .filter_map(|(name, schema)| Some((name.to_owned(), RefOr::T(serde_json::from_value(schema).ok()?))))
        .collect()
}
