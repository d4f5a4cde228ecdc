//! JSON as it was sent. Numbers keep their digits: the family takes them as text, and a binary number of any size would
//! write `1.50` and `12345678901234567890123` differently.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{VERBATIM, to_snake};

/// How deep arrays and objects may lie in each other: far deeper than in any request of the family. Each level reads what
/// lies in it once more, so this also bounds how often a body is read.
const MAX_DEPTH: usize = 32;

/// A value of a request, objects under snake_case names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(String),
    /// A text.
    Text(String),
    /// An array.
    List(Vec<Self>),
    /// An object.
    Object(Members),
}

/// The members of an object.
pub(crate) type Members = HashMap<String, Sent>;

/// The members of an object in their order, unread.
pub(super) struct Unread<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Unread<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Unread<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Unread(members))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

impl Sent {
    /// Reads a body.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let raw: &RawValue = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        Self::of(raw, 0, true)
    }

    /// Reads a value whose grammar is known to hold; `snake` renames keys.
    fn of(raw: &RawValue, depth: usize, snake: bool) -> Result<Self, String> {
        if depth > MAX_DEPTH {
            return Err("recursion limit exceeded".to_owned());
        }
        let text = raw.get();
        let fault = |error: serde_json::Error| error.to_string();
        Ok(match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'"') => Self::Text(serde_json::from_str(text).map_err(fault)?),
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(fault)?;
                Self::List(items.into_iter().map(|item| Self::of(item, depth + 1, snake)).collect::<Result<_, _>>()?)
            }
            Some(b'{') => {
                let Unread(members) = serde_json::from_str(text).map_err(fault)?;
                let read = |raw: &RawValue, snake: bool| Self::of(raw, depth + 1, snake);
                if snake {
                    Self::Object(snake_keys(members, |name, raw| read(raw, !VERBATIM.contains(&name)))?)
                } else {
                    Self::Object(
                        members
                            .into_iter()
                            .map(|(name, raw)| Ok((name, read(raw, false)?)))
                            .collect::<Result<_, String>>()?,
                    )
                }
            }
            _ => Self::Number(text.to_owned()),
        })
    }

    /// A member of an object; none of anything else.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is `null`.
    pub(crate) const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether it is an object.
    pub(crate) const fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// How the family names its type in messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "NoneType",
            Self::Bool(_) => "bool",
            Self::Number(digits) if digits.contains(['.', 'e', 'E']) => "float",
            Self::Number(_) => "int",
            Self::Text(_) => "str",
            Self::List(_) => "list",
            Self::Object(_) => "dict",
        }
    }
}

/// As JSON, for messages about it.
impl fmt::Display for Sent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Bool(truth) => write!(formatter, "{truth}"),
            Self::Number(digits) => formatter.write_str(digits),
            Self::Text(text) => formatter.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?),
            Self::List(items) => {
                formatter.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(formatter, "{}{item}", if at > 0 { "," } else { "" })?;
                }
                formatter.write_str("]")
            }
            Self::Object(members) => {
                formatter.write_str("{")?;
                let mut names: Vec<_> = members.iter().collect();
                names.sort_unstable_by_key(|(name, _)| *name);
                for (at, (name, value)) in names.into_iter().enumerate() {
                    let name = serde_json::to_string(name).map_err(|_| fmt::Error)?;
                    write!(formatter, "{}{name}:{value}", if at > 0 { "," } else { "" })?;
                }
                formatter.write_str("}")
            }
        }
    }
}

/// Renames keys; where both spellings are there, the camelCase one wins. `read` is told the name of each value.
pub(super) fn snake_keys<T, U, E>(
    members: Vec<(String, T)>,
    read: impl Fn(&str, T) -> Result<U, E>,
) -> Result<HashMap<String, U>, E> {
    let mut renamed = HashMap::with_capacity(members.len());
    let mut by_camel = std::collections::HashSet::new();
    for (name, value) in members {
        let snake = to_snake(&name);
        let camel = snake != name;
        if !camel && by_camel.contains(&snake) {
            continue;
        }
        if camel {
            by_camel.insert(snake.clone());
        }
        let value = read(&snake, value)?;
        renamed.insert(snake, value);
    }
    Ok(renamed)
}
