//! Settings that operators change while the server runs.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use jhe_authz::{Grant, action, resource};
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::error::Error;
use jhe_domain::page::{Page, Window};
use jhe_domain::setting::{Setting, SettingValue};
use sqlx::QueryBuilder;
use sqlx::postgres::PgListener;

use crate::fault::Db;
use crate::keyset::{Order, numbered, push_window};
use crate::work::{CONNECTION_NAME, Store, Work};

type Admin = Grant<resource::Server, action::Administer>;

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
    /// Waits for the next change, or for a new connection in place of a broken one, since what was told between the two is
    /// lost. Either way settings are to be read again.
    pub async fn next(&mut self) -> Result<(), Error> {
        self.0.try_recv().await.db()?;
        Ok(())
    }

    /// How many writes there were by now: to be asked before settings are read, and told with [`SettingChanges::seen`] after.
    pub async fn version(&mut self) -> Result<i64, Error> {
        // A sequence that was never asked has its first value already.
        sqlx::query_scalar("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM jhe_setting_version")
            .fetch_one(&mut self.0)
            .await
            .db()
    }

    /// Tells the writers of settings how far this process has read, in the name of its connection.
    pub async fn seen(&mut self, version: i64) -> Result<(), Error> {
        self.name(&format!("{SEEN}{version}")).await
    }

    /// Tells that this connection says nothing of this process any more, so that nobody waits for it.
    pub async fn leave(mut self) -> Result<(), Error> {
        self.name(CONNECTION_NAME).await
    }

    async fn name(&mut self, name: &str) -> Result<(), Error> {
        sqlx::query("SELECT set_config('application_name', $1, false)").bind(name).execute(&mut self.0).await.db()?;
        Ok(())
    }
}

/// What the name of a listening connection begins with; a version follows.
const SEEN: &str = "jhe settings ";

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

    /// Counts a write of settings that is committed, and tells every process of it; the count.
    pub async fn announce_settings(&self) -> Result<i64, Error> {
        let (version, ()) =
            sqlx::query_as("SELECT nextval('jhe_setting_version'), pg_notify('jhe_setting_changed', '')")
                .fetch_one(&self.pool)
                .await
                .db()?;
        Ok(version)
    }

    /// Whether every process that is there has read the settings since that count.
    pub async fn settings_seen(&self, version: i64) -> Result<bool, Error> {
        sqlx::query_scalar(
            "SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity AS a
                                 WHERE a.datname = current_database() AND starts_with(a.application_name, $1)
                                   AND substr(a.application_name, length($1) + 1)::bigint < $2)",
        )
        .bind(SEEN)
        .bind(version)
        .fetch_one(&self.pool)
        .await
        .db()
    }

    /// Whether the store was closed.
    pub fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }
}

#[derive(sqlx::FromRow)]
struct StoredRow {
    id: i64,
    last_updated: DateTime<Utc>,
    #[sqlx(flatten)]
    setting: SettingRow,
}

impl StoredRow {
    fn setting(self) -> Option<Setting> {
        let (id, last_updated) = (self.id, self.last_updated);
        self.setting.value().map(|(key, value)| Setting { id, key, value, last_updated })
    }
}

const SELECT: &str =
    "SELECT id, last_updated, key, value_string, value_int, value_bool, value_float, value_json::text AS value_json
   FROM core_jhesetting";

/// Access to stored settings, for those who administer.
pub struct StoredSettings<'a>(&'a mut Work);

impl Work {
    /// Access to stored settings.
    pub fn settings(&mut self) -> StoredSettings<'_> {
        StoredSettings(self)
    }
}

impl StoredSettings<'_> {
    /// All settings, by id.
    pub async fn list(&mut self, _admin: &Admin, window: Window) -> Result<Page<Setting>, Error> {
        let count =
            sqlx::query_scalar("SELECT count(*) FROM core_jhesetting").fetch_one(self.0.connection()).await.db()?;
        let mut sql = QueryBuilder::<sqlx::Postgres>::new(SELECT);
        push_window(&mut sql, " WHERE ", &Order::by_id("id"), &window)?;
        let rows: Vec<StoredRow> = sql.build_query_as().fetch_all(self.0.connection()).await.db()?;
        let page = Page::of(&window, count, rows, |row| numbered(row.id));
        let rows = page.rows.into_iter().filter_map(StoredRow::setting).collect();
        Ok(Page { count, rows, next: page.next })
    }

    /// One setting.
    pub async fn find(&mut self, _admin: &Admin, id: i64) -> Result<Option<Setting>, Error> {
        let mut sql = QueryBuilder::<sqlx::Postgres>::new(SELECT);
        sql.push(" WHERE id = ").push_bind(id);
        let row: Option<StoredRow> = sql.build_query_as().fetch_optional(self.0.connection()).await.db()?;
        Ok(row.and_then(StoredRow::setting))
    }

    /// Keeps a setting: a new one, or another key and value in a row.
    ///
    /// # Errors
    /// A conflict when another row has the key.
    pub async fn write(
        &mut self,
        _admin: &Admin,
        id: Option<i64>,
        key: &str,
        value: &SettingValue,
    ) -> Result<i64, Error> {
        let sql = match id {
            None => {
                "INSERT INTO core_jhesetting (key, value_type, value_string, value_int, value_bool, value_float, value_json)
                 SELECT $2, $3, $4, $5, $6, $7, $8::json WHERE $1::bigint IS NULL RETURNING id"
            }
            Some(_) => {
                "UPDATE core_jhesetting SET key = $2, value_type = $3, value_string = $4, value_int = $5, value_bool = $6,
                        value_float = $7, value_json = $8::json WHERE id = $1 RETURNING id"
            }
        };
        let (mut text, mut int, mut truth, mut float, mut json) = (None, None, None, None, None);
        match value {
            SettingValue::String(value) => text = Some(value),
            SettingValue::Int(value) => int = Some(value),
            SettingValue::Bool(value) => truth = Some(value),
            SettingValue::Float(value) => float = Some(value),
            SettingValue::Json(value) => json = Some(value),
        }
        let written: i64 = sqlx::query_scalar(sql)
            .bind(id)
            .bind(key)
            .bind(value.type_name())
            .bind(text)
            .bind(int)
            .bind(truth)
            .bind(float)
            .bind(json)
            .fetch_one(self.0.connection())
            .await
            .db()?;
        let action = if id.is_some() { AuditAction::Update } else { AuditAction::Create };
        self.0.audit(AuditEntry::new(action, "JheSetting").id(written));
        Ok(written)
    }

    /// Removes a setting, after which its default holds. `false` when there is none.
    pub async fn delete(&mut self, _admin: &Admin, id: i64) -> Result<bool, Error> {
        let gone = sqlx::query("DELETE FROM core_jhesetting WHERE id = $1")
            .bind(id)
            .execute(self.0.connection())
            .await
            .db()?
            .rows_affected();
        self.0.audit(AuditEntry::new(AuditAction::Delete, "JheSetting").id(id));
        Ok(gone > 0)
    }

    /// Whether there is no row of a setting.
    pub async fn is_missing(&mut self, _admin: &Admin, key: &str) -> Result<bool, Error> {
        sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM core_jhesetting WHERE key = $1)")
            .bind(key)
            .fetch_one(self.0.connection())
            .await
            .db()
    }

    /// Whether a text names a time zone of the IANA database, written as it is there.
    pub async fn is_time_zone(&mut self, _admin: &Admin, name: &str) -> Result<bool, Error> {
        // PostgreSQL lists every file it finds: copies of all zones with and without leap seconds, and some that are no zones.
        sqlx::query_scalar(
            "SELECT $1 !~ '^(posix|right)/' AND $1 NOT IN ('localtime', 'posixrules', 'Factory')
                AND EXISTS (SELECT 1 FROM pg_timezone_names WHERE name = $1)",
        )
        .bind(name)
        .fetch_one(self.0.connection())
        .await
        .db()
    }

    /// Whether all of these organizations exist.
    pub async fn organizations_exist(&mut self, _admin: &Admin, ids: &[i64]) -> Result<bool, Error> {
        sqlx::query_scalar(
            "SELECT NOT EXISTS (SELECT 1 FROM unnest($1::bigint[]) AS wanted (id)
                                 WHERE NOT EXISTS (SELECT 1 FROM core_organization AS o WHERE o.id = wanted.id))",
        )
        .bind(ids)
        .fetch_one(self.0.connection())
        .await
        .db()
    }
}
