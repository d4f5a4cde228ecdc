//! The walk over a body.

use serde_json::{Map, Value};

use super::strip::is_empty;
use super::table::{Element, Kind, Table, Type};
use super::{MAX_DEPTH, MAX_ISSUES, MAX_NODES, Strictness};
use crate::outcome::{Issue, IssueCode};

/// Where the walk is: a chain of borrowed segments.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    segment: Segment<'a>,
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Name(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    pub(super) fn root(name: &'a str) -> Self {
        Self { parent: None, segment: Segment::Name(name) }
    }

    pub(super) fn member(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), segment: Segment::Name(name) }
    }

    pub(super) fn item(&'a self, index: usize) -> Self {
        Self { parent: Some(self), segment: Segment::Index(index) }
    }

    fn write(&self, out: &mut String) {
        if let Some(parent) = self.parent {
            parent.write(out);
        }
        match self.segment {
            Segment::Name(name) => {
                if self.parent.is_some() {
                    out.push('.');
                }
                // A member name comes from the client: a long one would only bloat the answer.
                match name.char_indices().nth(100) {
                    Some((end, _)) => {
                        out.push_str(name.get(..end).unwrap_or_default());
                        out.push('…');
                    }
                    None => out.push_str(name),
                }
            }
            Segment::Index(index) => {
                out.push('[');
                out.push_str(&index.to_string());
                out.push(']');
            }
        }
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        formatter.write_str(&text)
    }
}

pub(super) struct Validator<'a> {
    resource_type: &'a str,
    strictness: Strictness,
    table: &'static Table,
    issues: Vec<Issue>,
}

impl<'a> Validator<'a> {
    pub(super) fn new(resource_type: &'a str, strictness: Strictness) -> Self {
        Self { resource_type, strictness, table: Table::r5(), issues: Vec::new() }
    }

    pub(super) fn finish(self) -> Result<(), Vec<Issue>> {
        if self.issues.is_empty() { Ok(()) } else { Err(self.issues) }
    }

    pub(super) fn push(&mut self, issue: Issue) {
        if self.issues.len() < MAX_ISSUES {
            self.issues.push(issue);
        }
    }

    pub(super) fn report(&mut self, path: &Path<'_>, code: IssueCode, reason: &str) {
        if self.issues.len() < MAX_ISSUES {
            let path = path.to_string();
            let text = format!("Invalid FHIR {}: {path}: {reason}", self.resource_type);
            self.issues.push(Issue::error(code, text).at(path));
        }
    }

    /// Checks depth and number of nodes before anything else walks the body; `skip` names a member that is not part of it.
    pub(super) fn measure(&mut self, body: &Value, skip: Option<&str>) -> bool {
        let mut budget = MAX_NODES;
        let within = match (body, skip) {
            (Value::Object(members), Some(skip)) => {
                members.iter().all(|(name, value)| name == skip || fits(value, 2, &mut budget))
            }
            _ => fits(body, 1, &mut budget),
        };
        if !within {
            let root = Path::root(self.resource_type);
            let reason = format!("must not be nested deeper than {MAX_DEPTH} or hold more than {MAX_NODES} values");
            self.report(&root, IssueCode::TooCostly, &reason);
        }
        within
    }

    /// Checks the members of an object of the given type, `skip` excepted.
    pub(super) fn object(
        &mut self,
        path: &Path<'_>,
        kind: &'static Type,
        members: &Map<String, Value>,
        skip: Option<&str>,
    ) {
        // Bits of the choices seen so far; no type has as many as 64.
        let mut seen_choices = 0_u64;
        for (name, value) in members {
            if Some(name.as_str()) == skip || is_ignored(kind, name) {
                continue;
            }
            let path = path.member(name);
            if let Some(element) = kind.elements.get(name.as_str()) {
                let absent = is_empty(value);
                if absent {
                    self.absent_member(&path, kind, element, name, value, members);
                } else {
                    let companion = match element.kind {
                        Kind::Primitive(_) => companion(members, name),
                        _ => None,
                    };
                    self.element(&path, element, value, companion);
                }
                if !absent {
                    self.count_choice(&path, kind, element, &mut seen_choices);
                }
            } else {
                self.companion_member(&path, kind, members, name, value, &mut seen_choices);
            }
        }
        self.required(path, kind, members, seen_choices, skip);
    }

    /// A member that is there but holds nothing: fine, unless it is a required `null` or an array of `null`s.
    fn absent_member(
        &mut self,
        path: &Path<'_>,
        kind: &Type,
        element: &Element,
        name: &str,
        value: &Value,
        members: &Map<String, Value>,
    ) {
        if let Value::Array(items) = value
            && items.iter().any(Value::is_null)
            && companion(members, name).is_none()
        {
            self.report(path, IssueCode::Structure, "must not contain null");
        } else if element.many && matches!(value, Value::Object(_)) {
            self.report(path, IssueCode::Structure, "must be an array");
        } else if value.is_null() && kind.required.contains(&name) && companion(members, name).is_none() {
            self.report(path, IssueCode::Structure, "must not be null");
        }
    }

    fn count_choice(&mut self, path: &Path<'_>, kind: &Type, element: &Element, seen: &mut u64) {
        let Some(choice) = element.choice else { return };
        let bit = 1_u64 << (choice & 63);
        if *seen & bit != 0 {
            let name = kind.choices.get(choice).map_or("", |choice| choice.name);
            self.report(path, IssueCode::Structure, &format!("only one form of {name}[x] may be present"));
        }
        *seen |= bit;
    }

    /// `_name`: id and extensions of a primitive; anything else is unknown.
    fn companion_member(
        &mut self,
        path: &Path<'_>,
        kind: &'static Type,
        members: &Map<String, Value>,
        name: &str,
        value: &Value,
        seen_choices: &mut u64,
    ) {
        let primitive = name.strip_prefix('_').and_then(|base| kind.elements.get(base).map(|element| (base, element)));
        let Some((base, element)) = primitive.filter(|(_, element)| matches!(element.kind, Kind::Primitive(_))) else {
            self.report(path, IssueCode::Structure, "unknown element");
            return;
        };
        if is_empty(value) {
            return;
        }
        let Some(carrier) = self.table.find("Element") else {
            return;
        };
        match (element.many, value) {
            (false, Value::Object(inner)) => self.object(path, carrier, inner, None),
            (true, Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    match item {
                        Value::Null => {}
                        Value::Object(inner) => {
                            self.object(&path.item(index), carrier, inner, None);
                        }
                        _ => self.report(&path.item(index), IssueCode::Structure, "must be an object"),
                    }
                }
            }
            (false, _) => self.report(path, IssueCode::Structure, "must be an object"),
            (true, _) => self.report(path, IssueCode::Structure, "must be an array"),
        }
        if members.get(base).is_none_or(is_empty) {
            self.count_choice(path, kind, element, seen_choices);
        }
    }

    fn element(&mut self, path: &Path<'_>, element: &Element, value: &Value, companion: Option<&Value>) {
        match (element.many, value) {
            (true, Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    if item.is_null() {
                        let described =
                            companion.and_then(|companion| companion.get(index)).is_some_and(|at| !is_empty(at));
                        if !described {
                            self.report(&path.item(index), IssueCode::Structure, "must not be null");
                        }
                    } else if !is_empty(item) {
                        self.single(&path.item(index), element.kind, item);
                    }
                }
            }
            (true, _) => self.report(path, IssueCode::Structure, "must be an array"),
            (false, Value::Array(_)) => {
                self.report(path, IssueCode::Structure, "must not be an array");
            }
            (false, _) => self.single(path, element.kind, value),
        }
    }

    fn single(&mut self, path: &Path<'_>, kind: Kind, value: &Value) {
        match kind {
            Kind::Primitive(primitive) => match value {
                Value::Object(_) | Value::Array(_) => {
                    self.report(path, IssueCode::Structure, "must be a single value");
                }
                _ => {
                    if let Err(reason) = primitive.check(value, self.strictness) {
                        self.report(path, IssueCode::Value, reason);
                    }
                }
            },
            Kind::Complex(index) => match (value, self.table.get(index)) {
                (Value::Object(members), Some(kind)) => self.object(path, kind, members, None),
                _ => self.report(path, IssueCode::Structure, "must be an object"),
            },
            Kind::Resource => self.resource(path, value),
        }
    }

    fn resource(&mut self, path: &Path<'_>, value: &Value) {
        let Value::Object(members) = value else {
            self.report(path, IssueCode::Structure, "must be an object");
            return;
        };
        let named = match members.get("resourceType") {
            Some(Value::String(name)) => self.table.find(name).filter(|kind| kind.is_resource),
            _ => None,
        };
        match named {
            Some(kind) => self.object(path, kind, members, None),
            None => self.report(path, IssueCode::Structure, "needs the resourceType of a FHIR resource"),
        }
    }

    fn required(
        &mut self,
        path: &Path<'_>,
        kind: &Type,
        members: &Map<String, Value>,
        seen_choices: u64,
        skip: Option<&str>,
    ) {
        for name in &kind.required {
            let present = Some(*name) == skip
                || members.get(*name).is_some_and(|value| !is_empty(value))
                || companion(members, name)
                    .is_some_and(|companion| companion.get("extension").is_some_and(|extension| !is_empty(extension)));
            // A required null was reported where it stands.
            if !present && !members.get(*name).is_some_and(Value::is_null) {
                self.report(&path.member(name), IssueCode::Required, "required element is missing");
            }
        }
        for (index, choice) in kind.choices.iter().enumerate() {
            if choice.required && seen_choices & (1_u64 << (index & 63)) == 0 {
                let name = format!("{}[x]", choice.name);
                self.report(&path.member(&name), IssueCode::Required, "required element is missing");
            }
        }
    }
}

/// `resourceType` was looked at by whoever chose the type; comments of older writers are dropped, not refused.
fn is_ignored(kind: &Type, name: &str) -> bool {
    (name == "resourceType" && kind.is_resource) || name == "fhir_comments"
}

fn companion<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    // Looked up by comparing, so that no name is built for the usual body without companions.
    members.iter().find(|(key, value)| key.strip_prefix('_') == Some(name) && !is_empty(value)).map(|(_, value)| value)
}

fn fits(value: &Value, depth: usize, budget: &mut usize) -> bool {
    if *budget == 0 {
        return false;
    }
    *budget -= 1;
    match value {
        Value::Array(items) => depth <= MAX_DEPTH && items.iter().all(|item| fits(item, depth + 1, budget)),
        Value::Object(members) => depth <= MAX_DEPTH && members.values().all(|item| fits(item, depth + 1, budget)),
        _ => true,
    }
}
