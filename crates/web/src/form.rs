//! Fields of a posted form.

use axum::body::Body;
use jhe_http::{body, query};

/// The largest form of these pages.
const LIMIT: usize = 64 * 1024;

/// Fields in order.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form; one that is too large or broken has no fields.
    pub(crate) async fn read(body: Body) -> Self {
        let bytes = body::read(body, LIMIT).await.unwrap_or_default();
        Self(query::pairs(&String::from_utf8_lossy(&bytes)))
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
