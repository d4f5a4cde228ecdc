//! Parameters of a request: each at most once, empty ones absent (RFC 6749 §3.1, §3.2).

use axum::body::Body;
use axum::extract::{FromRequest as _, Multipart, Request};
use axum::http::StatusCode;
use jhe_app::App;
use jhe_http::body::BodyFault;
use jhe_http::{body, query};

use crate::error::OAuthError;

/// What is said about a zero byte.
pub(crate) const ZERO: &str = "A parameter holds a character that is not allowed.";

/// One in a verifier makes that a wrong one, which is told where verifiers are compared.
const VERIFIER: &str = "code_verifier";

fn unread(fault: BodyFault) -> OAuthError {
    match fault {
        BodyFault::TooLarge => OAuthError {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            ..OAuthError::described("invalid_request", "The request body is too large.")
        },
        BodyFault::Broken => OAuthError::described("invalid_request", "The request body cannot be read."),
    }
}

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
        let (parts, sent) = request.into_parts();
        let bytes = body::read(sent, app.config().limits.body_bytes).await.map_err(unread)?;
        let parameters = match body::media_type(&parts.headers).as_deref() {
            None | Some("application/x-www-form-urlencoded") => Self::parse(&String::from_utf8_lossy(&bytes)),
            Some("multipart/form-data") => Self::of_parts(Request::from_parts(parts, Body::from(bytes))).await?,
            // A body of another kind holds no parameters that could be seen.
            Some(_) => Self::default(),
        };
        if parameters.has_zero(|name| name != VERIFIER) {
            return Err(OAuthError::described("invalid_request", ZERO));
        }
        match parameters.duplicate() {
            Some(name) => Err(OAuthError::described("invalid_request", format!("Duplicate {name} parameter."))),
            None => Ok(parameters),
        }
    }

    async fn of_parts(request: Request<Body>) -> Result<Self, OAuthError> {
        let broken = || OAuthError::described("invalid_request", "The form cannot be read.");
        let mut form = Multipart::from_request(request, &()).await.map_err(|_| broken())?;
        let mut pairs = Vec::new();
        while let Some(field) = form.next_field().await.map_err(|_| broken())? {
            let name = field.name().unwrap_or_default().to_owned();
            pairs.push((name, field.text().await.map_err(|_| broken())?));
        }
        Ok(Self(pairs))
    }

    /// Whether a parameter holds a zero byte, which nothing here can mean; of those with certain names.
    pub(crate) fn has_zero(&self, counts: impl Fn(&str) -> bool) -> bool {
        self.0.iter().any(|(name, value)| counts(name) && (name.contains('\0') || value.contains('\0')))
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

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_values_are_absent_and_repetitions_are_seen() {
        let parameters = Parameters::parse("a=1&b=&c=x+y&a=2");
        assert_eq!(parameters.get("a"), Some("1"));
        assert_eq!(parameters.get("b"), None);
        assert_eq!(parameters.get("c"), Some("x y"));
        assert_eq!(parameters.duplicate(), Some("a"));
        assert_eq!(parameters.duplicate_of(&["c", "a"]), Some("a"));
        assert_eq!(parameters.duplicate_of(&["c"]), None);
        assert!(!parameters.has_zero(|_| true));
        assert!(Parameters::parse("a=%00").has_zero(|_| true));
        assert!(!Parameters::parse("a=%00&b=1").has_zero(|name| name != "a"));
    }
}
