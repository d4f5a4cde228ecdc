//! Bodies about settings.

use serde_json::Value;
use utoipa::ToSchema;

/// The type of a setting's value.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum SettingType {
    String,
    Int,
    Bool,
    Float,
    Json,
}

/// A setting to make.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"key": "lab.greeting", "valueType": "string", "value": "Good morning"}))]
pub(crate) struct NewSetting {
    /// Its name, which no other setting has. Names that the server does not know may be kept too; nothing reads them.
    key: String,
    /// The type of its value; those that the server knows have one each.
    value_type: SettingType,
    /// Its value, in that type or as its text; for `json` anything but null, which is kept as it is written.
    value: Value,
}

/// What to change of a setting; what is absent stays.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"valueType": "int", "value": 14}))]
pub(crate) struct SettingChange {
    /// Its name.
    #[schema(nullable = false)]
    key: Option<String>,
    /// The type of its value. Whoever sends it sends the value, too.
    #[schema(nullable = false)]
    value_type: Option<SettingType>,
    /// Its value, in its type or as its text; not null. `***`, which is shown instead of a secret, leaves that secret as it is.
    value: Option<Value>,
}
