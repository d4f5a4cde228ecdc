//! Structural validation against the FHIR R5 element table.
//!
//! Answers whether a body has the shape of its type: known members, cardinalities, choices and primitive syntax. It is
//! not a profile or terminology validator: reference targets, invariants, slices and code bindings are not looked at,
//! except for the status of a native Observation and the type of a Bundle.
//!
//! `null`, `{}` and `[]` count as absent ([`strip_empty`] removes them before storing). Walking a valid body allocates
//! next to nothing: the path is a chain of borrowed segments on the stack, made into text only for an issue.

mod primitive;
mod strip;
mod table;
mod validator;

pub use strip::strip_empty;

use serde_json::Value;

use crate::catalogue::{self, Failure};
use crate::outcome::{Issue, IssueCode};
use crate::types::{AUXILIARY_TYPES, NATIVE_TYPES};
use table::Table;
use validator::{Path, Validator};

/// Deepest nesting of a body.
pub const MAX_DEPTH: usize = 64;
/// Most values (objects, arrays, scalars) in one resource.
pub const MAX_NODES: usize = 100_000;
/// Most issues reported for one resource.
pub const MAX_ISSUES: usize = 20;

/// The codes an Observation's status may have.
pub const OBSERVATION_STATUS: [&str; 9] = [
    "registered",
    "preliminary",
    "final",
    "amended",
    "corrected",
    "appended",
    "cancelled",
    "entered-in-error",
    "unknown",
];

/// How much a body's writer is trusted to know JSON types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// A client wrote R5: numbers are numbers, strings are strings.
    Sent,
    /// The body was converted from R4: numeric text passes for a number, and a number for a string.
    Imported,
}

/// What a Bundle posted to the base asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleKind {
    /// Independent entries.
    Batch,
    /// All or nothing.
    Transaction,
}

/// Whether the server has a store for the type.
pub fn is_known_type(name: &str) -> bool {
    AUXILIARY_TYPES.binary_search(&name).is_ok()
}

/// The types with a native store, sorted.
pub fn native_types() -> &'static [&'static str] {
    &NATIVE_TYPES
}

/// The types with an auxiliary store, sorted: every supported type.
pub fn auxiliary_types() -> &'static [&'static str] {
    &AUXILIARY_TYPES
}

/// Checks a body sent by a client; see [`validate_as`].
///
/// # Errors
/// Every problem found, at most [`MAX_ISSUES`]; all of them mean status 400.
pub fn validate(resource_type: &str, body: &Value) -> Result<(), Vec<Issue>> {
    validate_as(resource_type, body, Strictness::Sent)
}

/// Checks that `body` is a structurally valid R5 resource of that type. An absent `resourceType` is fine at the top.
///
/// # Errors
/// Every problem found, at most [`MAX_ISSUES`]; all of them mean status 400.
pub fn validate_as(resource_type: &str, body: &Value, strictness: Strictness) -> Result<(), Vec<Issue>> {
    let mut validator = Validator::new(resource_type, strictness);
    check_root(&mut validator, resource_type, body, None);
    validator.finish()
}

/// Checks an Observation that goes to the native store: [`validate`], and a status of the value set.
///
/// # Errors
/// Every problem found, at most [`MAX_ISSUES`]; all of them mean status 400.
pub fn validate_native_observation(body: &Value) -> Result<(), Vec<Issue>> {
    let mut validator = Validator::new("Observation", Strictness::Sent);
    check_root(&mut validator, "Observation", body, None);
    let root = Path::root("Observation");
    match body.get("status") {
        Some(Value::String(status)) if !status.trim().is_empty() && !OBSERVATION_STATUS.contains(&status.as_str()) => {
            validator.report(&root.member("status"), IssueCode::CodeInvalid, "is not a code of ObservationStatus");
        }
        // An element is there with an extension alone; the store has no place for one.
        None | Some(Value::Null) if body.get("_status").is_some_and(|more| !more.is_null()) => {
            validator.report(&root.member("status"), IssueCode::Required, "missing");
        }
        _ => {}
    }
    validator.finish()
}

/// Checks the Bundle's own members, not what its entries hold, and says what it asks for.
///
/// # Errors
/// The failure of the whole request: no object (E20), no Bundle (E70), no or another type (E72), `entry` not an array,
/// more than `max_entries` entries (E22), or any structural problem outside `entry`.
pub fn validate_bundle_envelope(body: &Value, max_entries: usize) -> Result<BundleKind, Failure> {
    let object = body.as_object().ok_or_else(catalogue::not_an_object)?;
    if object.get("resourceType").and_then(Value::as_str) != Some("Bundle") {
        return Err(catalogue::not_a_bundle());
    }
    let kind = match object.get("type") {
        Some(Value::String(kind)) => match kind.as_str() {
            "batch" => Some(BundleKind::Batch),
            "transaction" => Some(BundleKind::Transaction),
            _ => return Err(catalogue::bundle_type_not_supported(kind)),
        },
        // Absent, null or not a string: the walk below reports it as such.
        _ => None,
    };
    match object.get("entry") {
        Some(Value::Array(entries)) if entries.len() > max_entries => {
            return Err(catalogue::too_many_entries(max_entries));
        }
        _ => {}
    }
    let mut validator = Validator::new("Bundle", Strictness::Sent);
    if object.get("entry").is_some_and(|entry| !entry.is_array() && !entry.is_null()) {
        validator.report(&Path::root("Bundle").member("entry"), IssueCode::Structure, "must be an array");
    }
    check_root(&mut validator, "Bundle", body, Some("entry"));
    validator.finish().map_err(Failure::bad_request)?;
    kind.ok_or_else(|| catalogue::bundle_type_not_supported(""))
}

/// Checks the members of a Bundle entry except its resource. `index` is for the expression.
///
/// # Errors
/// Every problem found, at most [`MAX_ISSUES`]; all of them mean status 400 for the entry.
pub fn validate_bundle_entry(index: usize, entry: &Value) -> Result<(), Vec<Issue>> {
    let mut validator = Validator::new("Bundle", Strictness::Sent);
    if let (Value::Object(members), Some(kind)) = (entry, Table::r5().find("BundleEntry"))
        && validator.measure(entry, Some("resource"))
    {
        let root = Path::root("Bundle");
        let list = root.member("entry");
        validator.object(&list.item(index), kind, members, Some("resource"));
    }
    validator.finish()
}

fn check_root(validator: &mut Validator<'_>, resource_type: &str, body: &Value, skip: Option<&str>) {
    let root = Path::root(resource_type);
    let Value::Object(members) = body else {
        validator.report(&root, IssueCode::Structure, "must be an object");
        return;
    };
    match members.get("resourceType") {
        None => {}
        Some(Value::String(found)) if found == resource_type => {}
        Some(found) => {
            let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            let mismatch = catalogue::resource_type_mismatch(resource_type, &text).into_issue();
            validator.push(mismatch.at(format!("{resource_type}.resourceType")));
            return;
        }
    }
    let Some(kind) = Table::r5().find(resource_type).filter(|kind| kind.is_resource) else {
        validator.report(&root, IssueCode::Structure, "is not a known resource type");
        return;
    };
    if validator.measure(body, skip) {
        validator.object(&root, kind, members, skip);
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
