//! The page most account pages are: a heading, some text, one form.

use askama::Template;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jhe_app::App;
use jhe_app::identity::site_title;
use jhe_http::page;

use crate::prose::Prose;

/// A page with a form.
#[derive(Template, Default)]
#[template(path = "form.html")]
pub(crate) struct FormPage<'a> {
    /// Name of the site; put in when the page is answered.
    pub(crate) site: String,
    /// Token of the form; put in when the page is answered.
    pub(crate) form_token: String,
    /// What the page is for.
    pub(crate) heading: &'a str,
    /// Paragraphs above the form.
    pub(crate) texts: Vec<Prose>,
    /// What was wrong with the last attempt.
    pub(crate) errors: Vec<Prose>,
    /// Fields nobody sees.
    pub(crate) hidden: Vec<(&'a str, String)>,
    /// Fields to fill in.
    pub(crate) fields: Vec<Field<'a>>,
    /// Buttons, the main one first.
    pub(crate) buttons: Vec<Button<'a>>,
    /// Addresses and labels below the form.
    pub(crate) links: Vec<(String, &'a str)>,
}

/// A field to fill in.
#[derive(Default)]
pub(crate) struct Field<'a> {
    name: &'a str,
    label: &'a str,
    kind: &'a str,
    autocomplete: &'a str,
    capitals: &'a str,
    hint: Prose,
    error: Prose,
    value: &'a str,
}

impl<'a> Field<'a> {
    /// An e-mail address.
    pub(crate) fn email(name: &'a str, value: &'a str) -> Self {
        Self { name, label: "Email Address", kind: "email", autocomplete: "username", value, ..Self::default() }
    }

    /// A password the browser may know.
    pub(crate) fn current_password(name: &'a str, label: &'a str) -> Self {
        Self { name, label, kind: "password", autocomplete: "current-password", ..Self::default() }
    }

    /// A password to choose.
    pub(crate) fn new_password(name: &'a str, label: &'a str) -> Self {
        Self { name, label, kind: "password", autocomplete: "new-password", ..Self::default() }
    }

    /// Text.
    pub(crate) fn text(name: &'a str, label: &'a str, autocomplete: &'a str) -> Self {
        Self { name, label, kind: "text", autocomplete, ..Self::default() }
    }

    /// With this on phones' keyboards: `none` or `characters`.
    #[must_use]
    pub(crate) fn capitals(mut self, capitals: &'a str) -> Self {
        self.capitals = capitals;
        self
    }

    /// What describes it to those who cannot see it; `all` when the form as a whole was refused.
    fn described_by(&self, all: bool) -> String {
        let parts = [("hint", self.hint.is_empty()), ("error", self.error.is_empty())];
        let ids = parts.into_iter().filter(|(_, empty)| !empty).map(|(part, _)| format!("{}-{part}", self.name));
        ids.chain(all.then(|| "errors".to_owned())).collect::<Vec<_>>().join(" ")
    }

    /// With what was typed last time.
    #[must_use]
    pub(crate) fn value(mut self, value: &'a str) -> Self {
        self.value = value;
        self
    }

    /// With advice.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<Prose>) -> Self {
        self.hint = hint.into();
        self
    }

    /// With what was wrong with it.
    #[must_use]
    pub(crate) fn error(mut self, error: &str) -> Self {
        self.error = error.into();
        self
    }
}

/// A button.
#[derive(Default)]
pub(crate) struct Button<'a> {
    label: &'a str,
    name: &'a str,
    value: &'a str,
    quiet: bool,
}

impl<'a> Button<'a> {
    /// What the form is for.
    pub(crate) fn main(label: &'a str) -> Self {
        Self { label, ..Self::default() }
    }

    /// As a field of the form.
    #[must_use]
    pub(crate) fn sending(mut self, name: &'a str, value: &'a str) -> Self {
        (self.name, self.value) = (name, value);
        self
    }

    /// Something else, for which nothing needs to be filled in.
    #[must_use]
    pub(crate) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }
}

impl FormPage<'_> {
    /// Whether the last attempt failed.
    fn failed(&self) -> bool {
        !self.errors.is_empty() || self.fields.iter().any(|field| !field.error.is_empty())
    }

    /// The field to begin with: the first at fault.
    fn focus(&self) -> usize {
        self.fields.iter().position(|field| !field.error.is_empty()).unwrap_or(0)
    }

    /// The page as an answer. `targets` are sources of the policy its form may lead to by redirect.
    pub(crate) fn respond(mut self, app: &App, headers: &HeaderMap, targets: &str) -> Response {
        let token = page::form_token(app, headers);
        self.site = site_title(app);
        self.form_token = token.field;
        let mut response = page::html(StatusCode::OK, self.render().unwrap_or_default(), targets);
        if let Some(cookie) = &token.set_cookie {
            page::set_cookie(&mut response, cookie);
        }
        response
    }
}
