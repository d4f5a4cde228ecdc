//! What scripts and third-party pages read before anybody signs in: console §1.5, ruling R30. Public, no secrets.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jhe_app::App;
use jhe_app::identity::{console_client_id, site_title, token};
use jhe_domain::data_source::DATA_SOURCE_TYPES;
use jhe_domain::organization::ORGANIZATION_TYPES;
use jhe_domain::role::ROLE_PERMISSIONS;
use jhe_domain::setting::SETTING_VALUE_TYPES;
use serde_json::{Map, Value, json};

use crate::home;

const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));
/// FHIR types the API serves.
const FHIR_RESOURCES: &[&str] = &["Observation", "Patient"];

fn labels(pairs: &[(&str, &str)]) -> Value {
    Value::Object(pairs.iter().map(|(code, label)| ((*code).to_owned(), json!(label))).collect())
}

fn permissions() -> Value {
    let map: Map<String, Value> =
        ROLE_PERMISSIONS.iter().map(|(role, permissions)| ((*role).to_owned(), json!(permissions))).collect();
    Value::Object(map)
}

/// `GET /common/server-settings.json`.
pub(crate) async fn document(State(app): State<App>) -> Response {
    let client_id = match console_client_id(&app).await {
        Ok(client_id) => client_id,
        Err(error) => return home::failure(&error),
    };
    let base = app.settings().site_url();
    let body = json!({
        "authority": format!("{}/", token::issuer(&app)),
        "clientId": client_id,
        "redirectUri": format!("{base}/auth/callback"),
        "siteTitle": site_title(&app),
        "version": VERSION,
        "organizationTypes": labels(ORGANIZATION_TYPES),
        "dataSourceTypes": labels(DATA_SOURCE_TYPES),
        "settingValueTypes": SETTING_VALUE_TYPES,
        "rolePermissions": permissions(),
        "fhirResources": FHIR_RESOURCES,
        "samlEnabled": false,
        "modules": { "ow": false, "patientAccess": false, "mcp": false, "webhooks": false },
    });
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (headers, body.to_string()).into_response()
}

/// `GET /common/server-settings.js`. The client id is a literal on a line of its own: scripts read it by pattern.
pub(crate) async fn script(State(app): State<App>) -> Response {
    let client_id = match console_client_id(&app).await {
        Ok(client_id) => client_id,
        Err(error) => return home::failure(&error),
    };
    // The pages that load this expect pairs here, as for the other lists.
    let value_types: Vec<(&str, &str)> = SETTING_VALUE_TYPES.iter().map(|name| (*name, *name)).collect();
    let constants = json!({
        "JHE_VERSION": VERSION,
        "ORGANIZATION_TOP_LEVEL_PART_OF_ID": 0,
        "ORGANIZATION_TOP_LEVEL_PART_OF_LABEL": "None (Top Level Organization)",
        "ORGANIZATION_TYPES": labels(ORGANIZATION_TYPES),
        "DATA_SOURCE_TYPES": labels(DATA_SOURCE_TYPES),
        "JHE_SETTING_VALUE_TYPES": labels(&value_types),
        "ROLE_PERMISSIONS": permissions(),
        "FHIR_RESOURCES": FHIR_RESOURCES,
    });
    let text = format!(
        "window.OIDCSettings = {{\n  authority: window.location.origin + \"/o/\",\n  client_id: {},\n  redirect_uri: window.location.origin + \"/auth/callback\",\n  extraQueryParams: {{}},\n  response_mode: \"query\",\n}};\n\nconst CONSTANTS = {};\n",
        inline(&json!(client_id.unwrap_or_default())),
        inline(&constants),
    );
    let headers = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, text).into_response()
}

/// JSON that is also safe inside a script.
fn inline(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}
