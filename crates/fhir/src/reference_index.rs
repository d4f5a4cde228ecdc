//! Reference indexing (fhir §6.5): what imported resources say of each other is pointed at the rows that hold it.
//!
//! A body from an outside record system names others as that system does, `Patient/pat-1`. Once both are here, that becomes
//! `Patient/<uuid of the row>`. Only text is worked on: which rows there are is asked through a function. Start with
//! [`rewrite`]; a first pass that changes nothing tells which rows to look for.
//!
//! What is not a listed reference is copied character by character, numbers with all their digits.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

/// Where the text of a reference is kept whose target is not there.
pub const UPSTREAM_REFERENCE: &str = "https://jupyterhealth.org/fhir/StructureDefinition/upstream-reference";

/// What a reference begins with whose target is not there.
pub const NOT_FOUND: &str = "not-found:";

/// The references that are indexed, by resource type (fhir §4.5). The location of an encounter is named there as a search
/// parameter; it is the one that repeats.
const REFERENCES: [(&str, &[&str]); 20] = [
    ("AllergyIntolerance", &["patient", "encounter"]),
    ("CarePlan", &["subject", "encounter"]),
    ("CareTeam", &["subject"]),
    ("Condition", &["subject", "encounter"]),
    ("Coverage", &["beneficiary"]),
    ("DiagnosticReport", &["subject", "encounter"]),
    ("DocumentReference", &["subject"]),
    ("Encounter", &["subject", "location.location"]),
    ("FamilyMemberHistory", &["patient"]),
    ("Goal", &["subject"]),
    ("Immunization", &["patient", "encounter"]),
    ("MedicationDispense", &["subject", "encounter"]),
    ("MedicationRequest", &["subject", "encounter"]),
    ("Observation", &["subject", "encounter"]),
    ("PractitionerRole", &["practitioner"]),
    ("Procedure", &["subject", "encounter"]),
    ("QuestionnaireResponse", &["subject", "encounter"]),
    ("RelatedPerson", &["patient"]),
    ("ServiceRequest", &["subject", "encounter"]),
    ("Specimen", &["subject"]),
];

/// Resource types with the members of a body that hold their references.
pub fn members() -> impl Iterator<Item = (&'static str, &'static str)> {
    REFERENCES.into_iter().flat_map(|(kind, paths)| {
        paths.iter().map(move |path| (kind, path.split_once('.').map_or(*path, |(member, _)| member)))
    })
}

/// What a reference names, as its own system does: `Type/id`. Not to be printed: the id may be a person's.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The resource type.
    pub kind: String,
    /// The id upstream, or that of a row of ours.
    pub id: String,
}

impl Target {
    /// Reads `Type/id`, also below the address of the source. References to versions, fragments, other servers and whatever
    /// else stands there are none.
    fn parse(reference: &str, base_url: &str) -> Option<Self> {
        let base = base_url.trim_end_matches('/');
        let below = (!base.is_empty()).then(|| reference.strip_prefix(base)?.strip_prefix('/')).flatten();
        let (kind, id) = below.unwrap_or(reference).split_once('/')?;
        let named = kind.starts_with(|first: char| first.is_ascii_uppercase())
            && kind.bytes().all(|byte| byte.is_ascii_alphabetic());
        // Upstream ids may be longer than FHIR allows, and are kept then (fhir §6.3).
        let plain = !id.is_empty() && !id.contains(|c: char| "/?#|".contains(c) || c.is_whitespace());
        (named && plain).then(|| Self { kind: kind.to_owned(), id: id.to_owned() })
    }
}

/// What is known of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A row of the same source holds it: its id.
    Row(String),
    /// It already is one of our ids.
    Own,
    /// Nothing.
    Missing,
}

impl Found {
    /// Decides: an id of a row of ours stays, then what the source calls so, then the source's patient. An upstream system
    /// may number its patients as we do, and then means its own.
    pub fn decide(target: &Target, is_own_row: bool, row: Option<String>, patient: i64) -> Self {
        match row {
            _ if is_own_row => Self::Own,
            Some(row) => Self::Row(row),
            None if target.kind == "Patient" && target.id == patient.to_string() => Self::Own,
            None => Self::Missing,
        }
    }
}

/// A row to be indexed.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// Its resource type.
    pub kind: &'a str,
    /// Those of its members that [`members`] names, as a JSON object.
    pub members: &'a str,
    /// Whether it was indexed before: then only what was missing is looked at.
    pub indexed: bool,
}

/// What became of a row.
#[derive(Default)]
pub struct Rewritten {
    /// The members that changed, as a JSON object. Not to be printed.
    pub members: Option<String>,
    /// References that now point to a row.
    pub rewritten: u64,
    /// References of a row not indexed before whose target is missing.
    pub not_found: u64,
    /// Whether the target of one is still missing.
    pub unresolved: bool,
}

/// Points the references of a row at the rows that `find` knows; `base_url` is the address of its source.
pub fn rewrite(row: Row<'_>, base_url: &str, find: &mut dyn FnMut(&Target) -> Found) -> Rewritten {
    let mut pass = Pass { base_url, indexed: row.indexed, find, done: Rewritten::default() };
    let paths = REFERENCES.iter().find(|(kind, _)| *kind == row.kind).map_or(&[][..], |(_, paths)| *paths);
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(row.members).unwrap_or_default();
    let mut changed = BTreeMap::new();
    for path in paths {
        let steps: Vec<&str> = path.split('.').collect();
        let Some((member, below)) = steps.split_first() else { continue };
        if let Some(value) = members.get(*member).and_then(|value| pass.walk(value, below)) {
            // Two paths may begin with the same member.
            members.insert((*member).to_owned(), value.clone());
            changed.insert(*member, value);
        }
    }
    if !changed.is_empty() {
        pass.done.members = to_raw_value(&changed).ok().map(|changed| changed.get().to_owned());
    }
    pass.done
}

type Members = BTreeMap<String, Box<RawValue>>;

#[derive(serde::Deserialize)]
struct Extension {
    url: Option<String>,
    #[serde(rename = "valueString")]
    value: Option<String>,
}

struct Pass<'a, 'f> {
    base_url: &'a str,
    indexed: bool,
    find: &'f mut dyn FnMut(&Target) -> Found,
    done: Rewritten,
}

impl Pass<'_, '_> {
    /// Follows a path through objects and the items of arrays; what comes back is what changed.
    fn walk(&mut self, value: &RawValue, path: &[&str]) -> Option<Box<RawValue>> {
        // Arrays within arrays are not FHIR, and could be deeper than the stack.
        let Ok(mut items) = serde_json::from_str::<Vec<Box<RawValue>>>(value.get()) else {
            return self.step(value, path);
        };
        let mut changed = false;
        for item in &mut items {
            if let Some(new) = self.step(item, path) {
                *item = new;
                changed = true;
            }
        }
        changed.then(|| to_raw_value(&items).ok()).flatten()
    }

    fn step(&mut self, value: &RawValue, path: &[&str]) -> Option<Box<RawValue>> {
        let mut members: Members = serde_json::from_str(value.get()).ok()?;
        let changed = match path.split_first() {
            None => self.reference(&mut members),
            Some((name, below)) => {
                let new = members.get(*name).and_then(|value| self.walk(value, below));
                new.map(|new| members.insert((*name).to_owned(), new)).is_some()
            }
        };
        changed.then(|| to_raw_value(&members).ok()).flatten()
    }

    /// One Reference; whether it changed.
    fn reference(&mut self, members: &mut Members) -> bool {
        let Some(text) = members.get("reference").and_then(|text| serde_json::from_str::<String>(text.get()).ok())
        else {
            return false;
        };
        let kept = text.starts_with(NOT_FOUND).then(|| kept(members)).flatten();
        let original = match &kept {
            Some(original) => original,
            None if self.indexed => return false,
            None => &text,
        };
        let Some(target) = Target::parse(original, self.base_url) else { return false };
        let reference = match (self.find)(&target) {
            Found::Row(id) => format!("{}/{id}", target.kind),
            Found::Own if kept.is_some() => original.clone(),
            Found::Own => return false,
            Found::Missing => {
                self.done.unresolved = true;
                if !self.indexed {
                    self.done.not_found += 1;
                }
                return kept.is_none() && keep(members, &text, &target.id);
            }
        };
        self.done.rewritten += 1;
        forget(members);
        set(members, "reference", &reference)
    }
}

fn is_kept(extension: &RawValue) -> bool {
    serde_json::from_str::<Extension>(extension.get())
        .is_ok_and(|found| found.url.as_deref() == Some(UPSTREAM_REFERENCE))
}

fn extensions(members: &Members) -> Vec<Box<RawValue>> {
    members.get("extension").and_then(|list| serde_json::from_str(list.get()).ok()).unwrap_or_default()
}

/// What the reference was before its target was found missing.
fn kept(members: &Members) -> Option<String> {
    extensions(members).iter().filter(|extension| is_kept(extension)).find_map(|extension| {
        serde_json::from_str::<Extension>(extension.get()).ok().and_then(|extension| extension.value)
    })
}

/// Puts a reference aside whose target is missing; one that an earlier body brought along is replaced.
fn keep(members: &mut Members, original: &str, id: &str) -> bool {
    let kept = BTreeMap::from([("url", UPSTREAM_REFERENCE), ("valueString", original)]);
    let mut list: Vec<_> = extensions(members).into_iter().filter(|extension| !is_kept(extension)).collect();
    list.extend(to_raw_value(&kept).ok());
    set(members, "extension", &list) && set(members, "reference", &format!("{NOT_FOUND}{id}"))
}

fn forget(members: &mut Members) {
    let all = extensions(members);
    let list: Vec<_> = all.iter().filter(|extension| !is_kept(extension)).collect();
    if list.len() == all.len() {
        return;
    }
    if list.is_empty() {
        members.remove("extension");
    } else {
        set(members, "extension", &list);
    }
}

fn set<T: serde::Serialize + ?Sized>(members: &mut Members, name: &str, value: &T) -> bool {
    to_raw_value(value).ok().map(|value| members.insert(name.to_owned(), value)).is_some()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
