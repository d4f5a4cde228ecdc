//! Settings that operators change while the server runs.

use std::collections::HashMap;

use jhe_domain::error::Error;
use jhe_domain::setting::SettingValue;
use sqlx::postgres::PgListener;

use crate::fault::Db;
use crate::work::Store;

#[derive(sqlx::FromRow)]
struct SettingRow {
    key: String,
    value_string: Option<String>,
    value_int: Option<i64>,
    value_bool: Option<bool>,
    value_float: Option<f64>,
    value_json: Option<String>,
}

impl SettingRow {
    fn value(self) -> Option<(String, SettingValue)> {
        let value = self
            .value_string
            .map(SettingValue::String)
            .or(self.value_int.map(SettingValue::Int))
            .or(self.value_bool.map(SettingValue::Bool))
            .or(self.value_float.map(SettingValue::Float))
            .or(self.value_json.map(SettingValue::Json))?;
        Some((self.key, value))
    }
}

/// Tells when a setting changed, in whichever process.
pub struct SettingChanges(PgListener);

impl SettingChanges {
    /// Waits for the next change.
    pub async fn next(&mut self) -> Result<(), Error> {
        self.0.recv().await.db()?;
        Ok(())
    }
}

impl Store {
    /// All settings, by key.
    pub async fn settings(&self) -> Result<HashMap<String, SettingValue>, Error> {
        let rows: Vec<SettingRow> = sqlx::query_as(
            "SELECT key, value_string, value_int, value_bool, value_float, value_json::text AS value_json FROM core_jhesetting",
        )
        .fetch_all(&self.pool)
        .await
        .db()?;
        Ok(rows.into_iter().filter_map(SettingRow::value).collect())
    }

    /// Starts listening for changes, on a connection of its own.
    pub async fn setting_changes(&self) -> Result<SettingChanges, Error> {
        let mut listener = PgListener::connect_with(&self.pool).await.db()?;
        listener.listen("jhe_setting_changed").await.db()?;
        Ok(SettingChanges(listener))
    }

    /// Whether the store was closed.
    pub fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }
}
