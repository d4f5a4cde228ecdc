//! Bundles: writing searchsets and responses, and reading the entries of a batch or transaction.
//!
//! Resources go in as bytes already written, so that nothing is parsed or copied twice.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::catalogue::{self, Failure};
use crate::outcome::{Issue, IssueCode, OperationOutcome};
use crate::structure::{self, BundleKind};
use crate::time::instant;
use crate::types::split_reference;
use crate::write::{self, Members};

/// Writes a searchset. `link` and `entry` are always there, even when empty, because clients index them.
pub struct SearchsetWriter {
    out: Vec<u8>,
    first: bool,
}

impl SearchsetWriter {
    /// Starts a Bundle: `id` is a UUID, `total` is left out when `None`, links are (relation, url) in order.
    pub fn new(id: &str, last_updated: DateTime<Utc>, total: Option<u64>, links: &[(&str, &str)]) -> Self {
        let mut out = Vec::with_capacity(4096);
        let mut members = Members::object(&mut out);
        members.text("resourceType", "Bundle");
        members.text("id", id);
        members.nested("meta", |meta| {
            meta.text("lastUpdated", &instant(last_updated));
        });
        members.text("type", "searchset");
        if let Some(total) = total {
            members.literal("total", &total.to_string());
        }
        members.objects("link", links, |link, (relation, url)| {
            link.text("relation", relation);
            link.text("url", url);
        });
        members.raw("entry").push(b'[');
        Self { out, first: true }
    }

    /// Appends a match; `write` appends exactly one JSON value, the resource.
    pub fn entry_with(&mut self, full_url: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.comma();
        let mut members = Members::object(&mut self.out);
        members.text("fullUrl", full_url);
        write(members.raw("resource"));
        members.literal("search", r#"{"mode":"match"}"#);
        members.end();
    }

    /// Appends a match already written.
    pub fn entry(&mut self, full_url: &str, resource: &[u8]) {
        self.entry_with(full_url, |out| out.extend_from_slice(resource));
    }

    /// Appends an outcome about the search itself; `uuid` names it, as every entry of a searchset is named (bdl-15).
    pub fn outcome(&mut self, uuid: &str, outcome: &OperationOutcome) {
        self.comma();
        let mut members = Members::object(&mut self.out);
        members.text("fullUrl", &format!("urn:uuid:{uuid}"));
        members.literal("search", r#"{"mode":"outcome"}"#);
        write::value(members.raw("resource"), outcome);
        members.end();
    }

    /// The finished Bundle.
    pub fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(b"]}");
        self.out
    }

    fn comma(&mut self) {
        if self.first {
            self.first = false;
        } else {
            self.out.push(b',');
        }
    }
}

/// What became of one entry.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResponseEntry<'a> {
    /// Number and reason, from [`catalogue::status_line`].
    pub status: &'a str,
    /// `Type/id`.
    pub location: Option<&'a str>,
    /// The entity tag.
    pub etag: Option<&'a str>,
    /// When it was stored.
    pub last_modified: Option<DateTime<Utc>>,
    /// The resource, already written.
    pub resource: Option<&'a [u8]>,
    /// What went wrong.
    pub outcome: Option<&'a OperationOutcome>,
}

/// Writes a batch-response or transaction-response. Without entries there is no `entry`, as FHIR wants it.
pub struct ResponseWriter {
    out: Vec<u8>,
    first: bool,
}

impl ResponseWriter {
    /// Starts a Bundle; `id` is a UUID.
    pub fn new(id: &str, kind: BundleKind) -> Self {
        let mut out = Vec::with_capacity(1024);
        let mut members = Members::object(&mut out);
        members.text("resourceType", "Bundle");
        members.text("id", id);
        members.text(
            "type",
            match kind {
                BundleKind::Batch => "batch-response",
                BundleKind::Transaction => "transaction-response",
            },
        );
        Self { out, first: true }
    }

    /// Appends the answer to the next request entry.
    pub fn entry(&mut self, entry: &ResponseEntry<'_>) {
        self.out.extend_from_slice(if self.first { br#","entry":["# } else { b"," });
        self.first = false;
        let mut members = Members::object(&mut self.out);
        if let Some(resource) = entry.resource {
            members.raw("resource").extend_from_slice(resource);
        }
        members.nested("response", |response| {
            response.text("status", entry.status);
            response.optional_text("location", entry.location);
            response.optional_text("etag", entry.etag);
            response.optional_text("lastModified", entry.last_modified.map(instant).as_deref());
            if let Some(outcome) = entry.outcome {
                write::value(response.raw("outcome"), outcome);
            }
        });
        members.end();
    }

    /// Appends a failed entry.
    pub fn failure(&mut self, failure: &Failure) {
        let outcome = failure.outcome();
        self.entry(&ResponseEntry {
            status: catalogue::status_line(failure.status),
            outcome: Some(&outcome),
            ..ResponseEntry::default()
        });
    }

    /// The finished Bundle.
    pub fn finish(mut self) -> Vec<u8> {
        if !self.first {
            self.out.push(b']');
        }
        self.out.push(b'}');
        self.out
    }
}

/// A create asked for by an entry of a batch or transaction.
#[derive(Clone, Copy, PartialEq)]
pub struct CreateEntry<'a> {
    /// The type, as the URL and the resource name it.
    pub resource_type: &'a str,
    /// The resource, not yet validated.
    pub resource: &'a Value,
    /// `fullUrl`, by which other entries may refer to it.
    pub full_url: Option<&'a str>,
    /// `request.ifNoneExist`.
    pub if_none_exist: Option<&'a str>,
}

impl<'a> CreateEntry<'a> {
    /// Reads entry number `index` (for expressions). `is_own_base` decides which absolute request URLs are ours, by what
    /// precedes `/Type`.
    ///
    /// # Errors
    /// The first of E75, E74, E73, E41, E10, then structural problems of the entry's own members.
    pub fn parse(index: usize, entry: &'a Value, is_own_base: &dyn Fn(&str) -> bool) -> Result<Self, Failure> {
        let resource = entry.get("resource").filter(|resource| resource.is_object());
        let resource = resource.ok_or_else(catalogue::entry_resource_missing)?;
        let text = |member| entry.get("request")?.get(member)?.as_str().filter(|text: &&str| !text.is_empty());
        let (Some(method), Some(url)) = (text("method"), text("url")) else {
            return Err(catalogue::entry_request_missing());
        };
        if method != "POST" {
            return Err(catalogue::entry_method_not_supported());
        }
        let Some(found) = resource.get("resourceType").and_then(Value::as_str) else {
            let path = format!("Bundle.entry[{index}].resource");
            let issue = Issue::error(
                IssueCode::Structure,
                format!("Invalid FHIR Bundle: {path}: needs the resourceType of a FHIR resource"),
            );
            return Err(Failure::new(400, issue.at(path)));
        };
        if url_type(url, is_own_base) != Some(found) {
            let expected = url_type(url, is_own_base).unwrap_or(url);
            return Err(catalogue::resource_type_mismatch(expected, found));
        }
        if !structure::is_known_type(found) {
            return Err(catalogue::unsupported_type(found));
        }
        structure::validate_bundle_entry(index, entry).map_err(Failure::bad_request)?;
        Ok(Self {
            resource_type: found,
            resource,
            full_url: entry.get("fullUrl").and_then(Value::as_str),
            if_none_exist: text("ifNoneExist"),
        })
    }
}

/// The type of `Type`, `Type/` or an absolute URL of ours.
fn url_type<'a>(url: &'a str, is_own_base: &dyn Fn(&str) -> bool) -> Option<&'a str> {
    let url = url.strip_suffix('/').unwrap_or(url);
    if !url.contains('/') {
        return Some(url);
    }
    let (base, kind) = url.rsplit_once('/')?;
    is_own_base(base).then_some(kind)
}

/// Whether a fullUrl is a reference another entry can use (`urn:uuid:…`), or names a resource of ours.
pub fn is_local_full_url(full_url: &str, is_own_base: &dyn Fn(&str) -> bool) -> bool {
    full_url.starts_with("urn:uuid:") || split_reference(full_url, is_own_base).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::has_own_base_path;
    use crate::write::tests::at;
    use serde_json::json;

    fn text(out: Vec<u8>) -> String {
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn searchset() {
        let empty = SearchsetWriter::new("u", at(), Some(0), &[("self", "https://h/x?a=\"")]);
        assert_eq!(
            text(empty.finish()),
            r#"{"resourceType":"Bundle","id":"u","meta":{"lastUpdated":"2026-10-18T19:14:01Z"},"type":"searchset","total":0,"link":[{"relation":"self","url":"https://h/x?a=\""}],"entry":[]}"#
        );
        let mut two = SearchsetWriter::new("u", at(), None, &[]);
        two.entry("https://h/fhir/Patient/1", br#"{"resourceType":"Patient"}"#);
        two.outcome("o", &Issue::information(IssueCode::Informational, "x").into());
        assert_eq!(
            text(two.finish()),
            r#"{"resourceType":"Bundle","id":"u","meta":{"lastUpdated":"2026-10-18T19:14:01Z"},"type":"searchset","link":[],"entry":[{"fullUrl":"https://h/fhir/Patient/1","resource":{"resourceType":"Patient"},"search":{"mode":"match"}},{"fullUrl":"urn:uuid:o","search":{"mode":"outcome"},"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational","diagnostics":"x"}]}}]}"#
        );
    }

    #[test]
    fn responses() {
        let empty = ResponseWriter::new("u", BundleKind::Batch).finish();
        assert_eq!(text(empty), r#"{"resourceType":"Bundle","id":"u","type":"batch-response"}"#);
        let mut writer = ResponseWriter::new("u", BundleKind::Transaction);
        writer.entry(&ResponseEntry {
            status: catalogue::status_line(201),
            location: Some("Observation/1"),
            etag: Some("W/\"5\""),
            last_modified: Some(at()),
            resource: Some(br#"{"resourceType":"Observation"}"#),
            outcome: None,
        });
        writer.failure(&catalogue::entry_request_missing());
        let written = text(writer.finish());
        assert_eq!(
            written,
            r#"{"resourceType":"Bundle","id":"u","type":"transaction-response","entry":[{"resource":{"resourceType":"Observation"},"response":{"status":"201 Created","location":"Observation/1","etag":"W/\"5\"","lastModified":"2026-10-18T19:14:01Z"}},{"response":{"status":"400 Bad Request","outcome":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"required","diagnostics":"Bundle.entry.request with method and url is required."}]}}}]}"#
        );
    }

    #[test]
    fn entries() {
        let check = |entry: Value, expected: Result<&str, &str>| {
            let found = CreateEntry::parse(0, &entry, &has_own_base_path);
            let found = found.map(|entry| entry.resource_type);
            match (&found, expected) {
                (Err(failure), Err(text)) => {
                    assert!(failure.diagnostics().starts_with(text), "{failure:?}");
                }
                _ => assert_eq!(found.as_ref().ok(), expected.as_ref().ok(), "{entry} {found:?}"),
            }
        };
        let entry = |resource: Value, method: &str, url: &str| json!({"resource": resource, "request": {"method": method, "url": url}});
        let patient = json!({"resourceType": "Patient"});
        check(entry(patient.clone(), "POST", "Patient"), Ok("Patient"));
        check(entry(patient.clone(), "POST", "Patient/"), Ok("Patient"));
        check(entry(patient.clone(), "POST", "https://h/FHIR/R5/Patient"), Ok("Patient"));
        check(json!("x"), Err("Bundle entry is not an object"));
        check(json!({"resource": []}), Err("Bundle entry is not an object"));
        check(json!({"resource": patient.clone()}), Err("Bundle.entry.request"));
        check(json!({"resource": patient.clone(), "request": {"method": "POST"}}), Err("Bundle.entry.request"));
        check(entry(patient.clone(), "PUT", "Patient/1"), Err("Only POST"));
        check(entry(patient.clone(), "POST", "Group"), Err("Expected resourceType Group but got Patient."));
        check(entry(patient.clone(), "POST", "https://evil/Patient"), Err("Expected resourceType"));
        check(entry(json!({"resourceType": "Bogus"}), "POST", "Bogus"), Err("Unsupported FHIR resource type: Bogus."));
        check(entry(json!({}), "POST", "Patient"), Err("Invalid FHIR Bundle: Bundle.entry[0].resource:"));
        let mut odd = entry(patient, "POST", "Patient");
        odd.as_object_mut().unwrap().insert("bogus".to_owned(), json!(1));
        check(odd, Err("Invalid FHIR Bundle: Bundle.entry[0].bogus"));
    }

    #[test]
    fn full_urls() {
        assert!(is_local_full_url("urn:uuid:1", &has_own_base_path));
        assert!(!is_local_full_url("https://other/Patient/1", &has_own_base_path));
    }
}
