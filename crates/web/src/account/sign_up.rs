//! Signing up: identity §4.5.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use jhe_app::App;
use jhe_app::identity::account::sign_up::{self, Application, Fault, Part};
use jhe_app::identity::session::Method;

use super::{enter, login, password_advice};
use crate::form::Visit;
use crate::form_page::{Button, Field, FormPage};
use crate::home;

/// Where a new practitioner lands.
const LANDING: &str = "/clients/jhe-admin/";

async fn sign_up_page(app: &App, visit: &Visit, email: &str, faults: &[Fault]) -> Response {
    // Signing up may lead on to the client that asked, which browsers must allow the form.
    let targets = match login::client_targets(app, visit.next()).await {
        Ok(targets) => targets,
        Err(error) => return home::failure(&error),
    };
    let code = visit.form.text("joincode");
    let told = |part: Part| {
        let texts = faults.iter().filter(|fault| fault.part == part).map(|fault| fault.text.as_str());
        texts.collect::<Vec<_>>().join(" ")
    };
    let shown = FormPage {
        heading: "Sign Up",
        texts: vec!["For practitioners. The people who run this exchange give you the invite code.".into()],
        fields: vec![
            Field::text("joincode", "Invite Code", "off").capitals("none").value(&code).error(&told(Part::Code)),
            Field::email("email", email).error(&told(Part::Email)),
            Field::new_password("password", "Password").hint(password_advice(app)).error(&told(Part::Password)),
            Field::new_password("password2", "Password again"),
        ],
        buttons: vec![Button::main("Sign Up")],
        links: vec![(visit.keeping_next("/accounts/login/"), "Log In")],
        ..FormPage::default()
    };
    shown.respond(app, &visit.headers, &targets)
}

/// `GET /accounts/signup/`.
pub(crate) async fn show(State(app): State<App>, request: Request<Body>) -> Response {
    let visit = Visit::of(&app, &request);
    sign_up_page(&app, &visit, "", &[]).await
}

/// `POST /accounts/signup/`.
#[tracing::instrument(name = "web.sign_up", skip_all)]
pub(crate) async fn submit(State(app): State<App>, request: Request<Body>) -> Response {
    let visit = match Visit::posted(&app, request).await {
        Ok(visit) => visit,
        Err(page) => return page,
    };
    if let Some(response) = super::email::asked_again(&app, &visit).await {
        return response;
    }
    // As sent: what is no address and no code must not become one.
    let field = |name| visit.form.get(name).unwrap_or_default();
    let (code, email, password) = (field("joincode"), field("email"), field("password"));
    // Scripts send the second field empty; the page requires it.
    let repeated = visit.form.get("password2").filter(|text| !text.is_empty());
    let application = Application { code, email, password, repeated };
    match sign_up::sign_up(&app, application, visit.ip).await {
        Ok(Ok(account)) if !jhe_app::identity::account::email::suffices(&app, &account) => {
            super::email::ask(&app, &visit, account.id)
        }
        Ok(Ok(account)) => enter(&app, &visit, &account, Method::Password, visit.next().unwrap_or(LANDING)).await,
        Ok(Err(faults)) => sign_up_page(&app, &visit, &visit.form.text("email"), &faults).await,
        Err(error) => home::failure(&error),
    }
}
