//! Fields of a posted form.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use jhe_app::App;
use jhe_http::body::{self, BodyFault};
use jhe_http::query;

use crate::home;

/// Fields in order.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form of at most the family's limit; one that breaks off has no fields.
    ///
    /// # Errors
    /// The page that says it is too large.
    pub(crate) async fn read(app: &App, body: Body) -> Result<Self, Response> {
        match body::read(body, app.config().limits.body_bytes).await {
            Ok(bytes) => Ok(Self(query::pairs(&String::from_utf8_lossy(&bytes)))),
            Err(BodyFault::Broken) => Ok(Self(Vec::new())),
            Err(BodyFault::TooLarge) => {
                Err(home::message(StatusCode::PAYLOAD_TOO_LARGE, "Too Large", "The form is too large."))
            }
        }
    }

    /// Fields of a query string.
    pub(crate) fn of_query(raw: Option<&str>) -> Self {
        Self(query::pairs(raw.unwrap_or_default()))
    }

    /// The first value of a field.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
