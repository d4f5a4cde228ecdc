//! Request bodies: JSON, forms and multipart forms, with names in camelCase or snake_case.

use std::collections::HashMap;

use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use jhe_domain::error::{Error, Violation, Violations};
use jhe_http::{body, query};
use serde_json::value::RawValue;

mod sent;

use crate::error::{AdminError, too_large, unsupported_coding, unsupported_media_type};

pub(crate) use sent::Sent;
use sent::{Members, Unread, snake_keys};

/// Values whose own keys are the caller's business and are never rewritten.
const VERBATIM: &[&str] = &["omh_data", "value_attachment_data", "value"];

/// Fields that hold several values, also where a form or a query string can only repeat the name.
const LISTS: &[&str] = &["patient_ids"];

/// The fields of a request body, under snake_case names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields {
    members: Members,
    /// The JSON text of those that are taken verbatim.
    verbatim: HashMap<String, String>,
}

impl FromRequest<App> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let limit = app.config().limits.body_bytes;
        let delete = request.method() == Method::DELETE;
        let query = request.uri().query().unwrap_or_default().to_owned();
        let headers = request.headers().clone();
        // Small bodies need no coding, so only FHIR takes one (R28); its bytes must not be taken for a broken text.
        let coding =
            headers.get(axum::http::header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?").trim());
        if let Some(coding) = coding.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity")) {
            return Err(unsupported_coding(coding));
        }
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
        let broken = |fault| AdminError(Error::sentence(format!("JSON parse error - {fault}")));
        match Sent::read(bytes).map_err(broken)? {
            Sent::Object(members) => {
                let verbatim = if VERBATIM.iter().any(|name| members.contains_key(*name)) {
                    verbatim(bytes).map_err(|fault| broken(fault.to_string()))?
                } else {
                    HashMap::new()
                };
                Ok(Self { members, verbatim })
            }
            other => {
                let text = format!("Invalid data. Expected a dictionary, but got {}.", other.type_name());
                let mut violation = Violation::field("nonFieldErrors", text);
                violation.bare = true;
                Err(AdminError(Error::Invalid(Violations::one(violation))))
            }
        }
    }

    fn from_pairs(pairs: Vec<(String, String)>) -> Self {
        let mut members: Vec<(String, Sent)> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for (name, value) in pairs {
            let at = *known.entry(name.clone()).or_insert(members.len());
            let sent = if LISTS.contains(&to_snake(&name).as_str()) {
                // A form holds a list as a repeated name, or as text with commas.
                let mut items = match members.get_mut(at) {
                    Some((_, Sent::List(items))) => std::mem::take(items),
                    _ => Vec::new(),
                };
                items.extend(value.split(',').map(|item| Sent::Text(item.to_owned())));
                Sent::List(items)
            } else {
                Sent::Text(value)
            };
            match members.get_mut(at) {
                Some(member) => member.1 = sent,
                None => members.push((name, sent)),
            }
        }
        let members = snake_keys(members, |_, sent| Ok::<_, std::convert::Infallible>(sent));
        let Ok(members) = members;
        Self { members, verbatim: HashMap::new() }
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
    pub(crate) fn get(&self, name: &str) -> Option<&Sent> {
        self.members.get(&to_snake(name))
    }

    /// The JSON text of a field that is taken verbatim, byte for byte as it was sent. What a form holds is a text.
    pub(crate) fn json(&self, name: &str) -> Option<String> {
        let sent = self.get(name)?;
        Some(self.verbatim.get(&to_snake(name)).cloned().unwrap_or_else(|| sent.to_string()))
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
    fn text_value(&self, name: &str, value: &Sent, nullable: bool, faults: &mut Violations) -> Option<String> {
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
            Sent::Null => {
                faults.push(name, "This field may not be null.");
                None
            }
            Sent::Text(text) if choices(text) => Some(text.clone()),
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
            Some(Sent::Null) => Err("This field may not be null.".to_owned()),
            Some(value) => lenient_id(value).map(Some).ok_or_else(|| match value {
                // A number no row can have.
                Sent::Number(digits) | Sent::Text(digits) if is_integer(digits.trim()) => {
                    format!("Invalid pk \"{}\" - object does not exist.", digits.trim())
                }
                other => format!("Incorrect type. Expected pk value, received {}.", other.type_name()),
            }),
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
            Some(Sent::List(items)) => items
                .iter()
                .map(|item| lenient_id(item).ok_or_else(|| Error::invalid(name, "A valid integer is required.")))
                .collect(),
            Some(other) => {
                Err(Error::invalid(name, format!("Expected a list of items but got type \"{}\".", other.type_name())))
            }
        }
    }
}

/// The texts of what is taken verbatim, by the rule by which members are read.
fn verbatim(bytes: &[u8]) -> Result<HashMap<String, String>, serde_json::Error> {
    let Unread(members) = serde_json::from_slice(bytes)?;
    let texts = snake_keys(members, |name, raw: &RawValue| {
        Ok::<_, serde_json::Error>(VERBATIM.contains(&name).then(|| raw.get().to_owned()))
    })?;
    Ok(texts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect())
}

/// A text by the family's rules: numbers are taken as text, digit by digit, white space around is trimmed. `Ok(None)` is
/// null.
pub(crate) fn text(value: &Sent) -> Result<Option<String>, &'static str> {
    match value {
        Sent::Null => Ok(None),
        Sent::Text(text) if text.contains('\0') => Err("Null characters are not allowed."),
        Sent::Text(text) => Ok(Some(text.trim().to_owned())),
        Sent::Number(digits) => Ok(Some(digits.clone())),
        Sent::Bool(_) | Sent::List(_) | Sent::Object(_) => Err("Not a valid string."),
    }
}

/// A truth value by the family's rules.
pub(crate) fn boolean(value: &Sent) -> Option<bool> {
    match value {
        Sent::Bool(truth) => Some(*truth),
        Sent::Number(digits) => match digits.as_str() {
            "1" => Some(true),
            "0" => Some(false),
            _ => None,
        },
        Sent::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        },
        Sent::Null | Sent::List(_) | Sent::Object(_) => None,
    }
}

/// Whether a text is a whole number, short enough to be repeated in a message.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.len() < 100 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// An integer, or its digits as text.
pub(crate) fn lenient_id(value: &Sent) -> Option<i64> {
    match value {
        Sent::Number(digits) => digits.parse().ok(),
        Sent::Text(text) => text.trim().parse().ok(),
        Sent::Null | Sent::Bool(_) | Sent::List(_) | Sent::Object(_) => None,
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

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[expect(clippy::needless_pass_by_value, reason = "reads better at the calls")]
    fn fields(value: Value) -> Fields {
        Fields::from_json(value.to_string().as_bytes()).unwrap()
    }

    fn sent(value: &Value) -> Sent {
        Sent::read(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn numbers_keep_their_digits() {
        let body =
            br#"{"a": 1.50, "b": 12345678901234567890123, "c": [{"dE": 1E5}], "value": {"x": 0.10,  "y": [1e2]}}"#;
        let fields = Fields::from_json(body).unwrap();
        let read = |name: &str| text(fields.get(name).unwrap()).unwrap().unwrap();
        assert_eq!((read("a"), read("b")), ("1.50".to_owned(), "12345678901234567890123".to_owned()));
        assert_eq!(fields.get("c").unwrap().to_string(), "[{\"d_e\":1E5}]");
        assert_eq!(fields.json("value").unwrap(), "{\"x\": 0.10,  \"y\": [1e2]}");
        assert_eq!(Fields::from_pairs(query::pairs("value=1.50")).json("value").unwrap(), "\"1.50\"");
    }

    #[test]
    fn what_lies_too_deep_is_refused() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(Fields::from_json(nested(30).as_bytes()).is_ok());
        assert!(Fields::from_json(nested(200_000).as_bytes()).is_err());
    }

    #[test]
    fn both_spellings_are_read_at_any_depth_and_camel_case_wins() {
        let fields =
            fields(json!({"iconUrl": "a", "icon_url": "b", "list": [{"studyId": 1}], "omhData": {"someKey": 1}}));
        let shown = |name: &str| fields.get(name).map(Sent::to_string).unwrap();
        assert_eq!(shown("iconUrl"), "\"a\"");
        assert_eq!(shown("list"), "[{\"study_id\":1}]");
        assert_eq!(shown("omhData"), "{\"someKey\":1}");
    }

    #[test]
    fn texts_follow_one_set_of_rules() {
        let check = |value: Value, expected: Result<Option<&str>, &str>| {
            assert_eq!(
                text(&sent(&value)).as_ref().map(|text| text.as_deref()),
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
        assert_eq!(pairs("name=a&name=b").get("name").and_then(Sent::as_str), Some("b"));
        let mut message = fields(json!({"id": "1".repeat(30)})).reference("id").unwrap_err();
        assert!(message.starts_with("Invalid pk"), "{message}");
        let number = Fields::from_json(br#"{"id": 99999999999999999999}"#).unwrap();
        message = number.reference("id").unwrap_err();
        assert_eq!(message, "Invalid pk \"99999999999999999999\" - object does not exist.");
        message = fields(json!({"id": 1.5})).reference("id").unwrap_err();
        assert_eq!(message, "Incorrect type. Expected pk value, received float.");
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
            assert_eq!(boolean(&sent(&yes)), Some(true), "{yes}");
        }
        for neither in [json!("maybe"), json!(2), json!(null), json!([])] {
            assert_eq!(boolean(&sent(&neither)), None, "{neither}");
        }
    }
}
