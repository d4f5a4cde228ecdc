//! The installed schemas and their compiled validators.
//!
//! Two drafts of JSON Schema are mixed in the embedded set and refer to each other, so the draft is detected for each
//! document. Formats are annotations only, as in the original server: real data points have references that are no IRI
//! and times without an offset.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, LazyLock, OnceLock},
};

use jsonschema::{Draft, Registry, Retrieve, Uri, Validator};
use serde_json::Value;

use crate::{
    code::{code_of, retrieval_url},
    violation::HEADER_CODE,
};

include!(concat!(env!("OUT_DIR"), "/files.rs"));

static EMBEDDED: LazyLock<Schemas> = LazyLock::new(|| {
    #[expect(
        clippy::expect_used,
        reason = "the embedded files are fixed at build time, and a test compiles every one of them"
    )]
    embedded_documents().and_then(Schemas::new).expect("the embedded schemas are complete")
});

/// Why a set of schemas cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A document is not JSON.
    #[error("schema {url} is not JSON: {source}")]
    NotJson {
        /// Retrieval URL of the document.
        url: String,
        /// What the parser found.
        source: serde_json::Error,
    },
    /// A retrieval URL is no URI, or a reference names a document that is not installed.
    #[error("the schemas cannot be linked: {0}")]
    Unresolved(#[from] jsonschema::ReferencingError),
    /// A document is not a valid schema of its draft.
    #[error("schema {url} cannot be compiled: {reason}")]
    NotCompiled {
        /// Retrieval URL of the document.
        url: String,
        /// What the compiler found.
        reason: String,
    },
}

/// All installed schema documents, with one validator per code that is compiled at its first use.
///
/// Shared by all requests; a lookup takes no lock once the validator exists.
pub struct Schemas {
    registry: Registry<'static>,
    by_code: HashMap<String, Entry>,
}

struct Entry {
    url: String,
    document: Arc<Value>,
    validator: OnceLock<Result<Validator, String>>,
}

impl Schemas {
    /// The schemas compiled into this crate. The first call parses and links them, which takes some milliseconds: make
    /// it at start-up.
    pub fn embedded() -> &'static Self {
        &EMBEDDED
    }

    /// The embedded schemas together with an operator's own, given as pairs of retrieval URL (see [`retrieval_url`]) and
    /// document.
    ///
    /// A document replaces the embedded one of the same URL; among `extra`, the last one wins. Every schema of the
    /// result is compiled here, so that a mistake in a directory shows at start-up and not in a request.
    ///
    /// # Errors
    ///
    /// [`SchemaError::Unresolved`] when a reference cannot be resolved, [`SchemaError::NotCompiled`] when a document is
    /// not a valid schema.
    pub fn with_directory_contents(extra: Vec<(String, Value)>) -> Result<Self, SchemaError> {
        let mut documents = embedded_documents()?;
        for (url, document) in extra {
            documents.retain(|(existing, _)| *existing != url);
            documents.push((url, document));
        }
        let schemas = Self::new(documents)?;
        schemas.compile_all()?;
        Ok(schemas)
    }

    /// Whether a schema is installed for a code such as `omh:blood-glucose:4.0`.
    pub fn has(&self, code: &str) -> bool {
        self.by_code.contains_key(code)
    }

    /// The validator of a code's schema; `None` when no usable schema is installed.
    pub(crate) fn validator(&self, code: &str) -> Option<&Validator> {
        self.compiled(self.by_code.get(code)?).ok()
    }

    /// Compiles every validator that is not compiled yet.
    fn compile_all(&self) -> Result<(), SchemaError> {
        for entry in self.by_code.values() {
            self.compiled(entry)
                .map_err(|reason| SchemaError::NotCompiled { url: entry.url.clone(), reason: reason.to_owned() })?;
        }
        Ok(())
    }

    fn compiled<'a>(&self, entry: &'a Entry) -> Result<&'a Validator, &'a str> {
        entry
            .validator
            .get_or_init(|| {
                jsonschema::options()
                    .with_registry(&self.registry)
                    .with_base_uri(entry.url.as_str())
                    .with_retriever(NotInstalled)
                    .should_validate_formats(false)
                    .build(&entry.document)
                    .map_err(|error| error.to_string())
            })
            .as_ref()
            .map_err(String::as_str)
    }

    fn new(documents: Vec<(String, Value)>) -> Result<Self, SchemaError> {
        let mut taken: HashSet<String> = documents.iter().map(|(url, _)| url.clone()).collect();
        let mut resources = Vec::with_capacity(documents.len());
        let mut by_code = HashMap::with_capacity(documents.len());
        for (url, mut document) in documents {
            let alias = take_id(&url, &mut document, &mut taken);
            let document = Arc::new(document);
            resources.extend(alias.map(|alias| (alias, Arc::clone(&document))));
            resources.push((url.clone(), Arc::clone(&document)));
            if let Some(code) = code_of(&url) {
                by_code.insert(code, Entry { url, document, validator: OnceLock::new() });
            }
        }
        let registry = Registry::new().draft(Draft::Draft7).retriever(NotInstalled).extend(resources)?.prepare()?;
        Ok(Self { registry, by_code })
    }
}

impl fmt::Debug for Schemas {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Schemas")
            .field("codes", &self.by_code.len())
            .field("has_header", &self.has(HEADER_CODE))
            .finish_non_exhaustive()
    }
}

/// The embedded documents by retrieval URL, in the order of their files.
fn embedded_documents() -> Result<Vec<(String, Value)>, SchemaError> {
    FILES
        .iter()
        .filter_map(|(path, text)| retrieval_url(path).map(|url| (url, text)))
        .map(|(url, text)| match serde_json::from_str(text) {
            Ok(document) => Ok((url, document)),
            Err(source) => Err(SchemaError::NotJson { url, source }),
        })
        .collect()
}

/// Settles the root `$id` of a document: the second URL to register it under, if it has one that is free.
///
/// An `$id` must never stand for another document's retrieval URL: those of IEEE carry no version, and that of
/// `acceleration-2.0` says 1.1. It is therefore removed from the document unless relative references depend on it, which
/// they do only when it lies in another directory than the retrieval URL.
fn take_id(url: &str, document: &mut Value, taken: &mut HashSet<String>) -> Option<String> {
    let members = document.as_object_mut()?;
    let id = members.get("$id")?.as_str()?.trim_end_matches('#').to_owned();
    let is_free = taken.insert(id.clone());
    if !is_free || directory(&id) == directory(url) {
        members.shift_remove("$id");
    }
    is_free.then_some(id)
}

fn directory(url: &str) -> Option<&str> {
    url.rsplit_once('/').map(|(directory, _)| directory)
}

/// Refuses every document that is not in the registry: nothing is read from the network or the disk.
struct NotInstalled;

impl Retrieve for NotInstalled {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("schema {uri} is not installed").into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_embedded_schema_compiles() {
        assert_eq!(FILES.len(), 302);
        assert_eq!(Schemas::embedded().by_code.len(), 302);
        Schemas::embedded().compile_all().unwrap();
    }

    #[test]
    fn codes_of_the_product_are_installed() {
        for code in [
            HEADER_CODE,
            "omh:blood-glucose:4.0",
            "omh:blood-pressure:4.0",
            "omh:body-temperature:4.0",
            "omh:heart-rate:2.0",
            "omh:oxygen-saturation:2.0",
            "omh:respiratory-rate:2.0",
            "omh:rr-interval:1.0",
            "omh:body-weight:3.0",
            "omh:forced-vital-capacity:1.0",
            "omh:forced-expiratory-volume-1-second:1.0",
            "omh:physical-activity:1.2",
            "omh:step-count:3.0",
            "omh:sleep-duration:2.0",
            "omh:sleep-episode:1.1",
            "omh:total-sleep-time:1.0",
            "ieee:sleep-stage-summary:1.0",
            "ieee:food-entry:0.1",
            "ieee:physical-activity:1.0",
            "ieee:sleep-episode:1.0",
            "ieee:time-in-bed:1.0",
        ] {
            assert!(Schemas::embedded().has(code), "{code}");
        }
    }

    #[test]
    fn other_codes_are_not_installed() {
        for code in [
            "",
            "omh",
            "omh:mood:1.0",
            "omh:blood-glucose",
            "omh:blood-glucose:4.0:1",
            "omh:blood:glucose-4.0",
            "ieee:sleep/time-in-bed:1.0",
            "omh:../ieee/header:1.0",
            "ieee1752:header:1.0",
        ] {
            assert!(!Schemas::embedded().has(code), "{code}");
        }
    }

    /// The embedded `acceleration-2.0` has the `$id` of a version 1.1 that does not exist.
    #[test]
    fn id_makes_no_code() {
        assert!(Schemas::embedded().has("omh:acceleration:2.0"));
        assert!(!Schemas::embedded().has("omh:acceleration:1.1"));
    }

    #[test]
    fn id_does_not_replace_the_document_of_that_url() {
        let id = retrieval_url("omh/mass-unit-value-1.x.json").unwrap();
        let schemas = Schemas::with_directory_contents(vec![local(
            "mood-1.0.json",
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "$id": id, "not": {}}),
        )])
        .unwrap();
        let weight =
            json!({"body_weight": {"value": 70, "unit": "kg"}, "effective_time_frame": {"date_time": "2026-04-15"}});
        assert!(schemas.validator("omh:body-weight:2.0").unwrap().is_valid(&weight));
        assert!(!schemas.validator("local:mood:1.0").unwrap().is_valid(&json!({})));
    }

    fn local(name: &str, document: Value) -> (String, Value) {
        (retrieval_url(&format!("local/{name}")).unwrap(), document)
    }

    #[test]
    fn operator_schema_may_refer_to_embedded_ones() {
        let schemas = Schemas::with_directory_contents(vec![local(
            "mood-1.0.json",
            json!({
                "$schema": "http://json-schema.org/draft-07/schema#",
                "type": "object",
                "properties": {
                    "mood": {"enum": ["good", "bad"]},
                    "effective_time_frame": {"$ref": "https://w3id.org/ieee/ieee-1752-schema/time-frame-1.0.json"}
                },
                "required": ["mood"]
            }),
        )])
        .unwrap();
        assert!(schemas.has("local:mood:1.0"));
        let validator = schemas.validator("local:mood:1.0").unwrap();
        assert!(validator.is_valid(&json!({"mood": "good", "effective_time_frame": {"date_time": "2026-04-15"}})));
        assert!(!validator.is_valid(&json!({"mood": "good", "effective_time_frame": {}})));
        assert!(!Schemas::embedded().has("local:mood:1.0"));
    }

    #[test]
    fn operator_id_in_another_directory_is_the_base_of_its_references() {
        let schemas = Schemas::with_directory_contents(vec![
            local(
                "mood-1.0.json",
                json!({"$schema": "http://json-schema.org/draft-07/schema#",
                       "$id": "https://example.org/schemas/mood.json", "$ref": "scale.json"}),
            ),
            (
                "https://example.org/schemas/scale.json".to_owned(),
                json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "number"}),
            ),
        ]);
        // In draft 7 an `$id` beside `$ref` is ignored, so this one does not link.
        assert!(matches!(schemas, Err(SchemaError::Unresolved(_))), "{schemas:?}");

        let schemas = Schemas::with_directory_contents(vec![
            local(
                "mood-1.0.json",
                json!({"$schema": "http://json-schema.org/draft-07/schema#",
                       "$id": "https://example.org/schemas/mood.json", "allOf": [{"$ref": "scale.json"}]}),
            ),
            (
                "https://example.org/schemas/scale.json".to_owned(),
                json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "number"}),
            ),
        ])
        .unwrap();
        let validator = schemas.validator("local:mood:1.0").unwrap();
        assert!(validator.is_valid(&json!(5)));
        assert!(!validator.is_valid(&json!("five")));
    }

    #[test]
    fn operator_schema_replaces_the_embedded_one() {
        let url = retrieval_url("omh/mass-unit-value-1.x.json").unwrap();
        let schemas = Schemas::with_directory_contents(vec![(url, json!(false))]).unwrap();
        let weight =
            json!({"body_weight": {"value": 70, "unit": "kg"}, "effective_time_frame": {"date_time": "2026-04-15"}});
        let code = "omh:body-weight:2.0";
        assert!(Schemas::embedded().validator(code).unwrap().is_valid(&weight));
        assert!(!schemas.validator(code).unwrap().is_valid(&weight));
    }

    #[test]
    fn faulty_operator_schemas_are_refused() {
        let missing = vec![local("mood-1.0.json", json!({"$ref": "scale-1.0.json"}))];
        let error = Schemas::with_directory_contents(missing).unwrap_err();
        assert!(error.to_string().contains("scale-1.0.json"), "{error}");

        let invalid = vec![local("mood-1.0.json", json!({"type": 7}))];
        let error = Schemas::with_directory_contents(invalid).unwrap_err();
        assert!(error.to_string().contains("mood-1.0.json"), "{error}");
    }
}
