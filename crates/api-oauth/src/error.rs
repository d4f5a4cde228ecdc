//! Failures in the family's words: `error` and `error_description` (RFC 6749 §5.2), and pages where a person waits.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jhe_domain::error::{CredentialFault, Error};
use jhe_http::family::Family;
use serde_json::{Map, Value};

/// `/o` as a family.
#[derive(Debug, Clone, Copy)]
pub enum OAuth {}

impl Family for OAuth {
    fn oversized(status: StatusCode, text: &str) -> Response {
        json(status, &body("invalid_request", Some(text)))
    }

    fn incomplete(status: StatusCode, text: &str) -> Response {
        json(status, &body("invalid_request", Some(text)))
    }

    fn render(error: Error) -> Response {
        OAuthError::from(error).into_response()
    }

    fn invalid_host() -> Response {
        json(StatusCode::BAD_REQUEST, &body("invalid_request", Some("Invalid host.")))
    }
}

/// An error on its way to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OAuthError {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) description: Option<String>,
    pub(crate) retry_after: Option<u64>,
}

impl OAuthError {
    /// 400 without a description.
    pub(crate) const fn bare(error: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description: None, retry_after: None }
    }

    /// 400 with a description.
    pub(crate) fn described(error: &'static str, description: impl Into<String>) -> Self {
        Self { description: Some(description.into()), ..Self::bare(error) }
    }

    /// The client is unknown, or did not prove who it is.
    pub(crate) const fn invalid_client() -> Self {
        Self { status: StatusCode::UNAUTHORIZED, error: "invalid_client", description: None, retry_after: None }
    }
}

impl OAuthError {
    /// 503: to be tried again.
    fn unavailable(retry_after: Duration) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            error: "temporarily_unavailable",
            description: None,
            retry_after: Some(retry_after.as_secs().max(1)),
        }
    }

    /// Whether it says that the client is unknown or did not prove who it is.
    pub(crate) fn is_invalid_client(&self) -> bool {
        self.error == "invalid_client"
    }
}

impl From<Error> for OAuthError {
    #[deny(clippy::wildcard_enum_match_arm)]
    fn from(error: Error) -> Self {
        match error {
            Error::Unauthenticated(CredentialFault::Missing | CredentialFault::Invalid | CredentialFault::Expired) => {
                Self::invalid_client()
            }
            Error::Denied(_) => Self::bare("access_denied"),
            Error::NotFound(_) | Error::Invalid(_) | Error::Conflict(_) => Self::bare("invalid_request"),
            Error::Throttled { retry_after } => Self {
                status: StatusCode::TOO_MANY_REQUESTS,
                error: "temporarily_unavailable",
                description: Some("Too many requests.".to_owned()),
                retry_after: Some(retry_after.as_secs().max(1)),
            },
            Error::Unavailable { retry_after, source } => {
                tracing::error!(error = %source, "a part the server needs does not answer");
                Self::unavailable(retry_after)
            }
            Error::Overloaded { retry_after } => Self::unavailable(retry_after),
            Error::Internal(source) => {
                tracing::error!(error = %source, "internal error");
                Self {
                    status: StatusCode::INTERNAL_SERVER_ERROR,
                    error: "server_error",
                    description: Some(
                        "The authorization server encountered an error processing the request.".to_owned(),
                    ),
                    retry_after: None,
                }
            }
        }
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let mut response = json(self.status, &body(self.error, self.description.as_deref()));
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"oauth\""));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The members of an error.
pub(crate) fn body(error: &str, description: Option<&str>) -> Value {
    let mut body = Map::new();
    body.insert("error".to_owned(), Value::String(error.to_owned()));
    if let Some(description) = description {
        body.insert("error_description".to_owned(), Value::String(description.to_owned()));
    }
    Value::Object(body)
}

/// A JSON answer that nobody keeps (RFC 6749 §5.1).
pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
    (status, headers, body.to_string()).into_response()
}
