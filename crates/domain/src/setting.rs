//! Settings that operators change while the server runs (data model §7).

/// Value types: what `valueType` may be.
pub const SETTING_VALUE_TYPES: &[&str] = &["string", "int", "bool", "float", "json"];

/// A setting's value. JSON is kept as the text it was written in.
#[derive(Debug, Clone, PartialEq)]
pub enum SettingValue {
    /// Text.
    String(String),
    /// Integer.
    Int(i64),
    /// Truth value.
    Bool(bool),
    /// Number.
    Float(f64),
    /// JSON text.
    Json(String),
}
