//! Choosing a new password with the old one: identity §4.6.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use jhe_app::App;
use jhe_app::identity::account::password::{self, Change};
use jhe_domain::error::Error;
use jhe_http::page;

use super::{password_advice, sign_in_first};
use crate::form::Visit;
use crate::form_page::{Button, Field, FormPage};
use crate::home;

const HERE: &str = "/accounts/password_change/";
const WRONG: &str = "Your old password was entered incorrectly. Please enter it again.";

fn change_page(app: &App, visit: &Visit, old_error: &str, errors: Vec<String>) -> Response {
    let shown = FormPage {
        heading: "Change your password",
        errors: errors.into_iter().map(Into::into).collect(),
        fields: vec![
            Field::current_password("old_password", "Old password").error(old_error),
            Field::new_password("new_password1", "New password").hint(password_advice(app)),
            Field::new_password("new_password2", "New password again"),
        ],
        buttons: vec![Button::main("Change password")],
        links: vec![("/clients/jhe-admin/".to_owned(), "Your account")],
        ..FormPage::default()
    };
    shown.respond(app, &visit.headers, "")
}

/// `GET /accounts/password_change/`.
pub(crate) async fn show(State(app): State<App>, request: Request<Body>) -> Response {
    let visit = Visit::of(&app, &request);
    match page::visitor(&app, &visit.headers).await {
        Ok(Some(_)) => change_page(&app, &visit, "", Vec::new()),
        Ok(None) => sign_in_first(HERE),
        Err(error) => home::failure(&error),
    }
}

async fn change(app: &App, visit: &Visit) -> Result<Response, Error> {
    let Some(visitor) = page::visitor(app, &visit.headers).await? else { return Ok(sign_in_first(HERE)) };
    let field = |name| visit.form.get(name).unwrap_or_default();
    let (old, chosen, repeated) = (field("old_password"), field("new_password1"), field("new_password2"));
    Ok(match password::change(app, &visitor, old, chosen, repeated, visit.ip).await? {
        Change::Done(cookie) => {
            let mut response = page::found("/accounts/password_change/done/");
            page::set_cookie(&mut response, &page::session_cookie(app, cookie.reveal()));
            page::set_cookie(&mut response, &page::csrf_cookie(app));
            response
        }
        Change::Refused { old, faults } => change_page(app, visit, if old { WRONG } else { "" }, faults),
    })
}

/// `POST /accounts/password_change/`.
#[tracing::instrument(name = "web.password_change", skip_all)]
pub(crate) async fn submit(State(app): State<App>, request: Request<Body>) -> Response {
    match Visit::posted(&app, request).await {
        Ok(visit) => change(&app, &visit).await.unwrap_or_else(|error| home::failure(&error)),
        Err(page) => page,
    }
}

/// `GET /accounts/password_change/done/`.
pub(crate) async fn done(State(app): State<App>, request: Request<Body>) -> Response {
    let text = "Your password was changed, and your other browsers were signed out.";
    match page::visitor(&app, request.headers()).await {
        Ok(Some(_)) => home::linked(StatusCode::OK, "Password changed", text, ("/accounts/profile/", "Go on")),
        Ok(None) => sign_in_first("/accounts/password_change/done/"),
        Err(error) => home::failure(&error),
    }
}
