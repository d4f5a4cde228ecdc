//! Valid resources made from the element table, and the objects in them.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::primitive::Primitive;
use super::table::{Element, Kind, Table, Type};
use crate::types::AUXILIARY_TYPES;

/// Objects nested deeper hold what they must.
const DEEP: usize = 5;

/// A valid resource of a type, without `resourceType`.
pub(super) fn valid() -> impl Strategy<Value = (&'static str, Value)> {
    (prop::sample::select(&AUXILIARY_TYPES[..]), vec(any::<u8>(), 0..500)).prop_map(|(name, choices)| {
        let kind = Table::r5().find(name).unwrap();
        (name, Value::Object(Choices(choices.into_iter()).object(kind, 0)))
    })
}

/// What is decided on the way; nothing more is wanted when it is used up.
struct Choices(std::vec::IntoIter<u8>);

impl Choices {
    /// A number below `count`.
    fn below(&mut self, count: usize) -> usize {
        usize::from(self.0.next().unwrap_or(0)) % count
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    fn of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len())]
    }

    fn object(&mut self, kind: &'static Type, depth: usize) -> Map<String, Value> {
        let mut members = Map::new();
        let mut names: Vec<&str> = kind.elements.keys().copied().collect();
        names.sort_unstable();
        let mut wanted: Vec<&str> = Vec::new();
        for (index, choice) in kind.choices.iter().enumerate() {
            if choice.required || (depth < DEEP && self.one_in(4)) {
                let forms: Vec<&str> =
                    names.iter().copied().filter(|name| kind.elements[name].choice == Some(index)).collect();
                wanted.push(forms[self.below(forms.len())]);
            }
        }
        for name in names.iter().filter(|name| kind.elements[*name].choice.is_none()) {
            if kind.required.contains(name) || (depth < DEEP && self.one_in(8)) {
                wanted.push(name);
            }
        }
        if wanted.is_empty() {
            // An object without members counts as absent.
            wanted.push("id");
        }
        for name in wanted {
            self.member(&mut members, name, &kind.elements[name], depth);
        }
        members
    }

    fn member(&mut self, members: &mut Map<String, Value>, name: &str, element: &Element, depth: usize) {
        if !element.many {
            let value = self.single(element.kind, depth);
            self.described(members, name, element.kind, value);
            return;
        }
        let mut items: Vec<Value> = (0..=self.below(2)).map(|_| self.single(element.kind, depth)).collect();
        if matches!(element.kind, Kind::Primitive(_)) && self.one_in(6) {
            let described: Vec<Value> = items
                .iter_mut()
                .map(|item| match self.below(4) {
                    0 => Value::Null,
                    1 => json!({}),
                    2 => json!({"id": "part"}),
                    _ => {
                        *item = Value::Null;
                        json!({"extension": [{"url": "urn:x", "valueCode": "unknown"}]})
                    }
                })
                .collect();
            members.insert(format!("_{name}"), described.into());
        }
        members.insert(name.to_owned(), items.into());
    }

    /// A single value; of a primitive one perhaps with its companion, or with that alone.
    fn described(&mut self, members: &mut Map<String, Value>, name: &str, kind: Kind, value: Value) {
        let mut kept = true;
        if matches!(kind, Kind::Primitive(_)) && self.one_in(6) {
            kept = self.one_in(2);
            let extension = json!({"extension": [{"url": "urn:x", "valueCode": "unknown"}]});
            members.insert(format!("_{name}"), extension);
        }
        if kept {
            members.insert(name.to_owned(), value);
        }
    }

    fn single(&mut self, kind: Kind, depth: usize) -> Value {
        match kind {
            Kind::Primitive(primitive) => self.primitive(primitive),
            Kind::Complex(index) => self.object(Table::r5().get(index).unwrap(), depth + 1).into(),
            Kind::Resource => {
                let name = self.of(&["Basic", "Patient", "Questionnaire"]);
                let mut members = self.object(Table::r5().find(name).unwrap(), depth + 1);
                members.insert("resourceType".to_owned(), name.into());
                members.into()
            }
        }
    }

    /// Texts as the specification's regular expressions have them.
    fn primitive(&mut self, primitive: Primitive) -> Value {
        match primitive {
            Primitive::Base64Binary => self.of(&["AA==", "eyJhIjoxfQ=="]).into(),
            Primitive::Boolean => (self.below(2) == 0).into(),
            Primitive::Code => self.of(&["final", "a b", "x-1|y", "é"]).into(),
            Primitive::Date => self.of(&["2026", "2026-12", "2024-02-29", "0001-01-01"]).into(),
            Primitive::DateTime => self.of(&["2026", "2026-12-31T23:59:60Z", "2024-02-29T00:00:00.123-14:00"]).into(),
            Primitive::Decimal => [json!(0), json!(-1.5), json!(1e30), json!(71.350)][self.below(4)].clone(),
            Primitive::Id => {
                self.of(&["a", "A-1.b", "0000000000000000000000000000000000000000000000000000000000000000"]).into()
            }
            Primitive::Instant => self.of(&["2026-01-01T00:00:00Z", "9999-12-31T23:59:59.999999+14:00"]).into(),
            Primitive::Integer => [json!(0), json!(i32::MIN), json!(i32::MAX)][self.below(3)].clone(),
            Primitive::Integer64 => [json!("0"), json!("-9223372036854775808"), json!(5)][self.below(3)].clone(),
            Primitive::PositiveInt => [json!(1), json!(i32::MAX)][self.below(2)].clone(),
            Primitive::Text => self.of(&["x", " y\n", "<div>é</div>", "\u{1f600}"]).into(),
            Primitive::Time => self.of(&["00:00:00", "23:59:59.999"]).into(),
            Primitive::UnsignedInt => [json!(0), json!(i32::MAX)][self.below(2)].clone(),
            Primitive::Uri => self.of(&["urn:x", "https://h/a?b=c#d", "x"]).into(),
        }
    }
}

/// An object of a resource.
#[derive(Clone)]
pub(super) struct Place {
    /// As issues name it.
    pub(super) expression: String,
    /// As JSON pointers name it.
    pub(super) pointer: String,
    /// Its type.
    pub(super) kind: &'static Type,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.expression)
    }
}

/// The objects of a valid resource, those that describe primitives among them.
pub(super) fn places(name: &str, body: &Value) -> Vec<Place> {
    let root = Place { expression: name.to_owned(), pointer: String::new(), kind: Table::r5().find(name).unwrap() };
    let mut places = Vec::new();
    walk(root, body, &mut places);
    places
}

fn walk(place: Place, body: &Value, places: &mut Vec<Place>) {
    for (name, value) in body.as_object().unwrap() {
        let kind = match (place.kind.elements.get(name.as_str()), name.strip_prefix('_')) {
            (Some(element), _) => element.kind,
            (None, Some(_)) => Kind::Complex(usize::MAX),
            (None, None) => continue,
        };
        let items: Vec<(String, String, &Value)> = match value {
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| (format!("{name}[{index}]"), format!("{name}/{index}"), item))
                .collect(),
            single => vec![(name.clone(), name.clone(), single)],
        };
        for (expression, pointer, item) in items.into_iter().filter(|(_, _, item)| item.is_object()) {
            let kind = match kind {
                Kind::Primitive(_) => continue,
                Kind::Complex(usize::MAX) => Table::r5().find("Element").unwrap(),
                Kind::Complex(index) => Table::r5().get(index).unwrap(),
                Kind::Resource => Table::r5().find(item["resourceType"].as_str().unwrap()).unwrap(),
            };
            let expression = format!("{}.{expression}", place.expression);
            let pointer = format!("{}/{pointer}", place.pointer);
            walk(Place { expression, pointer, kind }, item, places);
        }
    }
    places.push(place);
}
