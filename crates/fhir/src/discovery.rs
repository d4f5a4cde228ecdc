//! The public discovery documents, rendered from templates in `data/`.
//!
//! Whether and how they are cached or served is not decided here; they depend on nothing but their arguments.

use serde_json::{Value, json};

use crate::types::ResourceType;

const CAPABILITY_STATEMENT: &str = include_str!("../data/capability-statement.json");
const SMART_CONFIGURATION: &str = include_str!("../data/smart-configuration.json");

/// The complete CapabilityStatement, native and auxiliary stores. `u` is origin and base as called
/// (`https://h/fhir/r5`), `base` the site's URL, under which the OAuth endpoints are, `build_instant` an RFC 3339 instant.
pub fn capability_statement(u: &str, base: &str, build_instant: &str) -> String {
    fill(CAPABILITY_STATEMENT, &[("{U}", u), ("{base}", base), ("{BUILD_INSTANT}", build_instant)])
}

/// The SMART configuration; `base` is the site's URL.
pub fn smart_configuration(base: &str) -> String {
    fill(SMART_CONFIGURATION, &[("{base}", base)])
}

/// The CapabilityStatement of a server with the native stores alone: the types it serves, their own interactions, and the
/// search parameters that native rows have. Other arguments as for [`capability_statement`].
pub fn native_capability_statement(u: &str, base: &str, build_instant: &str, served: &[ResourceType]) -> String {
    let full = capability_statement(u, base, build_instant);
    let Ok(mut document) = serde_json::from_str::<Value>(&full) else {
        return full;
    };
    if let Some(Value::Array(resources)) = document.pointer_mut("/rest/0/resource") {
        resources.retain_mut(|resource| {
            match resource.get("type").and_then(Value::as_str).and_then(ResourceType::from_name) {
                Some(kind) if served.contains(&kind) => {
                    restrict(resource, kind);
                    true
                }
                _ => false,
            }
        });
        if served.contains(&ResourceType::AuditEvent) {
            resources.insert(0, audit_trail());
        }
    }
    serde_json::to_string_pretty(&document).unwrap_or(full)
}

/// The audit trail, which is no part of the JHE model.
fn audit_trail() -> Value {
    let shall = || {
        let url = "http://hl7.org/fhir/StructureDefinition/capabilitystatement-expectation";
        json!([{ "url": url, "valueCode": "SHALL" }])
    };
    let parameter = |(name, kind): (&str, &str)| json!({ "name": name, "type": kind, "extension": shall() });
    let interaction = |code: &str| json!({ "code": code, "extension": shall() });
    let parameters = [
        ("_id", "token"),
        ("_lastUpdated", "date"),
        ("_source", "uri"),
        ("action", "token"),
        ("date", "date"),
        ("patient", "reference"),
    ];
    json!({
        "type": ResourceType::AuditEvent.as_str(),
        "documentation": "The audit trail: for managers that of their organizations, for patients what was done with their data. The newest come first; it is never counted.",
        "interaction": [interaction("read"), interaction("search-type")],
        "versioning": "versioned",
        "conditionalRead": "full-support",
        "updateCreate": false,
        "searchParam": parameters.map(parameter),
    })
}

fn restrict(resource: &mut Value, kind: ResourceType) {
    let creates = kind == ResourceType::Observation;
    if let Some(Value::Array(interactions)) = resource.get_mut("interaction") {
        interactions.retain(|interaction| match interaction.get("code").and_then(Value::as_str) {
            Some("create") => creates,
            Some("read" | "search-type") => true,
            _ => false,
        });
    }
    if let Some(Value::Array(parameters)) = resource.get_mut("searchParam") {
        // A parameter that only auxiliary rows have says so by naming _source; _source itself stays.
        parameters.retain_mut(|parameter| {
            let is_source = parameter.get("name").and_then(Value::as_str) == Some("_source");
            let needs_source = parameter
                .get("documentation")
                .and_then(Value::as_str)
                .is_some_and(|documentation| documentation.contains("_source"));
            if is_source && let Some(members) = parameter.as_object_mut() {
                members.insert(
                    "documentation".to_owned(),
                    json!("Matches meta.source: https://jupyterhealth.org/jhe is every row, another _source none."),
                );
            }
            is_source || !needs_source
        });
    }
    if let Some(members) = resource.as_object_mut() {
        if creates {
            members.insert("conditionalCreate".to_owned(), json!(true));
            let definition = "http://hl7.org/fhir/OperationDefinition/Observation-lastn";
            members.insert("operation".to_owned(), json!([{ "name": "lastn", "definition": definition }]));
        }
        let documentation = if creates {
            "Observations are coded with system https://w3id.org/openmhealth (or https://w3id.org/ieee1752) and carry the \
             complete Open mHealth data point as Base64 JSON in valueAttachment."
        } else {
            "Read and searched here; managed through the administrative interface."
        };
        members.insert("documentation".to_owned(), json!(documentation));
    }
}

/// Replaces placeholders, which stand inside JSON strings, in one pass, so that no value can bring in a placeholder.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() + 512);
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        let found = values.iter().find_map(|(name, value)| Some((from.strip_prefix(name)?, *value)));
        if let Some((after, value)) = found {
            push_escaped(&mut out, value);
            rest = after;
        } else {
            out.push('{');
            rest = from.get(1..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

fn push_escaped(out: &mut String, value: &str) {
    let quoted = Value::from(value).to_string();
    out.push_str(quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structure;
    use crate::types::{AUXILIARY_TYPES, NATIVE_TYPES};

    fn document(text: &str) -> Value {
        assert!(!text.contains("{U}") && !text.contains("{base}") && !text.contains("{BUILD"));
        serde_json::from_str(text).unwrap()
    }

    fn types(document: &Value) -> Vec<&str> {
        document["rest"][0]["resource"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect()
    }

    #[test]
    fn full() {
        let found = document(&capability_statement("https://h/FHIR/R5", "https://site", "2026-01-01T00:00:00Z"));
        assert_eq!(types(&found), AUXILIARY_TYPES);
        assert_eq!(found["implementation"]["url"], "https://h/FHIR/R5/");
        assert_eq!(found["date"], "2026-01-01T00:00:00Z");
        let uris = &found["rest"][0]["security"]["extension"][0]["extension"];
        assert_eq!(uris[0]["valueUri"], "https://site/o/authorize/");
    }

    #[test]
    fn native() {
        let text =
            native_capability_statement("https://h/fhir", "https://site", "2026-01-01T00:00:00Z", &ResourceType::ALL);
        let found = document(&text);
        assert_eq!(types(&found), NATIVE_TYPES);
        for resource in found["rest"][0]["resource"].as_array().unwrap() {
            let codes: Vec<&str> =
                resource["interaction"].as_array().unwrap().iter().map(|item| item["code"].as_str().unwrap()).collect();
            let expected: &[&str] = if resource["type"] == "Observation" {
                &["create", "read", "search-type"]
            } else {
                &["read", "search-type"]
            };
            assert_eq!(codes, expected);
            let names: Vec<&str> =
                resource["searchParam"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
            assert!(names.contains(&"_source") && !names.contains(&"category") && !names.contains(&"death-date"));
        }
        assert!(!text.contains("imported"));
    }

    #[test]
    fn smart() {
        let found = document(&smart_configuration("https://site"));
        assert_eq!(found["token_endpoint"], "https://site/o/token/");
    }

    #[test]
    fn values_are_escaped_and_not_expanded() {
        let found = document(&smart_configuration("a\"b\\{x}"));
        assert_eq!(found["issuer"], "a\"b\\{x}/o");
        assert!(fill("\"{a}{b}\"", &[("{a}", "{b}"), ("{b}", "c")]).contains("{b}c"));
    }

    #[test]
    fn documents_are_valid_resources() {
        // CapabilityStatement is not a stored type, but the table holds every resource `contained` may.
        for text in [
            capability_statement("u", "b", "2026-01-01T00:00:00Z"),
            native_capability_statement("u", "b", "2026-01-01T00:00:00Z", &ResourceType::ALL),
        ] {
            assert_eq!(structure::validate("CapabilityStatement", &document(&text)), Ok(()));
        }
    }
}
