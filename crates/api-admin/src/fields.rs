//! Request bodies: JSON, forms and multipart forms, with names in camelCase or snake_case.

use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use jhe_domain::error::{Error, Violation, Violations};
use jhe_http::{body, query};
use serde_json::{Map, Value};

use crate::error::{AdminError, too_large, unsupported_media_type};

/// Values whose own keys are the caller's business and are never rewritten.
const VERBATIM: &[&str] = &["omh_data", "value_attachment_data", "value"];

/// Fields that hold several values, also where a form or a query string can only repeat the name.
const LISTS: &[&str] = &["patient_ids"];

/// The fields of a request body, under snake_case names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Map<String, Value>);

impl FromRequest<App> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let limit = app.config().limits.body_bytes;
        let delete = request.method() == Method::DELETE;
        let query = request.uri().query().unwrap_or_default().to_owned();
        let headers = request.headers().clone();
        let media_type = body::media_type(&headers);
        if media_type.as_deref() == Some("multipart/form-data") {
            return Self::multipart(request, limit).await;
        }
        let bytes = body::read(request.into_body(), limit).await.map_err(|fault| match fault {
            body::BodyFault::TooLarge => too_large(limit),
            body::BodyFault::Broken => {
                AdminError(Error::sentence("JSON parse error - the body broke off")).into_response()
            }
        })?;
        if bytes.is_empty() {
            // A DELETE without a body may name its fields in the query string.
            return Ok(if delete { Self::from_pairs(query::pairs(&query)) } else { Self::default() });
        }
        match media_type.as_deref() {
            Some("application/x-www-form-urlencoded") => {
                let text = String::from_utf8_lossy(&bytes);
                Ok(Self::from_pairs(query::pairs(&text)))
            }
            Some("application/json") | None => Self::from_json(&bytes).map_err(IntoResponse::into_response),
            Some(_) => Err(unsupported_media_type(&content_type(&headers))),
        }
    }
}

fn content_type(headers: &HeaderMap) -> String {
    headers.get(axum::http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

impl Fields {
    fn from_json(bytes: &[u8]) -> Result<Self, AdminError> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| AdminError(Error::sentence(format!("JSON parse error - {error}"))))?;
        match value {
            Value::Object(map) => Ok(Self(snake_keys(map))),
            other => {
                let text = format!("Invalid data. Expected a dictionary, but got {}.", type_name(&other));
                let mut violation = Violation::field("nonFieldErrors", text);
                violation.bare = true;
                Err(AdminError(Error::Invalid(Violations::one(violation))))
            }
        }
    }

    fn from_pairs(pairs: Vec<(String, String)>) -> Self {
        let mut map = Map::new();
        for (name, value) in pairs {
            if LISTS.contains(&to_snake(&name).as_str()) {
                // A form holds a list as a repeated name, or as text with commas.
                let items = value.split(',').map(|item| Value::String(item.to_owned()));
                match map.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                    Value::Array(known) => known.extend(items),
                    other => *other = Value::Array(items.collect()),
                }
            } else {
                map.insert(name, Value::String(value));
            }
        }
        Self(snake_keys(map))
    }

    async fn multipart(request: Request, limit: usize) -> Result<Self, Response> {
        let too_long = request
            .headers()
            .get(axum::http::header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok())
            .is_some_and(|length| length > limit);
        if too_long {
            return Err(too_large(limit));
        }
        let broken =
            || AdminError(Error::sentence("Multipart form parse error - the form is malformed")).into_response();
        let mut multipart = Multipart::from_request(request, &()).await.map_err(|_| broken())?;
        let mut pairs = Vec::new();
        let mut size = 0;
        while let Some(field) = multipart.next_field().await.map_err(|_| broken())? {
            let name = field.name().unwrap_or_default().to_owned();
            let text = field.text().await.map_err(|_| broken())?;
            size += text.len();
            if size > limit {
                return Err(too_large(limit));
            }
            pairs.push((name, text));
        }
        Ok(Self::from_pairs(pairs))
    }

    /// The value of a field by its camelCase name.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(&to_snake(name))
    }

    /// Whether a field was sent.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// An id, however it is written, without judging it: for permission checks that come before validation.
    pub(crate) fn id(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(lenient_id)
    }

    /// A text that must be there.
    pub(crate) fn required_text(&self, name: &str, faults: &mut Violations) -> String {
        match self.get(name) {
            None => {
                faults.push(name, "This field is required.");
                String::new()
            }
            Some(value) => self.text_value(name, value, false, faults).unwrap_or_default(),
        }
    }

    /// A text that may be missing but, when sent, is neither null nor blank.
    pub(crate) fn optional_text(&self, name: &str, faults: &mut Violations) -> Option<String> {
        self.get(name).and_then(|value| self.text_value(name, value, false, faults))
    }

    /// A text that may be missing or null; never blank.
    pub(crate) fn nullable_text(&self, name: &str, faults: &mut Violations) -> Option<Option<String>> {
        self.get(name).map(|value| self.text_value(name, value, true, faults))
    }

    #[expect(clippy::unused_self, reason = "reads as part of the other text rules")]
    fn text_value(&self, name: &str, value: &Value, nullable: bool, faults: &mut Violations) -> Option<String> {
        match text(value) {
            Ok(None) => {
                if !nullable {
                    faults.push(name, "This field may not be null.");
                }
                None
            }
            Ok(Some(text)) if text.is_empty() => {
                faults.push(name, "This field may not be blank.");
                None
            }
            Ok(text) => text,
            Err(message) => {
                faults.push(name, message);
                None
            }
        }
    }

    /// A choice that must be one of `choices` when sent.
    pub(crate) fn choice(&self, name: &str, choices: impl Fn(&str) -> bool, faults: &mut Violations) -> Option<String> {
        match self.get(name)? {
            Value::Null => {
                faults.push(name, "This field may not be null.");
                None
            }
            Value::String(text) if choices(text) => Some(text.clone()),
            other => {
                let shown = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
                faults.push(name, format!("\"{shown}\" is not a valid choice."));
                None
            }
        }
    }

    /// A reference to a row: an integer or its digits. `Ok(None)` when missing.
    pub(crate) fn reference(&self, name: &str) -> Result<Option<i64>, String> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Null) => Err("This field may not be null.".to_owned()),
            Some(value @ (Value::Number(_) | Value::String(_))) => lenient_id(value).map(Some).ok_or_else(|| {
                match value.as_str().map(str::trim).filter(|text| is_digits(text)) {
                    // A number no row can have.
                    Some(digits) => format!("Invalid pk \"{digits}\" - object does not exist."),
                    None => format!("Incorrect type. Expected pk value, received {}.", type_name(value)),
                }
            }),
            Some(other) => Err(format!("Incorrect type. Expected pk value, received {}.", type_name(other))),
        }
    }

    /// A required reference, as an error when it is missing or malformed.
    pub(crate) fn required_reference(&self, name: &str) -> Result<i64, Error> {
        match self.reference(name) {
            Ok(Some(id)) => Ok(id),
            Ok(None) => Err(Error::invalid(name, "This field is required.")),
            Err(message) => Err(Error::invalid(name, message)),
        }
    }

    /// A required list of integers.
    pub(crate) fn required_ids(&self, name: &str) -> Result<Vec<i64>, Error> {
        match self.get(name) {
            None => Err(Error::invalid(name, "This field is required.")),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| lenient_id(item).ok_or_else(|| Error::invalid(name, "A valid integer is required.")))
                .collect(),
            Some(other) => {
                Err(Error::invalid(name, format!("Expected a list of items but got type \"{}\".", type_name(other))))
            }
        }
    }
}

/// A text by the family's rules: numbers are taken as text, white space around is trimmed. `Ok(None)` is null.
pub(crate) fn text(value: &Value) -> Result<Option<String>, &'static str> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.contains('\0') => Err("Null characters are not allowed."),
        Value::String(text) => Ok(Some(text.trim().to_owned())),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err("Not a valid string."),
    }
}

/// A truth value by the family's rules.
pub(crate) fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(1) => Some(true),
            Some(0) => Some(false),
            _ => None,
        },
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.len() < 100 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// An integer, or its digits as text.
pub(crate) fn lenient_id(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// How the family names JSON types in its messages.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) => {
            if number.is_f64() {
                "float"
            } else {
                "int"
            }
        }
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// `organizationId` → `organization_id`.
pub(crate) fn to_snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            if !snake.is_empty() {
                snake.push('_');
            }
            snake.push(letter.to_ascii_lowercase());
        } else {
            snake.push(letter);
        }
    }
    snake
}

/// Renames keys at any depth; where both spellings are there, the camelCase one wins.
fn snake_keys(map: Map<String, Value>) -> Map<String, Value> {
    let mut renamed = Map::with_capacity(map.len());
    let mut by_camel = std::collections::HashSet::new();
    for (name, value) in map {
        let snake = to_snake(&name);
        let camel = snake != name;
        if !camel && by_camel.contains(&snake) {
            continue;
        }
        if camel {
            by_camel.insert(snake.clone());
        }
        let value = if VERBATIM.contains(&snake.as_str()) { value } else { snake_value(value) };
        renamed.insert(snake, value);
    }
    renamed
}

fn snake_value(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(snake_keys(map)),
        Value::Array(items) => Value::Array(items.into_iter().map(snake_value).collect()),
        scalar => scalar,
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "reads better at the calls")]
    fn fields(value: Value) -> Fields {
        Fields::from_json(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn both_spellings_are_read_at_any_depth_and_camel_case_wins() {
        let fields =
            fields(json!({"iconUrl": "a", "icon_url": "b", "list": [{"studyId": 1}], "omhData": {"someKey": 1}}));
        assert_eq!(fields.get("iconUrl"), Some(&json!("a")));
        assert_eq!(fields.get("list"), Some(&json!([{"study_id": 1}])));
        assert_eq!(fields.get("omhData"), Some(&json!({"someKey": 1})));
    }

    #[test]
    fn texts_follow_one_set_of_rules() {
        let check = |value: Value, expected: Result<Option<&str>, &str>| {
            assert_eq!(
                text(&value).as_ref().map(|text| text.as_deref()),
                expected.as_ref().map(|text| *text),
                "{value}"
            );
        };
        check(json!("  x "), Ok(Some("x")));
        check(json!(5), Ok(Some("5")));
        check(json!(null), Ok(None));
        check(json!(true), Err("Not a valid string."));
        check(json!("a\u{0}b"), Err("Null characters are not allowed."));
        let mut faults = Violations::default();
        assert_eq!(fields(json!({"name": " "})).required_text("name", &mut faults), "");
        assert_eq!(faults.0.len(), 1);
    }

    #[test]
    fn forms_repeat_what_holds_several_values() {
        let pairs = |raw: &str| Fields::from_pairs(query::pairs(raw));
        let check = |raw: &str, expected: &[i64]| {
            assert_eq!(pairs(raw).required_ids("patientIds").ok().as_deref(), Some(expected), "{raw}");
        };
        check("patientIds=1&patientIds=2", &[1, 2]);
        check("patient_ids=1,2&patient_ids=3", &[1, 2, 3]);
        assert!(pairs("patientIds=a").required_ids("patientIds").is_err());
        assert!(fields(json!({"patientIds": "1"})).required_ids("patientIds").is_err());
        assert_eq!(pairs("name=a&name=b").get("name"), Some(&json!("b")));
        let mut message = fields(json!({"id": "1".repeat(30)})).reference("id").unwrap_err();
        assert!(message.starts_with("Invalid pk"), "{message}");
        message = fields(json!({"id": "x"})).reference("id").unwrap_err();
        assert!(message.starts_with("Incorrect type"), "{message}");
    }

    #[test]
    fn a_body_must_be_an_object() {
        assert!(Fields::from_json(b"[1]").is_err());
        assert!(Fields::from_json(b"{bad").is_err());
        assert!(Fields::from_json(b"{}").is_ok());
    }

    #[test]
    fn truth_has_many_spellings() {
        for yes in [json!(true), json!(1), json!("Yes"), json!("on")] {
            assert_eq!(boolean(&yes), Some(true), "{yes}");
        }
        for neither in [json!("maybe"), json!(2), json!(null), json!([])] {
            assert_eq!(boolean(&neither), None, "{neither}");
        }
    }
}
