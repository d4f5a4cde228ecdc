//! The OpenAPI document and the pages that show it, all served from the binary.

mod complete;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use jhe_app::App;
use jhe_http::DocumentedRouter;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{
    AuthorizationCode, Flow, HttpAuthScheme, HttpBuilder, OAuth2, Scopes, SecurityRequirement, SecurityScheme,
};
use utoipa_swagger_ui::{Config, SwaggerUi, oauth};

#[derive(OpenApi)]
#[openapi(info(
    title = "JupyterHealth Exchange",
    description = "Patient-consented health data: the Admin REST API, FHIR R5, OAuth 2.0 and OpenID Connect. \
                   Names of query parameters are taken in snake_case and in camelCase. 429 and 503 say in `Retry-After` when to come \
                   again. Patients read their data by FHIR.",
    license(name = "MIT", identifier = "MIT"),
))]
struct Base;

/// What all paths share.
fn base() -> Document {
    let mut document = Base::openapi();
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An access token from /o/token/"));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(scheme.build()));
    let scopes = Scopes::from_iter([("openid", "Who signed in"), ("read", "To read"), ("write", "To write")]);
    let flow = AuthorizationCode::new("/o/authorize/", "/o/token/", scopes);
    let signed_in =
        OAuth2::with_description([Flow::AuthorizationCode(flow)], "Sign in as you do elsewhere (with PKCE)");
    components.add_security_scheme("oauth", SecurityScheme::OAuth2(signed_in));
    document.security =
        Some(["bearer", "oauth"].map(|name| SecurityRequirement::new::<_, _, String>(name, [])).to_vec());
    document
}

/// The complete document: every route of the two APIs and of `/o`, as the router registers them.
pub fn document() -> Document {
    let mut document = DocumentedRouter::<App>::with_openapi(base())
        .merge(jhe_api_admin::documented())
        .merge(jhe_api_fhir::documented())
        .merge(jhe_api_oauth::documented())
        .into_openapi();
    complete::complete(&mut document);
    document
}

/// The client that Swagger UI signs people in with, once an operator has registered it (`docs/operating.md`).
const EXPLORER: &str = "api-explorer";
/// ReDoc 2.5 (MIT), compressed; see `assets/README.md`.
const REDOC: &[u8] = include_bytes!("../assets/redoc.standalone.js.gz");
const REDOC_PAGE: &str = concat!(
    "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>JupyterHealth Exchange API</title>",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"></head><body>",
    "<redoc spec-url=\"/api/v1/schema/?format=json\" disable-search=\"false\"></redoc>",
    "<script src=\"/api/v1/schema/redoc/redoc.standalone.js\"></script></body></html>"
);

/// The document as YAML and JSON, Swagger UI and ReDoc, under both prefixes.
pub fn pages(document: &Document) -> Router<App> {
    let yaml = document.to_yaml().unwrap_or_default();
    let json = document.to_json().unwrap_or_default();
    let mut router = Router::new();
    for prefix in ["/api/v1/schema", "/api/schema"] {
        router = router.merge(schema(prefix, &yaml, &json));
    }
    router
}

#[expect(clippy::disallowed_methods, reason = "pages about the document cannot be in the document")]
fn schema(prefix: &'static str, yaml: &str, json: &str) -> Router<App> {
    let (yaml, json) = (yaml.to_owned(), json.to_owned());
    let serve = move |request: axum::extract::Request| {
        let wants_json = request.uri().query().is_some_and(|query| query.contains("format=json"));
        let body = if wants_json { json.clone() } else { yaml.clone() };
        async move {
            let kind = if wants_json { "application/json" } else { "application/yaml; charset=utf-8" };
            ([(header::CONTENT_TYPE, kind)], body).into_response()
        }
    };
    let sign_in = oauth::Config::new()
        .client_id(EXPLORER)
        .scopes(vec!["openid".to_owned(), "read".to_owned(), "write".to_owned()])
        .use_pkce_with_authorization_code_grant(true);
    let ui = SwaggerUi::new(format!("{prefix}/swagger-ui"))
        .config(Config::from(format!("{prefix}/?format=json")))
        .oauth(sign_in);
    Router::new()
        .route(prefix, get(serve.clone()))
        .route(&format!("{prefix}/"), get(serve))
        .route(&format!("{prefix}/redoc"), get(|| async { Html(REDOC_PAGE) }))
        .route(&format!("{prefix}/redoc/"), get(|| async { Html(REDOC_PAGE) }))
        .route(&format!("{prefix}/redoc/redoc.standalone.js"), get(redoc))
        .merge(ui)
        .method_not_allowed_fallback(jhe_api_admin::method_not_allowed)
        .layer(map_response(described))
}

/// Both pages style themselves while they run; ReDoc searches in a worker.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src 'self' blob:; \
                      frame-ancestors 'self'; object-src 'none'; base-uri 'none'";

/// The headers that every answer of the Admin API carries, and for pages the policy that keeps foreign content out.
async fn described(mut response: Response) -> Response {
    let headers = response.headers_mut();
    if headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    }
    headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    headers.append(header::VARY, HeaderValue::from_static("Accept"));
    response
}

async fn redoc() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CONTENT_ENCODING, "gzip"),
        (header::CACHE_CONTROL, "public, max-age=86400"),
    ];
    (headers, REDOC).into_response()
}
