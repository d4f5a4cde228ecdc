//! The element table, parsed once into types with their inherited elements.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::primitive::Primitive;

const SOURCE: &str = include_str!("../../data/r5-elements.json");

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::load(SOURCE));

/// What an element holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Primitive(Primitive),
    /// Index into the table's types.
    Complex(usize),
    /// Any resource; its `resourceType` decides.
    Resource,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    pub(super) kind: Kind,
    pub(super) many: bool,
    /// Index into the type's choices.
    pub(super) choice: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Choice {
    pub(super) name: &'static str,
    pub(super) required: bool,
}

#[derive(Debug)]
pub(super) struct Type {
    pub(super) is_resource: bool,
    pub(super) elements: HashMap<&'static str, Element>,
    /// Names of required elements that are no choice.
    pub(super) required: Vec<&'static str>,
    pub(super) choices: Vec<Choice>,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    types: Vec<Type>,
    by_name: HashMap<&'static str, usize>,
}

#[derive(Deserialize)]
struct Source {
    #[serde(borrow)]
    types: HashMap<&'static str, SourceType>,
}

#[derive(Deserialize)]
struct SourceType {
    base: Option<&'static str>,
    #[serde(default)]
    resource: bool,
    #[serde(borrow)]
    elements: HashMap<&'static str, &'static str>,
}

impl Table {
    /// The R5 table.
    pub(super) fn r5() -> &'static Self {
        &TABLE
    }

    fn load(source: &'static str) -> Self {
        // The file is part of the build and read by this module's tests; should it ever be broken, every type is unknown.
        let Ok(source) = serde_json::from_str::<Source>(source) else {
            return Self::default();
        };
        let mut names: Vec<&'static str> = source.types.keys().copied().collect();
        names.sort_unstable();
        let by_name: HashMap<&'static str, usize> =
            names.iter().enumerate().map(|(index, name)| (*name, index)).collect();
        let types = names.iter().map(|name| build(name, &source, &by_name)).collect();
        Self { types, by_name }
    }

    pub(super) fn get(&self, index: usize) -> Option<&Type> {
        self.types.get(index)
    }

    pub(super) fn find(&self, name: &str) -> Option<&Type> {
        self.by_name.get(name).and_then(|index| self.types.get(*index))
    }
}

fn build(name: &'static str, source: &Source, by_name: &HashMap<&'static str, usize>) -> Type {
    let mut built = Type {
        is_resource: source.types.get(name).is_some_and(|found| found.resource),
        elements: HashMap::new(),
        required: Vec::new(),
        choices: Vec::new(),
    };
    let mut ancestor = Some(name);
    while let Some(declared) = ancestor.and_then(|name| source.types.get(name)) {
        let mut members: Vec<(&'static str, &'static str)> =
            declared.elements.iter().map(|(member, notation)| (*member, *notation)).collect();
        members.sort_unstable();
        for (member, notation) in members {
            if !built.elements.contains_key(member) {
                add_element(&mut built, member, notation, by_name);
            }
        }
        ancestor = declared.base;
    }
    built
}

/// Reads the notation `type`, `*` (repeats), `!` (required), `|choice` and `|choice!`.
fn add_element(built: &mut Type, member: &'static str, notation: &'static str, by_name: &HashMap<&'static str, usize>) {
    let (text, choice) = match notation.split_once('|') {
        Some((text, choice)) => (text, Some(choice)),
        None => (notation, None),
    };
    let (text, required) = strip_mark(text, '!');
    let (type_name, many) = strip_mark(text, '*');
    let kind = if type_name == "Resource" {
        Kind::Resource
    } else if let Some(primitive) = Primitive::from_name(type_name) {
        Kind::Primitive(primitive)
    } else if let Some(index) = by_name.get(type_name) {
        Kind::Complex(*index)
    } else {
        return;
    };
    if required {
        built.required.push(member);
    }
    let choice = choice.map(|choice| {
        let (name, required) = strip_mark(choice, '!');
        built.choices.iter().position(|known| known.name == name).unwrap_or_else(|| {
            built.choices.push(Choice { name, required });
            built.choices.len() - 1
        })
    });
    built.elements.insert(member, Element { kind, many, choice });
}

fn strip_mark(text: &'static str, mark: char) -> (&'static str, bool) {
    text.strip_suffix(mark).map_or((text, false), |stripped| (stripped, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::AUXILIARY_TYPES;

    #[test]
    fn the_file_is_readable_and_complete() {
        let table = Table::r5();
        for name in AUXILIARY_TYPES.into_iter().chain(["Bundle", "OperationOutcome", "Questionnaire"]) {
            assert!(table.find(name).unwrap().is_resource, "{name}");
        }
        assert!(!table.find("DomainResource").unwrap().is_resource);
        assert!(!table.find("Period").unwrap().is_resource);
        let source: serde_json::Value = serde_json::from_str(SOURCE).unwrap();
        for (name, kind) in source["types"].as_object().unwrap() {
            for member in kind["elements"].as_object().unwrap().keys() {
                assert!(table.find(name).unwrap().elements.contains_key(member.as_str()), "{name}.{member}");
            }
        }
        assert!(SOURCE.len() < 1 << 20);
    }

    #[test]
    fn elements_are_inherited() {
        let observation = Table::r5().find("Observation").unwrap();
        assert!(observation.elements.contains_key("meta") && observation.elements.contains_key("contained"));
        assert_eq!(observation.required, ["code", "status"]);
        assert_eq!(observation.elements["id"].kind, Kind::Primitive(Primitive::Id));
        assert!(observation.elements["identifier"].many && !observation.elements["code"].many);
        let immunization = Table::r5().find("Immunization").unwrap();
        assert!(immunization.choices.iter().any(|choice| choice.name == "occurrence" && choice.required));
    }
}
