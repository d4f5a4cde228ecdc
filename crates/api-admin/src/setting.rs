//! Settings: contract admin-api §6.11.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use jhe_app::App;
use jhe_app::setting::{self as usecase, Written};
use jhe_authz::{Actor, Authorizer};
use jhe_domain::error::{Error, Lookup, Violation, Violations};
use jhe_domain::setting::{SETTING_VALUE_TYPES, Setting, SettingValue, is_secret};
use jhe_http::{Caller, Origin};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::body;
use crate::error::AdminError;
use crate::fields::{Fields, Sent, boolean, text};
use crate::paging::{DEFAULT_LONG, PageJson, Paging};
use crate::path::{PathId, SentPath};
use crate::query::AdminQuery;
use crate::response::{created, no_content, ok};
use crate::time::timestamp;

/// The code people sign up with: shown to administrators who ask for it.
const INVITE_CODE: &str = "site.registration_invite_code";
/// Stands for a value that is not shown.
const HIDDEN: &str = "***";

/// A setting.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SettingJson {
    id: i64,
    key: String,
    /// `string`, `int`, `bool`, `float` or `json`.
    value_type: &'static str,
    /// The value in its own type; `***` for secrets.
    #[schema(value_type = Value)]
    resolved_value: Box<RawValue>,
    #[schema(format = DateTime)]
    last_updated: String,
}

fn shown(setting: Setting, reveal: bool) -> Result<SettingJson, Error> {
    let hidden = is_secret(&setting.key) || (setting.key == INVITE_CODE && !reveal);
    let value = match &setting.value {
        _ if hidden => json!(HIDDEN).to_string(),
        SettingValue::String(value) => json!(value).to_string(),
        SettingValue::Int(value) => value.to_string(),
        SettingValue::Bool(value) => value.to_string(),
        SettingValue::Float(value) => json!(value).to_string(),
        // As it was written: keys inside are the operator's own.
        SettingValue::Json(value) => value.clone(),
    };
    Ok(SettingJson {
        id: setting.id,
        value_type: setting.value.type_name(),
        key: setting.key,
        resolved_value: RawValue::from_string(value).map_err(Error::internal)?,
        last_updated: timestamp(setting.last_updated),
    })
}

/// All settings, by id: superusers.
#[utoipa::path(get, path = "/api/v1/jhe_settings", tag = "settings",
    params(("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query), ("page" = Option<String>, Query), ("pageSize" = Option<i64>, Query), ("cursor" = Option<String>, Query, description = "Empty for the first page of keyset paging"), ("reveal" = Option<i64>, Query, description = "1 shows the invite code")),
    responses((status = 200, body = PageJson<SettingJson>), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.settings.list", skip_all)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Extension(origin): Extension<Origin>,
    SentPath(path): SentPath,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let admin = Authorizer::new(&actor, &mut work).administer()?;
    let paging = Paging::new(&app, &query, &path, DEFAULT_LONG, false)?;
    let mut page = work.settings().list(&admin, paging.window()?).await?;
    if let Some(last) = paging.last_window(page.count) {
        page = work.settings().list(&admin, last).await?;
    }
    let reveal = query.get("reveal") == Some("1");
    let rows = page.rows.into_iter().map(|setting| shown(setting, reveal)).collect::<Result<_, _>>()?;
    Ok(paging.respond(&origin, jhe_domain::page::Page { count: page.count, rows, next: page.next })?)
}

/// One setting: superusers.
#[utoipa::path(get, path = "/api/v1/jhe_settings/{id}", tag = "settings", params(("id" = i64, Path), ("reveal" = Option<i64>, Query)),
    responses((status = 200, body = SettingJson), (status = 403, description = "Not permitted"), (status = 404, description = "No such setting")))]
#[tracing::instrument(name = "admin.settings.get", skip_all)]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    query: AdminQuery,
) -> Result<Response, AdminError> {
    let mut work = app.store().read().await?;
    let admin = Authorizer::new(&actor, &mut work).administer()?;
    let setting = work.settings().find(&admin, id).await?.ok_or(Error::NotFound(Lookup::Entity("JheSetting")))?;
    Ok(ok(&shown(setting, query.get("reveal") == Some("1"))?))
}

fn bare(message: &str) -> Violation {
    Violation::unlisted("value", message)
}

/// A value in a type, however it is written (data model §7). `json` is its text, which a JSON setting keeps as it is.
fn coerced(kind: &str, value: &Sent, json: Option<String>) -> Result<SettingValue, Violation> {
    match kind {
        "string" => match value {
            Sent::Bool(truth) => Ok(SettingValue::String(truth.to_string())),
            Sent::Text(text) if !text.contains('\0') => Ok(SettingValue::String(text.clone())),
            other => match text(other) {
                Ok(Some(text)) => Ok(SettingValue::String(text)),
                _ => Err(bare("Invalid string")),
            },
        },
        "int" => match value {
            Sent::Number(digits) => digits.parse().ok(),
            Sent::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
        .map(SettingValue::Int)
        .ok_or_else(|| bare("Invalid int")),
        "bool" => boolean(value)
            .or_else(|| match value.as_str()?.trim().to_ascii_lowercase().as_str() {
                "y" => Some(true),
                "n" => Some(false),
                _ => None,
            })
            .map(SettingValue::Bool)
            .ok_or_else(|| bare("Invalid bool")),
        "float" => match value {
            Sent::Number(digits) => digits.parse::<f64>().ok(),
            Sent::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
        .filter(|number| number.is_finite())
        .map(SettingValue::Float)
        .ok_or_else(|| bare("Invalid float")),
        _ => Ok(SettingValue::Json(json.unwrap_or_else(|| value.to_string()))),
    }
}

/// The value of a request in a type. `Ok(None)` when it was not sent.
fn value_of(fields: &Fields, kind: Option<&str>, faults: &mut Violations) -> Option<SettingValue> {
    match (fields.get("value"), kind) {
        (Some(Sent::Null), _) => faults.push("value", "This field may not be null."),
        (Some(value), Some(kind)) => match coerced(kind, value, fields.json("value")) {
            Ok(value) => return Some(value),
            Err(violation) => faults.0.push(violation),
        },
        (Some(_) | None, _) => {}
    }
    None
}

fn kind_of(fields: &Fields, faults: &mut Violations) -> Option<String> {
    fields.choice("valueType", |kind| SETTING_VALUE_TYPES.contains(&kind), faults)
}

/// Makes a setting: superusers.
#[utoipa::path(post, path = "/api/v1/jhe_settings", tag = "settings", request_body = body::setting::NewSetting,
    responses((status = 201, body = SettingJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted")))]
#[tracing::instrument(name = "admin.settings.create", skip_all)]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    fields: Fields,
) -> Result<Response, AdminError> {
    let key = || {
        let mut faults = Violations::default();
        fields.required_text("key", &mut faults)
    };
    let validate = || {
        let mut faults = Violations::default();
        let key = fields.required_text("key", &mut faults);
        let kind = kind_of(&fields, &mut faults);
        if !fields.has("valueType") {
            faults.push("valueType", "This field is required.");
        }
        let value = value_of(&fields, kind.as_deref(), &mut faults);
        if !fields.has("value") {
            faults.0.push(bare("This field is required."));
        }
        faults.into_result()?;
        value.map(|value| (key, value)).ok_or_else(|| Error::internal("a setting without a value"))
    };
    let setting = usecase::create(&app, &actor, key, validate).await?;
    Ok(created(true, &shown(setting, false)?))
}

async fn update(app: &App, actor: &Actor, id: i64, fields: &Fields) -> Result<Response, AdminError> {
    let validate = |stored: &Setting| {
        let mut faults = Violations::default();
        let key = fields.optional_text("key", &mut faults);
        let kind = kind_of(fields, &mut faults);
        if kind.is_some() && !fields.has("value") {
            faults.0.push(bare("Required when changing value_type."));
        }
        let kind = kind.unwrap_or_else(|| stored.value.type_name().to_owned());
        let value = value_of(fields, Some(&kind), &mut faults);
        faults.into_result()?;
        // A form that sends back what it was shown does not mean the stars.
        let stars = matches!(&value, Some(SettingValue::String(text)) if is_secret(&stored.key) && text == HIDDEN);
        Ok(Written { key, value: value.filter(|_| !stars) })
    };
    let setting = usecase::update(app, actor, id, validate).await?;
    Ok(ok(&shown(setting, false)?))
}

/// Changes a setting; what is not sent stays. Superusers.
#[utoipa::path(patch, path = "/api/v1/jhe_settings/{id}", tag = "settings", params(("id" = i64, Path)), request_body = body::setting::SettingChange,
    responses((status = 200, body = SettingJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "No such setting")))]
#[tracing::instrument(name = "admin.settings.patch", skip_all)]
pub(crate) async fn patch(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &fields).await
}

/// The same as PATCH.
#[utoipa::path(put, path = "/api/v1/jhe_settings/{id}", tag = "settings", params(("id" = i64, Path)), request_body = body::setting::SettingChange,
    responses((status = 200, body = SettingJson), (status = 400, description = "Invalid"), (status = 403, description = "Not permitted"), (status = 404, description = "No such setting")))]
#[tracing::instrument(name = "admin.settings.put", skip_all)]
pub(crate) async fn put(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, AdminError> {
    update(&app, &actor, id, &fields).await
}

/// Removes a setting, after which its default holds: superusers.
#[utoipa::path(delete, path = "/api/v1/jhe_settings/{id}", tag = "settings", params(("id" = i64, Path)),
    responses((status = 204, description = "Gone"), (status = 403, description = "Not permitted"), (status = 404, description = "No such setting")))]
#[tracing::instrument(name = "admin.settings.delete", skip_all)]
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId,
    // Read like every body, so that one that cannot be read is refused.
    _: Fields,
) -> Result<Response, AdminError> {
    usecase::delete(&app, &actor, id).await?;
    Ok(no_content())
}
