//! Requests and answers in few words.

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

use crate::Person;

/// A request being put together.
#[must_use]
pub struct Call(RequestBuilder);

impl Call {
    pub(crate) const fn new(builder: RequestBuilder) -> Self {
        Self(builder)
    }

    /// As a person of the cast.
    pub fn as_user(self, person: Person) -> Self {
        self.bearer(&person.token())
    }

    /// With a bearer token.
    pub fn bearer(self, token: &str) -> Self {
        Self(self.0.bearer_auth(token))
    }

    /// With a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    /// With form fields.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        Self(self.0.form(fields))
    }

    /// With a body of any type.
    pub fn body(self, media_type: &str, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.header("content-type", media_type).body(body))
    }

    /// Sends it.
    pub async fn send(self) -> Reply {
        let response = self.0.send().await.expect("an answer");
        let is_admin = response.url().path().starts_with("/api/v1/");
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.expect("a whole answer").to_vec();
        let reply = Reply { status, headers, bytes };
        // Every refusal of the Admin API says why (its acceptance case 16); a head has no body to say it in.
        if is_admin && reply.status.is_client_error() && !reply.bytes.is_empty() {
            assert!(!reply.detail().is_empty(), "{}: no detail in {}", reply.status, reply.text());
        }
        reply
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub bytes: Vec<u8>,
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("{} with no JSON: {}", self.status, self.text()))
    }

    /// The value at a JSON pointer; null when there is none.
    #[track_caller]
    pub fn at(&self, pointer: &str) -> Value {
        self.json().pointer(pointer).cloned().unwrap_or(Value::Null)
    }

    /// A header as text, its values joined by commas; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        let name: HeaderName = name.parse().expect("a header name");
        let values: Vec<&str> = self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        values.join(", ")
    }

    /// Checks the status, showing the body when it is another one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    /// The `detail` of an error of the Admin API.
    #[track_caller]
    pub fn detail(&self) -> String {
        self.at("/detail").as_str().unwrap_or_default().to_owned()
    }
}
