//! OAuth 2.0 and OpenID Connect, `/o`. The only crate that names oxide-auth: its state machines decide the order of the
//! code and refresh grants, our own transaction answers their questions (see [`machine`]).
//!
//! Floor 5. Codes, tokens and sessions are `jhe_app::identity`'s; this crate speaks the protocol.

mod applications;
mod authorize;
mod authorized;
mod body;
mod client_auth;
mod discovery;
mod error;
mod exchange;
mod form;
mod fresh;
mod logout;
mod machine;
mod parameters;
mod redirect;
mod revoke;
mod scope;
mod token;
mod userinfo;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use jhe_http::normalize::AnswersPreflights;
use jhe_http::{DocumentedRouter, account, origin, routes, with_method_fallback};

pub use error::OAuth;

/// All routes of the family; trailing slashes are gone before routing.
pub fn router(app: &App) -> DocumentedRouter<App> {
    with_method_fallback(documented(), method_not_allowed).layer(from_fn_with_state(app.clone(), around))
}

/// The routes without what needs a running application, for the API document.
pub fn documented() -> DocumentedRouter<App> {
    DocumentedRouter::new()
        .routes(routes!(authorize::request, authorize::answer))
        .routes(routes!(token::token))
        .routes(routes!(exchange::exchange))
        .routes(routes!(revoke::revoke))
        .routes(routes!(revoke::introspect))
        .routes(routes!(userinfo::userinfo, userinfo::userinfo_by_post))
        .routes(routes!(logout::request, logout::answer))
        .routes(routes!(authorized::list, authorized::remove))
        .routes(routes!(authorized::delete))
        .routes(routes!(applications::root, applications::post))
        .routes(routes!(applications::below, applications::post_below))
        .routes(routes!(discovery::openid_configuration))
        .routes(routes!(discovery::protected_resource))
        .routes(routes!(discovery::protected_resource_at_root))
        .routes(routes!(discovery::authorization_server))
        .routes(routes!(discovery::authorization_server_at_root))
        .routes(routes!(discovery::jwks))
}

/// What a request goes through, outermost first.
async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    account::will_answer(StatusCode::OK, StatusCode::BAD_REQUEST);
    cors(request, |request| origin::require_origin::<OAuth>(&app, request, |request| next.run(request))).await
}

/// Layer: any page may call `/o`; never with cookies.
async fn cors(request: Request, next: impl AsyncFnOnce(Request) -> Response) -> Response {
    let mut response =
        if request.method() == Method::OPTIONS { StatusCode::NO_CONTENT.into_response() } else { next(request).await };
    open(&mut response);
    response.extensions_mut().insert(AnswersPreflights);
    response
}

fn open(response: &mut Response) {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "WWW-Authenticate, Retry-After"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

async fn method_not_allowed(request: Request<Body>) -> Response {
    let text = format!("Method \"{}\" not allowed.", request.method());
    let mut response = error::json(StatusCode::METHOD_NOT_ALLOWED, &error::body("invalid_request", Some(&text)));
    if request.uri().path() == authorize::PATH {
        // The router would tell of HEAD, which goes with GET elsewhere.
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(authorize::SERVED));
    }
    response
}

/// The answer to a path of the family that does not exist; a preflight is answered for any path.
pub fn unknown_path(request: &Request<Body>) -> Response {
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        error::json(StatusCode::NOT_FOUND, &error::body("not_found", None))
    };
    open(&mut response);
    response
}
