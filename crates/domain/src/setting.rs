//! Settings that operators change while the server runs (data model §7).

use chrono::{DateTime, Utc};

/// Value types: what `valueType` may be.
pub const SETTING_VALUE_TYPES: &[&str] = &["string", "int", "bool", "float", "json"];

/// Settings the server knows, and what type each has. Others may be kept too; nothing reads them.
pub const KNOWN_SETTINGS: &[(&str, &str)] = &[
    ("site.url", "string"),
    ("site.ui.title", "string"),
    ("site.time_zone", "string"),
    ("site.registration_invite_code", "string"),
    ("auth.default_orgs", "string"),
    ("auth.sso.saml2", "int"),
    ("auth.sso.valid_domains", "string"),
    ("auth.patient.invitation_expiration_days", "int"),
    ("auth.patient.invitation_redemption_window_hours", "int"),
    ("auth.patient.invitation_link_client_id", "string"),
    ("auth.patient_access_clients", "json"),
    ("auth.sof.trusted_issuers", "json"),
    ("auth.sof.trusted_audience", "string"),
    ("auth.sof.single_use_id_tokens", "bool"),
    ("auth.require_verified_email", "bool"),
    ("auth.password.min_length", "int"),
    ("auth.logout_revokes_tokens", "bool"),
    ("auth.practitioner_client.reveal_once", "bool"),
    ("auth.enforce_rw_scopes", "bool"),
    ("consent.allow_reset", "bool"),
    ("patient.attach_requires_confirmation", "bool"),
    ("api.plain_array_lists", "json"),
    ("retention.audit_days", "int"),
    ("module.ow", "bool"),
    ("ow.api_url", "string"),
    ("ow.api_key", "string"),
    ("ow.ingest_mode", "string"),
    ("ow.poll_interval_minutes", "int"),
    ("ow.sync_in_progress", "string"),
    ("ow.s3.endpoint_url", "string"),
    ("ow.s3.access_key_id", "string"),
    ("ow.s3.secret_access_key", "string"),
    ("ow.s3.bucket_name", "string"),
    ("ow.s3.key_prefix", "string"),
];

/// Whether a setting holds a secret, which is written and never read back.
pub fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    key.ends_with(".api_key") || key.ends_with(".private_key") || key.contains("secret")
}

/// A stored setting.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Row id.
    pub id: i64,
    /// Name.
    pub key: String,
    /// Value.
    pub value: SettingValue,
    /// Last change.
    pub last_updated: DateTime<Utc>,
}

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

impl SettingValue {
    /// The name of its type, one of [`SETTING_VALUE_TYPES`].
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
            Self::Int(_) => "int",
            Self::Bool(_) => "bool",
            Self::Float(_) => "float",
            Self::Json(_) => "json",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for key in ["ow.api_key", "x.private_key", "auth.secret.x", "My.Secret.thing", "foo.API_KEY"] {
            assert!(is_secret(key), "{key}");
        }
        assert!(!is_secret("site.url") && !is_secret("api_key_hint"));
    }

    #[test]
    fn every_known_setting_has_a_type() {
        assert!(KNOWN_SETTINGS.iter().all(|(_, kind)| SETTING_VALUE_TYPES.contains(kind)));
    }
}
