//! What a browser sends: fields of a query, fields of a posted form.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use jhe_app::App;
use jhe_domain::Phi;
use jhe_http::body::{self, BodyFault};
use jhe_http::{Origin, page, query};

use crate::{home, next};

/// Fields in order.
#[derive(Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form of at most the family's limit; one that breaks off has no fields.
    async fn read(app: &App, body: Body) -> Result<Self, Response> {
        match body::read(body, app.config().limits.body_bytes).await {
            Ok(bytes) => Ok(Self(query::pairs(&String::from_utf8_lossy(&bytes)))),
            Err(BodyFault::Broken) => Ok(Self(Vec::new())),
            Err(BodyFault::TooLarge) => {
                Err(home::message(StatusCode::PAYLOAD_TOO_LARGE, "Too Large", "The form is too large."))
            }
        }
    }

    /// The first value of a field.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a field, to be shown again; empty when there is none. Zero bytes, which no page can show, are
    /// dropped.
    pub(crate) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().replace('\0', "")
    }
}

/// A request of a browser for a page.
pub(crate) struct Visit {
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Where it comes from.
    pub(crate) ip: Option<IpAddr>,
    /// Whether only the head of the answer is wanted: then nothing may change.
    pub(crate) is_head: bool,
    /// Its path.
    path: String,
    /// Fields of the query.
    pub(crate) query: Form,
    /// Fields of the form; none when it is no post.
    pub(crate) form: Form,
    site: String,
}

impl Visit {
    /// Reads a request for a page.
    pub(crate) fn of(app: &App, request: &Request<Body>) -> Self {
        Self {
            headers: request.headers().clone(),
            ip: request.extensions().get::<Origin>().and_then(|origin| origin.peer),
            is_head: request.method() == Method::HEAD,
            path: request.uri().path().to_owned(),
            query: Form(query::pairs(request.uri().query().unwrap_or_default())),
            form: Form::default(),
            site: app.settings().site_url(),
        }
    }

    /// Reads a posted form of one of our own pages.
    ///
    /// # Errors
    /// The page that says that it is none, or too large.
    pub(crate) async fn posted(app: &App, request: Request<Body>) -> Result<Self, Response> {
        let mut visit = Self::of(app, &request);
        visit.form = Form::read(app, request.into_body()).await?;
        if page::is_own_form(app, &visit.headers, visit.form.get(page::CSRF_FIELD)) {
            Ok(visit)
        } else {
            Err(home::message(StatusCode::FORBIDDEN, "Forbidden", page::CSRF_REFUSAL))
        }
    }

    /// Where to go afterwards, if it is one of our own addresses.
    pub(crate) fn next(&self) -> Option<&str> {
        next::own(self.form.get("next"), &self.site).or_else(|| next::own(self.query.get("next"), &self.site))
    }

    /// An address of ours that keeps where to go afterwards.
    pub(crate) fn keeping_next(&self, path: &str) -> String {
        match self.next() {
            Some(next) => format!("{path}?next={}", query::encode(next)),
            None => path.to_owned(),
        }
    }

    /// An address that was typed, trimmed. What is no address must not become one, so nothing else is left out.
    pub(crate) fn email(&self, field: &str) -> Phi<String> {
        Phi::new(self.form.get(field).unwrap_or_default().trim().to_owned())
    }

    /// A segment of the path, from the end.
    pub(crate) fn segment_from_end(&self, index: usize) -> &str {
        self.path.trim_end_matches('/').rsplit('/').nth(index).unwrap_or_default()
    }
}

#[cfg(test)]
mod properties;
