//! Parameters of a request: each at most once, empty ones absent (RFC 6749 §3.1, §3.2).

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use jhe_app::App;
use jhe_http::{body, query};

use crate::error::OAuthError;

/// Parameters in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// From a query string or a form.
    pub(crate) fn parse(raw: &str) -> Self {
        Self(query::pairs(raw))
    }

    /// From the form of a POST. Parameters in the address are refused, where proxies and logs would keep them.
    pub(crate) async fn of_form(request: Request<Body>, app: &App) -> Result<Self, OAuthError> {
        if request.uri().query().is_some_and(|query| !query.is_empty()) {
            return Err(OAuthError::described("invalid_request", "URL query parameters are not allowed"));
        }
        let limit = app.config().limits.body_bytes;
        let form = body::media_type(request.headers()).is_none_or(|kind| kind == "application/x-www-form-urlencoded");
        let bytes = body::read(request.into_body(), limit).await.map_err(|_| OAuthError {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            ..OAuthError::described("invalid_request", "The request body is too large.")
        })?;
        // A body of another kind holds no parameters that could be seen.
        if !form {
            return Ok(Self::default());
        }
        let parameters = Self::parse(&String::from_utf8_lossy(&bytes));
        match parameters.duplicate() {
            Some(name) => Err(OAuthError::described("invalid_request", format!("Duplicate {name} parameter."))),
            None => Ok(parameters),
        }
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A parameter sent more than once.
    pub(crate) fn duplicate(&self) -> Option<&str> {
        self.0
            .iter()
            .enumerate()
            .find(|(index, (name, _))| self.0.iter().skip(index + 1).any(|(other, _)| other == name))
            .map(|(_, (name, _))| name.as_str())
    }

    /// Whether one of these parameters was sent more than once; which.
    pub(crate) fn duplicate_of<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        names.iter().find(|name| self.0.iter().filter(|(key, _)| key == *name).count() > 1).copied()
    }

    /// All of them.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}
